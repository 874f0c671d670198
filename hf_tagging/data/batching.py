"""Windows to batches: which windows go together, and how they become tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from torch.utils.data import Sampler

from hf_tagging.data.alignment import IGNORED
from hf_tagging.data.rows import flat_lists

_REAL_SHARE = 0.955  # of a planned batch; what is drawn into it is a little shorter, or as long


class TokenBudgetBatches(Sampler[list[int]]):
    """Batches of a budget of subwords, padding counted, in the place of a number of windows.

    The windows, sorted by length, are dealt like cards: every run of `blocks` neighbours in that order gives one window
    to each of `blocks` blocks, at random, and each block is cut from its longest to its shortest window. As the longest
    of a run is the same in every epoch, so are the cuts: an epoch has always as many batches, of the same shapes, none
    above the budget, while who shares a batch with whom is drawn anew. There are as many blocks as keep the padding
    small. Batches of one shape stand beside each other, one for each process; what stands beside each other moves
    together when the order of the batches is drawn.

    It knows nothing of ranks: accelerate hands every `processes`-th batch to a process. Where the batches are no
    multiple of the processes, the last ones are split; a window is repeated only where there is nothing left to split.

    Args:
        lengths: Subwords of each window. (windows,)
        tokens_per_batch: Subwords of a batch, padding counted; a longer window is a batch of its own.
        seed: Of the order.
        processes: That share the epoch.
    """

    # No attribute `batch_size`: accelerate would take it for the size of every batch.

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        tokens_per_batch: int,
        *,
        seed: int = 0,
        processes: int = 1,
    ):
        self.lengths = np.asarray(lengths, np.int64)
        self.tokens_per_batch, self.seed, self.processes = tokens_per_batch, seed, processes
        self.epoch = 0
        self.blocks, self._cuts = _plan(np.sort(self.lengths)[::-1], tokens_per_batch)
        last = self._cuts[-2] * self.blocks  # the first window of the blocks' last batches
        batches = (len(self._cuts) - 2) * self.blocks + min(self.blocks, len(self.lengths) - last)
        self._length = -(-batches // processes) * processes

    def __len__(self) -> int:
        return self._length

    def set_epoch(self, epoch: int) -> None:
        """Draws another order for every epoch, the same one whenever it is asked for."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        steps = _steps(self._batches(generator), self.processes)
        for step in generator.permutation(len(steps)):
            yield from (batch.tolist() for batch in steps[step])  # all at once would be an object per window

    def _batches(self, generator: np.random.Generator) -> list[np.ndarray]:
        """The numbers of the windows of every batch, the largest shapes first."""
        count = len(self.lengths)
        order = np.lexsort((generator.random(count), -self.lengths))  # neighbours of one length in any order
        dealt = np.full(-(-count // self.blocks) * self.blocks, -1)
        dealt[:count] = order
        dealt = generator.permuted(dealt.reshape(-1, self.blocks), axis=1)  # (windows of a block, blocks)
        batches = [block[block >= 0] for begin, end in pairwise(self._cuts) for block in dealt[begin:end].T]
        return [batch for batch in batches if len(batch)]


def _plan(lengths: np.ndarray, budget: int) -> tuple[int, list[int]]:
    """The most blocks whose batches keep the padding small, and where each block is cut.

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
    """Where the batches of a block begin, and the end."""
    cuts = [0]
    while cuts[-1] < len(longest):
        cuts.append(min(len(longest), cuts[-1] + max(1, budget // int(longest[cuts[-1]]))))
    return cuts


def _steps(batches: list[np.ndarray], processes: int) -> list[list[np.ndarray]]:
    """Batches of one shape in groups of `processes`; those of an incomplete last group are split."""
    whole = len(batches) - len(batches) % processes
    last = batches[whole:]
    while 0 < len(last) < processes:
        largest = last.pop(int(np.argmax([len(batch) for batch in last])))
        last += [largest[::2], largest[1::2]] if len(largest) > 1 else [largest, largest]
    return [batches[i : i + processes] for i in range(0, whole, processes)] + ([last] if last else [])


class WindowRows(torch.utils.data.Dataset[pa.Table]):
    """Rows of windows as Arrow holds them: a batch is fetched in one call, and no subword becomes a Python object.

    Args:
        features: Of an `AlignedSplit`.
        columns: What the model is given of them.
    """

    def __init__(self, features: Dataset, columns: Sequence[str] = ("input_ids", "labels", "word_features")):
        kept = [name for name in columns if name in features.column_names]
        self.features = features.select_columns(kept).with_format("arrow")

    def __len__(self) -> int:
        return len(self.features)

    def __getitems__(self, rows: list[int]) -> pa.Table:
        """Fetches a batch, for the collator."""
        return self.features[rows]


class WindowCollator:
    """Pads windows on the right to the longest of the batch, whatever side the tokenizer would choose.

    The places where words are read (`word_starts`) count from the left, so the padding has to stand on the right.

    Args:
        pad_token_id: The id that fills `input_ids`.
    """

    def __init__(self, pad_token_id: int):
        self.pad_token_id = pad_token_id

    def __call__(self, windows: Sequence[dict[str, Any]] | pa.Table) -> dict[str, torch.Tensor]:
        """Collates windows with `input_ids` and, if present, `labels`, each (subwords,), and `word_features`.

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


def flat_columns(windows: Sequence[dict[str, Any]] | pa.Table) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each column all values one after the other, and their number in each window. (values,) and (windows,)"""
    if isinstance(windows, pa.Table):
        flat = {name: flat_lists(windows.column(name)) for name in windows.column_names}
        return {name: (values, np.diff(bounds)) for name, (values, bounds) in flat.items()}
    names = [name for name in ("input_ids", "labels", "word_features") if name in windows[0]]
    lengths = np.array([len(window["input_ids"]) for window in windows])
    return {name: (np.concatenate([window[name] for window in windows]), lengths) for name in names}


def _padded(values: np.ndarray, real: np.ndarray, padding: int) -> torch.Tensor:
    """Lays values out where `real` is true. (batch, subwords) or (batch, subwords, columns)"""
    laid = np.full((*real.shape, *values.shape[1:]), padding, dtype=np.int64)
    laid[real] = values
    return torch.from_numpy(laid)
