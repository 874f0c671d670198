"""Files of predictions that conlleval reads, and the table of results for a terminal."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from hf_tagging.atomic import whole_file
from hf_tagging.console import read_text, text_table
from hf_tagging.data.aligned import AlignedSplit
from hf_tagging.errors import DataError
from hf_tagging.evaluation.escapes import escaped_line, unescaped
from hf_tagging.evaluation.figures import Figures, Results
from hf_tagging.evaluation.metrics import Tags
from hf_tagging.evaluation.scoring import score
from hf_tagging.markdown import visible
from hf_tagging.tasks import NER, POS, Task, get_task

_WHITE = re.compile(r"\s")


def score_words(
    split: AlignedSplit, predicted: Tags, gold: Tags, *, known_words: frozenset[str] | None = None
) -> Figures:
    """Score tags without entities. Deprecated: use `score`.

    Args:
        split: The split with its words.
        predicted: (sentences, words)
        gold: (sentences, words)
        known_words: Words of the training split.
    """
    warnings.warn("score_words is now score(task, predicted, gold); it goes with the next release.", FutureWarning, 2)
    words = list(split.words["tokens"]) if known_words is not None else None
    return score(POS, predicted, gold, words=words, known_words=known_words)


def score_entities(split: AlignedSplit, predicted: Tags, gold: Tags, *, scheme: str) -> Figures:
    """Score entities. Deprecated: use `score`.

    Args:
        split: The split with its words.
        predicted: (sentences, words)
        gold: (sentences, words)
        scheme: Scheme of the tags.
    """
    warnings.warn(
        "score_entities is now score(task, predicted, gold); it goes with the next release.", FutureWarning, 2
    )
    return score(NER, predicted, gold, scheme=scheme)


def write_predictions(
    path: str | Path,
    words: Iterable[Sequence[str]],
    gold: Iterable[Sequence[str]],
    predicted: Iterable[Sequence[str]],
) -> None:
    """Write `word gold predicted` lines with a blank line after each sentence, as conlleval reads them.

    What would break a column or a line is escaped, see `hf_tagging.evaluation.escapes`: `read_predictions` returns
    every word and tag as it was. The gold tag of a word that is not annotated is ``-100``; conlleval, which knows no
    such words, needs a file without them.

    Args:
        path: The file.
        words: (sentences, words)
        gold: (sentences, words)
        predicted: (sentences, words)
    """
    with whole_file(path) as file:
        for sentence in zip(words, gold, predicted, strict=True):
            for word, *tags in zip(*sentence, strict=True):
                file.write(escaped_line(word, *tags) + "\n")
            file.write("\n")


def read_predictions(path: Path) -> tuple[Tags, Tags, Tags]:
    """Read a file of `write_predictions`.

    Args:
        path: Lines of ``word gold predicted``, a blank line after each sentence.

    Returns:
        Words, gold and predicted tags, (sentences, words) each.

    Raises:
        DataError: For a line that has not three columns, or a file that is not in UTF-8.
    """
    text = read_text(path, DataError, advice="Evaluate the run again.")
    rows: list[list[list[str]]] = [[]]  # (sentences, words, 3)
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            rows.append([])
            continue
        rows[-1].append(list(map(unescaped, line.split(" "))))
        if len(rows[-1][-1]) != 3:
            raise DataError(f"{path}, line {number}: expected `word gold predicted`, found {line!r}.")
    words, gold, predicted = ([[row[i] for row in sentence] for sentence in rows if sentence] for i in range(3))
    return words, gold, predicted


def spelled(text: str) -> str:
    """Return a word or tag as releases before 0.2 wrote it into predictions: white space as ``_``."""
    return _WHITE.sub("_", text) or "_"


def results_table(task: str | Task, results: Results) -> str:
    """Return the main figures of each split and of each entity type as a table for a terminal.

    Args:
        task: Name of a task, or a `Task`.
        results: Per split, what the metric gave.
    """
    if not results:
        return "There is no validation and no test split (or neither was asked for): nothing was scored."
    columns = [c for c in get_task(task).table if any(c in figures for figures in results.values())]
    rows = [["", *(c.replace("_", " ") for c in columns), "words", "words/s"]]
    for split, figures in results.items():
        shown = [
            _figure(None if c == "unseen_accuracy" and not figures["unseen_words"] else figures.get(c)) for c in columns
        ]
        rows.append([visible(split), *shown, *_sizes(figures)])
        for name, scores in figures.get("per_type", {}).items():
            shown = [_figure(scores.get(c)) if c in ("precision", "recall", "f1") else "" for c in columns]
            rows.append([f"  {visible(name)}", *shown, "", ""])
    return text_table(rows)


def _figure(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else ""


def _sizes(figures: Figures) -> list[str]:
    speed = figures.get("words_per_second")
    return [f"{figures.get('words', 0):,}", "" if speed is None else f"{speed:,.0f}"]
