"""Probabilities of entities: of all words of a span having their tags, and of the entity ending there.

The tags of words are independent in a model with a linear head, so such a probability is a product. Those of a CRF are
a Markov chain: given the tag of a word, the next one's does not depend on earlier ones. The product of the conditional
probabilities along a span is what the constrained forward algorithm gives (Culotta and McCallum 2004, Confidence
Estimation for Information Extraction). Windows of a long sentence are read one by one, so the tags of words in two
windows are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hf_tagging.data.rows import row_ranges, row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.inference.results import LEFT_OUT, NO_SCORES, WordLabels

if TYPE_CHECKING:
    from hf_tagging.models.crf_recursions import Chain


class ChainOfWords(Protocol):
    """Markov chain of words of a batch; see `WordChain`."""

    @property
    def posterior(self) -> Tensor:
        """Probabilities of each word's tags. (words, tags)"""

    def pairs(self) -> Tensor:
        """Return the numbers of the words that are followed by another one of their sentence and window. (pairs,)"""

    def onward(self, pairs: Tensor, tags: Tensor) -> Tensor:
        """Return the probabilities of the tags of the words after `pairs`, given those of `pairs`."""


class Collector(Protocol):
    """Collects what a model says of words, batch by batch."""

    def keep(self, words: np.ndarray, probabilities: Tensor, chain: ChainOfWords | None) -> None:
        """Collect what is said of some words; see `EntityOdds.keep`."""


@dataclass(frozen=True)
class WordChain:
    """Chain of a model with a CRF, read at the words that a batch of windows owns, in order.

    Args:
        chain: Of the batch.
        row: Window of each word. (words,)
        word: Number of each word in the chain. (words,)
    """

    chain: Chain
    row: Tensor
    word: Tensor

    @property
    def posterior(self) -> Tensor:
        """Probabilities of each word's tags. (words, tags)"""
        return self.chain.posterior[self.row, self.word]

    def pairs(self) -> Tensor:
        """Return the numbers of the words that are followed by another one of their sentence and window. (pairs,)"""
        together = self.row[1:] == self.row[:-1]
        if self.chain.sequence is not None:
            sequence = self.chain.sequence[self.row, self.word]
            together = together & (sequence[1:] == sequence[:-1])
        return together.nonzero()[:, 0]

    def onward(self, pairs: Tensor, tags: Tensor) -> Tensor:
        """Return the probabilities of the tags of the words after `pairs`, given those of `pairs`.

        Args:
            pairs: Numbers of words. (pairs,)
            tags: (pairs, any, tags)
        """
        return self.chain.onward(tags, self.row[pairs], self.word[pairs], self.word[pairs + 1])


