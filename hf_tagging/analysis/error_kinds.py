"""Kinds of entity errors: missed, spurious, wrong type, wrong boundary, both, split, merged.

The kinds are those of the Message Understanding Conferences (Chinchor and Sundheim, 1993: MUC-5 Evaluation Metrics:
missing, spurious, incorrect, partial), with what is incorrect or partial told apart by words and by type, as in
Nejadgholi, Fraser and de Bruijn (2020), Extensive Error Analysis and a Learning-Based Evaluation of Medical Entity
Recognition.

Which predicted entity answers which gold one: pairs that share words are taken by the number of words they share, the
most first; of pairs that share as many, those of one type first, then in the order of the text. An entity answers one
other at most. An entity that shares words only with entities that are answered already is beside the one with which it
shares most: a gold one was merged into that prediction, and a predicted one is what that gold entity was split into.
Only what shares no word with any entity of the other side is missed (gold) or spurious (predicted).

So every gold entity that is not right is counted in exactly one error, and so is every predicted one: a merged error
counts a gold entity, a split one a predicted entity, and the gold or predicted entity beside it is counted in its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_tagging.analysis.answers import Answers, Spans
from hf_tagging.analysis.shape import ErrorRow
from hf_tagging.evaluation.metrics import Array

RIGHT = "right"
KINDS = {
    "missed": ("missed", "A gold entity; the model predicted none of its words as an entity."),
    "spurious": ("spurious", "A predicted entity where the data has none."),
    "type": ("wrong type", "Correct words, different type."),
    "boundary": ("wrong boundary", "Correct type, but too many or too few words."),
    "both": ("wrong type and boundary", "Overlaps the gold entity, with a different type."),
    "split": ("split", "One more part of a gold entity that the model cut into several."),
    "merged": ("merged", "A gold entity that the model joined to a neighbouring one."),
}
WRONG_TAG = ("wrong tag", "The predicted tag differs from the gold tag.")
_BY_MATCH = np.array([["both", "boundary"], ["type", RIGHT]])  # [same words, same type]


@dataclass(frozen=True)
class Pairs:
    """Entities beside each other, in the order of the text.

    Args:
        gold: Number of the gold entity, -1 where there is none. A split one is in several pairs. (pairs,)
        predicted: Number of the predicted entity, -1 where there is none. What others were merged into is in several
            pairs. (pairs,)
        kind: One of `KINDS`, or ``"right"``. (pairs,)
    """

    gold: Array
    predicted: Array
    kind: Array

    @property
    def counts_gold(self) -> Array:
        """Mask of the pairs that count their gold entity, one per entity. (pairs,) bool"""
        return (self.gold >= 0) & (self.kind != "split")

    @property
    def counts_predicted(self) -> Array:
        """Mask of the pairs that count their predicted entity, one per entity. (pairs,) bool"""
        return (self.predicted >= 0) & (self.kind != "merged")


def pair_entities(answers: Answers) -> Pairs:
    """Put each gold entity beside the predicted one that answers it, by the rule in the head of this module.

    Args:
        answers: Of a task with entities.
    """
    gold, predicted = answers.gold_spans, answers.predicted_spans
    left, right = _overlapping(gold, predicted, answers.bounds)
    chosen = _matched(left, right)
    same_words = (gold.rows[left[chosen], 1:3] == predicted.rows[right[chosen], 1:3]).all(1).astype(int)
    same_type = (gold.type[left[chosen]] == predicted.type[right[chosen]]).astype(int)
    merged, split = _best_of_others(left, left[chosen]), _best_of_others(right, right[chosen])
    missed, spurious = np.setdiff1d(np.arange(len(gold)), left), np.setdiff1d(np.arange(len(predicted)), right)
    parts = [
        (left[chosen], right[chosen], _BY_MATCH[same_words, same_type]),
        (left[merged], right[merged], np.full(len(merged), "merged")),
        (left[split], right[split], np.full(len(split), "split")),
        (missed, np.full(len(missed), -1), np.full(len(missed), "missed")),
        (np.full(len(spurious), -1), spurious, np.full(len(spurious), "spurious")),
    ]
    ours, theirs, kind = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    places = [_places(spans, numbers) for spans, numbers in ((gold, ours), (predicted, theirs))]  # (pairs, 2) each
    first = np.minimum(*(place[:, 0] for place in places)), np.minimum(*(place[:, 1] for place in places))
    order = np.lexsort((theirs, ours, first[1], first[0]))
    return Pairs(ours[order], theirs[order], kind[order])


def error_rows(pairs: Pairs | None, wrong_words: int = 0) -> list[ErrorRow]:
    """Count the errors of each kind.

    Args:
        pairs: Of the entities; None for plain tags, which have the one kind ``"tag"``.
        wrong_words: Number of words with a wrong tag, for plain tags.

    Returns:
        Per kind ``kind, name, count, share, explain``; for entities all seven, those that do not occur too, with how
        many entities of the data (``gold``) and of the model (``predicted``) each counts. With those that are right,
        these add up to the entities that the metric counts.
    """
    if pairs is None:
        name, explain = WRONG_TAG
        share = 1.0 if wrong_words else 0.0
        return [{"kind": "tag", "name": name, "count": wrong_words, "share": share, "explain": explain}]
    total = max(int(np.count_nonzero(pairs.kind != RIGHT)), 1)
    rows: list[ErrorRow] = []
    for kind, (name, explain) in KINDS.items():
        of_kind = pairs.kind == kind
        count = int(np.count_nonzero(of_kind))
        row: ErrorRow = {
            "kind": kind,
            "name": name,
            "count": count,
            "share": count / total,
            "gold": int(np.count_nonzero(of_kind & pairs.counts_gold)),
            "predicted": int(np.count_nonzero(of_kind & pairs.counts_predicted)),
            "explain": explain,
        }
        rows.append(row)
    return rows


def _overlapping(gold: Spans, predicted: Spans, bounds: Array) -> tuple[Array, Array]:
    """Return the numbers of the entities of each pair that shares words, the best pair first. (pairs,) each"""
    ours, theirs = gold.owners(bounds), predicted.owners(bounds)  # (words,)
    both = (ours >= 0) & (theirs >= 0)
    codes, shared = np.unique(ours[both] * max(len(predicted), 1) + theirs[both], return_counts=True)
    left, right = np.divmod(codes, max(len(predicted), 1))
    order = np.lexsort((right, left, gold.type[left] != predicted.type[right], -shared))
    return left[order], right[order]


def _matched(left: Array, right: Array) -> Array:
    """Return the places of the matched pairs, chosen greedily from the best."""
    chosen: list[int] = []
    given: set[int] = set()
    taken: set[int] = set()
    for place, (one, other) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        if one not in given and other not in taken:
            given.add(one)
            taken.add(other)
            chosen.append(place)
    return np.array(chosen, np.int64)


def _best_of_others(side: Array, answered: Array) -> Array:
    """Return the place of the best pair of each entity that overlaps but was not matched."""
    numbers, first = np.unique(side, return_index=True)
    return first[~np.isin(numbers, answered)]


def _places(spans: Spans, numbers: Array) -> Array:
    """Return sentence and first word of entities; -1 sorts last. (n, 2)"""
    behind = np.full((1, 2), np.iinfo(np.int64).max)
    return np.concatenate([spans.rows[:, :2], behind])[numbers]
