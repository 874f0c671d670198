"""Rows of a corpus on their way through a tagger: batches that are read, and rows that are set aside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from hf_tagging.atomic import Json, json_text
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

Objects: TypeAlias = list[dict[str, Json]]
Columns: TypeAlias = "pa.Table | Objects"
"""Columns that rows come with: an Arrow table, or the objects of JSON Lines as they are."""

AS_JSON = b"hf_tagging.json"
"""Key in the metadata of a column that holds values of JSON Lines of several types, written as JSON."""


@dataclass(frozen=True)
class Rejected:
    """A row that is set aside.

    Args:
        row: Its number in its file, from 1; of lines, the number of its (first) line.
        kind: Why, in the same words for all rows of a kind.
        reason: Why, with what was found.
    """

    row: int
    kind: str
    reason: str


@dataclass(frozen=True)
class Rows:
    """A batch of rows that were read.

    Args:
        numbers: Number of each row in its file. (rows,)
        cells: What is to be tagged of each: a text or a list of words, if it is as it should be. (rows,)
        columns: Their columns. (rows,)
        rejected: Rows between them that could not be read.
    """

    numbers: Sequence[int]
    cells: Sequence[object]
    columns: Columns
    rejected: list[Rejected] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.numbers) + len(self.rejected)


def taken(columns: Columns, places: Sequence[int]) -> Columns:
    """Return some rows of columns.

    Args:
        columns: Of rows.
        places: Of those that are returned, in their order.
    """
    if not isinstance(columns, pa.Table):
        return [columns[place] for place in places]
    # Not by Table.take, which knows not all types: strings as Polars writes them into Arrow files, for example.
    runs = np.split(np.array(places, np.int64), np.flatnonzero(np.diff(places) != 1) + 1)
    return pa.concat_tables([columns.slice(0, 0), *(columns.slice(run[0], len(run)) for run in runs if len(run))])


def as_table(columns: Columns, schema: pa.Schema) -> pa.Table:
    """Return columns as an Arrow table.

    Args:
        columns: Of rows.
        schema: Of the table; of objects, a key that a row lacks is null.
    """
    if isinstance(columns, pa.Table):
        return columns.select(schema.names).cast(schema)
    arrays = [pa.array(_values(columns, column), column.type) for column in schema]
    return pa.table(arrays, schema=schema)


def _values(objects: Objects, column: pa.Field) -> list[Json]:
    found = (row.get(column.name) for row in objects)
    if not (column.metadata or {}).get(AS_JSON):
        return list(found)
    return [None if value is None else json_text(value, indent=None) for value in found]


def as_objects(columns: Columns) -> Iterable[dict[str, Json]]:
    """Return columns as an object for each row.

    Raises:
        DataError: A column holds text that is not UTF-8.
    """
    if not isinstance(columns, pa.Table):
        return columns
    try:
        rows: Objects = columns.to_pylist()
    except UnicodeDecodeError as error:
        name = next(name for name in columns.column_names if not _is_decodable(columns[name]))
        raise DataError(
            f"The column {name!r} holds text that is not UTF-8, which only Parquet keeps as it is. Give "
            f"{argument('format', 'parquet')}, or mend the input."
        ) from error
    return rows


def _is_decodable(column: pa.ChunkedArray) -> bool:
    try:
        column.to_pylist()
    except UnicodeDecodeError:
        return False
    return True
