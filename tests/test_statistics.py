"""Resampling against arithmetic that can be done by hand, and against every swap there is."""

import time
from fractions import Fraction
from itertools import pairwise, product

import conlleval
import numpy as np
import pytest

from hf_tagging.errors import DataError
from hf_tagging.evaluation import EntityMetric, WordMetric
from hf_tagging.evaluation.statistics import (
    SentenceCounts,
    approximate_randomization,
    bootstrap_interval,
    bootstrap_scores,
    count_sentences,
    join_folds,
    sum_seeds,
)

GOLD = [["B-PER", "I-PER", "O"], ["O", "B-LOC"], ["O"], ["I-LOC", "O", "B-PER"]]
PREDICTED = [["B-PER", "O", "O"], ["O", "B-LOC"], ["B-PER"], ["B-LOC", "I-PER", "B-PER"]]


def pos(*rows):
    return SentenceCounts("pos", np.array(rows))


def random_counts(sentences, seed, task="ner", accuracy=0.9):
    generator = np.random.default_rng(seed)
    gold = generator.integers(1, 6, sentences)
    correct = generator.binomial(gold, accuracy)
    columns = [correct, gold] if task == "pos" else [correct, correct + generator.integers(0, 2, sentences), gold]
    return SentenceCounts(task, np.stack(columns, axis=1))


def exact_p(first, second):
    """The p-value over all 2^n swaps, in fractions."""

    def score(rows):
        over, under = (sum(int(row[i]) for row in rows) for i in (0, 1))
        return Fraction(over, under) if under else Fraction(0)

    real = abs(score(first.ratio) - score(second.ratio))
    swaps = list(product([False, True], repeat=len(first)))
    as_large = 0
    for swap in swaps:
        ours = [b if s else a for a, b, s in zip(first.ratio, second.ratio, swap, strict=True)]
        theirs = [a if s else b for a, b, s in zip(first.ratio, second.ratio, swap, strict=True)]
        as_large += abs(score(ours) - score(theirs)) >= real
    return as_large / len(swaps)


def test_counts_of_entities_by_hand():
    counts = count_sentences("ner", GOLD, PREDICTED)
    assert counts.values.tolist() == [[0, 1, 1], [1, 1, 1], [0, 1, 0], [2, 3, 2]]
    assert counts.ratio.tolist() == [[0, 2], [2, 2], [0, 1], [4, 5]]
    assert counts.score == 0.6
    assert counts.score == EntityMetric().compute(predictions=PREDICTED, references=GOLD)["f1"]
    lines = [f"w {g} {p}" for gs, ps in zip(GOLD, PREDICTED, strict=True) for g, p in [*zip(gs, ps, strict=True)]]
    starts = [0, 3, 5, 6, 9]
    sentences = [line for a, b in pairwise(starts) for line in [*lines[a:b], ""]]
    assert conlleval.score(sentences)["f1"] == 0.6


def test_counts_of_words_by_hand():
    gold, predicted = [["DT", "NN"], ["VB"], []], [["DT", "VB"], ["VB"], []]
    counts = count_sentences("pos", gold, predicted)
    assert counts.values.tolist() == [[1, 2], [1, 1], [0, 0]]
    assert counts.score == 2 / 3 == WordMetric().compute(predictions=predicted, references=gold)["accuracy"]


def test_predictions_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="sentence 2: predicted has 1 words, gold has 2"):
        count_sentences("pos", [["a"], ["a", "b"]], [["a"], ["a"]])


@pytest.mark.parametrize(("task", "seed"), [("pos", 1), ("pos", 2), ("ner", 3), ("ner", 4)])
def test_randomization_is_close_to_all_swaps(task, seed):
    first, second = random_counts(9, seed, task, 0.9), random_counts(9, seed + 100, task, 0.5)
    if task == "pos":
        second.values[:, 1] = first.values[:, 1]  # the same words
        second.values[:, 0] = np.minimum(second.values[:, 0], second.values[:, 1])
    found = approximate_randomization(first, second, resamples=100_000)
    assert found == pytest.approx(exact_p(first, second), abs=0.006)


def test_randomization_by_hand():
    """Four sentences of one word, all right against all wrong: only no swap and all swaps are as far apart."""
    right, wrong = pos(*[[1, 1]] * 4), pos(*[[0, 1]] * 4)
    assert exact_p(right, wrong) == 2 / 16
    assert approximate_randomization(right, wrong, resamples=100_000) == pytest.approx(0.125, abs=0.004)


