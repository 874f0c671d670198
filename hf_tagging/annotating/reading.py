"""Rows of a shard, in bounded batches, whatever file they are in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from hf_tagging.annotating.lines import LineRow
from hf_tagging.annotating.plan import Plan, Shard, row_reader
from hf_tagging.annotating.rows import Objects, Rejected, Rows
from hf_tagging.annotating.tables import BATCH_ROWS, table_rows
from hf_tagging.errors import DataError

_BATCH_BYTES = 1 << 23


def shard_rows(plan: Plan, shard: Shard) -> Iterator[Rows]:
    """Yield the rows of a shard in batches.

    Raises:
        DataError: The file cannot be read any more.
    """
    source = plan.sources[shard.source]
    if source.kind in ("parquet", "arrow"):
        yield from table_rows(source.path, source.kind, plan.tagged.column, shard.first - 1, shard.rows)
        return
    names = ["text"] if source.kind == "text" else list(source.names)
    try:
        for batch in _batches(source.path, plan, shard):
            yield _of_objects(batch, plan) if source.kind == "jsonl" else _of_cells(batch, names, plan)
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read ({error.strerror}).") from error


def _batches(path: Path, plan: Plan, shard: Shard) -> Iterator[list[LineRow]]:
    with open(path, "rb") as stream:
        stream.seek(shard.start)
        batch: list[LineRow] = []
        begin = shard.start
        for row in row_reader(plan.sources[shard.source])(stream, shard.first):
            batch.append(row)
            if len(batch) == BATCH_ROWS or row.end - begin >= _BATCH_BYTES or row.end >= shard.end:
                yield batch
                batch, begin = [], row.end
            if row.end >= shard.end:
                return


def _of_objects(batch: list[LineRow], plan: Plan) -> Rows:
    objects: Objects = [row.value for row in batch if isinstance(row.value, dict)]
    numbers = [row.number for row in batch if isinstance(row.value, dict)]
    return Rows(numbers, [row.get(plan.tagged.column) for row in objects], objects, _rejected(batch))


def _of_cells(batch: list[LineRow], names: list[str], plan: Plan) -> Rows:
    """Return rows of strings: lines of text, or rows of CSV."""
    values = [(row.number, row.value) for row in batch if isinstance(row.value, str | list)]
    cells = [[value] if isinstance(value, str) else value for _, value in values]
    columns = [[row[i] for row in cells] for i in range(len(names))]
    table = pa.table([pa.array(column, pa.string()) for column in columns], names=names)
    return Rows([number for number, _ in values], columns[names.index(plan.tagged.column)], table, _rejected(batch))


def _rejected(batch: list[LineRow]) -> list[Rejected]:
    return [row.value for row in batch if isinstance(row.value, Rejected)]
