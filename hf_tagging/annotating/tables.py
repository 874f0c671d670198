"""Rows of Parquet and Arrow files, in bounded batches from any row on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hf_tagging.annotating.rows import Rejected, Rows
from hf_tagging.errors import DataError
from hf_tagging.hub import first_line

BATCH_ROWS = 256
_BUFFER = 1 << 20


def table_head(path: Path, kind: str) -> tuple[pa.Schema, int]:
    """Return the schema of a file and its number of rows.

    Raises:
        DataError: It cannot be read.
    """
    try:
        if kind == "parquet":
            with pq.ParquetFile(path) as file:
                return file.schema_arrow, file.metadata.num_rows
        with _arrow_batches(path) as (schema, batches):
            return schema, sum(batch.num_rows for batch in batches())
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as {kind.capitalize()} ({first_line(error)}).") from error


def table_rows(path: Path, kind: str, column: str, first: int, count: int) -> Iterator[Rows]:
    """Yield rows of a Parquet or Arrow file.

    Args:
        path: The file.
        kind: ``"parquet"`` or ``"arrow"``.
        column: What is to be tagged.
        first: Number of the first row, from 0.
        count: Number of rows.

    Yields:
        Batches; rows from where the file is damaged to the end of their row group are set aside.
    """
    end = first + count
    place, why = yield from _undamaged(path, kind, column, first, end)
    if not why:
        return
    for part_end in _parts(path, kind, place, end):  # one may be damaged, and those behind it not
        stopped, why = yield from _undamaged(path, kind, column, place, part_end)
        lost = range(stopped + 1, part_end + 1)
        if lost:
            yield Rows([], [], [], [Rejected(row, "damaged", f"the file is damaged here: {why}") for row in lost])
        place = part_end


def _undamaged(path: Path, kind: str, column: str, place: int, end: int) -> Generator[Rows, None, tuple[int, str]]:
    """Yield rows up to a place where the file is damaged; return that, and why no row behind it was read."""
    batches = _parquet_slices if kind == "parquet" else _arrow_slices
    try:
        for batch in batches(path, place, end - place):
            table = pa.Table.from_batches([batch])
            yield Rows(range(place + 1, place + len(table) + 1), _cells(table[column]), table)
            place += len(table)
    except (OSError, pa.ArrowException) as error:
        if getattr(error, "errno", None) is not None:  # of the system, which may recover
            raise DataError(f"{path}: cannot be read ({first_line(error)}).") from error
        return place, first_line(error)
    return place, "" if place == end else "the file has become shorter"


def _parts(path: Path, kind: str, place: int, end: int) -> list[int]:
    """Return where the row groups end that rows are in; the last one with the rows."""
    ends: list[int] = []
    if kind == "parquet":
        with suppress(OSError, pa.ArrowException), pq.ParquetFile(path) as file:
            groups = range(file.metadata.num_row_groups)
            ends = [*accumulate(file.metadata.row_group(group).num_rows for group in groups)]
    return [*(found for found in ends if place < found < end), end]


def _parquet_slices(path: Path, first: int, count: int) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
        groups, before, place = [], None, 0
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if place < first + count and place + rows > first:
                groups.append(group)
                before = place if before is None else before
            place += rows
        yield from _sliced(file.iter_batches(BATCH_ROWS, row_groups=groups), first - (before or 0), count)


def _arrow_slices(path: Path, first: int, count: int) -> Iterator[pa.RecordBatch]:
    with _arrow_batches(path) as (_, batches):
        for batch in _sliced(batches(), first, count):
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)


def _sliced(batches: Iterator[pa.RecordBatch], skipped: int, count: int) -> Iterator[pa.RecordBatch]:
    """Yield `count` rows behind the first ones."""
    for batch in batches:
        if skipped >= batch.num_rows:
            skipped -= batch.num_rows
            continue
        part = batch.slice(skipped, count)
        skipped, count = 0, count - part.num_rows
        yield part
        if not count:
            return


@contextmanager
def _arrow_batches(path: Path) -> Iterator[tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]]:
    """Open a file of Arrow's stream format, which `datasets` writes, or of its file format; both are memory-mapped."""
    with pa.memory_map(str(path)) as source:
        reader = _stream(source)
        if reader is not None:
            yield reader.schema, lambda: iter(reader)
            return
        file = pa.ipc.open_file(source)
        yield file.schema, lambda: (file.get_batch(i) for i in range(file.num_record_batches))


def _stream(source: pa.MemoryMappedFile) -> pa.RecordBatchStreamReader | None:
    try:
        return pa.ipc.open_stream(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return None


def _cells(column: pa.ChunkedArray) -> list[object]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:  # nothing makes sure that Arrow's strings are UTF-8
        return [_cell(value) for value in column]


def _cell(value: pa.Scalar) -> object:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        return error
