"""Result of a comparison: one row per run, and its table as text and HTML."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from hf_tagging.console import text_table
from hf_tagging.evaluation.statistics import RESAMPLES
from hf_tagging.markdown import duration, visible
from hf_tagging.tasks import get_task
from hf_tagging.training.record import History

NAMES = {"accuracy": "accuracy", "f1": "F1", "score": "score"}
_LONGEST_NOTE = 100

Interval = tuple[float, float]


@dataclass(frozen=True)
class Cost:
    """Cost of a run: means over its seeds and folds, and their maximum of memory. None where it was not recorded."""

    parameters: int | None = None
    model_bytes: int | None = None
    training_seconds: float | None = None
    resumed: bool = False  # then the seconds are those since it was last resumed
    words_per_second: float | None = None
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    hardware: str = ""


@dataclass(frozen=True)
class Row:
    """One run, all seeds together.

    Args:
        name: Name of the run.
        seeds: Finished seeds.
        problems: One message per seed that is not finished.
        failed: True if a seed failed, rather than being unfinished.
        scores: Score of each seed.
        score: Mean of the scores.
        deviation: Sample standard deviation of the scores; None for one seed.
        interval: Bootstrap interval of the score.
        difference: Score minus the score of the reference.
        difference_interval: Bootstrap interval of the difference, with sentences paired.
        p_value: Two-sided p-value of the difference.
        cost: Size, time, speed and memory.
        curves: For each seed and fold, the evaluations during training.
    """

    name: str
    seeds: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()
    failed: bool = False
    scores: tuple[float, ...] = ()
    score: float | None = None
    deviation: float | None = None
    interval: Interval | None = None
    difference: float | None = None
    difference_interval: Interval | None = None
    p_value: float | None = None
    cost: Cost = field(default_factory=Cost)
    curves: tuple[History, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Runs side by side, as `compare_runs` returns them. Prints as a table, also in Jupyter.

    Args:
        task: Task of all runs; None while no run is finished.
        split: Split that was scored.
        reference: Name of the run that the others are compared with.
        rows: One per run, in the order given.
        sentences: Number of sentences in the split.
        resamples: Number of bootstrap samples.
        level: Confidence level of the intervals.
    """

    task: str | None
    split: str
    reference: str
    rows: tuple[Row, ...]
    sentences: int = 0
    resamples: int = RESAMPLES
    level: float = 0.95

    @property
    def metric(self) -> str:
        """Name of the score: "accuracy", "f1", or "score" while no run is finished."""
        return get_task(self.task).score_name if self.task else "score"

    def table(self) -> str:
        """Return the comparison as a plain-text table for a terminal, with its legend."""
        rows = [[visible(cell) for cell in row] for row in cells(self)]
        left = {0, len(rows[0]) - 1} if rows[0][-1] == "note" else {0}
        return "\n".join([text_table(rows, left=left), "", *legend(self, visible(self.reference))])

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        """Return the table as HTML for Jupyter."""
        header, *rows = ([html.escape(visible(cell)) for cell in row] for row in cells(self))
        head = "".join(f"<th>{cell}</th>" for cell in header)
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        notes = html.escape(" ".join(legend(self, visible(self.reference))))
        table = f'<table style="white-space: nowrap"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        return f"{table}<p><small>{notes}</small></p>"


def cells(comparison: Comparison) -> list[list[str]]:
    """Return header and rows as text, without empty columns."""
    header = [
        "run", NAMES[comparison.metric], f"{comparison.level:.0%} interval", f"against {comparison.reference}", "p",
        "seeds", "parameters", "size", "training", "words/s", "memory", "GPU memory", "hardware", "note",
    ]  # fmt: skip
    rows = [[row.name, *_scores(row, comparison), *_costs(row.cost), _note(row)] for row in comparison.rows]
    kept = [i for i in range(len(header)) if i < 2 or any(row[i] for row in rows)]
    return [[row[i] for i in kept] for row in (header, *rows)]


def _scores(row: Row, comparison: Comparison) -> list[str]:
    if row.score is None:
        return ["failed" if row.failed else "not finished", "", "", "", ""]
    spread = "" if row.deviation is None else f" ± {row.deviation:.4f}"
    against = "reference" if row.name == comparison.reference else ""
    if row.difference is not None and row.difference_interval is not None:
        against = f"{row.difference:+.4f} ({_range(row.difference_interval, '+.4f')})"
    p = "" if row.p_value is None else f"{row.p_value:.4f}" if row.p_value >= 0.00005 else "< 0.0001"
    return [f"{row.score:.4f}{spread}", _range(row.interval, ".4f"), against, p, str(len(row.seeds))]


def _costs(cost: Cost) -> list[str]:
    seconds = "" if cost.training_seconds is None else duration(cost.training_seconds)
    return [
        short(cost.parameters),
        short(cost.model_bytes, "B"),
        f"over {seconds}" if cost.resumed and seconds else seconds,
        "" if cost.words_per_second is None else f"{cost.words_per_second:,.0f}",
        short(cost.memory_bytes, "B"),
        short(cost.gpu_memory_bytes, "B"),
        cost.hardware,
    ]


def _note(row: Row) -> str:
    note = "; ".join(row.problems)
    return note if len(note) <= _LONGEST_NOTE else note[: _LONGEST_NOTE - 1] + "…"


def legend(comparison: Comparison, reference: str) -> list[str]:
    """Return the sentences below the table."""
    if not comparison.sentences:
        return ["No run is finished yet."]
    name = NAMES[comparison.metric]
    what = get_task(comparison.task).items if comparison.task else "words"
    lines = [
        f"{name[0].upper()}{name[1:]} over {what}, mean ± standard deviation over seeds.",
        f"Intervals: bootstrap over the {comparison.sentences:,} sentences, {comparison.resamples:,} resamples. "
        "Intervals, differences and p-values use the counts of all seeds together.",
    ]
    if any(row.p_value is not None for row in comparison.rows):
        lines.append(
            f"p: two-sided, paired approximate randomisation against {reference}, not corrected for the "
            "number of comparisons."
        )
    lines.append("Training time and words/s: mean of single runs. Memory: peak of one process.")
    if any(row.cost.resumed for row in comparison.rows):
        lines.append("Training over ...: measured since the run was last resumed.")
    return lines


def _range(interval: Interval | None, form: str) -> str:
    return "" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"


def short(number: float | None, unit: str = "") -> str:
    """Return a number with three digits: 950, 1.23 M, 433 MB."""
    if number is None:
        return ""
    value, prefixes = float(number), iter(["", "k", "M", "G", "T"])
    prefix = next(prefixes)
    while value >= 999.5:
        value, prefix = value / 1000, next(prefixes)
    digits = 0 if not prefix or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {prefix}{unit}".rstrip()
