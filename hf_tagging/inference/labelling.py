"""Labels, scores and probabilities of words, in batches and in streams, on which all methods of a tagger rest.

A tagger of one model and an ensemble do a few of these in ways of their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise, tee
from typing import TypeVar

import numpy as np
import torch

from hf_tagging.data.schema import TagSchema
from hf_tagging.data.window_plans import parts_of
from hf_tagging.inference.explaining import Transition
from hf_tagging.inference.nbest import Paths
from hf_tagging.inference.odds import EntityOdds, word_labels
from hf_tagging.inference.results import NO_SCORES, WordLabels
from hf_tagging.inference.ruling import Ruling
from hf_tagging.rules.rules import Rules

T = TypeVar("T")


class Labeller(ABC):
    """Reader of words that predicts their labels.

    Attributes:
        schema: Tags.
        min_confidence: See `Tagger`.
        context_subwords: Subwords of its document that a sentence is read with on each side; 0: none.
        device: Where it runs.
        tokens_per_batch: See `Tagger`.
        rules: Rules beside the model; None without any.
    """

    schema: TagSchema
    min_confidence: float
    context_subwords: int
    device: torch.device
    tokens_per_batch: int
    rules: Rules | None = None

    def label_stream(
        self, sentences: Iterable[Sequence[str]], block: int = 1000, *, exact: bool = True
    ) -> Iterator[WordLabels]:
        """Yield label ids and scores of each sentence, like `tag_stream`; `exact` as in `label`."""
        return self._label_parts(([sentence] for sentence in sentences), block, exact=exact)

    def label_documents(
        self, documents: Iterable[Iterable[Sequence[str]]], block: int = 1000, *, exact: bool = True
    ) -> Iterator[WordLabels]:
        """Yield label ids and scores of each sentence of a stream of documents, in constant memory.

        Args:
            documents: Sentences of each document, from first to last; read ahead as by `label_stream`.
            block: Number of sentences that are batched together.
            exact: See `label`.

        Yields:
            Labels of each sentence, document after document.
        """
        if not self.context_subwords:
            return self.label_stream(chain.from_iterable(documents), block, exact=exact)
        return self._label_parts(chain.from_iterable(map(parts_of, documents)), block, exact=exact)

    def label_each(
        self, items: Iterable[tuple[T, Sequence[Sequence[str]]]], block: int = 1000
    ) -> Iterator[tuple[T, list[WordLabels]]]:
        """Yield any items, each with the labels of the sentences that come with it, in constant memory.

        Args:
            items: Each with its sentences, which are one document; read ahead as by `label_stream`.
            block: Number of sentences that are batched together.
        """
        # What has been read and is not yet yielded waits in the tee: as much as the tagger reads ahead.
        here, ahead = tee(items)
        labels = self.label_documents((sentences for _, sentences in ahead), block)
        for item, sentences in here:
            yield item, [*islice(labels, len(sentences))]
        next(labels, None)  # raises what the items raised

    @abstractmethod
    def label(
        self,
        sentences: Sequence[Sequence[str]],
        *,
        documents: Sequence[int] | None = None,
        first: int = 0,
        exact: bool = True,
    ) -> list[WordLabels]:
        """Return label ids and scores for a batch of sentences.

        Args:
            sentences: Words. (sentences, words)
            documents: Number of sentences in each document, for a model that reads them in context. None: each
                sentence stands alone. (documents,)
            first: Number of the first sentence, for messages.
            exact: False: read in the precision of `tag`, in which scores may differ slightly, and without scores of
                entities; see `Tagger`.

        Returns:
            Labels of each sentence, in the same order.
        """

    def probabilities(
        self, sentences: Sequence[Sequence[str]], *, documents: Sequence[int] | None = None, first: int = 0
    ) -> list[np.ndarray]:
        """Return the probability of every tag for a batch of sentences: the softmax of the logits of each word.

        A CRF or a hidden Markov model returns posteriors, by forward-backward over the whole window. Where its best
        path does not pass through a word's most probable tag, the tag of the path is raised to just above it, so that
        the most probable tag is the one that `tag` returns. Rules beside the model are not heeded.

        Args:
            sentences: Words. (sentences, words)
            documents: See `label`.
            first: Number of the first sentence, for messages.

        Returns:
            An array per sentence, in the same order. (words, tags) float32 each; a tag's column is its label id
        """
        table, bounds, _ = self._table(sentences, documents, first, entities=False)
        return [table[a:b] for a, b in pairwise(bounds)]

    def all_probabilities(
        self, sentences: Sequence[Sequence[str]], *, documents: Sequence[int] | None = None, first: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `probabilities` and those of the entities that the most probable tags make.

        Args:
            sentences: Words. (sentences, words)
            documents: See `label`.
            first: Number of the first sentence, for messages.

        Returns:
            Of every tag, all words in one array (words, tags), and of the entities, in order (entities,), both float32
        """
        table, bounds, odds = self._table(sentences, documents, first, entities=True)
        entities = [] if odds is None else odds.of_sentences(table.argmax(-1), bounds)
        return table, np.concatenate([NO_SCORES, *entities])

    @property
    @abstractmethod
    def name(self) -> str:
        """Name to show, without any path."""

    def _odds(self, words: int) -> EntityOdds | None:
        """Return what collects the probabilities of the entities of a block of words; None without entity types."""
        return EntityOdds(self.schema, words) if self.schema.entity_types else None

    def _ruling(self, sentences: Sequence[Sequence[str]], bounds: np.ndarray) -> Ruling | None:
        """Return the rules in a block of sentences; None without rules."""
        return None if self.rules is None else Ruling(self.rules, sentences, bounds)

    def _labels(
        self, ids: np.ndarray, scores: np.ndarray, bounds: np.ndarray, odds: EntityOdds | None, ruling: Ruling | None
    ) -> list[WordLabels]:
        """Return the labels of each sentence, by the rules, and without those below `min_confidence`."""
        labels = word_labels if ruling is None else ruling.labels
        return labels(ids, scores, bounds, odds, least=self.min_confidence)

    @abstractmethod
    def _label_parts(
        self, parts: Iterable[Sequence[Sequence[str]]], block: int, *, exact: bool
    ) -> Iterator[WordLabels]:
        """Yield labels of each sentence of a stream of parts of documents; see `label_documents`."""

    @abstractmethod
    def _occlusion(self, words: list[str], position: int, label: int) -> np.ndarray:
        """Return the probability that a tag loses where each word is unknown. (words,) float64"""

    @abstractmethod
    def _gradients(self, words: list[str], position: int, label: int) -> np.ndarray:
        """Return the contribution of every word by integrated gradients. (words,) float64"""

    def _transitions(self, ids: np.ndarray, position: int) -> tuple[Transition, ...]:
        """Return what a CRF says of the tags around a word, given label ids (words,); nothing without one."""
        return ()

    @abstractmethod
    def _paths(self, sentences: Sequence[Sequence[str]], n: int) -> list[Paths]:
        """Return the n most probable paths of each sentence."""

    @abstractmethod
    def _table(
        self, sentences: Sequence[Sequence[str]], documents: Sequence[int] | None, first: int, *, entities: bool
    ) -> tuple[np.ndarray, np.ndarray, EntityOdds | None]:
        """Return the probability of every tag (words, tags), the bounds of the sentences, and those of entities.

        Args:
            sentences: Words. (sentences, words)
            documents: See `label`.
            first: Number of the first sentence, for messages.
            entities: Collect the probabilities of entities.
        """
