"""Figures of an evaluation: label ids of gathered windows become tags of whole sentences, and these are scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from transformers import EvalPrediction

from hf_tagging.data.aligned import IGNORED, AlignedSplit
from hf_tagging.data.alignment import vocabulary
from hf_tagging.data.prefixes import UNSCORED
from hf_tagging.data.schema import PLAIN, TagSchema
from hf_tagging.evaluation.figures import Figures
from hf_tagging.evaluation.scoring import score
from hf_tagging.tasks import Task, task_of_tags

Tags = list[list[str]]  # (sentences, words)
ComputeMetrics = Callable[..., dict[str, float]]
"""Figures of an `EvalPrediction`, as of `Trainer`."""
Score = Callable[[AlignedSplit, Tags, Tags], Figures]


@dataclass(frozen=True)
class WordPredictions:
    """Tags that a model gives to a split: one per word, whole sentences, in the split's order.

    Args:
        predicted: (sentences, words)
        gold: `-100` for a word that is not annotated. (sentences, words)
        metrics: Every figure of the task's scorer, and `loss`, `runtime` and `words_per_second`.
    """

    predicted: Tags
    gold: Tags
    metrics: Figures


class WordScorer:
    """`compute_metrics` of a trainer that scores words of whole sentences.

    `split` is what is being evaluated, and `outcome` what came of it.

    Args:
        schema: The tags.
        task: Decides between figures over entities and over words; None: the schema decides.
        train: The training split, whose words count as seen.
        score_by: Figures from (split, predicted, gold), in the place of the task's.
        compute_metrics: A function of the caller's, which gets logits and labels of windows; its figures win.
        by_batch: Whether batches come one by one (`batch_eval_metrics`).
    """

    def __init__(
        self,
        schema: TagSchema,
        *,
        task: Task | None = None,
        train: AlignedSplit | None = None,
        score_by: Score | None = None,
        compute_metrics: ComputeMetrics | None = None,
        by_batch: bool = False,
    ):
        self.schema, self.by_batch = schema, by_batch
        self.task = task or task_of_tags(has_entities=schema.scheme != PLAIN)
        self.score: Score = score_by or self.task_figures
        self.compute_metrics = compute_metrics
        self.split: AlignedSplit | None = None
        self.outcome = WordPredictions([], [], {})
        self._train = train
        self._known: frozenset[str] | None = None
        self._batches: list[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]] = []

    def begin(self, split: AlignedSplit) -> AlignedSplit:
        """Take up a split, and return it with its windows in the order in which they are to be evaluated."""
        nothing: Tags = [[] for _ in split.words]
        self.outcome = WordPredictions(nothing, nothing, {})  # stays where no sentence has a word: no batch comes
        self.split, self._batches = split.longest_first(), []
        return self.split

    def task_figures(self, split: AlignedSplit, predicted: Tags, gold: Tags) -> Figures:
        """Return every figure of the task.

        Args:
            split: Where the words are.
            predicted: (sentences, words)
            gold: (sentences, words)
        """
        if self._known is None and self._train is not None and not self.task.has_entities:
            self._known = vocabulary(self._train.words)
        words = None if self._known is None else list(split.words["tokens"])
        return score(self.task, predicted, gold, scheme=self.schema.scheme, words=words, known_words=self._known)

    def against(self, gold: Tags, split: AlignedSplit, predicted: Tags) -> WordPredictions:
        """Score tags that were predicted for a split against other gold tags than its own; there is no loss.

        Args:
            gold: `-100` for a word that is not annotated. (sentences, words)
            split: Where the words are.
            predicted: (sentences, words)
        """
        return WordPredictions(predicted, gold, self.score(split, predicted, gold))

    def __call__(self, outcome: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        """Return single figures of an evaluation; `outcome` keeps all of them.

        Args:
            outcome: Label ids (batch, subwords) and summed losses (batch,), and logits (batch, subwords, tags) where
                the caller has a function for them; in lists of batches, or padded to one.
            compute_result: Whether all batches are here.
        """
        predictions: Any = outcome.predictions
        labels: Any = outcome.label_ids
        theirs = self._their_figures(predictions, labels, compute_result)
        if self.by_batch:
            self._batches.append(((_array(predictions[0]), _array(predictions[1])), _array(labels)))
            if not compute_result:
                return {}
            predictions, labels = (list(side) for side in zip(*self._batches, strict=True))
        elif not isinstance(labels, list):  # eval_do_concat_batches
            predictions, labels = [predictions], [labels]
        scored = sum(int(np.count_nonzero(batch != IGNORED)) for batch in labels)
        loss = float(sum(batch[1].sum(dtype=np.float64) for batch in predictions)) / max(scored, 1)
        assert self.split is not None
        predicted, gold = self._read_tags(self.split, predictions, labels)
        figures = cast(Figures, {**self.score(self.split, predicted, gold), **theirs})
        self.outcome = WordPredictions(predicted, gold, {**figures, "loss": loss})
        return {"loss": loss} | {k: v for k, v in figures.items() if isinstance(v, (int, float))}

    def _their_figures(self, predictions: Any, labels: Any, compute_result: bool) -> dict[str, float]:
        if self.compute_metrics is None:
            return {}
        if self.by_batch:
            outcome = EvalPrediction(predictions=predictions[2], label_ids=labels)
            return self.compute_metrics(outcome, compute_result=compute_result) or {}
        if isinstance(labels, list):
            return self.compute_metrics(
                EvalPrediction(predictions=_padded([batch[2] for batch in predictions]), label_ids=_padded(labels))
            )
        return self.compute_metrics(EvalPrediction(predictions=predictions[2], label_ids=labels))

    def _read_tags(
        self, split: AlignedSplit, predictions: list[tuple[np.ndarray, ...]], labels: list[np.ndarray]
    ) -> tuple[Tags, Tags]:
        """Predicted and gold tags per sentence from batches of gathered windows."""
        names = np.array([*self.schema.tags, UNSCORED, "O"], dtype=object)  # -1: a word that no window has
        predicted = split.read(list(chain.from_iterable(batch[0] for batch in predictions)), fill=-1)
        gold = split.read(list(chain.from_iterable(labels)), fill=-1)
        gold = np.where(gold == IGNORED, len(self.schema.tags), gold)  # a word that is not annotated
        return split.per_sentence(names[predicted]), split.per_sentence(names[gold])


def _array(values: torch.Tensor | npt.ArrayLike) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _padded(batches: list[np.ndarray]) -> np.ndarray:
    """Batches (batch, subwords, ...) as one, as wide as the widest, -100 where another has nothing."""
    width = max(batch.shape[1] for batch in batches)
    return np.concatenate([
        np.pad(b, [(0, 0), (0, width - b.shape[1]), *[(0, 0)] * (b.ndim - 2)], constant_values=IGNORED)
        for b in batches
    ])  # fmt: skip
