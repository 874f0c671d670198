"""Decoding under limits: the best tags, and the probabilities of all tags, given what rules allow.

The words of a sentence are a Markov chain: of a CRF its posterior, of any other model words that are independent of
each other. What rules do not allow and what the scheme does not allow is taken out of the chain. The best path through
what is left is that of Viterbi (1967) on the scores of the model with the same tags masked, and probabilities are those
of the model given that the rules hold. Sentences without a limit are not decoded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hf_tagging.data.schema import TagSchema
from hf_tagging.inference.limits import TagLimits
from hf_tagging.inference.odds import ChainOfWords

# Nats: of what the scheme does not allow, and of what a rule does not. Both are finite, so that limits which no tags
# can hold still leave the best of what is there.
_ILLEGAL, _FORBIDDEN = -1e4, -1e6
_NEVER = -1e9
_LEAD = 1e-5  # by which the tag of the best path leads among the probabilities of its word
_SIZE = 1 << 22  # numbers of the steps that are decoded together


@dataclass(frozen=True)
class LimitedChain:
    """Markov chain of the words of sentences with limits; see `ChainOfWords`.

    Args:
        posterior: (words, tags)
        after: Probabilities of a word's tags, given the best tag of the word before. (words, tags)
        inside: Whether a word follows another one of its sentence. (words,) bool
    """

    posterior: Tensor
    after: Tensor
    inside: Tensor

    def pairs(self) -> Tensor:
        """Return the numbers of the words that are followed by another one of their sentence. (pairs,)"""
        return self.inside[1:].nonzero()[:, 0]

    def onward(self, pairs: Tensor, tags: Tensor) -> Tensor:
        """Return the probabilities of the tags of the words after `pairs`, given that `tags` are the best ones."""
        return self.after[pairs + 1][:, None].expand_as(tags)


@dataclass(frozen=True)
class Decoded:
    """Best tags of the words of `TagLimits`, and the chain that is left.

    Args:
        ids: (words,) int64
        probabilities: Of every tag; the one of `ids` is the highest. (words, tags) float32
        chain: What `EntityOdds` reads the probabilities of entities from.
    """

    ids: np.ndarray
    probabilities: np.ndarray
    chain: LimitedChain


class Lattice:
    """Chain of the words with limits, collected batch by batch as the model reads them.

    Args:
        limits: What rules allow.
        schema: Tags of the model.
        words: Number of words of the block.
    """

    def __init__(self, limits: TagLimits, schema: TagSchema, words: int):
        self._limits, self._schema = limits, schema
        self._place = np.full(words, -1)  # of each word of the block among those with limits
        self._place[limits.words] = np.arange(len(limits.words))
        self._posterior = np.zeros(limits.allowed.shape)
        self._steps: dict[int, np.ndarray] = {}  # of words whose tag depends on that of the word before

    def keep(self, words: np.ndarray, probabilities: Tensor, chain: ChainOfWords | None) -> None:
        """Collect what the model says of some words; see `EntityOdds.keep`."""
        place = self._place[words]
        known = place >= 0
        posterior = probabilities if chain is None else chain.posterior
        self._posterior[place[known]] = posterior.cpu().double().numpy()[known]
        if chain is None or not known.any():
            return
        pairs = chain.pairs()
        pairs = pairs[torch.from_numpy(known).to(pairs.device)[pairs]]
        tags = posterior.shape[-1]
        each = torch.eye(tags, dtype=posterior.dtype, device=posterior.device).expand(len(pairs), tags, tags)
        steps = chain.onward(pairs, each).float().cpu().numpy()
        self._steps.update(zip(place[pairs.cpu().numpy() + 1].tolist(), steps, strict=True))

    def decoded(self) -> Decoded:
        """Decode all sentences with limits."""
        words, tags = self._limits.allowed.shape
        ids = np.zeros(words, np.int64)
        posterior, after = np.zeros((words, tags)), np.zeros((words, tags))
        for part in self._parts(tags):
            place = self._limits.bounds[part][:, None] + np.arange(self._lengths[part].max())
            valid = place < self._limits.bounds[part + 1][:, None]  # (sentences, words)
            place = np.where(valid, place, 0)
            found = _decode(self._logs(place, valid), valid)
            for whole, one in zip((ids, posterior, after), found, strict=True):
                whole[place[valid]] = one[valid]
        inside = np.ones(words, bool)
        inside[self._limits.bounds[:-1]] = False
        chain = LimitedChain(*map(torch.from_numpy, (posterior, after, inside)))
        return Decoded(ids, _shown(posterior, ids), chain)

    @property
    def _lengths(self) -> np.ndarray:
        return np.diff(self._limits.bounds)

    def _parts(self, tags: int) -> Iterator[np.ndarray]:
        """Yield numbers of sentences of like length that are decoded together. (sentences,)"""
        order = np.argsort(self._lengths, kind="stable")
        while len(order):
            together = max(1, _SIZE // (tags * tags * int(self._lengths[order[-1]])))
            order, part = order[:-together], order[-together:]
            yield part

    def _logs(self, place: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the scores of tags, given each tag of the word before.

        Args:
            place: Numbers of words. (sentences, words)
            valid: Whether there is a word. (sentences, words) bool

        Returns:
            (sentences, words, tags, tags); of the first word, the same for each tag before.
        """
        starts, follows, ends = (_penalty(table) for table in self._schema.transitions())
        goes_on = self._schema.goes_on()
        limits, own = self._limits, _logarithm(self._posterior[place])
        logs = np.repeat(own[:, :, None], own.shape[-1], 2)
        for row, column in zip(*np.nonzero(valid & bool(self._steps)), strict=True):
            if (steps := self._steps.get(int(place[row, column]))) is not None:
                logs[row, column] = _logarithm(steps)
        logs[:, 1:] += follows
        logs += np.where(limits.allowed[place], 0.0, _FORBIDDEN)[:, :, None]
        logs += np.where(limits.apart[place][:, :, None, None] & goes_on, _FORBIDDEN, 0.0)
        logs += np.where(limits.joined[place][:, :, None, None] & ~goes_on, _FORBIDDEN, 0.0)
        logs[:, 0] = own[:, :1] + np.where(limits.allowed[place[:, :1]], 0.0, _FORBIDDEN) + starts
        last = valid.sum(1) - 1
        logs[np.arange(len(logs)), last] += ends
        return logs


