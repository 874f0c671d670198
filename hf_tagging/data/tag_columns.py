"""From a source's columns to ours: which hold words and tags, are the rows sound, and tags as ClassLabel."""

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets.fingerprint import Hasher

from hf_tagging.data.column_layout import shortened
from hf_tagging.data.sources import RawSplit
from hf_tagging.errors import DataError

TOKENS_COLUMNS = ("tokens", "words", "token", "word", "form", "forms", "text")
TAGS_COLUMNS = {
    "pos": ("pos_tags", "pos", "upos", "xpos", "upos_tags", "tags", "labels"),
    "ner": ("ner_tags", "ner", "tags", "labels", "entities"),
}
DOCUMENT_COLUMNS = ("document_id", "doc_id")
# Elsewhere these mostly hold plain text, or spans.
_ONLY_AS_LISTS = frozenset({"text", "entities"})
# B before I before E and S; M, L and U are what other schemes call I, E and S.
_PREFIX_ORDER = "BIMELSU"
_ENCODING_VERSION = 1
_ENCODING_BATCH = 10_000


def standard_columns(raw: RawSplit, *, task: str) -> datasets.Dataset:
    """Chooses a source's columns and names them `tokens`, `tags` and, where there is one, `document_id`.

    Args:
        raw: The split as its source has it.
        task: "pos" or "ner".

    Returns:
        The split with these columns; rows checked, tags as the source has them.

    Raises:
        DataError: A column is missing or of another type, or a row is not one tag per word.
    """
    dataset = raw.dataset.with_format(None)
    if dataset._indices is not None:  # the Arrow table below would be in another order than the rows
        dataset = dataset.flatten_indices()
    tokens = _choose(dataset, raw.tokens_column, TOKENS_COLUMNS, what="tokens", place=raw.place)
    tags = _choose(dataset, raw.tags_column, TAGS_COLUMNS[task], what="tags", place=raw.place)
    if tokens == tags:
        raise DataError(f"{raw.place}: the column {tokens!r} would be both words and tags; give another --tags_column")
    columns = {tokens: "tokens", tags: "tags"}
    if document := next((name for name in DOCUMENT_COLUMNS if name in dataset.column_names), None):
        columns.setdefault(document, "document_id")
    dataset = dataset.select_columns(list(columns))
    dataset = dataset.rename_columns({old: new for old, new in columns.items() if old != new})
    _check_types(dataset, names=(tokens, tags), place=raw.place)
    _check_rows(dataset, names=(tokens, tags), place=raw.place)
    return dataset


def common_tag_names(
    splits: Mapping[str, datasets.Dataset], *, task: str, tag_names: Sequence[str] | None, place: str
) -> list[str]:
    """Finds the tag names that all splits share, in the order of their ids.

    A ClassLabel or `tag_names` sets names and order; tags that are strings are collected over all splits and
    sorted.

    Args:
        splits: The splits after `standard_columns`.
        task: "pos" or "ner"; for "ner", `O` comes first and the tags of a type stand together.
        tag_names: Names given by the caller.
        place: The source as a message names it.

    Raises:
        DataError: Splits have different ClassLabel names, ids have no names or are out of their range, a tag
            is not among the names given, or a tag is empty or has white space in it.
    """
    declared = _declared_names(splits, tag_names, place)
    found: set[str] = set()
    for split, dataset in splits.items():
        values = pc.list_flatten(dataset.data.column("tags"))
        if _item(dataset, "tags") == "string":
            tags = pc.unique(values).to_pylist()
            _check_tags(tags, f"{place}, split {split}")
            found.update(tags)
        elif declared is None:
            raise DataError(
                f"{place}: the tags of {split} are integers without names; give the names in the order of "
                "their ids with --tag_names, for example --tag_names O B-PER I-PER"
            )
        else:
            _check_ids(dataset, len(declared), f"{place}, split {split}")
    if found == {"_"}:
        raise DataError(f"{place}: every tag is '_', which stands for none; give another --tags_column")
    new = sorted(found - set(declared or ()), key=partial(_sort_key, task=task))
    if tag_names is not None and new:
        near = difflib.get_close_matches(new[0], list(tag_names), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"{place}: the tag {new[0]!r} is not among --tag_names {' '.join(tag_names)}{hint}")
    return [*(declared or ()), *new]


