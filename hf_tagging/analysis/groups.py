"""Scores of parts of a split: by length of entities and sentences, by what training has seen, by casing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.seen import Seen
from hf_tagging.evaluation.metrics import Array, Tags
from hf_tagging.evaluation.statistics import SentenceCounts, bootstrap_scores, interval
from hf_tagging.tasks import POS

RESAMPLES = 1_000
FEWEST = 10  # sentences: of fewer, samples are too much alike for an interval
_ENTITY_LENGTHS = ("1", "2", "3", "4", "5 or more")
_SENTENCE_EDGES = (10, 20, 30, 40)
_SENTENCE_LENGTHS = ("1 to 10", "11 to 20", "21 to 30", "31 to 40", "41 or more")
_SEEN = ("seen", "unseen")

Row = dict[str, Any]
Edges = tuple[float | None, float | None]

Casings = tuple[Sequence[int], dict[str, Tags]]
"""Numbers of sentences, and their predicted tags by the way in which their words were written."""


def groups_of(answers: Answers, seen: Seen | str, casings: Casings | str) -> list[dict[str, Any]]:
    """Every way of dividing a split that the task knows.

    Args:
        answers: Words with gold and predicted tags.
        seen: What training has, or why that is not known.
        casings: What the model says of words written in other ways, or why that is not known.

    Returns:
        Per division ``title, unit, metric, note, rows`` or ``title, missing``. ``unit`` is what names that are numbers
        count; a row has ``name, value, low, high, count``, and ``counted`` says of what.
    """
    divisions = [by_sentence_length(answers), by_seen_words(answers, seen)]
    if answers.task.has_entities:
        divisions.insert(0, by_entity_length(answers))
        divisions.append(by_seen_entities(answers, seen))
    return [*divisions, by_casing(answers, casings)]


def by_entity_length(answers: Answers) -> dict[str, Any]:
    """Recall of gold entities by their number of words; see `groups_of`."""
    lengths = answers.gold_spans.end - answers.gold_spans.start
    group = np.minimum(lengths, len(_ENTITY_LENGTHS)) - 1
    rows = _shares(_ENTITY_LENGTHS, group, answers.gold_spans.sentence, answers.found)
    return _division("Entity length", rows, unit="words", metric="recall", counted="entities")


def by_sentence_length(answers: Answers) -> dict[str, Any]:
    """F1 or accuracy by the number of a sentence's words; see `groups_of`."""
    group = np.searchsorted(_SENTENCE_EDGES, np.diff(answers.bounds))  # (sentences,)
    ratio = answers.counts.ratio
    parts = [ratio[group == i] for i in range(len(_SENTENCE_LENGTHS))]
    rows = [_row(name, part, len(part)) for name, part in zip(_SENTENCE_LENGTHS, parts, strict=True)]
    return _division("Sentence length", rows, unit="words", metric=_metric_name(answers), counted="sentences")


def by_seen_words(answers: Answers, seen: Seen | str) -> dict[str, Any]:
    """Accuracy over words that training has and over others; see `groups_of`."""
    title = "Words seen in training"
    if isinstance(seen, str):
        return {"title": title, "missing": seen}
    unseen = [word not in seen.words for sentence in answers.words for word in sentence]
    rows = _shares(_SEEN, np.array(unseen, np.int64), answers.sentence, answers.right)
    note = "Words with the right tag; a word is seen where training has one spelled alike."
    return _division(title, rows, unit="words", metric="accuracy", counted="words", note=note)


def by_seen_entities(answers: Answers, seen: Seen | str) -> dict[str, Any]:
    """Recall of gold entities that training has and of others; see `groups_of`."""
    title = "Entities seen in training"
    if isinstance(seen, str):
        return {"title": title, "missing": seen}
    spans = answers.gold_spans
    texts = [" ".join(answers.words[i][start:end]) for i, start, end, _ in spans.rows.tolist()]
    unseen = [text not in seen.entities for text in texts]
    rows = _shares(_SEEN, np.array(unseen, np.int64), spans.sentence, answers.found)
    note = "An entity is seen where training has one of the same words, of whatever type."
    return _division(title, rows, unit="entities", metric="recall", counted="entities", note=note)


def by_casing(answers: Answers, casings: Casings | str) -> dict[str, Any]:
    """F1 or accuracy over the same sentences, their words written in different ways; see `groups_of`."""
    title = "Casing"
    if isinstance(casings, str):
        return {"title": title, "missing": casings}
    numbers, written = casings
    counts = {name: answers.select(numbers, predicted).counts for name, predicted in written.items()}
    rows = [_row(name, count.ratio, len(numbers)) for name, count in counts.items()]
    note = f"The same {len(numbers):,} sentences three times."
    if len(numbers) < len(answers):
        note = f"The same {len(numbers):,} of the {len(answers):,} sentences three times, taken evenly."
    first, *others = written.values()
    if all(other == first for other in others):
        note += " All gave the same tags."
    return _division(title, rows, unit="sentences", metric=_metric_name(answers), counted="sentences", note=note)


def _metric_name(answers: Answers) -> str:
    return "F1" if answers.task.has_entities else "accuracy"


def intervals_of(ratios: Sequence[Array], *, resamples: int = RESAMPLES) -> list[Edges]:
    """The 95 % bootstrap intervals of quotients of sums over the same sentences, all from the same samples.

    Args:
        ratios: Of each sentence, the two numbers whose sums are divided. (sentences, 2) each
        resamples: How many samples of sentences.

    Returns:
        Low and high of each; None where fewer than `FEWEST` sentences have anything below the line.
    """
    enough = [np.count_nonzero(ratio[:, 1]) >= FEWEST for ratio in ratios]
    drawn = [SentenceCounts(POS, ratio) for ratio, sure in zip(ratios, enough, strict=True) if sure]
    scores = iter(bootstrap_scores(drawn, resamples=resamples).T if drawn else ())
    return [interval(next(scores)) if sure else (None, None) for sure in enough]


def _shares(names: Sequence[str], group: Array, sentence: Array, right: Array) -> list[Row | None]:
    """What share of items is right, by group.

    Args:
        names: Of the groups.
        group: Of each item. (items,)
        sentence: Of each item. (items,)
        right: Whether it is. (items,) bool
    """
    rows = []
    for i, name in enumerate(names):
        of, ours = np.unique(sentence[group == i], return_inverse=True)
        hits = np.bincount(ours, weights=right[group == i], minlength=len(of))
        ratio = np.stack([hits, np.bincount(ours, minlength=len(of))], axis=1)
        rows.append(_row(name, ratio, len(ours)))
    return rows


def _row(name: str, ratio: Array, count: int) -> Row | None:
    """None where there is nothing to score."""
    over, under = ratio.sum(0).tolist() if len(ratio) else (0, 0)
    if not under:
        return None
    ((low, high),) = intervals_of([ratio])
    return {"name": name, "value": over / under, "low": low, "high": high, "count": count}


def _division(
    title: str, rows: Sequence[Row | None], *, unit: str, metric: str, counted: str, note: str | None = None
) -> dict[str, Any]:
    held = [row for row in rows if row]
    if not held:
        return {"title": title, "missing": f"There are no {'words' if metric == 'accuracy' else 'entities'}."}
    return {"title": title, "unit": unit, "metric": metric, "counted": counted, "note": note, "rows": held}
