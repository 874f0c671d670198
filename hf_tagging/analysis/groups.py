"""Scores of parts of a split: by entity and sentence length, by occurrence in training, by casing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.seen import Seen
from hf_tagging.analysis.shape import Group, GroupRow
from hf_tagging.evaluation.metrics import Array, Tags
from hf_tagging.evaluation.statistics import SentenceCounts, bootstrap_scores, interval
from hf_tagging.tasks import POS

RESAMPLES = 1_000
FEWEST = 10  # sentences: of fewer, samples are too much alike for an interval
_ENTITY_LENGTHS = ("1", "2", "3", "4", "5 or more")
_SENTENCE_EDGES = (10, 20, 30, 40)
_SENTENCE_LENGTHS = ("1 to 10", "11 to 20", "21 to 30", "31 to 40", "41 or more")
_SEEN = ("seen", "unseen")

Edges = tuple[float | None, float | None]

Casings = tuple[Sequence[int], dict[str, Tags]]
"""Indices of sentences, and their predicted tags by casing of the words."""


def groups_of(answers: Answers, seen: Seen | str, casings: Casings | str) -> list[Group]:
    """Return the scores of a split by every division that the task supports.

    Args:
        answers: Words with gold and predicted tags.
        seen: Words and entities that occur in training, or the reason why they are unknown.
        casings: Tags of the words in other casing, or the reason why there are none.

    Returns:
        One group per division, with ``missing`` where it cannot be computed. ``unit`` is the unit of names that are
        numbers, ``counted`` the unit of a row's ``count``.
    """
    divisions = [by_sentence_length(answers), by_seen_words(answers, seen)]
    if answers.task.has_entities:
        divisions.insert(0, by_entity_length(answers))
        divisions.append(by_seen_entities(answers, seen))
    return [*divisions, by_casing(answers, casings)]


def by_entity_length(answers: Answers) -> Group:
    """Return the recall of gold entities by number of words; see `groups_of`."""
    lengths = answers.gold_spans.end - answers.gold_spans.start
    group = np.minimum(lengths, len(_ENTITY_LENGTHS)) - 1
    rows = _shares(_ENTITY_LENGTHS, group, answers.gold_spans.sentence, answers.found)
    return _division("Entity length", rows, unit="words", metric="recall", counted="entities")


def by_sentence_length(answers: Answers) -> Group:
    """Return F1 or accuracy by sentence length; see `groups_of`."""
    group = np.searchsorted(_SENTENCE_EDGES, np.diff(answers.bounds))  # (sentences,)
    ratio = answers.counts.ratio
    parts = [ratio[group == i] for i in range(len(_SENTENCE_LENGTHS))]
    rows = [_row(name, part, len(part)) for name, part in zip(_SENTENCE_LENGTHS, parts, strict=True)]
    return _division("Sentence length", rows, unit="words", metric=_metric_name(answers), counted="sentences")


def by_seen_words(answers: Answers, seen: Seen | str) -> Group:
    """Return the accuracy on words that occur in training and on others; see `groups_of`."""
    title = "Words seen in training"
    if isinstance(seen, str):
        return {"title": title, "missing": seen}
    unseen = [word not in seen.words for sentence in answers.words for word in sentence]
    scored = answers.annotated
    group = np.array(unseen, np.int64)[scored]
    rows = _shares(_SEEN, group, answers.sentence[scored], answers.right[scored])
    note = "A word is seen if it occurs in the training split, in the same spelling."
    return _division(title, rows, unit="words", metric="accuracy", counted="words", note=note)


def by_seen_entities(answers: Answers, seen: Seen | str) -> Group:
    """Return the recall of gold entities that occur in training and of others; see `groups_of`."""
    title = "Entities seen in training"
    if isinstance(seen, str):
        return {"title": title, "missing": seen}
    spans = answers.gold_spans
    texts = [" ".join(answers.words[i][start:end]) for i, start, end, _ in spans.rows.tolist()]
    unseen = [text not in seen.entities for text in texts]
    rows = _shares(_SEEN, np.array(unseen, np.int64), spans.sentence, answers.found)
    note = "An entity is seen if an entity of the same words occurs in the training split, of any type."
    return _division(title, rows, unit="entities", metric="recall", counted="entities", note=note)


def by_casing(answers: Answers, casings: Casings | str) -> Group:
    """Return F1 or accuracy on the same sentences in different casing; see `groups_of`."""
    title = "Casing"
    if isinstance(casings, str):
        return {"title": title, "missing": casings}
    numbers, written = casings
    counts = {name: answers.select(numbers, predicted).counts for name, predicted in written.items()}
    rows = [_row(name, count.ratio, len(numbers)) for name, count in counts.items()]
    note = f"The same {len(numbers):,} sentences in three casings."
    if len(numbers) < len(answers):
        note = f"The same {len(numbers):,} of the {len(answers):,} sentences in three casings, evenly sampled."
    first, *others = written.values()
    if all(other == first for other in others):
        note += " The tags are the same in all three."
    return _division(title, rows, unit="sentences", metric=_metric_name(answers), counted="sentences", note=note)


def _metric_name(answers: Answers) -> str:
    return "F1" if answers.task.has_entities else "accuracy"


def intervals_of(ratios: Sequence[Array], *, resamples: int = RESAMPLES) -> list[Edges]:
    """Return 95 % bootstrap intervals of quotients of sums over the same sentences, all from the same samples.

    Args:
        ratios: Numerator and denominator of each sentence. (sentences, 2) each
        resamples: Number of bootstrap samples.

    Returns:
        Low and high of each; None if fewer than `FEWEST` sentences have a denominator.
    """
    enough = [np.count_nonzero(ratio[:, 1]) >= FEWEST for ratio in ratios]
    drawn = [SentenceCounts(POS, ratio) for ratio, sure in zip(ratios, enough, strict=True) if sure]
    scores = iter(bootstrap_scores(drawn, resamples=resamples).T if drawn else ())
    return [interval(next(scores)) if sure else (None, None) for sure in enough]


def _shares(names: Sequence[str], group: Array, sentence: Array, right: Array) -> list[GroupRow | None]:
    """Return the share of correct items by group.

    Args:
        names: Names of the groups.
        group: Group of each item. (items,)
        sentence: Sentence of each item. (items,)
        right: True for correct items. (items,) bool
    """
    rows = []
    for i, name in enumerate(names):
        of, ours = np.unique(sentence[group == i], return_inverse=True)
        hits = np.bincount(ours, weights=right[group == i], minlength=len(of))
        ratio = np.stack([hits, np.bincount(ours, minlength=len(of))], axis=1)
        rows.append(_row(name, ratio, len(ours)))
    return rows


def _row(name: str, ratio: Array, count: int) -> GroupRow | None:
    """Return one row; None if there is nothing to score."""
    over, under = ratio.sum(0).tolist() if len(ratio) else (0, 0)
    if not under:
        return None
    ((low, high),) = intervals_of([ratio])
    return {"name": name, "value": over / under, "low": low, "high": high, "count": count}


def _division(
    title: str, rows: Sequence[GroupRow | None], *, unit: str, metric: str, counted: str, note: str | None = None
) -> Group:
    held = [row for row in rows if row]
    if not held:
        return {"title": title, "missing": f"There are no {'words' if metric == 'accuracy' else 'entities'}."}
    return {"title": title, "unit": unit, "metric": metric, "counted": counted, "note": note, "rows": held}
