"""Confidence intervals and significance tests, by resampling sentences, since the words of a sentence are dependent.

Accuracy and F1 are sums over sentences divided by other sums. A sentence therefore contributes two or three counts, and
ten thousand resamples are a few matrix products. With several seeds, the counts of a sentence are summed over them, so
that seeds stay paired with their sentence. Resampling covers the choice of the test split; the standard deviation over
seeds covers the variation from seed to seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_tagging.data.prefixes import UNSCORED
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.evaluation.annotated import entity_sides
from hf_tagging.evaluation.metrics import _check_lengths, get_entities
from hf_tagging.tasks import Task, get_task

Array = npt.NDArray[Any]

RESAMPLES = 10_000
_BLOCK = 2**18  # sentences drawn at a time: 2 MB of weights, which a core's cache holds
_EQUAL = 1e-12  # differences closer than this are one difference, up to rounding


@dataclass(frozen=True)
class SentenceCounts:
    """Counts of each sentence from which a score is computed.

    Args:
        task: Name of a task, or a `Task`: the score is F1 over its entities, else accuracy over words.
        values: Correct words and words (sentences, 2), or correct, predicted and gold entities (sentences, 3).
        seeds: Number of seeds that the counts are summed over.
    """

    task: Task
    values: Array
    seeds: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", get_task(self.task))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def metric(self) -> str:
        """Name of the score: "f1" or "accuracy"."""
        return self.task.score_name

    @property
    def score(self) -> float:
        """Accuracy or F1 over all sentences; 0.0 of nothing."""
        return float(_scores(self.ratio.sum(0)))

    @property
    def ratio(self) -> Array:
        """(sentences, 2): the two numbers of each sentence whose sums, divided, are the score.

        F1 is 2 x right / (predicted + gold).
        """
        if not self.task.has_entities:
            return self.values
        correct, predicted, gold = self.values.T
        return np.stack([2 * correct, predicted + gold], axis=1)


def count_sentences(
    task: str | Task, gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]
) -> SentenceCounts:
    """Count words or entities; entities are read as by `EntityMetric` and conlleval.

    Words that are not annotated (gold ``-100``) are left out as the metrics leave them out.

    Args:
        task: Name of a task, or a `Task`.
        gold: (sentences, words)
        predicted: (sentences, words)

    Raises:
        DataError: The two differ in length.
    """
    theirs, ours = list(map(list, gold)), list(map(list, predicted))
    _check_lengths("predicted", ours, "gold", theirs)
    task = get_task(task)
    count = _count_entities if task.has_entities else _count_words
    return SentenceCounts(task, counts_array(task, list(map(count, theirs, ours))))


def counts_array(task: Task, rows: object) -> Array:
    """Return the counts of sentences as `SentenceCounts.values`.

    Args:
        task: Decides how many counts a sentence has.
        rows: (sentences, 2) or, with entities, (sentences, 3)

    Raises:
        ValueError: The rows have another number of counts.
    """
    return np.array(rows, np.int64).reshape(-1, 3 if task.has_entities else 2)


def _count_words(gold: list[str], predicted: list[str]) -> tuple[int, ...]:
    right = sum(ours == theirs for ours, theirs in zip(predicted, gold, strict=True))
    return right, len(gold) - gold.count(UNSCORED)


def _count_entities(gold: list[str], predicted: list[str]) -> tuple[int, ...]:
    ours, theirs = (set(get_entities(side)) for side in entity_sides(predicted, gold))
    return len(ours & theirs), len(ours), len(theirs)


def sum_seeds(seeds: Sequence[SentenceCounts]) -> SentenceCounts:
    """Sum the counts of several runs over the same sentences.

    Raises:
        DataError: The numbers of sentences differ.
    """
    if len({len(counts) for counts in seeds}) != 1:
        raise DataError(f"seeds over {', '.join(str(len(c)) for c in seeds)} sentences: expected the same ones in all.")
    values = reduce(np.add, [counts.values for counts in seeds])
    return SentenceCounts(seeds[0].task, values, sum(counts.seeds for counts in seeds))


def join_folds(folds: Sequence[SentenceCounts]) -> SentenceCounts:
    """Concatenate the test sentences of several folds."""
    return SentenceCounts(folds[0].task, np.concatenate([fold.values for fold in folds]), folds[0].seeds)


def bootstrap_scores(runs: Sequence[SentenceCounts], *, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """Return scores on bootstrap samples of sentences, the same samples for all runs (Efron, 1979).

    Args:
        runs: Counts over the same sentences; runs may have different numbers of seeds.
        resamples: Number of samples.
        seed: Seed of the samples.

    Returns:
        (resamples, runs). A column gives the interval of a score, the difference of two columns a paired difference.
    """
    sums = _one_scale(runs)  # (sentences, runs x 2)
    sentences = len(sums)
    generator = np.random.default_rng(seed)
    parts = []
    for size in _blocks(resamples, sentences):
        drawn = generator.integers(sentences, size=(size, sentences), dtype=np.int32).astype(np.intp)
        drawn += np.arange(size)[:, None] * sentences  # each row counts in bins of its own
        times = np.bincount(drawn.ravel(), minlength=size * sentences).reshape(size, sentences)
        parts.append(times.astype(np.float64) @ sums)
    return _scores(np.concatenate(parts).reshape(resamples, len(runs), 2))


def interval(scores: Array, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled scores `(resamples,)`."""
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_interval(
    counts: SentenceCounts,
    other: SentenceCounts | None = None,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a score or, with `other`, of the difference of two scores.

    Args:
        counts: Counts of a run.
        other: Counts of another run over the same sentences; both are resampled together (paired).
        resamples: Number of samples of sentences.
        level: Confidence level.
        seed: Seed of the samples.
    """
    if other is None:
        return interval(bootstrap_scores([counts], resamples=resamples, seed=seed)[:, 0], level)
    scores = bootstrap_scores([counts, other], resamples=resamples, seed=seed)  # (resamples, 2)
    return interval(scores[:, 0] - scores[:, 1], level)


def approximate_randomization(
    first: SentenceCounts, second: SentenceCounts, *, resamples: int = RESAMPLES, seed: int = 0
) -> float:
    """Return the two-sided p-value of a paired approximate randomization test (Noreen, 1989; Yeh, 2000).

    Under the null hypothesis it does not matter which run tagged a sentence. The counts of each sentence are therefore
    swapped at random. If r of R such permutations have a difference at least as large as the observed one, the p-value
    is (r + 1) / (R + 1). With several seeds, all counts of a sentence are swapped together.

    Args:
        first: Counts of a run.
        second: Counts of another run over the same sentences.
        resamples: Number of permutations R.
        seed: Seed of the permutations.
    """
    sums = _one_scale([first, second])  # (sentences, 4)
    sentences = len(sums)
    ours, theirs = sums[:, :2], sums[:, 2:]
    total_ours, total_theirs, change = ours.sum(0), theirs.sum(0), ours - theirs
    least = abs(_scores(total_ours) - _scores(total_theirs)) - _EQUAL
    generator = np.random.default_rng(seed)
    as_large = 0
    for size in _blocks(resamples, sentences):
        coins = np.frombuffer(generator.bytes(size * math.ceil(sentences / 8)), np.uint8).reshape(size, -1)
        swapped = np.unpackbits(coins, axis=1, count=sentences).astype(np.float64)  # (size, sentences)
        moved = swapped @ change  # (size, 2)
        as_large += int((abs(_scores(total_ours - moved) - _scores(total_theirs + moved)) >= least).sum())
    return (as_large + 1) / (resamples + 1)


def _blocks(resamples: int, sentences: int) -> Iterator[int]:
    """Yield the sizes of the blocks in which samples are drawn, so that memory stays bounded."""
    if resamples < 1:
        raise ConfigError(f"resamples: {resamples} is below 1")
    most = max(1, _BLOCK // max(1, sentences))
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def _one_scale(runs: Sequence[SentenceCounts]) -> Array:
    """Return counts (sentences, runs x 2) in which a run with one seed weighs as much as one with three.

    Raises:
        DataError: The runs have different numbers of sentences, or none.
    """
    if len({len(run) for run in runs}) != 1 or not len(runs[0]):
        sizes = ", ".join(str(len(run)) for run in runs)
        raise DataError(f"runs over {sizes} sentences cannot be compared: expected the same ones in all, at least one.")
    common = math.lcm(*(run.seeds for run in runs))
    return np.concatenate([run.ratio * (common // run.seeds) for run in runs], axis=1).astype(np.float64)


def _scores(sums: Array) -> Array:
    """Return the quotient of the two numbers in the last axis, 0 where the second is 0."""
    over, under = sums[..., 0].astype(np.float64), sums[..., 1]
    return np.divide(over, under, out=np.zeros_like(over), where=under != 0)
