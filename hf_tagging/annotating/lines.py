"""Rows of text, JSON Lines and CSV files, one at a time from any place in the file, whatever is broken in it.

What is wrong with a row is a `Rejected` in its place, and reading goes on behind it. No line is held that is longer
than `LONGEST_LINE`, so that memory stays bounded.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from hf_tagging.annotating.rows import Rejected
from hf_tagging.atomic import Json
from hf_tagging.data.tables.files import allow_long_fields
from hf_tagging.data.text_lines import BOM, shortened

LONGEST_LINE = 1 << 25
LONGEST_CSV_ROW = 1 << 23  # bytes of a row over several lines: a quote that is never closed takes no more


@dataclass(frozen=True)
class Line:
    """A line of a file: its number from 1, its bytes (None: it is too long), and where it ends."""

    number: int
    content: bytes | None
    end: int


@dataclass(frozen=True)
class LineRow:
    """A row of a file of lines: the numbers of its first and last line, where it ends, and its value."""

    number: int
    last: int
    end: int
    value: str | list[str] | dict[str, Json] | Rejected


RowReader: TypeAlias = Callable[[BinaryIO, int], Iterator[LineRow]]
"""Reads the rows of a stream from where it is; also given the number of its first line there."""


def read_lines(stream: BinaryIO, number: int) -> Iterator[Line]:
    """Yield the lines of a stream from where it is.

    Args:
        stream: The file.
        number: Number of the first line there.
    """
    place = stream.tell()
    while content := stream.readline(LONGEST_LINE):
        place += len(content)
        whole: bytes | None = content
        if len(content) == LONGEST_LINE and not content.endswith(b"\n"):
            whole = None
            while content and not content.endswith(b"\n"):
                content = stream.readline(LONGEST_LINE)
                place += len(content)
        if number == 1 and whole is not None:
            whole = whole.removeprefix(BOM)
        yield Line(number, whole, place)
        number += 1


def text_rows(stream: BinaryIO, number: int) -> Iterator[LineRow]:
    """Yield the lines of a text file that are not blank."""
    for line in read_lines(stream, number):
        value = _decoded(line)
        if isinstance(value, Rejected) or value.strip():
            yield LineRow(line.number, line.number, line.end, value)


def json_rows(stream: BinaryIO, number: int) -> Iterator[LineRow]:
    """Yield the objects of a JSON Lines file; blank lines are no rows."""
    for line in read_lines(stream, number):
        value = _decoded(line)
        if isinstance(value, Rejected):
            yield LineRow(line.number, line.number, line.end, value)
        elif value.strip():
            yield LineRow(line.number, line.number, line.end, _parsed(value, line.number))


def csv_rows(separator: str, columns: int | None = None) -> RowReader:
    """Return a reader of rows of CSV.

    Args:
        separator: Between columns.
        columns: Number of columns; a row with another number is set aside. None: any.
    """

    def read(stream: BinaryIO, number: int) -> Iterator[LineRow]:
        allow_long_fields()
        place: int | None = stream.tell()
        while place is not None:
            stream.seek(place)
            place = None
            for row in _until_broken(stream, number, separator, columns):
                yield row
                if isinstance(row.value, Rejected) and row.value.kind == _NO_CSV:
                    place, number = row.end, row.number + 1  # it may have swallowed good lines
                    break

    return read


_NO_CSV = "not CSV"


def _until_broken(stream: BinaryIO, number: int, separator: str, columns: int | None) -> Iterator[LineRow]:
    """Yield rows of CSV up to the first that is broken, which ends where its first line does."""
    lines = _Fed(read_lines(stream, number))
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        lines.begin()
        try:
            cells = next(reader, None)
        except (csv.Error, _TooLong) as error:
            first = lines.first
            assert first is not None
            yield LineRow(first.number, first.number, first.end, Rejected(first.number, _NO_CSV, f"not CSV: {error}"))
            return
        first, last = lines.first, lines.last
        if first is None or last is None:
            return
        if lines.refused is not None:
            yield LineRow(first.number, last.number, last.end, lines.refused)
        elif cells:
            yield LineRow(first.number, last.number, last.end, _fitting(cells, columns, first.number))


class _TooLong(Exception):
    pass


class _Fed:
    """Lines for a `csv.reader`, which remembers those of the row that is being read."""

    def __init__(self, lines: Iterator[Line]):
        self._lines = lines
        self.begin()

    def begin(self) -> None:
        self.first: Line | None = None
        self.last: Line | None = None
        self.refused: Rejected | None = None
        self._size = 0

    def __iter__(self) -> _Fed:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.first = self.first or line
        self.last = line
        text = _decoded(line, with_end=True)
        self._size += len(line.content or b"")
        if self._size > LONGEST_CSV_ROW:
            raise _TooLong(f"a row of more than {LONGEST_CSV_ROW:,} bytes; a quote may not be closed")
        if isinstance(text, Rejected):
            self.refused = text
            return (line.content or b"").decode("utf-8", "replace")  # quotes count all the same
        return text


def _fitting(cells: list[str], columns: int | None, number: int) -> list[str] | Rejected:
    if columns is None or len(cells) == columns:
        return cells
    found = f"{len(cells)} column{'s' * (len(cells) != 1)}; expected {columns}, as the first line names"
    return Rejected(number, "other number of columns", found)


def _decoded(line: Line, *, with_end: bool = False) -> str | Rejected:
    if line.content is None:
        return Rejected(line.number, "too long", f"a line of more than {LONGEST_LINE:,} bytes")
    try:
        text = line.content.decode("utf-8")
        return text if with_end else text.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        around = line.content[max(0, error.start - 20) : error.start + 20].decode("utf-8", "backslashreplace")
        found = f"byte 0x{line.content[error.start]:02x} in {shortened(around)} is not UTF-8"
        return Rejected(line.number, "not UTF-8", found)


def _parsed(text: str, number: int) -> dict[str, Json] | Rejected:
    try:
        value = json.loads(text)
        whole = "\\u" not in text or _is_encodable(json.dumps(value, ensure_ascii=False))
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else error
        return Rejected(number, "not JSON", f"{shortened(text)} is not JSON: {why}")
    if not isinstance(value, dict):
        return Rejected(number, "no object", f"{shortened(text)} is no JSON object")
    if not whole:
        return Rejected(number, "not UTF-8", f"{shortened(text)} has half of a surrogate pair, which is no character")
    return value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
