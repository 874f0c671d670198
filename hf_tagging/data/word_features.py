"""Word features: further columns with one value per word, as ids that a model embeds."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_tagging.data.rows import arrow_batches
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

if TYPE_CHECKING:
    import datasets

Column = TypeVar("Column", bound=Hashable)
_WHY_NOT = {"words": "the model sees the words already", "tags": "a feature would give away the answer"}
MAX_VALUES = 10_000
RESERVED = ("tokens", "tags", "document_id")


def check_feature_names(asked: Sequence[str]) -> None:
    """Check that each feature can be a column under its requested name.

    Raises:
        DataError: A name is that of a column which every dataset has, or is there twice.
    """
    if isinstance(asked, str):
        raise DataError(f"word_features: {asked!r} is a string; expected a list of names, as [{asked!r}]")
    for index, name in enumerate(asked):
        if name in RESERVED:
            raise DataError(
                f"{argument('word_features', name)}: every dataset has a column {name!r} of its own; give the position "
                f"of yours from 0, as {argument('word_features', '2')}, or rename it in the data"
            )
        if name in asked[:index]:
            raise DataError(f"{argument('word_features', list(asked))}: {name!r} occurs twice")


def features_by_column(
    asked: Sequence[str],
    find: Callable[[str], Column],
    *,
    taken: Mapping[Column, str],
    place: str,
    shown: Callable[[Column], str],
) -> dict[Column, str]:
    """Return the requested features by the columns that hold them.

    Args:
        asked: Their names.
        find: A name to its column.
        taken: Columns that hold something else: "words" or "tags".
        place: The source, for messages.
        shown: A column as messages name it: "column 1".

    Raises:
        DataError: A column holds the words or the tags, or two features are the same column.
    """
    found: dict[Column, str] = {}
    for name in asked:
        column = find(name)
        if column in taken:
            is_taken = f"this is the column of the {taken[column]}, and {_WHY_NOT[taken[column]]}"
            raise DataError(f"{place}: {argument('word_features', name)}: {is_taken}; ask for another one, or for none")
        if column in found:
            both = argument("word_features", [found[column], name])
            raise DataError(f"{place}: {both}: both are {shown(column)}")
        found[column] = name
    return found


def feature_values(train: datasets.Dataset, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of each feature in the training split.

    Args:
        train: The training split, with these columns.
        columns: Their names.

    Returns:
        Column to its distinct values, the most frequent first, ties in alphabetical order: what `align_dataset` takes
        as `word_features`, and what a model keeps in its config.

    Raises:
        DataError: A column is not there, or has more than 10,000 values, as no categories do.
    """
    found = {}
    for column in columns:
        _check_present(train.column_names, column)
        counts: Counter[str] = Counter()
        for batch in arrow_batches(train, column):
            for entry in pc.value_counts(pc.list_flatten(batch.column(column))):
                counts[entry["values"].as_py()] += entry["counts"].as_py()
        if len(counts) > MAX_VALUES:
            raise DataError(
                f"{argument('word_features', column)}: {len(counts):,} different values in training; expected a "
                f"column of categories, with {MAX_VALUES:,} at most"
            )
        found[column] = sorted(counts, key=lambda value: (-counts[value], value))
    return found


def feature_ids(table: pa.Table, word_features: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return the ids of the features of all words in a batch of sentences.

    Args:
        table: `tokens` and the further columns.
        word_features: Column to its values. A value's id is its position + 1; a value that is not there has 0.

    Returns:
        Ids. (words, columns) int32

    Raises:
        DataError: A column is not there, or has not one value per word.
    """
    lengths = pc.list_value_length(table.column("tokens"))
    ids = []
    for column, values in word_features.items():
        _check_present(table.column_names, column)
        lists = table.column(column)
        kind = getattr(lists.type, "value_type", None)
        if kind != pa.string() or not pc.list_value_length(lists).equals(lengths):
            raise DataError(f"word_features: the column {column!r} ({lists.type}) has not one string per word")
        positions = pc.index_in(pc.list_flatten(lists), value_set=pa.array(values, pa.string()))
        ids.append(pc.add(pc.fill_null(positions, -1), 1).to_numpy())
    return np.stack(ids, axis=1).astype(np.int32)


def _check_present(there: Sequence[str], column: str) -> None:
    if column not in there:
        near = difflib.get_close_matches(column, there, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(
            f"the data has no column {column!r}, it has {', '.join(there)}{hint}. "
            f"Further columns are kept on request: {argument('word_features', column)}"
        )
