"""Trimmed vocabulary of a model: how much was kept, and how its tags compare with those before."""

from __future__ import annotations

from dataclasses import dataclass

from hf_tagging.markdown import Markup, data_size, is_finite, table
from hf_tagging.publishing import provenance
from hf_tagging.publishing.card.results import headline
from hf_tagging.tasks import get_task
from hf_tagging.training.record import AgreementRecord, RunRecord


@dataclass(frozen=True)
class TrimmedView:
    """Number of subwords and size of the weights, before and after, and a table of the tags."""

    source: str
    subwords: tuple[int, int]
    used: int
    most_common: int
    sizes: tuple[str, str]
    table: Markup


def trimmed_view(record: RunRecord) -> TrimmedView | None:
    """Return how a vocabulary was trimmed; None where it was not.

    Args:
        record: Record of the run, with `task`.
    """
    trimmed = record.get("trimmed")
    if not trimmed:
        return None
    before, after = trimmed.get("before") or {}, trimmed.get("after") or {}
    metric = headline(get_task(record["task"]))[1]
    agreement = trimmed.get("agreement") or {}
    rows = [
        [name, one.get("words"), _share(one), one.get("before"), one.get("after")] for name, one in agreement.items()
    ]
    return TrimmedView(
        source=provenance.last_part(trimmed.get("source", "")),
        subwords=(before.get("subwords", 0), after.get("subwords", 0)),
        used=trimmed.get("used", 0),
        most_common=trimmed.get("most_common", 0),
        sizes=(data_size(before.get("bytes", 0)), data_size(after.get("bytes", 0))),
        table=table(["Texts", "Words", "Equal tags", f"{metric} before", "After"], rows),
    )


def _share(one: AgreementRecord) -> str:
    share = one.get("equal")
    return f"{share:.2%}" if is_finite(share) else ""