class EntityOdds:
    """Probabilities of the entities of a block of sentences, collected batch by batch.

    Args:
        schema: Tags of the model.
        words: Number of words of the block.

    Attributes:
        outside: Probabilities of ``O``. (words,)
    """

    def __init__(self, schema: TagSchema, words: int):
        self._schema = schema
        self._goes_on = torch.from_numpy(schema.goes_on())
        self._o = schema.label2id.get("O")
        self._first = np.zeros(words)  # of a word's tag
        self._link = np.zeros(words)  # of a word's tag, given that of the word before
        self._stops = np.full(
            words, np.nan
        )  # of the entity not going on, given the tag of the word; nan: not yet known
        self.outside = np.zeros(words, np.float32)
        self._inside = np.zeros((words, len(schema.tags)), np.float32)  # of going on with an entity of each last tag

    def keep(self, words: np.ndarray, probabilities: Tensor, chain: ChainOfWords | None) -> None:
        """Collect what is said of some words.

        Args:
            words: Their numbers. (words,)
            probabilities: (words, tags)
            chain: Of a CRF.
        """
        tags = probabilities.argmax(-1, keepdim=True)  # (words, 1)
        goes_on = self._goes_on.to(probabilities.device)
        posterior = probabilities if chain is None else chain.posterior
        self._inside[words] = (posterior @ goes_on.to(posterior.dtype).T).cpu().numpy()
        if self._o is not None:
            self.outside[words] = probabilities[:, self._o].cpu().numpy()
        self._first[words] = self._link[words] = posterior.gather(-1, tags)[:, 0].cpu().numpy()
        if chain is None:
            return
        pairs = chain.pairs()
        known = F.one_hot(tags[pairs], probabilities.shape[-1]).to(posterior.dtype)  # (pairs, 1, tags)
        after = chain.onward(pairs, known)[:, 0]  # (pairs, tags)
        places = words[pairs.cpu().numpy()]
        self._link[places + 1] = after.gather(-1, tags[pairs + 1])[:, 0].cpu().numpy()
        self._stops[places] = 1 - (after * goes_on[tags[pairs, 0]]).sum(-1).cpu().numpy()

    def of_sentences(self, ids: np.ndarray, bounds: np.ndarray) -> list[np.ndarray]:
        """Return the probabilities of the entities of each sentence, in order.

        Args:
            ids: Label ids. (words,)
            bounds: Number of each sentence's first word, and the end. (sentences + 1,)
        """
        starts, ends, _ = self._schema.entity_edges(ids, bounds)
        first, last = np.flatnonzero(starts), np.flatnonzero(ends)
        on = np.zeros(len(ids))  # of the next word going on, in a window of its own
        on[:-1] = self._inside[np.arange(1, len(ids)), ids[:-1]]
        stops = np.where(np.isnan(self._stops), 1 - on, self._stops)
        stops[bounds[1:][bounds[1:] > bounds[:-1]] - 1] = 1  # a window may go on with the next sentence
        with np.errstate(divide="ignore"):
            links = np.cumsum(np.log(np.maximum(self._link, np.finfo(float).tiny)))
        found = np.clip(self._first[first] * np.exp(links[last] - links[first]) * stops[last], 0, 1).astype(np.float32)
        cuts = np.searchsorted(first, bounds)
        return [cast(np.ndarray, found[a:b]) for a, b in pairwise(cuts)]

    def leave_out(
        self,
        ids: np.ndarray,
        scores: np.ndarray,
        entities: list[np.ndarray],
        bounds: np.ndarray,
        least: float,
        kept: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """Turn the words of entities with a score below `least` into ``O``, in place; return the scores of the others.

        Args:
            ids: Label ids. (words,)
            scores: Their probabilities. (words,)
            entities: From `of_sentences`.
            bounds: Number of each sentence's first word, and the end. (sentences + 1,)
            least: Lowest score that is kept.
            kept: Words that stay in their entity in any case. (words,) bool
        """
        starts, ends, _ = self._schema.entity_edges(ids, bounds)
        low = np.concatenate([np.zeros(0, bool), *(sentence < least for sentence in entities)])
        first, last = np.flatnonzero(starts), np.flatnonzero(ends)
        if kept is not None:
            before = row_starts(kept.astype(np.int64))
            low &= before[last + 1] == before[first]
        cuts = row_starts(np.array([*map(len, entities)], np.int64))
        entities = [part[~low[a:b]] for part, (a, b) in zip(entities, pairwise(cuts), strict=True)]
        first, last = first[low], last[low]
        entity, nth = row_ranges(last - first + 1)
        words = first[entity] + nth
        ids[words] = LEFT_OUT if self._o is None else self._o
        scores[words] = self.outside[words]
        return entities


def word_labels(
    ids: np.ndarray,
    scores: np.ndarray,
    bounds: np.ndarray,
    odds: EntityOdds | None,
    *,
    least: float = 0.0,
    kept: np.ndarray | None = None,
) -> list[WordLabels]:
    """Return the labels of each sentence, with the scores of its entities, without those below `least`.

    Args:
        ids: Label ids; changed in place, as `scores` are, where something is left out. (words,)
        scores: Their probabilities. (words,)
        bounds: Number of each sentence's first word, and the end. (sentences + 1,)
        odds: What has collected the probabilities of entities; None without entities, or where they are not asked for.
        least: Lowest score, of an entity or else of a word, that is kept.
        kept: Words that stay in their entity in any case. (words,) bool
    """
    entities = [NO_SCORES] * (len(bounds) - 1) if odds is None else odds.of_sentences(ids, bounds)
    if least and odds is not None:
        entities = odds.leave_out(ids, scores, entities, bounds, least, kept)
    elif least:
        ids[scores < least] = LEFT_OUT
    return [WordLabels(ids[a:b], scores[a:b], found) for (a, b), found in zip(pairwise(bounds), entities, strict=True)]
