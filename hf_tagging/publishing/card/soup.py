"""Runs whose weights a model is the average of."""

from __future__ import annotations

from dataclasses import dataclass

from hf_tagging.markdown import Markup, duration, is_finite, setting, table
from hf_tagging.publishing import provenance
from hf_tagging.publishing.card.results import headline
from hf_tagging.tasks import get_task
from hf_tagging.training.record import PartRecord, RunRecord


@dataclass(frozen=True)
class SoupView:
    """Averaged runs; `count` is 0 where no average was better than the best run."""

    kind: str
    count: int
    metric: str
    value: float | None
    best: float | None
    table: Markup


def soup_view(record: RunRecord) -> SoupView | None:
    """Return the runs that were averaged, each with its figure and the arguments of its own; None for a single run.

    Args:
        record: Record of the run, with `task`.
    """
    soup = record.get("soup")
    if not soup:
        return None
    parts, validation, kind = soup.get("parts") or [], soup.get("validation") or {}, soup.get("kind", "")
    averages = {name: value for name, value in validation.items() if name != "best run"}
    metric = headline(get_task(record["task"]))[1]
    rows: list[list[object]] = [
        [provenance.last_part(part.get("name", "")), part.get("validation"), _yes(part), _time(part), _differs(part)]
        for part in parts
    ]
    rows += [[f"{name} average", value, "", "", ""] for name, value in averages.items()]
    return SoupView(
        kind=kind,
        count=sum(bool(part.get("averaged")) for part in parts) if kind in averages else 0,
        metric=metric,
        value=validation.get(kind),
        best=validation.get("best run"),
        table=table(["Run", f"{metric}, validation", "Averaged", "Training time", "Its arguments"], rows),
    )


def _yes(part: PartRecord) -> str:
    return setting(bool(part.get("averaged")))


def _time(part: PartRecord) -> str:
    seconds = part.get("seconds")
    return duration(seconds) if is_finite(seconds) else ""


def _differs(part: PartRecord) -> str:
    return ", ".join(f"{name} {setting(value)}" for name, value in (part.get("differs") or {}).items())
