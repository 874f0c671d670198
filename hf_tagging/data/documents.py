"""Documents of a split: their number, and the runs of neighbouring sentences that are context for each other."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import combinations, pairwise

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset

from hf_tagging.data.column_names import DOCUMENT_COLUMNS
from hf_tagging.data.rows import arrow_batches, row_starts
from hf_tagging.data.text_lines import as_number
from hf_tagging.data.window_plans import PART_WORDS
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

_COLUMN = DOCUMENT_COLUMNS[0]  # once loaded


def count_documents(split: Dataset) -> int:
    """Return the number of different values of `document_id` in a split.

    Readers call documents without a name `train:1`, `train:2` and so on. An id whose number is above all before it is
    new, so these need not be kept. Names are, and all ids of a split where a number is followed by a lower one.

    Args:
        split: Rows with `document_id`.
    """
    highest: dict[str, int] = {}  # what ids have counted up to, by what stands before the number
    named: set[str] = set()
    counted = 0
    for document in _neighbours(split):
        digits = document.rpartition(":")[2]
        stem = document.removesuffix(digits)
        number = as_number(digits)
        if number is None or digits != str(number):  # 7, 07 and other digits are different ids
            named.add(document)
        elif number > highest.get(stem, -1):
            highest[stem] = number
            counted += 1
        elif number < highest[stem]:  # new or not
            return len(set(_neighbours(split)))
    return counted + len(named)


def _neighbours(split: Dataset) -> Iterator[str]:
    """Yield the id of each document, again where other rows stand between its own."""
    last = None
    for batch in arrow_batches(split, _COLUMN):
        for document in batch.column(_COLUMN).to_pylist():
            if document != last:
                yield document
                last = document


def document_bounds(split: Dataset) -> np.ndarray:
    """Return where runs of neighbouring sentences of one document begin, and the end. (runs + 1,)

    A document whose sentences do not follow each other is several runs, and so is one of more than `PART_WORDS` words;
    without `document_id` every sentence is a run of its own.

    Args:
        split: Rows with `tokens` and, as far as it is known, `document_id`.
    """
    if _COLUMN not in split.column_names:
        return np.arange(len(split) + 1)
    starts, words, last = [np.zeros(0, bool)], [np.zeros(0, np.int64)], object()
    for batch in arrow_batches(split, _COLUMN, "tokens"):
        names = batch.column(_COLUMN).to_pylist()
        starts.append(np.array([name != before for before, name in pairwise([last, *names])], bool))
        words.append(pc.list_value_length(batch.column("tokens")).to_numpy())
        last = names[-1]
    begins = np.concatenate(starts)
    before = row_starts(np.concatenate(words))[:-1]  # words of the split before each sentence
    part = (before - before[np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))]) // PART_WORDS
    begins[1:] |= part[1:] != part[:-1]
    return np.append(np.flatnonzero(begins), len(begins))


def check_context(dataset: Mapping[str, Dataset]) -> None:
    """Make sure that sentences have neighbours in their documents, and warn of documents that are torn.

    Args:
        dataset: Splits by name.

    Raises:
        DataError: No sentence of the training split has a neighbour.
    """
    known: dict[str, set[str]] = {}
    for name, split in dataset.items():
        runs = len(document_bounds(split)) - 1
        if len(split) and runs == len(split):
            alone = f"{name}: no sentence has a neighbour in its document, so there is no context"
            if name != "train":
                logger.warning("%s; its sentences are read alone", alone)
                continue
            raise DataError(
                f"{alone}. Mark where documents begin (-DOCSTART- lines, # newdoc, or a column {_COLUMN}), or "
                f"give {argument('context', 'none')}."
            )
        known[name] = set(_neighbours(split)) if _COLUMN in split.column_names else set()
        logger.info("%s: %d sentences of %d documents are context for each other", name, len(split), len(known[name]))
        if 2 * len(known[name]) < runs:
            logger.warning("%s: sentences of a document do not follow each other: they are in %d places", name, runs)
    for (name, ids), (other, others) in combinations(known.items(), 2):
        if torn := len(ids & others):
            logger.warning(
                "%s and %s have sentences of the same documents (%d): neighbours of one are in the other",
                name,
                other,
                torn,
            )
