"""Shards: rows of a file, annotated and written whole, with a record that says so.

The record is written last. A shard is finished when there is its record and the file that it names, of the size that it
says; anything else is written again.
"""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from hf_tagging.annotating.annotator import AnnotatedRows, RowAnnotator
from hf_tagging.annotating.plan import Plan, Shard
from hf_tagging.annotating.reading import shard_rows
from hf_tagging.annotating.rows import Rejected, as_objects, as_table
from hf_tagging.atomic import PARTIAL, json_text, read_json, whole_file, whole_path, write_json
from hf_tagging.disk import writing_to

PROGRESS = "progress"
_GROUP_BYTES = 1 << 25  # of a row group


@dataclass(frozen=True)
class ShardRecord:
    """What is known of a finished shard.

    Args:
        shard: Its number.
        file: Name of its file.
        bytes: Size of the file.
        annotated: Rows in the file.
        rejected: Rows that were set aside, by kind.
        words: Number of words.
        entities: Number of entities.
        seconds: Time that it took.
    """

    shard: int
    file: str
    bytes: int
    annotated: int
    rejected: dict[str, int]
    words: int
    entities: int
    seconds: float

    @property
    def rows(self) -> int:
        """Rows of the input."""
        return self.annotated + sum(self.rejected.values())


def shard_file(folder: Path, number: int, format: str) -> Path:
    """Return the file of a shard."""
    return folder / f"part-{number:05d}.{format}"


def record_file(folder: Path, number: int) -> Path:
    """Return the file that says that a shard is finished."""
    return folder / PROGRESS / f"part-{number:05d}.json"


def rejected_file(folder: Path, number: int) -> Path:
    """Return the file of the rows of a shard that were set aside."""
    return folder / PROGRESS / f"part-{number:05d}.rejected.jsonl"


def finished(folder: Path, number: int) -> ShardRecord | None:
    """Return the record of a shard if it is finished."""
    found: Any = read_json(record_file(folder, number))
    try:
        record = ShardRecord(**found)
        size = (folder / Path(record.file).name).stat().st_size
    except (TypeError, OSError):
        return None
    return record if size == record.bytes else None


def remove_partial(folder: Path) -> None:
    """Remove what a killed writer has left half-written; nobody else may be writing into the folder."""
    for place in (folder, folder / PROGRESS):
        for path in place.glob(f".part-*{PARTIAL}"):
            path.unlink(missing_ok=True)


def annotate_shard(
    annotator: RowAnnotator, plan: Plan, shard: Shard, folder: Path, told: Callable[[int], None]
) -> ShardRecord:
    """Annotate the rows of a shard and write them, the rows that were set aside, and the record.

    Args:
        annotator: Annotates batches of rows.
        plan: What the shard is of.
        shard: The shard.
        folder: Where to.
        told: Gets the number of rows of each batch.

    Raises:
        DataError: The rows cannot be read.
        OutputError: A file cannot be written.
    """
    began = time.monotonic()
    format = str(plan.asked["format"])
    file = shard_file(folder, shard.number, format)
    set_aside: list[Rejected] = []
    annotated = words = entities = 0
    with writing_to(file), _sink(file, format, plan) as sink:
        for rows in shard_rows(plan, shard):
            found = annotator(rows)
            sink.write(found)
            set_aside += found.rejected
            annotated += len(found.added)
            words, entities = words + found.words, entities + found.entities
            told(len(rows))
    if set_aside:
        _write_rejected(rejected_file(folder, shard.number), str(plan.sources[shard.source].path), set_aside)
    record = ShardRecord(
        shard=shard.number,
        file=file.name,
        bytes=file.stat().st_size,
        annotated=annotated,
        rejected=dict(Counter(row.kind for row in set_aside)),
        words=words,
        entities=entities,
        seconds=round(time.monotonic() - began, 3),
    )
    path = record_file(folder, shard.number)
    with writing_to(path):
        write_json(path, asdict(record))
    return record


def _write_rejected(path: Path, source: str, rows: list[Rejected]) -> None:
    with writing_to(path), whole_file(path) as file:
        for row in sorted(rows, key=lambda row: row.row):
            file.write(json_text({"file": source, "row": row.row, "reason": row.reason}, indent=None) + "\n")


class _Sink(Protocol):
    def write(self, rows: AnnotatedRows) -> None: ...


@contextmanager
def _sink(path: Path, format: str, plan: Plan) -> Iterator[_Sink]:
    with ExitStack() as stack:
        if format == "jsonl":
            yield _JsonLines(stack.enter_context(whole_file(path)), plan.written.names[len(plan.kept) :])
            return
        partial = stack.enter_context(whole_path(path))
        writer = stack.enter_context(pq.ParquetWriter(partial, plan.written, compression="zstd"))
        sink = _Parquet(writer, plan)
        yield sink
        sink.flush()


@dataclass
class _JsonLines:
    """Rows as lines of JSON, with keys and values as they came."""

    file: Any
    names: list[str]

    def write(self, rows: AnnotatedRows) -> None:
        for row, added in zip(as_objects(rows.columns), rows.added.to_pylist(), strict=True):
            values = dict(zip(self.names, added.values(), strict=True))
            self.file.write(json_text({**row, **values}, indent=None, default=_plain) + "\n")


@dataclass
class _Parquet:
    """Rows as row groups of a bounded size."""

    writer: pq.ParquetWriter
    plan: Plan
    waiting: list[pa.Table] = field(default_factory=list)

    def write(self, rows: AnnotatedRows) -> None:
        kept = as_table(rows.columns, self.plan.kept)
        self.waiting.append(pa.table([*kept.columns, *rows.added.columns], schema=self.plan.written))
        if sum(table.nbytes for table in self.waiting) >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            self.writer.write_table(pa.concat_tables(self.waiting).combine_chunks())
            self.waiting.clear()


def _plain(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