def encoded(dataset: datasets.Dataset, *, names: Sequence[str], split: str, cache_dir: str | None) -> datasets.Dataset:
    """Turns a split's tags into a ClassLabel; on disk and cached where the split was.

    Args:
        dataset: The split after `standard_columns`.
        names: The tag names in the order of their ids.
        split: Its name; rows without a document get `{split}:{running number}`.
        cache_dir: Folder of the cache, None for that of `datasets`.

    Returns:
        The split with the columns `tokens`, `tags`, `document_id` and no others.
    """
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "tags": datasets.List(datasets.ClassLabel(names=list(names))),
            "document_id": datasets.Value("string"),
        }
    )
    if dataset.features == features and dataset._indices is None:
        return dataset.select_columns(list(features))
    # Given by hand: hashing the function would tie the cache to how this module happens to be written.
    fingerprint = Hasher.hash([_ENCODING_VERSION, dataset._fingerprint, list(names), split])
    cache_file = None
    if dataset.cache_files:
        folder = Path(cache_dir or datasets.config.HF_DATASETS_CACHE).expanduser() / "hf_tagging"
        folder.mkdir(parents=True, exist_ok=True)
        cache_file = str(folder / f"{fingerprint}.arrow")
    mapped = dataset.with_format("arrow").map(
        partial(_encode_batch, schema=features.arrow_schema, names=pa.array(names, pa.string()), split=split),
        batched=True,
        batch_size=_ENCODING_BATCH,
        with_indices=True,
        remove_columns=dataset.column_names,
        features=features,
        cache_file_name=cache_file,
        keep_in_memory=cache_file is None,
        new_fingerprint=fingerprint,
        desc=f"Encoding the tags of {split}",
    )
    return mapped.with_format(None)


def tag_counts(dataset: datasets.Dataset) -> np.ndarray:
    """How often each tag occurs in a split, by its id: `(tags,)`."""
    if dataset._indices is not None:
        dataset = dataset.flatten_indices()
    values = pc.list_flatten(dataset.data.column("tags")).to_numpy()
    return np.bincount(values, minlength=len(dataset.features["tags"].feature.names))


def _encode_batch(table: pa.Table, indices: list[int], *, schema: pa.Schema, names: pa.Array, split: str) -> pa.Table:
    tags = table.column("tags").combine_chunks()
    values = pc.list_flatten(tags)
    if not pa.types.is_integer(values.type):
        values = pc.index_in(values.cast(pa.string()), value_set=names)
    lengths = pc.list_value_length(tags).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    ids = pa.ListArray.from_arrays(pa.array(offsets), values.cast(pa.int64()))
    if "document_id" in table.column_names:
        documents = table.column("document_id").cast(pa.string())
    else:
        numbers = pc.add(pa.array(indices, pa.int64()), 1).cast(pa.string())
        documents = pc.binary_join_element_wise(split, numbers, ":")
    tokens = table.column("tokens").cast(schema.field("tokens").type)
    return pa.table([tokens, ids, documents], names=schema.names)