def _decode(logs: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best path, the posterior, and the probabilities of tags given the path's tag of the word before.

    Args:
        logs: From `Lattice._logs`. (sentences, words, tags, tags)
        valid: Whether there is a word. (sentences, words) bool

    Returns:
        (sentences, words) int64, and (sentences, words, tags) twice
    """
    count, words, tags, _ = logs.shape
    stay = np.where(np.eye(tags, dtype=bool), 0.0, _NEVER)
    logs = np.where(valid[:, :, None, None], logs, stay)
    best, origins = logs[:, 0, 0], []
    for word in range(1, words):
        ways = best[:, :, None] + logs[:, word]
        origins.append(ways.argmax(1))
        best = ways.max(1)
    rows, path = np.arange(count), [best.argmax(-1)]
    for origin in reversed(origins):
        path.append(origin[rows, path[-1]])
    path.reverse()
    back = np.zeros((count, tags))
    steps = np.zeros_like(logs)
    for word in range(words - 1, -1, -1):
        steps[:, word] = logs[:, word] + back[:, None]
        back = _log_sum(steps[:, word])
        steps[:, word] = np.exp(steps[:, word] - back[:, :, None])
    posterior = [steps[:, 0, 0]]
    after = [posterior[0]]
    for word in range(1, words):
        posterior.append((posterior[-1][:, None] @ steps[:, word])[:, 0])
        after.append(steps[rows, word, path[word - 1]])
    return np.stack(path, 1), np.stack(posterior, 1), np.stack(after, 1)


def _shown(posterior: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return probabilities among which those of a path are the highest; see `LinearChainCrf.scores_for_pipeline`."""
    logs = _logarithm(posterior)
    rows = np.arange(len(ids))
    behind = logs.argmax(-1) != ids
    logs[rows[behind], ids[behind]] = logs[behind].max(-1) + _LEAD
    found = np.exp(logs - logs.max(-1, keepdims=True))
    return (found / found.sum(-1, keepdims=True)).astype(np.float32)


def _logarithm(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny, dtype=np.float64))


def _penalty(legal: np.ndarray) -> np.ndarray:
    return np.where(legal, 0.0, _ILLEGAL)


def _log_sum(values: np.ndarray) -> np.ndarray:
    top = values.max(-1)
    return top + np.log(np.exp(values - top[..., None]).sum(-1))
