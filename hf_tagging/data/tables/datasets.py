"""Datasets with a word a row, or a sentence written into one cell, as datasets with a sentence a row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice

import datasets
import pyarrow as pa
from datasets.fingerprint import Hasher

from hf_tagging.atomic import json_text, whole_file, whole_path
from hf_tagging.data.column_names import column_position, names_words
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.rows import arrow_batches
from hf_tagging.data.tables.describe import describe
from hf_tagging.data.tables.names import Cell, Cells, TableColumns, find_columns
from hf_tagging.data.tables.rows import TableSentence, TableSource, sentences
from hf_tagging.disk import expanded
from hf_tagging.errors import DataError
from hf_tagging.foreign.datasets import fingerprint_of

_VERSION = 1
_SAMPLE_ROWS = 4_000
_BATCH = 10_000
_STRINGS = ("string", "large_string", "string_view")


def dataset_of_sentences(
    dataset: datasets.Dataset, request: ReadRequest, *, place: str, notes: Sequence[FileNotes], cache_dir: str | None
) -> datasets.Dataset | None:
    """Return a dataset with the columns `tokens`, `tags`, `document_id` and further ones, a sentence a row.

    Args:
        dataset: Rows of words with an id of their sentence, or of sentences written as text.
        request: Columns that are asked for.
        place: The dataset, for messages.
        notes: Filled in.
        cache_dir: Folder of the cache, None for that of `datasets`.

    Returns:
        The sentences; None where its columns hold lists, or nothing tells sentences apart.

    Raises:
        DataError: A row does not fit the others.
    """
    names = [str(name) for name in dataset.column_names]
    if not _has_cells(dataset, names, request):
        return None
    sample = [cells for _, cells in islice(_rows(dataset), _SAMPLE_ROWS)]
    columns = find_columns(names, sample, request=request, place=place)
    gaps = any(row[columns.words] in (None, "") for row in sample)
    if not columns.a_sentence_a_row and columns.sentence is None and not gaps:
        return None
    found = FileNotes(place)
    rows = sentences(_rows(dataset), columns, TableSource(place, names, found))
    features = _features(dataset, columns, request.word_features)
    grouped = _kept(dataset, rows, columns, features, found, cache_dir)
    for note in notes:
        form = note.format
        describe(note, columns, names, sample, form=form)
        for remark in found.remarks:
            note.remarks.append(remark)
    return grouped


def _has_cells(dataset: datasets.Dataset, names: Sequence[str], request: ReadRequest) -> bool:
    """Return whether the columns that are asked for, or known names of words and tags, hold one value per row."""
    scalar = [name for name in names if _is_scalar(dataset, name)]
    words = _asked(names, request.tokens_column) or next((n for n in names if names_words(n) and n in scalar), None)
    tags = _asked(names, request.tags_column if request.tags_column is not None else request.layer)
    known = [name for name in scalar if name.lower() in request.task.columns]
    if words is None or (tags is None and not known):
        return False
    feature = dataset.features[words]
    is_text = words in scalar and getattr(feature, "dtype", None) in _STRINGS
    lists = [name for name in names if name not in scalar and name in request.task.columns]
    return is_text and (tags in scalar if tags is not None else not lists)


def _asked(names: Sequence[str], asked: str | int | None) -> str | None:
    """Return the column that is asked for by name or position; None where none is, or it is not there."""
    position = None if asked is None else column_position(asked, names)
    return None if position is None else names[position]


def _is_scalar(dataset: datasets.Dataset, name: str) -> bool:
    feature = dataset.features[name]
    return isinstance(feature, datasets.ClassLabel) or (
        isinstance(feature, datasets.Value)
        and str(feature.dtype).startswith((*_STRINGS, "int", "uint", "float", "null"))
    )


def _rows(dataset: datasets.Dataset) -> Iterator[tuple[int, Cells]]:
    """Yield number and cells of each row; the cells of columns that hold no single values are empty."""
    number = 0
    names = list(dataset.column_names)
    scalar = [name for name in names if _is_scalar(dataset, name)]
    for batch in arrow_batches(dataset, *scalar, size=_BATCH):
        lists: list[list[Cell]] = [
            [_cell(value) for value in batch.column(name).to_pylist()] if name in scalar else [None] * batch.num_rows
            for name in names
        ]
        for cells in zip(*lists, strict=True):
            number += 1
            yield number, cells


def _cell(value: str | float | None) -> Cell:
    """Return a value as a cell: pandas makes a column of integers with gaps one of floats, and a gap not a number."""
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else str(value)
    return value


def _features(dataset: datasets.Dataset, columns: TableColumns, further: Sequence[str]) -> datasets.Features:
    """Return the features of the sentences: ids stay ids, and keep their names."""
    strings = datasets.List(datasets.Value("string"))
    tags = dataset.features[dataset.column_names[columns.tags]]
    if columns.a_sentence_a_row or getattr(tags, "dtype", None) in _STRINGS:
        tags = datasets.Value("string")
    elif not isinstance(tags, datasets.ClassLabel):
        tags = datasets.Value("int64")
    found = {"tokens": strings, "tags": datasets.List(tags)}
    if columns.document is not None:
        found["document_id"] = datasets.Value("string")
    return datasets.Features(found | dict.fromkeys(further, strings))


def _kept(
    dataset: datasets.Dataset,
    rows: Iterator[TableSentence],
    columns: TableColumns,
    features: datasets.Features,
    notes: FileNotes,
    cache_dir: str | None,
) -> datasets.Dataset:
    """Return sentences as a dataset: in a file of the cache if the dataset is in one, else in memory."""
    fingerprint = Hasher.hash([_VERSION, fingerprint_of(dataset), repr(columns), list(features)])
    batches = _batches(rows, features)
    if not dataset.cache_files:
        table = pa.Table.from_batches(batches, schema=features.arrow_schema)
        return datasets.Dataset(datasets.table.InMemoryTable(table), fingerprint=fingerprint)
    folder = expanded(cache_dir or datasets.config.HF_DATASETS_CACHE) / "hf_tagging"
    folder.mkdir(parents=True, exist_ok=True)
    target, remarks = folder / f"{fingerprint}.arrow", folder / f"{fingerprint}.json"
    if target.is_file() and remarks.is_file():
        notes.remarks = FileNotes.from_dict(json.loads(remarks.read_text(encoding="utf-8"))).remarks
    else:
        with (
            whole_path(target) as partial,
            pa.OSFile(str(partial), "wb") as sink,
            pa.ipc.new_stream(sink, features.arrow_schema) as writer,
        ):
            for batch in batches:
                writer.write_batch(batch)
        with whole_file(remarks) as stream:  # complete once all rows are read
            stream.write(json_text(notes.as_dict()))
    table = datasets.table.MemoryMappedTable.from_file(str(target))
    return datasets.Dataset(table, fingerprint=fingerprint)


def _batches(rows: Iterator[TableSentence], features: datasets.Features) -> Iterator[pa.RecordBatch]:
    """Yield sentences in the columns of the features."""
    schema = features.arrow_schema
    while part := list(islice(rows, _BATCH // 10)):
        try:
            columns: list[list[object]] = [[s.words for s in part], [_tags(s.tags, schema) for s in part]]
        except ValueError as error:
            raise DataError(f"row {part[0].row}: tags that are integers in some rows and none in others") from error
        if "document_id" in features:
            columns.append([s.document or f"row {s.row}" for s in part])
        for i in range(len(schema.names) - len(columns)):
            columns.append([[None if v is None else str(v) for v in s.features[i]] for s in part])
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _tags(tags: Sequence[Cell], schema: pa.Schema) -> list[Cell]:
    """Return tags as the schema has them."""
    if pa.types.is_integer(schema.field("tags").type.value_type):
        return [None if tag is None else int(tag) for tag in tags]
    return [None if tag is None else str(tag) for tag in tags]
