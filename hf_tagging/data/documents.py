"""Number of documents of a split, in constant memory where their ids count up."""

from __future__ import annotations

from collections.abc import Iterator

from datasets import Dataset

from hf_tagging.data.rows import arrow_batches
from hf_tagging.data.text_lines import as_number


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
    for batch in arrow_batches(split, "document_id"):
        for document in batch.column("document_id").to_pylist():
            if document != last:
                yield document
                last = document
