"""Label ids of words as flat arrays, read from the column `tags` of a split and written back.

A word that is not annotated has the id -100.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hf_tagging.data.rows import arrow_batches, flat_lists, reopened

if TYPE_CHECKING:
    from datasets import Dataset

Block = tuple[np.ndarray, np.ndarray]
"""Label ids of all words of some sentences (words,), and the offset of each sentence with the end (sentences + 1,)."""


def annotated_words(ids: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return which words are annotated, their label ids, and the offsets of sentences among them.

    Args:
        ids: Label ids of all words, sentence after sentence, -100 of a word that is not annotated. (words,)
        offsets: Where each sentence starts, and the end. (sentences + 1,)

    Returns:
        (words,) bool, (annotated words,), (sentences + 1,); None where all words are annotated.
    """
    if not len(ids) or ids.min() >= 0:
        return None
    mask = ids >= 0
    return mask, ids[mask], np.concatenate([[0], np.cumsum(mask)])[offsets]


def of_words(table: np.ndarray, ids: np.ndarray, unannotated: int) -> np.ndarray:
    """Return what a table says of the label ids of words, and a value for words that are not annotated. (words,)"""
    if not len(ids) or ids.min() >= 0:
        of_words: np.ndarray = table[ids]
        return of_words
    return np.where(ids < 0, np.array(unannotated, table.dtype), table[np.maximum(ids, 0)])


def blocks(split: Dataset) -> Iterator[Block]:
    """Yield the label ids of a split, some sentences at a time."""
    for batch in arrow_batches(split, "tags"):
        yield flat_lists(batch.column("tags"))


def with_tags(
    split: Dataset, names: Sequence[str], change: Callable[[np.ndarray, np.ndarray], np.ndarray], *, desc: str
) -> Dataset:
    """Return a split with other label ids in `tags`.

    Args:
        split: With a column `tags` of List(ClassLabel).
        names: All tags in the order of their new ids.
        change: Label ids (words,) and offsets (sentences + 1,) to new ids (words,).
        desc: For the progress bar.
    """
    from datasets import ClassLabel, List  # here: a tagger needs schemas without datasets

    features = split.features.copy()
    features["tags"] = List(ClassLabel(names=list(names)))
    changed = (
        reopened(split)
        .with_format("arrow")
        .map(_changed, batched=True, fn_kwargs={"change": change}, features=features, desc=desc)
    )
    return changed.with_format(None)


def _changed(table: pa.Table, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> pa.Table:
    ids, offsets = flat_lists(table.column("tags"))
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(change(ids, offsets), pa.int64()))
    return table.set_column(table.column_names.index("tags"), "tags", lists)
