"""A comparison to read: one table for a terminal, the same as Markdown, and all of it as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from hf_tagging.atomic import remove_left_behind, whole_file, write_json
from hf_tagging.comparison.compare import Comparison, Cost, Interval, Row
from hf_tagging.markdown import duration, text, visible
from hf_tagging.tasks import get_task

NAMES = {"accuracy": "accuracy", "f1": "F1", "score": "score"}
_LONGEST_NOTE = 100


def plain_table(comparison: Comparison) -> str:
    """The table and what is to be known of it, for a terminal."""
    rows = [[visible(cell) for cell in row] for row in _cells(comparison)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    left = {0, len(rows[0]) - 1} if _notes(comparison) else {0}
    lines = [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *_legend(comparison, visible(comparison.reference))])


def markdown_page(comparison: Comparison, figures: Iterable[str] = ()) -> str:
    """The page: table, what is to be known of it, figures.

    Args:
        comparison: Of any number of runs.
        figures: Paths of images, relative to the page.
    """
    header, *rows = (list(map(text, row)) for row in _cells(comparison))
    rule = ["---" if name in ("run", "note") else "---:" for name in header]
    table = "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])
    images = "\n".join(f"![{Path(f).stem.replace('_', ' ')}]({f})" for f in figures)
    title = f"# Comparison on the {comparison.split} split"
    legend = " ".join(_legend(comparison, text(comparison.reference)))
    return "\n\n".join(filter(None, [title, table, legend, images])) + "\n"


def write_comparison(comparison: Comparison, folder: Path, figures: Iterable[str] = ()) -> None:
    """Writes `comparison.md` and `comparison.json`, each whole; who calls it holds the folder's lock.

    Args:
        comparison: Of any number of runs.
        folder: Where to.
        figures: Paths of images in it.
    """
    page, data = folder / "comparison.md", folder / "comparison.json"
    remove_left_behind(page, data)
    with whole_file(page) as file:
        file.write(markdown_page(comparison, figures))
    write_json(data, asdict(comparison) | {"metric": comparison.metric}, default=None)


def _cells(comparison: Comparison) -> list[list[str]]:
    """Header and rows as text; columns that no row fills are left out, but for the first two."""
    header = [
        "run", NAMES[comparison.metric], f"{comparison.level:.0%} interval", f"against {comparison.reference}", "p",
        "seeds", "parameters", "size", "training", "words/s", "memory", "GPU memory", "hardware", "note",
    ]  # fmt: skip
    rows = [[row.name, *_figures(row, comparison), *_costs(row.cost), _note(row)] for row in comparison.rows]
    kept = [i for i in range(len(header)) if i < 2 or any(row[i] for row in rows)]
    return [[row[i] for i in kept] for row in (header, *rows)]


def _figures(row: Row, comparison: Comparison) -> list[str]:
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


def _notes(comparison: Comparison) -> bool:
    return any(row.problems for row in comparison.rows)


def _legend(comparison: Comparison, reference: str) -> list[str]:
    """What stands under the table, a sentence each."""
    if not comparison.sentences:
        return ["No run is finished yet."]
    name = NAMES[comparison.metric]
    what = get_task(comparison.task).items if comparison.task else "words"
    lines = [
        f"{name[0].upper()}{name[1:]} over {what}, mean ± standard deviation over seeds.",
        f"Intervals: bootstrap over the {comparison.sentences:,} sentences, {comparison.resamples:,} resamples. "
        "They, differences and p are of the counts of all seeds together.",
    ]
    if any(row.p_value is not None for row in comparison.rows):
        lines.append(
            f"p: two-sided, paired approximate randomisation against {reference}, not corrected for the "
            "number of comparisons."
        )
    lines.append("Training, words/s: means of single runs; memory: the most of one process.")
    if any(row.cost.resumed for row in comparison.rows):
        lines.append("Training over ...: since the run was last resumed.")
    return lines


def _range(interval: Interval | None, form: str) -> str:
    return "" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"


def short(number: float | None, unit: str = "") -> str:
    """A number to three digits: 950, 1.23 M, 433 MB."""
    if number is None:
        return ""
    value, prefixes = float(number), iter(["", "k", "M", "G", "T"])
    prefix = next(prefixes)
    while value >= 999.5:
        value, prefix = value / 1000, next(prefixes)
    digits = 0 if not prefix or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {prefix}{unit}".rstrip()
