"""How uncertain a model is of words, and how much models disagree about them, from 0 (certain) to 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST_WORDS, LEAST_SHARE = 3, 0.2
"""A text is as uncertain as the least certain fifth of its words, and at least three of them."""

_PART = 256  # vectors that distances are taken from at once


def entropies(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy of each word's tags, divided by that of equal probabilities.

    Args:
        probabilities: (words, tags)

    Returns:
        (words,) float64
    """
    table = probabilities.astype(np.float64)
    logs = np.log(table, out=np.zeros_like(table), where=table > 0)
    return np.clip(-(table * logs).sum(-1) / np.log(max(2, table.shape[-1])), 0.0, 1.0)


def margins(probabilities: np.ndarray) -> np.ndarray:
    """Return by how much the most probable tag of each word leads.

    Args:
        probabilities: (words, tags)

    Returns:
        (words,) float64; 1 where there is one tag only.
    """
    if probabilities.shape[-1] < 2:
        return np.ones(len(probabilities))
    best = np.sort(np.partition(probabilities, -2, axis=-1)[:, -2:].astype(np.float64), axis=-1)
    return best[:, 1] - best[:, 0]


def vote_entropies(votes: np.ndarray) -> np.ndarray:
    """Return the entropy of the models' votes for each word, divided by that of models which all differ.

    Vote entropy is the measure of Dagan and Engelson (1995, Committee-Based Sampling for Training Probabilistic
    Classifiers).

    Args:
        votes: Any numbers, the same for the same tag. (models, words)

    Returns:
        (words,) float64
    """
    models = len(votes)
    agreeing = (votes[:, None, :] == votes[None, :, :]).sum(1)  # (models, words)
    # A tag with n of m votes is met n times here, so the mean is the sum of n / m * log(n / m) over tags.
    return -np.log(agreeing / models).mean(0) / np.log(max(2, models)) + 0.0


def of_text(words: np.ndarray) -> float:
    """Return the mean over the least certain words of a text.

    A sum over words would prefer long texts, and a mean over all of them short ones: most words of a long text are
    certain. Words that a text of one or two words lacks count as certain ones.

    Args:
        words: Uncertainty of each word. (words,)
    """
    count = max(LEAST_WORDS, int(np.ceil(LEAST_SHARE * len(words))))
    least = np.sort(words)[::-1][:count]
    return float(least.sum() / count)


def spread_out(
    vectors: np.ndarray, number: int, *, covered: np.ndarray | None = None, seed: int = 0
) -> list[tuple[int, float]]:
    """Choose vectors that are far from each other, by the seeding of k-means++ (Arthur and Vassilvitskii, 2007).

    Each is drawn with a probability proportional to its squared distance from the nearest one that is chosen already.
    The greedy choice of the farthest one (k-center: Sener and Savarese, 2018) takes outliers first; a draw does not.

    Args:
        vectors: (items, size)
        number: How many to choose.
        covered: Vectors that count as chosen already. (any, size)
        seed: Of the draws.

    Returns:
        Indices in the order chosen, at most one per item, each with its distance from the nearest one before: half of 1
        minus the cosine of the centered vectors, from 0 to 1.
    """
    generator = np.random.default_rng(seed)
    mean = vectors.mean(0)
    items = _of_length_one(vectors - mean)
    distances = np.ones(len(items))
    for part in np.array_split(covered, max(1, len(covered) // _PART)) if covered is not None and len(covered) else ():
        distances = np.minimum(distances, _apart(items, _of_length_one(part - mean)).min(1))
    chosen: list[tuple[int, float]] = []
    left = np.ones(len(items), bool)
    while len(chosen) < min(number, len(items)):
        weights = np.where(left, distances, 0.0)
        if not weights.sum() > 0:  # what is left equals what is chosen
            weights = left.astype(np.float64)
        place = int(generator.choice(len(items), p=weights / weights.sum()))
        chosen.append((place, float(distances[place])))
        left[place] = False
        distances = np.minimum(distances, _apart(items, items[place : place + 1])[:, 0])
    return chosen


def _of_length_one(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))


def _apart(items: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distances of vectors of length 1, from 0 to 1. (items, others)"""
    return np.clip((1.0 - (items @ others.T).astype(np.float64)) / 2, 0.0, 1.0)


def votes_of(tags: Sequence[Sequence[str]]) -> np.ndarray:
    """Return tags of several models as numbers, the same for the same tag.

    Args:
        tags: Tags of each model. (models, words)

    Returns:
        (models, words) int64
    """
    ids: dict[str, int] = {}
    return np.array([[ids.setdefault(tag, len(ids)) for tag in model] for model in tags], np.int64)
