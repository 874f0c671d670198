"""The most probable tag sequences of a sentence.

A path is label ids (words,) with the logarithm of its probability; paths are lists of them, the most probable first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hf_tagging.inference.odds import WordChain

_OUT_OF_REACH = 100.0  # nats behind the best: such a path breaks the rules of the scheme, or might as well


class Paths(NamedTuple):
    """Paths over the same words, the most probable first."""

    ids: np.ndarray  # (paths, words) int64
    logs: np.ndarray  # logarithms of their probabilities. (paths,)


def paths_of_words(probabilities: Tensor, n: int) -> list[Paths]:
    """Return the n most probable tags of each word.

    Args:
        probabilities: (words, tags)
        n: At most so many.
    """
    logs, ids = (x.cpu().numpy() for x in probabilities.double().log().sort(dim=-1, descending=True, stable=True))
    return [Paths(i[:n, None], log[:n]) for i, log in zip(ids, logs, strict=True)]


def paths_of_windows(chain: WordChain, n: int) -> list[Paths]:
    """Return the n most probable paths over the words of each sentence in each window, all else summed over.

    Args:
        chain: Of a batch.
        n: At most so many.
    """
    pairs = chain.pairs()
    tags = chain.posterior.shape[-1]
    known = torch.eye(tags, dtype=chain.posterior.dtype, device=chain.posterior.device).expand(len(pairs), tags, tags)
    steps = chain.onward(pairs, known).cpu().double().numpy()  # (pairs, tags, tags)
    first = chain.posterior.cpu().double().numpy()
    inside = np.zeros(len(first), bool)  # words behind another one of their window
    inside[pairs.cpu().numpy() + 1] = True
    begins = np.flatnonzero(~inside)
    ends = np.append(begins[1:], len(first))
    behind = np.cumsum(inside)  # a window's steps are those at its words but the first
    return [
        list_viterbi(first[begin], steps[behind[begin] : behind[end - 1]], n)
        for begin, end in zip(begins, ends, strict=True)
    ]


def list_viterbi(first: np.ndarray, steps: np.ndarray, n: int) -> Paths:
    """Return the n best paths of a Markov chain, exactly (Seshadri and Sundberg 1994, List Viterbi Decoding).

    Args:
        first: Probabilities of the first word's tags. (tags,)
        steps: Probabilities of each further word's tag, given that of the one before. (words - 1, tags, tags)
        n: At most so many.
    """
    tags = len(first)
    with np.errstate(divide="ignore"):
        best, logs = np.log(first)[None], np.log(steps)  # (paths, tags): the best that end with each tag
    origins = []
    for step in logs:
        ways = (best[:, :, None] + step).reshape(-1, tags)  # (paths * tags, tags)
        origin = np.argsort(-ways, axis=0, kind="stable")[:n]
        best = np.take_along_axis(ways, origin, 0)
        origins.append(origin)
    ends = np.argsort(-best.ravel(), kind="stable")[:n]
    ids = np.empty((len(ends), len(steps) + 1), np.int64)
    place = ends
    for word in range(len(steps), 0, -1):
        rank, ids[:, word] = np.divmod(place, tags)
        place = origins[word - 1][rank, ids[:, word]]
    ids[:, 0] = place % tags
    return Paths(ids, best.ravel()[ends])


def joined_paths(parts: Iterable[Paths], n: int) -> Paths:
    """Return the n best paths over consecutive words whose parts are independent, exactly.

    Args:
        parts: The n best paths of each part, or all if there are fewer.
        n: At most so many. Paths that are e**100 times less probable than the best are left out.
    """
    whole, chosen = np.zeros(1), []
    origins: list[np.ndarray] = []
    parts = list(parts)
    for part in parts:
        ways = (whole[:, None] + part.logs).ravel()
        best = np.argsort(-ways, kind="stable")[:n]
        best = best[ways[best] >= ways[best[0]] - _OUT_OF_REACH]
        whole = ways[best]
        origins.append(best)
    place = np.arange(len(whole))
    for part, origin in zip(reversed(parts), reversed(origins), strict=True):
        place, way = np.divmod(origin[place], len(part.logs))
        chosen.append(part.ids[way])
    ids = np.concatenate(chosen[::-1], axis=1) if chosen else np.zeros((1, 0), np.int64)
    return Paths(ids, whole)
