"""Tags of all splits as a ClassLabel with common names."""

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

from hf_tagging.data.prefixes import entity_order
from hf_tagging.data.rows import arrow_batches, row_starts
from hf_tagging.data.source_columns import TEXT_COLUMNS, check_ids, item_kind, text_columns
from hf_tagging.data.word_features import RESERVED
from hf_tagging.errors import DataError
from hf_tagging.foreign.datasets import fingerprint_of, is_reordered
from hf_tagging.problems import argument
from hf_tagging.tasks import Task

_ENCODING_VERSION = 1
_ENCODING_BATCH = 10_000


def common_tag_names(
    splits: Mapping[str, datasets.Dataset], *, task: Task, tag_names: Sequence[str] | None, place: str
) -> list[str]:
    """Return the tag names shared by all splits, in the order of their ids.

    A ClassLabel or `tag_names` sets names and order; tags that are strings are collected over all splits and
    sorted.

    Args:
        splits: The splits after `standard_columns`.
        task: The task of the tags. With entities, `O` comes first and the tags of a type are neighbours.
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
        if item_kind(dataset, "tags") == "string":
            tags = pc.unique(values).to_pylist()
            _check_tags(tags, f"{place}, split {split}")
            found.update(tags)
        elif declared is None:
            raise DataError(
                f"{place}: the tags of {split} are integers without names; give the names in the order of "
                f"their ids with {argument('tag_names')}, for example {argument('tag_names', ['O', 'B-PER', 'I-PER'])}"
            )
        else:
            check_ids(dataset, "tags", len(declared), what="tag", place=f"{place}, split {split}")
    if found == {"_"}:
        raise DataError(f"{place}: every tag is '_', which means no tag; give another {argument('tags_column')}")
    new = sorted(found - set(declared or ()), key=entity_order if task.has_entities else None)
    if tag_names is not None and new:
        near = difflib.get_close_matches(new[0], list(tag_names), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"{place}: the tag {new[0]!r} is not among {argument('tag_names', list(tag_names))}{hint}")
    return [*(declared or ()), *new]


def encoded(dataset: datasets.Dataset, *, names: Sequence[str], split: str, cache_dir: str | None) -> datasets.Dataset:
    """Encode a split's tags as a ClassLabel; the result is on disk and cached if the split was.

    Args:
        dataset: The split after `standard_columns`.
        names: The tag names in the order of their ids.
        split: Its name; rows without a document get `{split}:{running number}`.
        cache_dir: Folder of the cache, None for that of `datasets`.

    Returns:
        The split with the columns `tokens`, `tags`, `document_id` and the further ones, as strings; then `text`,
        `starts` and `ends` where there are any.
    """
    strings = datasets.List(datasets.Value("string"))
    tags = datasets.List(datasets.ClassLabel(names=list(names)))
    texts = text_columns(dataset)
    known = {*RESERVED, *texts}
    further = {name: dataset.features[name].feature for name in dataset.column_names if name not in known}
    columns = {"tokens": strings, "tags": tags, "document_id": datasets.Value("string")}
    features = datasets.Features(columns | dict.fromkeys(further, strings) | texts)
    if dataset.features == features and not is_reordered(dataset):
        return dataset.select_columns(list(features))
    # Given by hand: hashing the function would tie the cache to how this module happens to be written.
    fingerprint = Hasher.hash([_ENCODING_VERSION, fingerprint_of(dataset), list(names), split])
    cache_file = None
    if dataset.cache_files:
        folder = Path(cache_dir or datasets.config.HF_DATASETS_CACHE).expanduser() / "hf_tagging"
        folder.mkdir(parents=True, exist_ok=True)
        cache_file = str(folder / f"{fingerprint}.arrow")
    mapped = dataset.with_format("arrow").map(
        partial(
            _encode_batch,
            schema=features.arrow_schema,
            names=pa.array(names, pa.string()),
            split=split,
            further=further,
        ),
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
    """Return the frequency of each tag in a split, by id. (tags,)"""
    counts = np.zeros(len(dataset.features["tags"].feature.names), np.int64)
    for batch in arrow_batches(dataset, "tags"):
        counts += np.bincount(pc.list_flatten(batch.column("tags")).to_numpy(), minlength=len(counts))
    return counts


def _encode_batch(
    table: pa.Table, indices: list[int], *, schema: pa.Schema, names: pa.Array, split: str, further: dict[str, Any]
) -> pa.Table:
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
    features = [_as_strings(table.column(name).combine_chunks(), item) for name, item in further.items()]
    texts = [table.column(name).cast(schema.field(name).type) for name in TEXT_COLUMNS if name in schema.names]
    return pa.table([tokens, ids, documents, *features, *texts], names=schema.names)


def _as_strings(lists: pa.Array, item: Any) -> pa.ListArray:
    """Return a further column as strings: the names of a ClassLabel, numbers as they are written.

    Args:
        lists: Its rows, without nulls. (sentences, words)
        item: The feature of its items.
    """
    values = pc.list_flatten(lists)
    if isinstance(item, datasets.ClassLabel):
        values = pa.array(item.names, pa.string()).take(values)
    offsets = row_starts(pc.list_value_length(lists).to_numpy(zero_copy_only=False))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.cast(pa.string()))


def _declared_names(
    splits: Mapping[str, datasets.Dataset], tag_names: Sequence[str] | None, place: str
) -> list[str] | None:
    """Return the names fixed by the caller or by a ClassLabel; None if there are none."""
    if tag_names is not None and len(set(tag_names)) != len(tag_names):
        raise DataError(f"{argument('tag_names', list(tag_names))}: a name occurs twice")
    declared, source = (list(tag_names), argument("tag_names")) if tag_names is not None else (None, "")
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
    """Refuse tags with white space: predictions are written as lines of fields, which `conlleval` splits at blanks."""
    for tag in tags:
        if not tag or re.search(r"\s", tag):
            raise DataError(
                f"{place}: the tag {tag!r} {'has white space in it' if tag else 'is empty'}; tags are written between "
                f"blanks, so expected one like {'_'.join(tag.split()) or 'O'!r}: rename it in the data"
            )
