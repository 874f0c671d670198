"""Results of a model card: figures by split, over seeds and by tag, and the evaluations during training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_tagging.data.files import tagged_split
from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import Markup, is_finite, is_number, setting, sparkline, table, text
from hf_tagging.publishing.card.metadata import SeedSpread, over_seeds
from hf_tagging.tasks import Task, get_task
from hf_tagging.training.record import RunRecord

_SHARES = [
    "precision", "recall", "f1", "accuracy", "macro_precision", "macro_recall", "macro_f1", "strict_precision",
    "strict_recall", "strict_f1", "sentence_accuracy", "mean_sentence_accuracy", "sentence_f1", "seen_accuracy",
    "unseen_accuracy", "loss",
]  # fmt: skip
_COUNTS = ["support", "unseen_words", "words", "sentences"]
_HISTORY = ["epoch", "step", "loss", "accuracy", "precision", "recall", "f1", "macro_f1"]
_MOST_ROWS = 100
_CURVE = 3  # fewer evaluations are no curve


@dataclass(frozen=True)
class ClassTable:
    """Scores by tag or entity type, the most frequent first; `rest` counts those without a row."""

    title: str
    split: str
    table: Markup
    rest: int


@dataclass(frozen=True)
class ResultsView:
    """Figures by split, and which explanations they need."""

    figures: Markup | None
    has_spread: bool
    has_entities: bool
    has_unseen: bool
    has_sentences: bool
    classes: ClassTable | None


@dataclass(frozen=True)
class Curve:
    """Headline figure during training, as a line of bars."""

    label: str
    low: float
    high: float
    line: str


@dataclass(frozen=True)
class HistoryView:
    """Evaluations during training."""

    table: Markup
    shown: int
    left_out: int
    curve: Curve | None


def results_view(results: Results, seeds: Sequence[Results], task: Task) -> ResultsView:
    """Return every figure by split, and the scores by tag or entity type.

    Args:
        results: Figures by split.
        seeds: Results of the same run with other seeds.
        task: Task of the run.
    """
    keys = [key for key in (*_SHARES, *_COUNTS) if any(r.get(key) is not None for r in results.values())]
    spreads = {s: [over_seeds(results, seeds, s, key) if key in _SHARES else None for key in keys] for s in results}
    return ResultsView(
        figures=_by_split(results, spreads, keys) if keys else None,
        has_spread=any(found for split in spreads.values() for found in split),
        has_entities=task.has_entities,
        has_unseen="unseen_accuracy" in keys,
        has_sentences=any("sentence" in key and key != "sentences" for key in keys),
        classes=_by_class(results, task),
    )


def _by_split(results: Results, spreads: dict[str, list[SeedSpread | None]], keys: Sequence[str]) -> Markup:
    header, rows = ["Figure"], [[label(key)] for key in keys]
    for split, scores in results.items():
        header.append(split)
        counts = {found.runs for found in spreads[split] if found}
        header += [f"{split}, mean ± deviation of {runs} seeds" for runs in counts]
        for key, row, found in zip(keys, rows, spreads[split], strict=True):
            row.append(text(scores.get(key)))
            row += [str(found) if found else ""] * len(counts)
    return table(header, [[name, *map(Markup, values)] for name, *values in rows])


def _by_class(results: Results, task: Task) -> ClassTable | None:
    """Return the scores by tag or entity type of the last split that has them, by its own tags."""
    title = "entity type" if task.has_entities else "tag"
    tables = {
        s: figures.get("per_type") if task.has_entities else figures.get("per_tag")
        for s, figures in results.items()
        if s == tagged_split(s)
    }
    split, scores = next(((s, found) for s, found in reversed(tables.items()) if found), ("", None))
    if scores is None:
        return None
    columns = ("precision", "recall", "f1", "support")
    ordered = sorted(scores.items(), key=lambda item: (-(item[1].get("support") or 0), item[0]))
    rows = [[name, *map(row.get, columns)] for name, row in ordered[:_MOST_ROWS]]
    shown = table([title.capitalize(), *map(label, columns)], rows)
    return ClassTable(title, split, shown, len(ordered) - len(rows))


def history_view(record: RunRecord) -> HistoryView | None:
    """Return the evaluations during training, with the curve of the headline figure if there are enough."""
    history = record.get("history") or []
    keys = [key for key in _HISTORY if any(entry.get(key) is not None for entry in history)]
    if not keys:
        return None
    shown = history[-_MOST_ROWS:]
    rows = [
        [setting(round(entry[k], 2)) if k == "epoch" and is_number(entry.get(k)) else entry.get(k) for k in keys]
        for entry in shown
    ]
    key, name = headline(get_task(record["task"]))
    values = [entry[key] for entry in shown if is_finite(entry.get(key))]
    curve = None
    if len(values) >= _CURVE and min(values) < max(values):
        curve = Curve(name, float(min(values)), float(max(values)), sparkline(values))
    return HistoryView(table([label(key) for key in keys], rows), len(shown), len(history) - len(shown), curve)


def headline(task: Task) -> tuple[str, str]:
    """Return the key and the name of the figure that heads a card."""
    return task.headline, "Entity F1" if task.has_entities and task.headline == "f1" else label(task.headline)


def label(key: str) -> str:
    """Return the key of a figure in words."""
    words = key.replace("_", " ").replace("f1", "F1")
    return words[0].upper() + words[1:]
