"""What is wrong with an entity: missed, made up, of the wrong type, of the wrong words, or of both.

The kinds are those of the Message Understanding Conferences (Chinchor and Sundheim, 1993: MUC-5 Evaluation Metrics:
missing, spurious, incorrect, partial), with what is incorrect or partial told apart by words and by type, as in
Nejadgholi, Fraser and de Bruijn (2020), Extensive Error Analysis and a Learning-Based Evaluation of Medical Entity
Recognition.

Which predicted entity answers which gold one: pairs that share words are taken by the number of words they share, the
most first; of pairs that share as many, those of one type first, then in the order of the text. An entity is in one
pair at most. What is in none is missed (gold) or spurious (predicted). So every gold entity that is not right is in
exactly one error, and so is every predicted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_tagging.evaluation.answers import Answers, Spans
from hf_tagging.evaluation.metrics import Array

RIGHT = "right"
KINDS = {
    "missed": ("missed", "An entity of the data, and the model found none there."),
    "spurious": ("spurious", "The model found an entity where the data has none."),
    "type": ("wrong type", "The right words, but another type."),
    "boundary": ("wrong boundary", "The right type, but a word too many or too few."),
    "both": ("wrong type and boundary", "Some words in common with the entity of the data, and another type."),
}
WRONG_TAG = ("wrong tag", "The model gave the word another tag than the data.")
_BY_MATCH = np.array([["both", "boundary"], ["type", RIGHT]])  # [same words, same type]


@dataclass(frozen=True)
class Pairs:
    """Entities beside each other, in the order of the text.

    Args:
        gold: Number of the gold entity, -1 where there is none. (pairs,)
        predicted: Number of the predicted entity, -1 where there is none. (pairs,)
        kind: One of `KINDS`, or ``"right"``. (pairs,)
    """

    gold: Array
    predicted: Array
    kind: Array


def pair_entities(answers: Answers) -> Pairs:
    """Puts each gold entity beside the predicted one that answers it, by the rule in the head of this module.

    Args:
        answers: Of the task ``"ner"``.
    """
    gold, predicted = answers.gold_spans, answers.predicted_spans
    left, right = _matched(gold, predicted, answers.bounds)
    lone_gold = np.setdiff1d(np.arange(len(gold)), left)
    lone_predicted = np.setdiff1d(np.arange(len(predicted)), right)
    same_words = (gold.rows[left, 1:3] == predicted.rows[right, 1:3]).all(1).astype(int)
    same_type = (gold.type[left] == predicted.type[right]).astype(int)
    lone = [np.full(len(lone_gold), "missed"), np.full(len(lone_predicted), "spurious")]
    kind = np.concatenate([_BY_MATCH[same_words, same_type], *lone])
    ours = np.concatenate([left, lone_gold, np.full(len(lone_predicted), -1)])
    theirs = np.concatenate([right, np.full(len(lone_gold), -1), lone_predicted])
    places = [_places(spans, numbers) for spans, numbers in ((gold, ours), (predicted, theirs))]  # (pairs, 2) each
    first = np.minimum(*(place[:, 0] for place in places)), np.minimum(*(place[:, 1] for place in places))
    order = np.lexsort((theirs, first[1], first[0]))
    return Pairs(ours[order], theirs[order], kind[order])


def error_rows(kinds: Array, task: str) -> list[dict[str, Any]]:
    """How many errors there are of each kind.

    Args:
        kinds: Kind of each error; `RIGHT` is not counted. (errors,)
        task: ``"pos"``, which has the one kind ``"tag"``, or ``"ner"``.

    Returns:
        Per kind ``kind, name, count, share, explain``; for entities all five, those that do not occur too.
    """
    texts = {"tag": WRONG_TAG} if task == "pos" else KINDS
    counts = {kind: int(np.count_nonzero(kinds == kind)) for kind in texts}
    total = sum(counts.values())
    return [
        {"kind": kind, "name": name, "count": counts[kind], "share": counts[kind] / max(total, 1), "explain": explain}
        for kind, (name, explain) in texts.items()
    ]


def _matched(gold: Spans, predicted: Spans, bounds: Array) -> tuple[Array, Array]:
    """The numbers of the entities of each pair that shares words. (pairs,) each"""
    ours, theirs = gold.owners(bounds), predicted.owners(bounds)  # (words,)
    both = (ours >= 0) & (theirs >= 0)
    codes, shared = np.unique(ours[both] * max(len(predicted), 1) + theirs[both], return_counts=True)
    left, right = np.divmod(codes, max(len(predicted), 1))
    order = np.lexsort((right, left, gold.type[left] != predicted.type[right], -shared))
    pairs: dict[int, int] = {}  # predicted by gold
    taken: set[int] = set()
    for one, other in zip(left[order].tolist(), right[order].tolist(), strict=True):
        if one not in pairs and other not in taken:
            pairs[one] = other
            taken.add(other)
    found = np.array(sorted(pairs.items()), np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _places(spans: Spans, numbers: Array) -> Array:
    """Sentence and first word of entities; behind everything for -1. (n, 2)"""
    behind = np.full((1, 2), np.iinfo(np.int64).max)
    return np.concatenate([spans.rows[:, :2], behind])[numbers]
