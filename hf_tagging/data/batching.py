"""Batches of windows: which windows go together, and how they become tensors."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from torch.utils.data import Sampler

from hf_tagging.data.aligned import IGNORED
from hf_tagging.data.rows import flat_lists

Window: TypeAlias = Mapping[str, Sequence[int] | np.ndarray]
"""A window: `input_ids`, `labels` and whatever else there is, each (subwords,)."""
Windows: TypeAlias = Sequence[Window] | pa.Table
Collator: TypeAlias = Callable[[Windows], dict[str, torch.Tensor]]
"""Makes tensors of the windows of a batch."""

_STEPS_OF_A_STRETCH = 50  # within which windows of like length come together, as in Transformers
_REAL_SHARE = 0.955  # of a planned batch; what is drawn into it is a little shorter, or as long


class Steps(Sampler[list[int]]):
    """Cut each step of an epoch into shares: one for every process and every batch that is accumulated.

    The steps are drawn first, and know nothing of processes: the windows of a step, and so the weights after it, are
    the same whether one process takes them at once, accumulates over them or shares them with others. The shares of a
    step are adjacent, those of a first batch for all processes, then those of a second one, as accelerate
    deals them. Each window is in one share, once per epoch; a share of a step of few windows may be empty, see
    `WindowRows`.

    Args:
        seed: Of the order.
        shares: Of a step: processes times accumulated batches.
    """

    # No attribute `batch_size`: accelerate would take it for the size of every batch.

    def __init__(self, *, seed: int = 0, shares: int = 1):
        self.seed, self.shares, self.epoch = seed, shares, 0

    def __len__(self) -> int:
        return self.count() * self.shares

    def set_epoch(self, epoch: int) -> None:
        """Draw another order for every epoch, the same one on every call."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.draw(np.random.default_rng([self.seed, self.epoch])):
            yield from (share.tolist() for share in self.cut(step))

    def count(self) -> int:
        """Return how many steps an epoch has, the same in every one."""
        raise NotImplementedError

    def draw(self, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield the windows of each step of an epoch."""
        raise NotImplementedError

    def cut(self, step: np.ndarray) -> list[np.ndarray]:
        """Return the shares of a step, each of as many windows, or one more."""
        return [step[share :: self.shares] for share in range(self.shares)]


class CountedWindows(Steps):
    """Fill each step with a number of windows.

    Args:
        lengths: Subwords of each window. (windows,)
        windows: Of a step.
        order: ``"random"``, ``"sequential"``, or ``"group_by_length"``: at random, but windows of like length together.
        drop_last: Leave out the last step of an epoch where it is short.
        seed: Of the order.
        shares: See `Steps`.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        windows: int,
        *,
        order: str = "random",
        drop_last: bool = False,
        seed: int = 0,
        shares: int = 1,
    ):
        super().__init__(seed=seed, shares=shares)
        self.lengths = np.asarray(lengths, np.int64)
        self.windows, self.order, self.drop_last = windows, order, drop_last

    def count(self) -> int:
        """Return how many steps an epoch has."""
        whole, rest = divmod(len(self.lengths), self.windows)
        return whole + (rest > 0 and not self.drop_last)

    def draw(self, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield the windows of each step of an epoch."""
        order = np.arange(len(self.lengths))
        if self.order != "sequential":
            order = generator.permutation(order)
        if self.order == "group_by_length":
            stretch = self.windows * _STEPS_OF_A_STRETCH
            stretches = [order[begin : begin + stretch] for begin in range(0, len(order), stretch)]
            order = np.concatenate([part[np.argsort(-self.lengths[part], kind="stable")] for part in stretches])
        for step in range(self.count()):
            yield order[step * self.windows : (step + 1) * self.windows]


class TokenBudgetBatches(Steps):
    """Fill each step with a budget of subwords, padding counted, in the place of a number of windows.

    The windows, sorted by length, are dealt like cards: every run of `blocks` neighbours in that order gives one window
    to each of `blocks` blocks, at random, and each block is cut from its longest to its shortest window. As the longest
    of a run is the same in every epoch, so are the cuts: an epoch has always as many steps, of the same shapes, none
    above the budget, while who shares a step with whom is drawn anew. There are as many blocks as keep the padding
    small.

    Args:
        lengths: Subwords of each window. (windows,)
        tokens_per_batch: Subwords of a step, padding counted; a longer window is a step of its own. A share of it is
            above its part of the budget by less than one window.
        seed: Of the order.
        shares: See `Steps`.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        tokens_per_batch: int,
        *,
        seed: int = 0,
        shares: int = 1,
    ):
        super().__init__(seed=seed, shares=shares)
        self.lengths = np.asarray(lengths, np.int64)
        self.tokens_per_batch = tokens_per_batch
        self.blocks, self._cuts = _plan(np.sort(self.lengths)[::-1], tokens_per_batch)

    def count(self) -> int:
        """Return how many steps an epoch has."""
        last = self._cuts[-2] * self.blocks  # the first window of the blocks' last batches
        return (len(self._cuts) - 2) * self.blocks + min(self.blocks, len(self.lengths) - last)

    def draw(self, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield the windows of each step of an epoch, from the longest to the shortest."""
        steps = self._batches(generator)
        for step in generator.permutation(len(steps)):
            yield steps[step]

    def cut(self, step: np.ndarray) -> list[np.ndarray]:
        """Return the shares of a step: windows of like length, and the largest share as small as can be."""
        if self.shares == 1:
            return [step]
        lengths = self.lengths[step]  # the longest first
        most = int(lengths[0]) * len(step)
        sizes = range(int(lengths[0]), most + 1)
        size = sizes[bisect_left(sizes, True, key=lambda size: len(_cut(lengths, size)) - 1 <= self.shares)]
        cuts = _cut(lengths, size)
        return np.split(step, cuts[1:-1] + [len(step)] * (self.shares + 1 - len(cuts)))

    def _batches(self, generator: np.random.Generator) -> list[np.ndarray]:
        """Return the numbers of the windows of every batch, the largest shapes first."""
        count = len(self.lengths)
        order = np.lexsort((generator.random(count), -self.lengths))  # neighbours of one length in any order
        dealt = np.full(-(-count // self.blocks) * self.blocks, -1)
        dealt[:count] = order
        dealt = generator.permuted(dealt.reshape(-1, self.blocks), axis=1)  # (windows of a block, blocks)
        batches = [block[block >= 0] for begin, end in pairwise(self._cuts) for block in dealt[begin:end].T]
        return [batch for batch in batches if len(batch)]


def _plan(lengths: np.ndarray, budget: int) -> tuple[int, list[int]]:
    """Return the largest number of blocks that keeps padding small, and the boundaries of the blocks.

    Args:
        lengths: Of the windows, the longest first. (windows,)
        budget: Subwords of a batch.
    """
    blocks, cuts = 1, _cut(lengths, budget)
    while blocks * 2 <= len(lengths):
        longest = lengths[:: blocks * 2]  # of every run; the last one may be short of windows
        tried = _cut(longest, budget)
        planned = sum((end - begin) * int(longest[begin]) for begin, end in pairwise(tried))
        if lengths.sum() < _REAL_SHARE * planned * blocks * 2:
            break
        blocks, cuts = blocks * 2, tried
    return blocks, cuts


def _cut(longest: np.ndarray, budget: int) -> list[int]:
    """Return where the batches of a block begin, and the end."""
    cuts = [0]
    while cuts[-1] < len(longest):
        cuts.append(min(len(longest), cuts[-1] + max(1, budget // int(longest[cuts[-1]]))))
    return cuts


class WindowRows(torch.utils.data.Dataset[Window]):
    """Rows of windows, fetched one batch at a time; an empty batch is one window without labels.

    Where a step has fewer windows than processes, each process still has to take part in it.

    Args:
        features: Of an `AlignedSplit`.
        columns: Columns that the model reads; None: all.
        as_table: Fetch batches as Arrow holds them, so that no subword becomes a Python object.
    """

    def __init__(
        self,
        features: Dataset,
        columns: Sequence[str] | None = ("input_ids", "labels", "word_features"),
        *,
        as_table: bool = True,
    ):
        names = features.column_names
        kept = features.select_columns([name for name in names if columns is None or name in columns])
        self.features = kept.with_format("arrow") if as_table else kept
        self.as_table = as_table

    def __len__(self) -> int:
        return len(self.features)

    def __getitems__(self, rows: list[int]) -> Windows | Unlearned:
        """Fetch a batch for the collator."""
        if not rows:
            return Unlearned(self.__getitems__([0]))
        return self.features[rows] if self.as_table else self.features.__getitems__(rows)


@dataclass(frozen=True)
class Unlearned:
    """Windows that fill a batch without contributing to the loss.

    Args:
        windows: Rows, or a table of them.
    """

    windows: Windows


@dataclass(frozen=True)
class Collate:
    """Collate windows; `Unlearned` ones lose their labels.

    Args:
        collator: Makes tensors of windows.
    """

    collator: Collator

    def __call__(self, windows: Windows | Unlearned) -> dict[str, torch.Tensor]:
        """Collate a batch of `WindowRows`."""
        if not isinstance(windows, Unlearned):
            return self.collator(windows)
        batch = self.collator(windows.windows)
        return {**batch, "labels": torch.full_like(batch["labels"], IGNORED)}


class WindowCollator:
    """Collator that pads windows on the right to the longest of the batch, whatever the padding side of the tokenizer.

    The places where words are read (`word_starts`) count from the left, so the padding has to be on the right.

    Args:
        pad_token_id: The id that fills `input_ids`.
    """

    def __init__(self, pad_token_id: int):
        self.pad_token_id = pad_token_id

    def __call__(self, windows: Windows) -> dict[str, torch.Tensor]:
        """Collate windows with `input_ids` and, if present, `labels`, each (subwords,), and `word_features`.

        Args:
            windows: Rows, or the table of `WindowRows`; `word_features` are flat: for each subword one id per column.

        Returns:
            `input_ids`, `attention_mask` and `labels`, each (batch, subwords), and `word_features`, 0 at padding.
            (batch, subwords, columns)
        """
        columns = flat_columns(windows)
        ids, lengths = columns["input_ids"]
        real = np.arange(int(lengths.max())) < lengths[:, None]  # (batch, subwords)
        batch = {
            "input_ids": _padded(ids, real, self.pad_token_id),
            "attention_mask": torch.from_numpy(real.astype(np.int64)),
        }
        if "labels" in columns:
            batch["labels"] = _padded(columns["labels"][0], real, IGNORED)
        if "word_features" in columns:
            features = columns["word_features"][0]
            batch["word_features"] = _padded(features.reshape(len(ids), -1), real, 0)
        return batch


def flat_columns(windows: Windows) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return all values of each column in one array, and their number in each window. (values,) and (windows,)"""
    if isinstance(windows, pa.Table):
        flat = {name: flat_lists(windows.column(name)) for name in windows.column_names}
        return {name: (values, np.diff(bounds)) for name, (values, bounds) in flat.items()}
    names = [name for name in ("input_ids", "labels", "word_features") if name in windows[0]]
    lengths = np.array([len(window["input_ids"]) for window in windows])
    return {name: (np.concatenate([window[name] for window in windows]), lengths) for name in names}


def _padded(values: np.ndarray, real: np.ndarray, padding: int) -> torch.Tensor:
    """Write values where `real` is true. (batch, subwords) or (batch, subwords, columns)"""
    laid = np.full((*real.shape, *values.shape[1:]), padding, dtype=np.int64)
    laid[real] = values
    return torch.from_numpy(laid)