def _choose(
    dataset: datasets.Dataset, asked: str | int | None, expected: Sequence[str], *, what: str, place: str
) -> str:
    """The column that was asked for, by name or position, or the first of the expected that is there."""
    there = dataset.column_names
    if asked is None:
        for name in expected:
            if name in there and (name not in _ONLY_AS_LISTS or _item(dataset, name)):
                return name
        raise DataError(
            f"{place}: no column of {what}; expected one of {', '.join(expected)}, found {', '.join(there)} "
            f"(another one: --{what}_column)"
        )
    if isinstance(asked, str) and asked in there:
        return asked
    if isinstance(asked, int) or asked.removeprefix("-").isdecimal():
        if -len(there) <= int(asked) < len(there):
            return there[int(asked)]
        near = []
    else:
        near = difflib.get_close_matches(asked, there, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise DataError(f"{place}: --{what}_column {asked}: no such column, found {', '.join(there)}{hint}")


def _item(dataset: datasets.Dataset, column: str) -> str | None:
    """What the lists of a column hold: "string", "id", another dtype; None where it holds no lists."""
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


def _check_types(dataset: datasets.Dataset, *, names: tuple[str, str], place: str) -> None:
    if not len(dataset):
        raise DataError(f"{place}: no rows; expected one sentence in each")
    for column, name, allowed in (("tokens", names[0], ("string",)), ("tags", names[1], ("string", "id"))):
        item = _item(dataset, column)
        if item == "null":
            raise DataError(f"{place}: every list of the column {name!r} is empty; expected words and tags")
        if item not in allowed:
            row, value = _first_odd_row(dataset, column)
            kind = "tag" if column == "tags" else "string"
            raise DataError(
                f"{place}, row {row + 1}: {shortened(str(value))} in the column {name!r} ({dataset.features[column]}); "
                f"expected a list with one {kind} per word, of one type in all rows"
            )


def _first_odd_row(dataset: datasets.Dataset, column: str) -> tuple[int, Any]:
    """The first row that is not a list of strings (or, for tags, of integers): what gave the column its odd type."""
    wanted: tuple[type, ...] = (str,) if column == "tokens" else (str, int)
    for row, value in enumerate(dataset[column]):
        if not isinstance(value, list) or not all(isinstance(item, wanted) for item in value):
            return row, value
        if value:  # strings in one row and integers in the next are as bad
            wanted = (type(value[0]),)
    return 0, dataset[0][column]


def _check_rows(dataset: datasets.Dataset, *, names: tuple[str, str], place: str) -> None:
    """One tag per word and nothing null, by Arrow over whole columns."""
    columns = [dataset.data.column(column) for column in dataset.column_names]
    for column, name in zip(columns, [*names, "document_id"], strict=False):
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise DataError(f"{place}, row {row + 1}: the column {name!r} is null")
    tokens, tags = columns[:2]
    for column, name in ((tokens, names[0]), (tags, names[1])):
        items = pc.list_flatten(column)
        if items.null_count:
            row = _row_of_item(column, pc.index(pc.is_null(items), True).as_py())
            raise DataError(f"{place}, row {row + 1}: a null in the list {name!r}; expected one value per word")
    lengths = pc.list_value_length(tokens), pc.list_value_length(tags)
    row = pc.index(pc.not_equal(*lengths), True).as_py()
    if row >= 0:
        raise DataError(
            f"{place}, row {row + 1}: {lengths[0][row]} in {names[0]!r} but {lengths[1][row]} in "
            f"{names[1]!r}; expected one tag per word"
        )
    if _item(dataset, "tags") == "string":
        index = pc.index(pc.list_flatten(tags).cast(pa.string()), "").as_py()
        if index >= 0:
            raise DataError(f"{place}, row {_row_of_item(tags, index) + 1}: an empty tag in {names[1]!r}")


def _row_of_item(column: pa.ChunkedArray, index: int) -> int:
    """The row whose list holds the item at an index of the flattened column."""
    ends = np.cumsum(pc.list_value_length(column).to_numpy())
    return int(np.searchsorted(ends, index, side="right"))


def _declared_names(
    splits: Mapping[str, datasets.Dataset], tag_names: Sequence[str] | None, place: str
) -> list[str] | None:
    """The names that are fixed, by the caller or by a ClassLabel, None where there are none."""
    if tag_names is not None and len(set(tag_names)) != len(tag_names):
        raise DataError(f"--tag_names {' '.join(tag_names)}: a name is there twice")
    declared, source = (list(tag_names), "--tag_names") if tag_names is not None else (None, "")
    _check_tags(declared or (), source)
    for split, dataset in splits.items():
        item = dataset.features["tags"].feature
        if not isinstance(item, datasets.ClassLabel):
            continue
        if declared is not None and declared != item.names:
            raise DataError(
                f"{place}: the ClassLabel names of {split} are {' '.join(item.names)}, but those of {source} "
                f"are {' '.join(declared)}; expected the same names in the same order"
            )
        declared, source = item.names, split
        _check_tags(declared, f"{place}, split {split}")
    return declared


def _check_tags(tags: Sequence[str], place: str) -> None:
    """No white space in a tag: a prediction is written as a line of fields, which `conlleval` cuts at blanks."""
    for tag in tags:
        if not tag or re.search(r"\s", tag):
            raise DataError(
                f"{place}: the tag {tag!r} {'has white space in it' if tag else 'is empty'}; tags are written between "
                f"blanks, so expected one like {'_'.join(tag.split()) or 'O'!r}: rename it in the data"
            )


def _check_ids(dataset: datasets.Dataset, count: int, place: str) -> None:
    column = dataset.data.column("tags")
    values = pc.list_flatten(column)
    outside = pc.or_(pc.less(values, 0), pc.greater_equal(values, count))
    index = pc.index(outside, True).as_py()
    if index >= 0:
        row = _row_of_item(column, index)
        raise DataError(
            f"{place}, row {row + 1}: the tag id {values[index]} has no name; there are names for 0 to {count - 1}"
        )


def _sort_key(tag: str, *, task: str) -> tuple[bool, str, int, str]:
    """POS tags by themselves; entity tags with `O` first, then by type, `B-` before `I-`."""
    prefix, hyphen, kind = tag.partition("-")
    if task != "ner" or not hyphen or prefix not in _PREFIX_ORDER or not prefix:
        return tag != "O" or task != "ner", tag, -1, tag
    return True, kind, _PREFIX_ORDER.index(prefix), tag
