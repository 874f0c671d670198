"""Rows of different lengths as flat arrays: concatenated values, and the offset of each row."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from datasets import Dataset


def arrow_batches(split: Dataset, *columns: str, size: int = 10_000, reopen: bool = True) -> Iterator[pa.Table]:
    """Yield columns of a split as tables of at most `size` rows, from first to last.

    Args:
        split: The split.
        columns: Names of the columns.
        size: Rows of a table.
        reopen: Read through a mapping that goes with it, as `reopened` does. False for a split that goes soon itself:
            every mapping of a file takes some memory for each of its record batches.
    """
    source = reopened(split) if reopen else split
    yield from source.select_columns(list(columns)).with_format("arrow").iter(batch_size=size)


def reopened(split: Dataset) -> Dataset:
    """Return the same split with its files mapped into memory again.

    What is read once, from end to end, is read through a mapping that goes with it: through the split's own all that
    was read would count as this process's memory until the split is gone. The split itself is given back where a part
    of it is in memory, a custom function formats it, or its files have been deleted meanwhile.
    """
    from datasets.table import MemoryMappedTable  # here: a tagger needs the arithmetic below without datasets

    blocks = [block for row in getattr(split.data, "blocks", [[split.data]]) for block in row]
    if split.format["type"] == "custom" or not all(isinstance(block, MemoryMappedTable) for block in blocks):
        return split
    try:
        again: Dataset = pickle.loads(pickle.dumps(split))  # which holds the names of the files
    except OSError:
        return split
    return again


def row_starts(sizes: np.ndarray) -> np.ndarray:
    """Return the offset of each row from sizes (n,), and the end (n + 1,)."""
    starts = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    return starts


def row_ranges(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the position within the row of each of sum(sizes) items."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    return group, np.arange(len(group)) - row_starts(sizes)[group]


def first_of_rows(items: int, offsets: np.ndarray) -> np.ndarray:
    """Return which of all items is the first one of its row. (items,) bool

    Args:
        items: Their number.
        offsets: Offset of each row, and the end. (rows + 1,)
    """
    first = np.zeros(items + 1, bool)  # one longer: an empty last row starts behind the last item
    first[offsets[:-1]] = True
    return first[:items]


def flat_lists(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of a list column as one array, and the offset of each row with the end.

    Args:
        column: A list column of integers without nulls. (rows,)

    Returns:
        Values (sum of lengths,) int64 and offsets (rows + 1,) int64.
    """
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # combine_chunks gives a chunked array for zero chunks
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    offsets = array.offsets.to_numpy().astype(np.int64)
    return array.flatten().to_numpy(zero_copy_only=False).astype(np.int64), offsets - offsets[0]
