"""Rows of CSV and TSV files: their encoding, delimiter, quotes and header."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.tables.names import is_header
from hf_tagging.data.tables.sniff import delimiter_of, split_line
from hf_tagging.data.text_lines import shortened, text_form, text_lines
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

Lines = Callable[[], Iterator[tuple[int, str]]]
"""Returns the numbered lines of a file from its beginning."""

_SAMPLE_ROWS = 4_000
_SNIFFED = 2_000  # lines
_LONGEST_FIELD = 1 << 24


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """A table in a file.

    Args:
        lines: Its lines.
        file: Its name for messages.
        delimiter: Between two fields.
        quotes: Fields may stand in quotes.
        blanks_follow: A blank follows each delimiter.
        header: Names of the columns; empty where there are none.
        count: Number of columns.
        first_line: Of the rows, the header among them.
        sample: The first rows below the header.
    """

    lines: Lines
    file: str
    delimiter: str
    quotes: bool
    blanks_follow: bool
    header: tuple[str, ...]
    count: int
    first_line: int
    sample: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, empty ones where there are none."""
        return self.header or ("",) * self.count

    def rows(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield place and cells of each row below the header; an empty line is a row of empty cells.

        Raises:
            DataError: A row has another number of cells, or its quotes are not closed.
        """
        skip = bool(self.header)
        empty = ("",) * self.count
        for number, cells in _csv_rows(self.lines(), self):
            if skip and cells:
                skip = False
            elif len(cells) == self.count:
                yield f"line {number}", cells
            elif not any(map(str.strip, cells)):
                yield f"line {number}", empty
            elif len(cells) > self.count and not any(cells[self.count :]):
                yield f"line {number}", cells[: self.count]
            else:
                raise DataError(
                    f"{self.file}, line {number}: {shortened(self.delimiter.join(cells))} has {_fields(len(cells))}; "
                    f"expected {self.count}, with {_shown(self.delimiter)} between them, as in line {self.first_line}"
                    f"{self._hint(cells)}"
                )

    def _hint(self, cells: Sequence[str]) -> str:
        if any("\n" in cell for cell in cells):
            return '; a quotation mark opens a field that ends lines later: a word that is one is written """"'
        if len(cells) > self.count and not self.quotes:
            return f"; a field with {_shown(self.delimiter)} in it stands in quotes"
        return ""


def open_table(stream: BinaryIO, *, file: str, request: ReadRequest, notes: FileNotes) -> TableFile:
    """Find out how a table is written.

    Args:
        stream: The file, opened for bytes; it has to stay open while the rows are read.
        file: Its name for messages.
        request: Encoding, delimiter and names of columns that are asked for.
        notes: Filled in with encoding and what was found.

    Raises:
        DataError: The file is empty or no text, or has a single column.
    """
    form = text_form(stream, file=file, encoding=request.encoding)
    notes.encoding = form.shown
    if form.remark:
        notes.remark("encoding", form.remark)

    def lines() -> Iterator[tuple[int, str]]:
        stream.seek(0)
        return text_lines(stream, file, form)

    start = [line for _, line in islice(lines(), _SNIFFED)]
    delimiter = _asked_delimiter(request) or delimiter_of("\n".join(start), whole=True) or ","
    first = next((number for number, line in lines() if line.strip()), None)
    if first is None:
        raise DataError(f"{file}: no rows; expected words and tags in the columns of a table")
    table = TableFile(
        lines=lines,
        file=file,
        delimiter=delimiter,
        quotes=_has_quotes(lines, delimiter, file),
        blanks_follow=_blanks_follow(start, delimiter),
        header=(),
        count=0,
        first_line=first,
        sample=(),
    )
    return _with_header(table, request)


def _with_header(table: TableFile, request: ReadRequest) -> TableFile:
    """Return the table with its header, its number of columns and its first rows."""
    found = [cells for _, cells in islice(_csv_rows(table.lines(), table), _SAMPLE_ROWS + 1)]
    sample = [tuple(cells) for cells in found if any(cell.strip() for cell in cells)]
    first = sample[0]
    if len(first) < 2:
        raise DataError(
            f"{table.file}, line {table.first_line}: {shortened(first[0])} is a single column; expected words and tags "
            f"with {_shown(table.delimiter)} between them (another delimiter: {argument('separator')})"
        )
    rest = [cells for cells in sample[1:] if len(cells) == len(first)]
    header = tuple(cell.strip() for cell in first) if is_header(first, rest, request) else ()
    full = [cells if len(cells) == len(first) else ("",) * len(first) for cells in (tuple(row) for row in found)]
    below = full[found.index(list(first)) + 1 :] if header else full
    return TableFile(
        **{**vars(table), "header": header, "count": len(first), "sample": tuple(below)},
    )


def _csv_rows(lines: Iterator[tuple[int, str]], table: TableFile) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line and the cells of each row; an empty line has no cells."""
    if csv.field_size_limit() < _LONGEST_FIELD:
        csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(
        (line + "\n" for _, line in lines),
        delimiter=table.delimiter,
        quoting=csv.QUOTE_MINIMAL if table.quotes else csv.QUOTE_NONE,
        skipinitialspace=table.blanks_follow,
        strict=table.quotes,
    )
    before = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{table.file}, line {before + 1}: cannot be read as a table ({error}); expected a field with a "
                'quotation mark in it to stand in quotes, and the mark to be doubled: the word " is written """"'
            ) from None
        if cells is None:
            return
        yield before + 1, cells
        before = reader.line_num


def _has_quotes(lines: Lines, delimiter: str, file: str) -> bool:
    """Return whether fields stand in quotes, or quotation marks are words.

    Raises:
        DataError: Both are so.
    """
    closed = 0
    opened: list[tuple[int, str]] = []
    for number, line in lines():
        if '"' not in line:
            continue
        found = split_line(line, delimiter)
        closed += bool(found.quoted)
        if found.is_open and len(opened) < 2:
            opened.append((number, line))
    if not opened:
        return closed > 0 and (delimiter != "\t" or _tabs_need_quotes(lines))
    counts = {line.count(delimiter) for _, line in lines() if line.strip()}
    if len(counts) > 1:
        return True  # a field goes over several lines
    if not closed or delimiter == "\t":
        return False
    number, line = opened[0]
    raise DataError(
        f"{file}, line {number}: {shortened(line)}: nothing closes the field that this quotation mark opens, and in "
        'other lines fields stand in quotes; write the word " as """"'
    )


def _tabs_need_quotes(lines: Lines) -> bool:
    """Return whether a file with tabs quotes its fields: on every line, or those with a quotation mark in them."""
    doubled, every = 0, True
    for _, line in lines():
        if not line.strip():
            continue
        found = split_line(line, "\t")
        doubled += found.doubled
        every &= found.quoted > 0
        if doubled:
            return True
    return every


def _blanks_follow(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether a blank follows every delimiter."""
    filled = [line for line in lines if line.strip()]
    if delimiter == "\t":
        return False
    return all(line.count(delimiter) == line.count(delimiter + " ") > 0 for line in filled if '"' not in line)


def _asked_delimiter(request: ReadRequest) -> str | None:
    """Return the delimiter that is asked for."""
    if request.separator is None:
        return None
    return "\t" if request.separator == "tab" else request.separator


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _shown(delimiter: str) -> str:
    return {"\t": "a tab", ",": "a comma", ";": "a semicolon"}.get(delimiter, repr(delimiter))
