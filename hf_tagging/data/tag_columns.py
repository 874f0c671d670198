"""Tags of a split as a ClassLabel, with the names that all splits have in common."""

from functools import partial
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets.fingerprint import Hasher

from hf_tagging.data.rows import arrow_batches, row_starts
from hf_tagging.data.source_columns import TEXT_COLUMNS, item_kind, text_columns
from hf_tagging.data.tag_names import TagNames
from hf_tagging.data.word_features import RESERVED
from hf_tagging.disk import expanded
from hf_tagging.foreign.datasets import fingerprint_of, is_reordered

_ENCODING_VERSION = 2
_ENCODING_BATCH = 10_000


def encoded(dataset: datasets.Dataset, *, tags: TagNames, split: str, cache_dir: str | None) -> datasets.Dataset:
    """Encode a split's tags as a ClassLabel; the result is on disk and cached if the split was.

    Args:
        dataset: The split after `standard_columns`.
        tags: What its tags are read as.
        split: Its name; rows without a document, and those where it is null, get `{split}:{running number}`.
        cache_dir: Folder of the cache, None for that of `datasets`.

    Returns:
        The split with the columns `tokens`, `tags`, `document_id` and the further ones, as strings; then `text`,
        `starts` and `ends` where there are any.
    """
    strings = datasets.List(datasets.Value("string"))
    ids = datasets.List(datasets.ClassLabel(names=tags.names))
    texts = text_columns(dataset)
    known = {*RESERVED, *texts}
    further = {name: dataset.features[name].feature for name in dataset.column_names if name not in known}
    columns = {"tokens": strings, "tags": ids, "document_id": datasets.Value("string")}
    features = datasets.Features(columns | dict.fromkeys(further, strings) | texts)
    is_named = "document_id" in dataset.column_names and not dataset.data.column("document_id").null_count
    if dataset.features == features and not is_reordered(dataset) and tags.as_they_are and is_named:
        return dataset.select_columns(list(features))
    # Given by hand: hashing the function would tie the cache to how this module happens to be written.
    source = list(tags.read) if item_kind(dataset, "tags") == "string" else list(tags.ids or ())
    codes = tags.codes(source)
    fingerprint = Hasher.hash([_ENCODING_VERSION, fingerprint_of(dataset), tags.names, source, codes.tolist(), split])
    cache_file = None
    if dataset.cache_files:
        folder = expanded(cache_dir or datasets.config.HF_DATASETS_CACHE) / "hf_tagging"
        folder.mkdir(parents=True, exist_ok=True)
        cache_file = str(folder / f"{fingerprint}.arrow")
    mapped = dataset.with_format("arrow").map(
        partial(
            _encode_batch,
            schema=features.arrow_schema,
            source=pa.array(source, pa.string()),
            codes=codes,
            split=split,
            further=further,
        ),
        batched=True,
        batch_size=_ENCODING_BATCH,
        writer_batch_size=_ENCODING_BATCH,  # the fewer record batches, the less memory a mapping takes
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
    """Return the frequency of each tag in a split, by id; words that are not annotated have none. (tags,)"""
    counts = np.zeros(len(dataset.features["tags"].feature.names), np.int64)
    for batch in arrow_batches(dataset, "tags"):
        ids = pc.list_flatten(batch.column("tags")).to_numpy()
        counts += np.bincount(ids[ids >= 0], minlength=len(counts))
    return counts


def _encode_batch(
    table: pa.Table,
    indices: list[int],
    *,
    schema: pa.Schema,
    source: pa.Array,
    codes: np.ndarray,
    split: str,
    further: dict[str, Any],
) -> pa.Table:
    tags = table.column("tags").combine_chunks()
    values = pc.list_flatten(tags)
    if not pa.types.is_integer(values.type):
        values = pc.index_in(values.cast(pa.string()), value_set=source)
    numbers = pc.fill_null(values.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    numbers = codes[np.where(numbers < 0, len(source), numbers)]  # (words,)
    lengths = pc.list_value_length(tags).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    ids = pa.ListArray.from_arrays(pa.array(offsets), pa.array(numbers, pa.int64()))
    rows = pc.add(pa.array(indices, pa.int64()), 1).cast(pa.string())
    documents = pc.binary_join_element_wise(split, rows, ":")
    if "document_id" in table.column_names:
        documents = pc.coalesce(table.column("document_id").cast(pa.string()), documents)
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