def test_equal_runs_have_p_1_and_the_smallest_p_is_that_of_no_swap():
    run = random_counts(200, 0)
    assert approximate_randomization(run, run) == 1.0
    far = SentenceCounts("ner", run.values * [0, 1, 1])
    assert approximate_randomization(run, far, resamples=999) == 1 / 1000


def test_p_is_the_same_both_ways_and_for_one_seed():
    first, second = random_counts(300, 1), random_counts(300, 2, accuracy=0.85)
    p = approximate_randomization(first, second, seed=3)
    assert p == approximate_randomization(second, first, seed=3) == approximate_randomization(first, second, seed=3)


def test_randomization_of_runs_that_are_alike_is_uniform():
    """Under the null hypothesis p is below 0.1 in about a tenth of all comparisons."""
    values = []
    for seed in range(300):
        gold = np.random.default_rng(seed).integers(1, 6, 60)
        runs = [SentenceCounts("pos", np.stack([np.random.default_rng([seed, i]).binomial(gold, 0.8), gold], axis=1))
                for i in range(2)]  # fmt: skip
        values.append(approximate_randomization(*runs, resamples=199))
    assert 0.06 < np.mean(np.array(values) <= 0.1) < 0.14


def test_interval_of_a_share_is_the_binomial_one():
    """900 of 1,000 sentences of one word: 0.9 with a standard error of sqrt(0.9 x 0.1 / 1,000) = 0.0095."""
    low, high = bootstrap_interval(pos(*[[1, 1]] * 900, *[[0, 1]] * 100))
    assert low == pytest.approx(0.9 - 1.96 * 0.009487, abs=0.0012)
    assert high == pytest.approx(0.9 + 1.96 * 0.009487, abs=0.0012)


def test_a_paired_difference_has_a_narrower_interval():
    """Both runs fail at the same sentences, so the difference is sure although neither score is."""
    hard = np.arange(400) % 4 == 0
    first = pos(*np.stack([np.where(hard, 0, 9), np.full(400, 10)], axis=1))
    second = pos(*np.stack([np.where(hard, 0, 8), np.full(400, 10)], axis=1))
    low, high = bootstrap_interval(first, second)
    alone = bootstrap_interval(first)
    assert 0.07 < low < 0.075 < high < 0.08
    assert alone[1] - alone[0] > 5 * (high - low)
    assert bootstrap_interval(second, first) == pytest.approx((-high, -low))
    narrow = bootstrap_interval(first, level=0.5)
    assert alone[0] < narrow[0] < narrow[1] < alone[1]


def test_one_sentence_has_no_spread():
    assert bootstrap_interval(pos([3, 4])) == (0.75, 0.75)
    assert bootstrap_interval(pos([0, 0])) == (0.0, 0.0)


def test_bootstrap_gives_all_runs_the_same_samples():
    runs = [random_counts(50, 0), random_counts(50, 1), random_counts(50, 0)]
    scores = bootstrap_scores(runs, resamples=500)
    assert scores.shape == (500, 3)
    assert (scores[:, 0] == scores[:, 2]).all()
    assert (scores[:, 0] != scores[:, 1]).any()


def test_seeds_are_summed_and_folds_joined():
    first, second = pos([1, 2], [3, 3]), pos([2, 2], [1, 3])
    both = sum_seeds([first, second])
    assert both.values.tolist() == [[3, 4], [4, 6]]
    assert (both.seeds, both.score) == (2, 0.7)
    assert join_folds([first, pos([5, 6])]).values.tolist() == [[1, 2], [3, 3], [5, 6]]
    with pytest.raises(DataError, match="seeds over 2, 1 sentences"):
        sum_seeds([first, pos([5, 6])])


def test_a_run_of_one_seed_weighs_as_much_as_one_of_three():
    """Three seeds that gave the same tags are no more evidence than one."""
    first, second = random_counts(150, 5, "pos"), random_counts(150, 5, "pos")
    second.values[::7, 0] = 0
    thrice = sum_seeds([first] * 3)
    assert approximate_randomization(thrice, second) == approximate_randomization(first, second)
    assert bootstrap_interval(thrice, second) == pytest.approx(bootstrap_interval(first, second))


def test_runs_over_other_sentences_are_refused():
    with pytest.raises(DataError, match=r"runs over 2, 1 sentences cannot be compared"):
        approximate_randomization(pos([1, 2], [1, 2]), pos([1, 2]))


def test_ten_thousand_resamples_of_a_real_test_split_take_under_two_seconds():
    """CoNLL-2003's test split has 3,453 sentences."""
    first, second = random_counts(3_453, 0), random_counts(3_453, 1)
    start = time.perf_counter()
    bootstrap_interval(first, second)
    approximate_randomization(first, second)
    assert time.perf_counter() - start < 2
