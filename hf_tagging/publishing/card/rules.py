"""Rules beside a model: how many there are and what they change."""

from __future__ import annotations

from dataclasses import dataclass

from hf_tagging.training.record import RunRecord


@dataclass(frozen=True)
class RulesView:
    """Number of rules and, where it was measured, what they change; the figures are written out."""

    count: int
    split: str
    metric: str
    sentences: int
    changed: int | None
    before: str
    after: str


def rules_view(record: RunRecord) -> RulesView | None:
    """Return the rules that were saved with the model of a run; None without any.

    Args:
        record: Record of the run.
    """
    rules = record.get("rules")
    if not rules:
        return None
    before, after = rules.get("before"), rules.get("after")
    return RulesView(
        count=rules.get("rules", 0),
        split=rules.get("split", ""),
        metric=rules.get("metric", ""),
        sentences=rules.get("sentences", 0),
        changed=None if before is None or after is None else rules.get("changed"),
        before="" if before is None else f"{before:.4f}",
        after="" if after is None else f"{after:.4f}",
    )
