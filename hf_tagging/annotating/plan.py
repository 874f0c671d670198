"""Plan of an annotation: the rows of each shard, written once, so that a restart goes on where it was left."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa

from hf_tagging.annotating.columns import (
    ColumnTypes,
    Tagged,
    added_columns,
    check_as_parquet,
    common_schema,
    tagged_column,
    written_schema,
)
from hf_tagging.annotating.inputs import Source, find_sources, fingerprint
from hf_tagging.annotating.lines import RowReader, csv_rows, json_rows, text_rows
from hf_tagging.annotating.model import ModelFacts
from hf_tagging.annotating.request import AnnotationRequest
from hf_tagging.annotating.tables import table_head
from hf_tagging.atomic import read_json, write_json
from hf_tagging.errors import DataError, OutputError
from hf_tagging.problems import argument, switch

PLAN = "plan.json"
_VERSION = 1
Told = Callable[[str], None]


@dataclass(frozen=True)
class Shard:
    """Rows of one file that are written into one file.

    Args:
        number: From 0.
        source: Position of its file.
        first: Number of its first row in the file, from 1; of lines, of its first line.
        rows: Number of rows.
        start: Where its first line begins in the file, in bytes; unused for tables.
        end: Where its last line ends.
    """

    number: int
    source: int
    first: int
    rows: int
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class Plan:
    """All shards of an annotation, and what was asked for.

    Args:
        asked: Arguments that decide what is written.
        model: The tagger.
        sources: Files of the corpus.
        prints: Size and `fingerprint` of each.
        tagged: The column that is tagged.
        kept: Columns of the input.
        written: Columns of the shards.
        shards: In order.
    """

    asked: dict[str, object]
    model: ModelFacts
    sources: list[Source]
    prints: list[tuple[int, str]]
    tagged: Tagged
    kept: pa.Schema
    written: pa.Schema
    shards: list[Shard]

    @property
    def rows(self) -> int:
        """Number of rows in all shards."""
        return sum(shard.rows for shard in self.shards)

    def place(self, shard: Shard) -> str:
        """Return the rows of a shard as messages name them."""
        return f"{shard.rows:,} rows of {self.sources[shard.source].path} from row {shard.first:,} on"


def row_reader(source: Source) -> RowReader:
    """Return what reads the rows of a file of lines."""
    if source.kind == "csv":
        return csv_rows(source.separator, len(source.names))
    return json_rows if source.kind == "jsonl" else text_rows


def make_plan(request: AnnotationRequest, model: ModelFacts, told: Told) -> Plan:
    """Read through a corpus and divide its rows into shards.

    Args:
        request: The annotation.
        model: Its tagger.
        told: Gets a line about each file that is about to be read.

    Raises:
        DataError: Files differ in their columns, the one to tag is not there, or no file has a row.
    """
    sources = find_sources(request)
    shards: list[Shard] = []
    schemas: list[tuple[str, pa.Schema]] = []
    objects = ColumnTypes()
    for position, source in enumerate(sources):
        told(f"Reading through {source.path} ({source.path.stat().st_size / 1e6:,.1f} MB)")
        schema, found = _divided(source, position, request.rows_per_shard, objects)
        schemas += [] if schema is None else [(str(source.path), schema)]
        shards += found
    if objects.names:
        name = next(str(source.path) for source in sources if source.kind == "jsonl")
        schemas.append((name, objects.schema(request)))
    if shards and not schemas:
        path = sources[shards[0].source].path
        raise DataError(
            f"{path}: no line is a JSON object with a key; expected an object per line. If an object has "
            f"several lines, with jq: jq -c . {path.name} > rows.jsonl"
        )
    if not shards:
        names = ", ".join(str(source.path) for source in sources[:3])
        raise DataError(f"{names}: there is no row to annotate.")
    kept = common_schema(schemas)
    tagged = tagged_column(kept, request, place=schemas[0][0])
    written = written_schema(kept, added_columns(tagged, entities=model.entities), request.prefix)
    if request.format == "parquet":
        check_as_parquet(written)
    return Plan(
        asked=request.asked(),
        model=model,
        sources=sources,
        prints=[(source.path.stat().st_size, fingerprint(source.path)) for source in sources],
        tagged=tagged,
        kept=kept,
        written=written,
        shards=[replace(shard, number=number) for number, shard in enumerate(shards)],
    )


def _divided(source: Source, position: int, size: int, objects: ColumnTypes) -> tuple[pa.Schema | None, list[Shard]]:
    """Return the schema of a file and its shards, yet without numbers; of JSON Lines, types are noted in `objects`."""
    if source.kind in ("parquet", "arrow"):
        schema, rows = table_head(source.path, source.kind)
        return schema, [Shard(0, position, i + 1, min(size, rows - i)) for i in range(0, rows, size)]
    try:
        shards = [*_line_shards(source, position, size, objects)]
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read ({error.strerror}).") from error
    if source.kind == "jsonl":
        return None, shards
    names = source.names if source.kind == "csv" else ("text",)
    return pa.schema([(name, pa.string()) for name in names]) if names else None, shards


def _line_shards(source: Source, position: int, size: int, objects: ColumnTypes) -> Iterator[Shard]:
    """Yield ranges of lines with `size` rows each; the first row of CSV, which names the columns, is in none."""
    with open(source.path, "rb") as stream:
        rows = row_reader(source)(stream, 1)
        first, start, count = 1, 0, 0
        if source.kind == "csv" and (names := next(rows, None)):
            first, start = names.last + 1, names.end
        row = None
        for row in rows:
            if isinstance(row.value, dict):
                objects.note(row.value, f"{source.path}, line {row.number}")
            count += 1
            if count == size:
                yield Shard(0, position, first, count, start, row.end)
                first, start, count = row.last + 1, row.end, 0
        if row is not None and count:
            yield Shard(0, position, first, count, start, row.end)


def write_plan(plan: Plan, folder: Path) -> None:
    """Write a plan into the folder of its shards."""
    content = {
        "version": _VERSION,
        "asked": plan.asked,
        "model": asdict(plan.model),
        "sources": [
            {**asdict(source), "size": size, "fingerprint": found}
            for source, (size, found) in zip(plan.sources, plan.prints, strict=True)
        ],
        "tagged": asdict(plan.tagged),
        "columns": {column.name: str(column.type) for column in plan.written},
        "schemas": [base64.b64encode(schema.serialize()).decode() for schema in (plan.kept, plan.written)],
        "shards": [[s.source, s.first, s.rows, s.start, s.end] for s in plan.shards],
    }
    write_json(folder / PLAN, content)


def read_plan(folder: Path) -> Plan | None:
    """Return the plan in a folder; None where there is none.

    Raises:
        OutputError: It is damaged, or of another release.
    """
    path = folder / PLAN
    if not path.exists():
        return None
    found: Any = read_json(path)
    try:
        if found["version"] != _VERSION:
            raise ValueError
        kept, written = (pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text))) for text in found["schemas"])
        return Plan(
            asked=found["asked"],
            model=ModelFacts(
                tuple(found["model"]["names"]), tuple(found["model"]["fingerprints"]), found["model"]["entities"]
            ),
            sources=[Source(Path(x["path"]), x["kind"], x["separator"], tuple(x["names"])) for x in found["sources"]],
            prints=[(x["size"], x["fingerprint"]) for x in found["sources"]],
            tagged=Tagged(**found["tagged"]),
            kept=kept,
            written=written,
            shards=[Shard(number, *values) for number, values in enumerate(found["shards"])],
        )
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise OutputError(
            f"{path}: is damaged, or of another release. Choose another {argument('output')}, or give "
            f"{switch('overwrite')} to begin anew."
        ) from error


def check_same(plan: Plan, request: AnnotationRequest, model: ModelFacts, folder: Path) -> None:
    """Make sure that a plan is the one that a request would make.

    Raises:
        OutputError: With everything that is different.
    """
    asked = {name: value for name, value in request.asked().items() if value != plan.asked.get(name)}
    changes = [f"{argument(name)}: was {plan.asked.get(name)}, is {value}" for name, value in asked.items()]
    for name, was, now in zip_longest(model.names, plan.model.fingerprints, model.fingerprints):
        if was != now:
            changes.append(f"{argument('model')}: {name or 'one model less'} is not the one that has begun")
    paths = [source.path for source in find_sources(request)]
    if paths != (before := [source.path for source in plan.sources]):
        changes.append(f"{argument('input')}: {_difference(before, paths)}")
    else:
        changes += [
            f"{path}: has changed since"
            for path, found in zip(paths, plan.prints, strict=True)
            if (path.stat().st_size, fingerprint(path)) != found
        ]
    if changes:
        raise OutputError(
            f"{folder} holds an annotation that was asked something else:\n  " + "\n  ".join(changes) + "\nGive what "
            f"it had, choose another {argument('output')}, or give {switch('overwrite')} to begin anew."
        )


def _difference(before: Sequence[Path], now: Sequence[Path]) -> str:
    gone = [f"without {path}" for path in before if path not in now]
    new = [f"also {path}" for path in now if path not in before]
    return ", ".join([*gone, *new][:3]) or "the same files in another order"
