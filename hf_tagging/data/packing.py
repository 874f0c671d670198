"""Packing: several windows in one row, so that all batches have the same shape and almost no padding.

    lengths ── PackedRows ──► which windows make a batch ── PackingCollator ──► (rows, row_length)

Positions begin anew with each window, and `sequence_ids` say which window a subword belongs to; `models.packing` makes
models keep neighbours in a row apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

from hf_tagging.data.aligned import IGNORED
from hf_tagging.data.batching import Windows, flat_columns
from hf_tagging.data.rows import row_ranges
from hf_tagging.errors import ConfigError
from hf_tagging.problems import argument

# How far an epoch's order may be from longest-first: as far as all still fits. The last one always does.
_DISORDER = (0.5, 0.2, 0.05, 0.0)


class PackedRows(Sampler[list[int]]):
    """Batches of windows that fill a fixed number of rows of a fixed length.

    Windows go, the longest first, into the row that is emptiest (Graham 1969, longest processing time first). How full
    the rows become then depends on the lengths alone and not on which of equal windows comes first, so that a number of
    batches that is enough once is enough for every epoch; and every row gets windows of all lengths, where batches
    sorted by length would have one length each. What an epoch draws by chance is the order among windows of like
    length, and which rows make a batch.

    Every window comes once per epoch. A batch can be a step that several processes share: each of its shares is then
    some of its rows, and may be empty.

    Args:
        lengths: Subwords of each window, special tokens included. (windows,)
        row_length: Subwords of a row.
        rows_per_batch: Rows of a batch.
        seed: Of the order.
        shares: Into which each batch is cut, of as many rows each.

    Raises:
        ConfigError: If a size cannot be, a window is longer than a row, or there are no windows.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        *,
        row_length: int,
        rows_per_batch: int,
        seed: int = 0,
        shares: int = 1,
    ):
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.row_length, self.rows_per_batch = row_length, rows_per_batch
        self.seed, self.shares, self.epoch = seed, shares, 0
        _check_sizes(row_length=row_length, rows_per_batch=rows_per_batch, shares=shares)
        longest = int(self.lengths.max(initial=0))
        if longest > row_length:
            raise ConfigError(
                f"row_length: {row_length} is less than the longest window, {longest} subwords. Make rows as long as "
                f"that, or set {argument('max_length', row_length)}."
            )
        self._batches = self._fewest_batches()
        if self._batches > len(self.lengths):
            raise ConfigError(
                f"packing: {len(self.lengths)} windows are too few for a batch. Give more sentences, or leave "
                f"{argument('packing')} out."
            )

    @property
    def real_share(self) -> float:
        """Share of positions that hold a subword, the same in every epoch."""
        return int(self.lengths.sum()) / (self._batches * self.rows_per_batch * self.row_length)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order `__iter__` yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._batches * self.shares

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the windows of each share of each batch, row by row."""
        rng = np.random.default_rng((self.seed, self.epoch))
        rows, loads = self._rows(rng)
        batch_of_row = self._deal(loads, rng)
        # A batch's rows one after the other, and with them its shares: as many rows each.
        place_of_row = np.empty(len(loads), np.int64)
        place_of_row[np.argsort(batch_of_row, kind="stable")] = np.arange(len(loads))
        shares = place_of_row[rows] * self.shares // self.rows_per_batch  # (windows,)
        order = np.lexsort((rows, shares))
        ends = np.bincount(shares, minlength=len(self)).cumsum()
        for share in np.split(order, ends[:-1]):
            yield share.tolist()

    def _fewest_batches(self) -> int:
        """Return the smallest number of batches found that holds all windows."""
        longest_first = np.sort(self.lengths)[::-1]
        rows = max(-(-int(self.lengths.sum()) // self.row_length), int((2 * self.lengths > self.row_length).sum()), 1)

        def fits(steps: int) -> bool:
            return self._fits(_emptiest_first(longest_first, steps * self.rows_per_batch)[1])

        most = -(-rows // self.rows_per_batch)
        least, stride = most, 1
        while not fits(most):
            least, most, stride = most + 1, most + stride, 2 * stride
        return least + bisect_left(range(least, most), True, key=fits)

    def _fits(self, loads: np.ndarray) -> bool:
        return int(loads.max()) <= self.row_length

    def _rows(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the row of each window (windows,) and the fill of each row (rows,)."""
        rows = np.empty(len(self.lengths), np.int64)
        for disorder in _DISORDER:
            blurred = self.lengths * rng.uniform(1 - disorder, 1 + disorder, len(self.lengths))
            order = np.lexsort((rng.random(len(self.lengths)), -blurred))
            rows[order], loads = _emptiest_first(self.lengths[order], self._batches * self.rows_per_batch)
            if self._fits(loads):
                break
        return rows, loads

    def _deal(self, loads: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Deal rows to batches from fullest to emptiest, so that no batch is empty. (rows,)"""
        ranked = np.argsort(-loads, kind="stable").reshape(self.rows_per_batch, self._batches)
        batches = np.empty(len(loads), np.int64)
        batches[rng.permuted(ranked, axis=1)] = np.arange(self._batches)
        return batches


class PackingCollator:
    """Collator that writes windows one after another into rows; a window that does not fit starts the next row.

    The shape is always (rows_per_batch, row_length), so that a compiled model is compiled once.

    Args:
        row_length: Subwords of a row.
        rows_per_batch: Rows of a batch.
        pad_token_id: The id that fills `input_ids`.
        first_position: Position of a window's first subword, see `models.packing.first_position`.
    """

    def __init__(self, *, row_length: int, rows_per_batch: int, pad_token_id: int, first_position: int = 0):
        _check_sizes(row_length=row_length, rows_per_batch=rows_per_batch)
        self.row_length, self.rows_per_batch = row_length, rows_per_batch
        self.pad_token_id, self.first_position = pad_token_id, first_position

    def __call__(self, windows: Windows) -> dict[str, torch.Tensor]:
        """Collate windows with `input_ids` and, if present, `labels`, each (subwords,), and `word_features`.

        Args:
            windows: Those of a batch of `PackedRows`, in its order, as rows or as the table of `WindowRows`;
                `word_features` are flat: for each subword one id per column.

        Returns:
            `input_ids`, `labels` (-100 at padding), `position_ids` (from `first_position` in each window) and
            `sequence_ids` (0 at padding, else 1 and up: the number of the window in its row), each (rows, row_length),
            and `word_features`, 0 at padding. (rows, row_length, columns)

        Raises:
            ValueError: If the windows do not fit.
        """
        columns = flat_columns(windows)
        ids, lengths = columns["input_ids"]
        starts, numbers = self._places(lengths)
        window, within = row_ranges(lengths)
        places = starts[window] + within  # (subwords,)
        batch = {
            "input_ids": self._fill(places, ids, self.pad_token_id),
            "position_ids": self._fill(places, within + self.first_position, self.first_position),
            "sequence_ids": self._fill(places, numbers[window], 0),
        }
        if "labels" in columns:
            batch["labels"] = self._fill(places, columns["labels"][0], IGNORED)
        if "word_features" in columns:
            batch["word_features"] = self._fill(places, columns["word_features"][0].reshape(len(ids), -1), 0)
        return batch

    def _places(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the start of each window in the concatenated rows, and its number in its row. (windows,) each

        No other way to write windows in this order needs fewer rows, so that what `PackedRows` gives fits.
        """
        row, column, number = 0, 0, 0
        places = []
        for length in lengths.tolist():
            if column + length > self.row_length:
                row, column, number = row + 1, 0, 0
            number += 1
            places.append((row * self.row_length + column, number))
            column += length
        if row >= self.rows_per_batch or lengths.max() > self.row_length:
            raise ValueError(
                f"{len(lengths)} windows of {lengths.sum()} subwords, the longest of {lengths.max()}, do not fit into "
                f"{self.rows_per_batch} rows of {self.row_length}: pack batches that PackedRows gives, in their order."
            )
        starts, numbers = np.array(places, dtype=np.int64).T
        return starts, numbers

    def _fill(self, places: np.ndarray, values: np.ndarray, padding: int) -> torch.Tensor:
        rows = np.full((self.rows_per_batch * self.row_length, *values.shape[1:]), padding, dtype=np.int64)
        rows[places] = values
        return torch.from_numpy(rows.reshape(self.rows_per_batch, self.row_length, *values.shape[1:]))


def _emptiest_first(lengths: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Assign each window in turn to the emptiest row.

    Args:
        lengths: (windows,)
        rows: How many there are.

    Returns:
        The row of each window (windows,), and how much each row holds (rows,).
    """
    chosen = np.empty(len(lengths), np.int64)
    loads, ranked = np.zeros(rows, np.int64), np.arange(rows)  # the emptiest row first
    done = 0
    while done < len(lengths):
        coming = lengths[done : done + rows]
        filled = loads[: len(coming)] + coming
        # All at once: each of the emptiest rows gets one, up to the first that is fuller than one just served.
        served = loads[1 : len(coming)] <= np.minimum.accumulate(filled)[:-1]
        count = len(coming) if served.all() else int(served.argmin()) + 1
        chosen[done : done + count] = ranked[:count]
        loads[:count] = filled[:count]
        order = np.argsort(loads, kind="stable")
        loads, ranked = loads[order], ranked[order]
        done += count
    totals = np.empty(rows, np.int64)
    totals[ranked] = loads
    return chosen, totals


def _check_sizes(**sizes: int) -> None:
    if wrong := [f"{name}: {value} is less than 1." for name, value in sizes.items() if value < 1]:
        raise ConfigError("\n".join(wrong))
