"""The figures of a model card: by split, over seeds, by tag, and as they came about in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import Markup, is_finite, is_number, setting, sparkline, spread, table, text
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
_CURVE = 3  # evaluations; fewer are no curve


def results_section(results: Results, seeds: Sequence[Results], task: Task) -> str:
    """Every figure by split, what it means, and those by tag or entity type.

    Args:
        results: Per split, every figure.
        seeds: Results of the same run with other seeds.
        task: What was scored.
    """
    keys = [key for key in (*_SHARES, *_COUNTS) if any(r.get(key) is not None for r in results.values())]
    if not keys:
        return ""
    spreads = {s: [over_seeds(results, seeds, s, key) if key in _SHARES else None for key in keys] for s in results}
    explained = _explained(keys, task, any(found for split in spreads.values() for found in split))
    return "\n\n".join([_by_split(results, spreads, keys), *explained, *_by_tag(results, task)])


def _by_split(results: Results, spreads: dict[str, list[SeedSpread | None]], keys: Sequence[str]) -> str:
    header, rows = ["Figure"], [[label(key)] for key in keys]
    for split, scores in results.items():
        header.append(split)
        counts = {found.runs for found in spreads[split] if found}
        header += [f"{split}, mean ± deviation of {runs} seeds" for runs in counts]
        for key, row, found in zip(keys, rows, spreads[split], strict=True):
            row.append(text(scores.get(key)))
            row += [spread(found.mean, found.deviation) if found else ""] * len(counts)
    return table(header, [[name, *map(Markup, values)] for name, *values in rows])


def _explained(keys: Sequence[str], task: Task, spread_shown: bool) -> list[str]:
    parts = []
    if spread_shown:
        parts.append(
            "Behind ± is the standard deviation over runs that differ in their seed alone; this model is one of them."
        )
    if task.has_entities:
        parts.append(
            "An entity is right where its first word, its last word and its type are right. The plain figures read "
            "tags as the CoNLL-2003 scorer does; the strict ones count only what the scheme allows."
        )
    if "unseen_accuracy" in keys:
        parts.append("Seen words occur in the training split, unseen ones do not.")
    if any("sentence" in key and key != "sentences" for key in keys):
        parts.append("Figures by sentence are not comparable with those by word or entity.")
    return parts


def _by_tag(results: Results, task: Task) -> list[str]:
    """The last split's figures by tag or entity type, the most frequent first."""
    title = "entity type" if task.has_entities else "tag"
    tables = {
        s: figures.get("per_type") if task.has_entities else figures.get("per_tag") for s, figures in results.items()
    }
    split, scores = next(((s, found) for s, found in reversed(tables.items()) if found), ("", None))
    if scores is None:
        return []
    columns = ("precision", "recall", "f1", "support")
    ordered = sorted(scores.items(), key=lambda item: (-(item[1].get("support") or 0), item[0]))
    rows = [[name, *map(row.get, columns)] for name, row in ordered[:_MOST_ROWS]]
    rest = len(ordered) - len(rows)
    shown = table([title.capitalize(), *map(label, columns)], rows) + (f"\n\nAnd {rest:,} rarer." if rest else "")
    return [f"### By {title}, {text(split)} split\n\n{shown}"]


def history_section(record: RunRecord) -> str:
    """The evaluations of a training as a table and, where they are enough, the curve of what the model is for."""
    history = record.get("history") or []
    keys = [key for key in _HISTORY if any(entry.get(key) is not None for entry in history)]
    if not keys:
        return ""
    rows = [
        [setting(round(entry[k], 2)) if k == "epoch" and is_number(entry.get(k)) else entry.get(k) for k in keys]
        for entry in history[-_MOST_ROWS:]
    ]
    cut = [f"The last {len(rows)} of {len(history):,} evaluations."] if len(history) > len(rows) else []
    shown = table([label(key) for key in keys], rows)
    return "\n\n".join([*cut, shown, *_curve(history[-_MOST_ROWS:], get_task(record["task"]))])


def headline(task: Task) -> tuple[str, str]:
    """Return the key and the name of the figure that heads a card."""
    return task.headline, "Entity F1" if task.has_entities and task.headline == "f1" else label(task.headline)


def _curve(history: Sequence[dict[str, Any]], task: Task) -> list[str]:
    key, name = headline(task)
    values = [entry[key] for entry in history if is_finite(entry.get(key))]
    if len(values) < _CURVE or min(values) == max(values):
        return []
    return [f"{name}, from {min(values):.4f} to {max(values):.4f}: {sparkline(values)}"]


def label(key: str) -> str:
    """The key of a figure in words."""
    words = key.replace("_", " ").replace("f1", "F1")
    return words[0].upper() + words[1:]
