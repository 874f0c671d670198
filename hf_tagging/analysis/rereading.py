"""A second reading of a split by its tagger, with probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.confidence import Scored
from hf_tagging.analysis.shape import Uncalibrated
from hf_tagging.evaluation.metrics import Array, Tags

MOST_CHANGED = 0.005  # of the words; rounding and other windows explain that many
_KEPT = 1_000  # rows of probabilities per block, so that memory stays bounded


@dataclass(frozen=True)
class Rereading:
    """Tags and probabilities of a second reading.

    Args:
        tags: Tags of the model, by label id.
        labels: Label id of each word. (words,)
        confidence: Probability of the label. (words,)
        right: True where it is the gold tag. (words,) bool
        changed: Share of the words with another tag than in the predictions.
        doubted: Indices of words whose gold tag the model knows but does not predict; the most doubtful tags of
            each block. (doubted,)
        gold: Label ids of their gold tags. (doubted,)
        probabilities: Probabilities of all tags for them. (doubted, tags)
        items: Predicted entities, or words of a task without them, with their scores; None: words, as above.
        before: Calibration errors without the temperature that is folded into the model.
    """

    tags: Sequence[str]
    labels: Array
    confidence: Array
    right: Array
    changed: float
    doubted: Array
    gold: Array
    probabilities: Array
    items: Scored | None = None
    before: Uncalibrated | None = None

    @property
    def agrees(self) -> bool:
        """Return True if the predictions come from these words and this model."""
        return self.changed <= MOST_CHANGED

    def tags_of(self, answers: Answers, numbers: Sequence[int]) -> Tags:
        """Return the tags of some sentences.

        Args:
            answers: The split.
            numbers: Indices of the sentences. (n,)
        """
        spans = ((answers.bounds[i], answers.bounds[i + 1]) for i in numbers)
        return [[self.tags[label] for label in self.labels[a:b].tolist()] for a, b in spans]


def reread(answers: Answers, tags: Sequence[str], blocks: Iterable[Array]) -> Rereading:
    """Collect a second reading block by block, keeping only the probabilities of doubted words.

    Args:
        answers: The split.
        tags: Tags of the model, by label id.
        blocks: Probabilities of all words, in order, in blocks of any size. (words of the block, tags) each
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
    """Return the rows of a block whose gold tag differs from the model's, in order. (rows,)"""
    rows = np.flatnonzero((gold != labels) & (gold >= 0))
    return rows[np.sort(np.argsort(block[rows, gold[rows]], kind="stable")[:_KEPT])]
