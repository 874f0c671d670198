"""What a tagger says of the words of its own predictions when it reads them again, this time with probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from hf_tagging.analysis.answers import Answers
from hf_tagging.evaluation.metrics import Array, Tags

MOST_CHANGED = 0.005  # of the words: what rounding and windows cut elsewhere explain
_KEPT = 1_000  # rows of probabilities per block: the memory of a bad tagger with many tags stays bounded


@dataclass(frozen=True)
class Rereading:
    """The tags and probabilities of a second reading.

    Args:
        tags: Of the model, by label id.
        labels: Label id of each word. (words,)
        confidence: The label's probability. (words,)
        right: Whether it is the gold tag. (words,) bool
        changed: Share of the words that have another tag than in the predictions.
        doubted: Numbers of words whose gold tag the model knows and does not give, of each block the most confident.
            (doubted,)
        gold: Label ids of the gold tags there. (doubted,)
        probabilities: Of all tags there. (doubted, tags)
    """

    tags: Sequence[str]
    labels: Array
    confidence: Array
    right: Array
    changed: float
    doubted: Array
    gold: Array
    probabilities: Array

    @property
    def agrees(self) -> bool:
        """Whether these are the words and the model that the predictions come from."""
        return self.changed <= MOST_CHANGED

    def tags_of(self, answers: Answers, numbers: Sequence[int]) -> Tags:
        """The tags of some sentences.

        Args:
            answers: What was read.
            numbers: Of the sentences, from 0. (n,)
        """
        spans = ((answers.bounds[i], answers.bounds[i + 1]) for i in numbers)
        return [[self.tags[label] for label in self.labels[a:b].tolist()] for a, b in spans]


def reread(answers: Answers, tags: Sequence[str], blocks: Iterable[Array]) -> Rereading:
    """Sums up a second reading block by block; of the probabilities only those of doubted words are kept.

    Args:
        answers: What was read.
        tags: Of the model, by label id.
        blocks: Probabilities of all words, in their order, cut anywhere. (words of the block, tags) each
    """
    ids = {tag: i for i, tag in enumerate(tags)}
    sides = [answers.gold, answers.predicted]
    gold, before = (np.fromiter((ids.get(tag, -1) for tag in chain(*side)), np.int64) for side in sides)  # (words,)
    labels, confidence = np.zeros_like(gold), np.zeros(len(gold), np.float32)
    kept: list[tuple[Array, Array]] = [(np.zeros(0, np.int64), np.zeros((0, len(tags)), np.float32))]
    begin = 0
    for block in blocks:
        here = slice(begin, begin + len(block))
        labels[here], confidence[here] = block.argmax(-1), block.max(-1)
        rows = _most_doubted(gold[here], labels[here], block)
        kept.append((rows + begin, block[rows]))
        begin += len(block)
    doubted, probabilities = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    changed = float(np.mean(labels != before)) if len(before) else 0.0
    right = (labels == gold) & (gold >= 0)
    return Rereading(tags, labels, confidence, right, changed, doubted, gold[doubted], probabilities)


def _most_doubted(gold: Array, labels: Array, block: Array) -> Array:
    """Rows of a block whose gold tag is another than the model's, in their order. (rows,)"""
    rows = np.flatnonzero((gold != labels) & (gold >= 0))
    margin = block[rows, labels[rows]] - block[rows, gold[rows]]
    return rows[np.sort(np.argsort(-margin, kind="stable")[:_KEPT])]
