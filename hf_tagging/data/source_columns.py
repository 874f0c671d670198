"""Columns of a source: which hold words, tags, documents and features, and whether the rows are valid."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_tagging.data.column_names import DOCUMENT_COLUMNS, WORD_COLUMNS, column_position, near_column
from hf_tagging.data.notes import ColumnNote
from hf_tagging.data.rows import arrow_batches
from hf_tagging.data.sources import RawSplit
from hf_tagging.data.tables.datasets import dataset_of_sentences
from hf_tagging.data.text_lines import shortened
from hf_tagging.data.word_features import features_by_column
from hf_tagging.errors import DataError
from hf_tagging.foreign.datasets import is_reordered
from hf_tagging.problems import argument

TEXT_COLUMNS = ("text", "starts", "ends")
"""Text of a row, and the offsets of its words in it: kept where a format has them, null in a row without."""
# Elsewhere these mostly hold plain text, spans, or one label per row.
_ONLY_AS_LISTS = frozenset({"text", "entities", "tag", "label"})
# What the lists of a column may hold.
_ITEMS = {"tokens": ("string",), "tags": ("string", "id")}
_FEATURE_ITEMS = ("string", "id", "bool")


def standard_columns(raw: RawSplit, *, cache_dir: str | None = None) -> datasets.Dataset:
    """Select the columns of a source and rename them to `tokens`, `tags` and, if there is one, `document_id`.

    Requested word features follow, under their requested names, then `text`, `starts` and `ends` where there are any.

    Rows of words with an id of their sentence, and sentences that are written as text, become rows of sentences first.

    Args:
        raw: The split as its source has it; its notes are filled in with the columns.
        cache_dir: Folder of the cache, None for that of `datasets`.

    Returns:
        The split with these columns; rows checked, tags as the source has them.

    Raises:
        DataError: A column is missing or of another type, or a row is not one tag per word.
    """
    dataset = raw.dataset.with_format(None)
    if is_reordered(dataset):  # the Arrow table below would be in another order than the rows
        dataset = dataset.flatten_indices()
    asked = raw.request
    grouped = None
    if not raw.is_read:
        grouped = dataset_of_sentences(dataset, asked, place=raw.place, notes=raw.notes, cache_dir=cache_dir)
    if grouped is not None:
        dataset, asked = grouped, replace(asked, tokens_column="tokens", tags_column="tags")
    tokens = _choose(dataset, asked.tokens_column, WORD_COLUMNS, what="tokens", place=raw.place)
    if asked.tags_column is None and asked.layer is not None:
        tags = _named(dataset, asked.layer, option="layer", place=raw.place)
    else:
        tags = _choose(dataset, asked.tags_column, asked.task.columns, what="tags", place=raw.place)
    if tokens == tags:
        raise DataError(
            f"{raw.place}: the column {tokens!r} would be both words and tags; give another {argument('tags_column')}"
        )
    columns = {tokens: "tokens", tags: "tags"}
    if document := next((name for name in DOCUMENT_COLUMNS if name in dataset.column_names), None):
        columns.setdefault(document, "document_id")
    columns |= _feature_columns(dataset, asked.word_features, taken=columns, place=raw.place)
    texts = [name for name in text_columns(dataset, words=tokens) if name not in columns]
    if not raw.is_read and grouped is None:
        _note_columns(raw, dataset, columns, texts)
    dataset = dataset.select_columns([*columns, *texts])
    dataset = dataset.rename_columns({old: new for old, new in columns.items() if old != new})
    names = {new: old for old, new in columns.items()}
    _check_types(dataset, names, place=raw.place)
    _check_rows(dataset, names, place=raw.place)
    return dataset


def text_columns(dataset: datasets.Dataset, *, words: str = "tokens") -> dict[str, Any]:
    """Return `TEXT_COLUMNS` with their features where a dataset holds the texts that its words are from, else nothing.

    Args:
        dataset: Rows of a source.
        words: Its column of words, one per offset.
    """
    numbers = datasets.List(datasets.Value("int32"))
    features = dict(zip(TEXT_COLUMNS, (datasets.Value("string"), numbers, numbers), strict=True))
    if any(dataset.features.get(name) != feature for name, feature in features.items()):
        return {}
    text, *offsets = TEXT_COLUMNS
    if dataset.data.column(text).null_count == len(dataset) or item_kind(dataset, words) is None:
        return {}
    for batch in arrow_batches(dataset, words, *offsets, reopen=False):
        sizes = pc.list_value_length(batch.column(words))
        if any(pc.all(pc.equal(pc.list_value_length(batch.column(name)), sizes)).as_py() is False for name in offsets):
            return {}
    return features


def item_kind(dataset: datasets.Dataset, column: str) -> str | None:
    """Return the type in the lists of a column: "string", "id" or another dtype; None if it holds no lists."""
    feature = dataset.features[column]
    if not isinstance(feature, datasets.List | datasets.LargeList):
        return None
    item = feature.feature
    if isinstance(item, datasets.ClassLabel):
        return "id"
    dtype = str(getattr(item, "dtype", type(item).__name__))
    if dtype in ("string", "large_string", "string_view"):
        return "string"
    return "id" if dtype.startswith(("int", "uint")) else dtype


def row_of_item(column: pa.ChunkedArray, index: int) -> int:
    """Return the row whose list holds an item of the flattened column."""
    ends = np.cumsum(pc.list_value_length(column).to_numpy())
    return int(np.searchsorted(ends, index, side="right"))


def check_ids(
    dataset: datasets.Dataset, column: str, count: int, *, what: str, place: str, unset: Sequence[int] = ()
) -> None:
    """Check that every id in a column has a name; null has none and needs none.

    Args:
        dataset: Rows of a source.
        column: Its column of ids.
        count: Number of names.
        what: Noun for a message.
        place: The source as a message names it.
        unset: Ids that mean that there is none.

    Raises:
        DataError: One is not from 0 up to below `count`.
    """
    start = 0
    for batch in arrow_batches(dataset, column, reopen=False):
        values = pc.list_flatten(batch.column(column))
        outside = pc.or_(pc.less(values, 0), pc.greater_equal(values, count))
        if unset:
            outside = pc.and_not(outside, pc.is_in(values, value_set=pa.array(unset, values.type)))
        index = pc.index(outside, True).as_py()
        if index >= 0:
            row = start + row_of_item(batch.column(column), index)
            known = f"there are names for 0 to {count - 1}"
            raise DataError(f"{place}, row {row + 1}: the {what} id {values[index]} has no name; {known}")
        start += len(batch)


def _note_columns(raw: RawSplit, dataset: datasets.Dataset, columns: Mapping[str, str], texts: Sequence[str]) -> None:
    """Note which columns of a source are read, with examples, and which are left out."""
    roles = {"tokens": "words", "tags": "tags", "document_id": "document"}
    found = [ColumnNote(roles.get(new, new), old, _examples(dataset, old)) for old, new in columns.items()]
    for notes in raw.notes:
        notes.columns = found
        notes.left_out = [name for name in dataset.column_names if name not in columns and name not in texts]


def _examples(dataset: datasets.Dataset, column: str) -> list[str]:
    """Return the first three values of a column, or of its lists."""
    rows = dataset.data.column(column).slice(0, 10).to_pylist()
    values = chain.from_iterable(row if isinstance(row, list) else [row] for row in rows)
    item = getattr(dataset.features[column], "feature", None)
    names = item.names if isinstance(item, datasets.ClassLabel) else None
    shown = (names[value] if names and value is not None and 0 <= value < len(names) else value for value in values)
    return list(map(str, islice(shown, 3)))


def _choose(
    dataset: datasets.Dataset, asked: str | int | None, expected: Sequence[str], *, what: str, place: str
) -> str:
    """Return the requested column, by name or position, or the first expected one that exists."""
    there = dataset.column_names
    if asked is None:
        for name in expected:
            if name in there and (name not in _ONLY_AS_LISTS or item_kind(dataset, name)):
                return name
        single = next((name for name in expected if name in there), None)
        advice = f"Name it with {argument(f'{what}_column', 'NAME')}."
        if single is not None:
            advice = (
                f"{single!r} has a single value per row: name the column that tells sentences apart sentence_id, or "
                "collect the words and the tags of each sentence in a list."
            )
        raise DataError(
            f"{place}: no column of {what}; expected one of {', '.join(expected)}, found {', '.join(there) or 'none'}. "
            f"{advice}"
        )
    return _named(dataset, asked, option=f"{what}_column", place=place)


def _named(dataset: datasets.Dataset, asked: str | int, *, option: str, place: str) -> str:
    """Return the column with a name or at a position."""
    there = dataset.column_names
    position = column_position(asked, there)
    if position is None:
        found = f"found {', '.join(there)}{near_column(asked, there)}"
        raise DataError(f"{place}: {argument(option, asked)}: no such column, {found}")
    return there[position]


def _feature_columns(
    dataset: datasets.Dataset, asked: Sequence[str], *, taken: Mapping[str, str], place: str
) -> dict[str, str]:
    """Return further columns with their requested names; `pos` and `pos_tags` are the same name, as in files."""
    nouns = {old: {"tokens": "words", "tags": "tags"}[new] for old, new in taken.items() if new in ("tokens", "tags")}
    return features_by_column(
        asked,
        lambda name: _named(dataset, name, option="word_features", place=place),
        taken=nouns,
        place=place,
        shown=lambda name: f"the column {name!r}",
    )


def _check_types(dataset: datasets.Dataset, names: Mapping[str, str], *, place: str) -> None:
    if not len(dataset):
        raise DataError(f"{place}: no rows; expected one sentence in each")
    for column, name in names.items():
        if column == "document_id":
            continue
        item, allowed = item_kind(dataset, column), _ITEMS.get(column, _FEATURE_ITEMS)
        if item == "null":
            if not len(pc.list_flatten(dataset.data.column(column))):
                raise DataError(f"{place}: every list of the column {name!r} is empty; expected {_wanted(column)}")
            if column == "tags":
                raise DataError(f"{place}: no word is annotated: nothing but null in the lists of the column {name!r}")
            raise DataError(
                f"{place}: nothing but null in the lists of the column {name!r}; expected {_wanted(column)}"
            )
        if item not in allowed:
            row, value = _first_odd_row(dataset, column)
            kind = {"tokens": "string", "tags": "tag"}.get(column, "value")
            raise DataError(
                f"{place}, row {row + 1}: {shortened(str(value))} in the column {name!r} ({dataset.features[column]}); "
                f"expected a list with one {kind} per word, of one type in all rows{_advice(value)}"
            )


def _advice(value: Any) -> str:
    """Return what to do with a value that is one string, where it is plain."""
    if not isinstance(value, str):
        return ""
    return "; split the text into words, or collect the words of each sentence in a list"


def _wanted(column: str) -> str:
    return "words and tags" if column in _ITEMS else "one value per word"


def _first_odd_row(dataset: datasets.Dataset, column: str) -> tuple[int, Any]:
    """Return the first row that is not a list of strings (or of integers, except for words), which set the type."""
    wanted: tuple[type, ...] = (str,) if column == "tokens" else (str, int)
    for row, value in enumerate(dataset[column]):
        items = [item for item in value if item is not None or column != "tags"] if isinstance(value, list) else []
        if not isinstance(value, list) or not all(isinstance(item, wanted) for item in items):
            return row, value
        if items:  # strings in one row and integers in the next are as bad
            wanted = (type(items[0]),)
    return 0, dataset[0][column]


def _check_rows(dataset: datasets.Dataset, names: Mapping[str, str], *, place: str) -> None:
    """Check rows with Arrow: one tag and one value per feature for each word, and no null but in tags.

    A batch at a time, as the memory that the results take grows with the rows. A document may be null: its row is a
    document of its own.
    """
    start = 0
    for batch in arrow_batches(dataset, *names, reopen=False):
        if found := _odd_row(batch, names):
            row, problem = found
            raise DataError(f"{place}, row {start + row + 1}: {problem}")
        start += len(batch)
    for column, name in names.items():
        item = getattr(dataset.features[column], "feature", None)
        if isinstance(item, datasets.ClassLabel) and column != "tags":  # tags may get their names from elsewhere
            check_ids(dataset, column, len(item.names), what=name, place=place)


def _odd_row(batch: pa.Table, names: Mapping[str, str]) -> tuple[int, str] | None:
    """Return the first row of a batch that is not one value per word, and what is wrong with it; None if all are."""
    lists = {column: batch.column(column) for column in names if column != "document_id"}
    for column, values in lists.items():
        if values.null_count:
            return pc.index(pc.is_null(values), True).as_py(), f"the column {names[column]!r} is null"
    for column, values in lists.items():
        items = pc.list_flatten(values)
        if items.null_count and column != "tags":  # there it is a word that is not annotated
            row = row_of_item(values, pc.index(pc.is_null(items), True).as_py())
            return row, f"a null in the list {names[column]!r}; expected one value per word"
    words = pc.list_value_length(lists["tokens"])
    for column, values in lists.items():
        lengths = pc.list_value_length(values)
        row = pc.index(pc.not_equal(words, lengths), True).as_py()
        if row >= 0:
            return row, (
                f"{words[row]} in {names['tokens']!r} but {lengths[row]} in {names[column]!r}; expected one "
                f"{'tag' if column == 'tags' else 'value'} per word"
            )
    tags = pc.list_flatten(lists["tags"])
    if not pa.types.is_integer(tags.type) and (index := pc.index(tags.cast(pa.string()), "").as_py()) >= 0:
        return row_of_item(lists["tags"], index), f"an empty tag in {names['tags']!r}"
    return None
