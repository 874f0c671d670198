"""Rows of CSV and TSV files: their encoding, delimiter, quotes and header."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.tables.names import is_header
from hf_tagging.data.tables.quotes import Lines, has_quotes
from hf_tagging.data.tables.sniff import delimiter_of, leading_comments, said_delimiter
from hf_tagging.data.text_lines import TextForm, shortened, text_form, text_lines
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_SAMPLE_ROWS = 4_000
_SNIFFED = 2_000  # lines
_LONGEST_FIELD = 1 << 24  # characters; where a quotation mark never closes, the rest of the file is a field


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
        notes: About the file.
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
    notes: FileNotes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, empty ones where there are none."""
        return self.header or ("",) * self.count

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Yield line and cells of each row below the header; an empty line is a row of empty cells.

        So is the header where it comes again, as in files that were put one behind the other.

        Raises:
            DataError: A row has another number of cells, or its quotes are not closed.
        """
        skip = bool(self.header)
        empty = ("",) * self.count
        for number, cells in _csv_rows(self.lines(), self):
            if skip and cells:
                skip = False
            elif len(cells) == self.count:
                if self.header and self._is_header(cells):
                    text = "further rows with the names of the columns, which hold no word"
                    self.notes.count("headers", text, example=f"line {number}")
                    cells = list(empty)
                yield number, cells
            elif not any(map(str.strip, cells)):
                yield number, empty
            elif len(cells) > self.count and not any(cells[self.count :]):
                yield number, cells[: self.count]
            else:
                raise DataError(
                    f"{self.file}, line {number}: {shortened(self.delimiter.join(cells))} has {_fields(len(cells))}; "
                    f"expected {self.count}, with {_shown(self.delimiter)} between them, as in line {self.first_line}"
                    f"{self._hint(cells)}"
                )

    def _is_header(self, cells: Sequence[str]) -> bool:
        return cells[0].strip() == self.header[0] and tuple(map(str.strip, cells)) == self.header

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

    stream.seek(0)
    start = [line for _, line in islice(text_lines(stream, file, form), _SNIFFED)]
    said = said_delimiter(start[0]) if start else None
    skipped = 1 if said else leading_comments(start)
    if skipped and not said:
        notes.count("comments", "lines before the names of the columns begin with #: not read", by=skipped)
    start = start[skipped:]

    def lines() -> Iterator[tuple[int, str]]:
        stream.seek(0)
        found = text_lines(stream, file, form)
        if skipped:
            found = islice(found, skipped, None)
        if request.comment:
            found = (line for line in found if not line[1].startswith(request.comment or ""))
        return found

    delimiter = _asked_delimiter(request) or said or delimiter_of("\n".join(start), whole=True) or ","
    first = next((number for number, line in lines() if line.strip()), None)
    if first is None:
        raise DataError(f"{file}: no rows; expected words and tags in the columns of a table")
    table = TableFile(
        lines=lines,
        file=file,
        delimiter=delimiter,
        quotes=has_quotes(lines, _with_marks(stream, lines, form), delimiter=delimiter, file=file),
        blanks_follow=_blanks_follow(start, delimiter),
        header=(),
        count=0,
        first_line=first,
        sample=(),
        notes=notes,
    )
    return _with_header(table, request)


def _with_header(table: TableFile, request: ReadRequest) -> TableFile:
    """Return the table with its header, its number of columns and its first rows."""
    found = [cells for _, cells in islice(_csv_rows(table.lines(), table), _SAMPLE_ROWS + 1)]
    sample = [tuple(cells) for cells in found if any(cell.strip() for cell in cells)]
    if not sample:
        raise DataError(f"{table.file}: no rows but empty ones; expected words and tags in the columns of a table")
    first = sample[0]
    if len(first) < 2:
        raise DataError(
            f"{table.file}, line {table.first_line}: {shortened(first[0])} is a single column; expected words and tags "
            f"with {_shown(table.delimiter)} between them (another delimiter: {argument('separator')})"
        )
    rest = [cells for cells in sample[1:] if len(cells) == len(first)]
    header = tuple(cell.strip() for cell in first) if is_header(first, rest, request) else ()
    full = [cells if len(cells) == len(first) else ("",) * len(first) for cells in (tuple(row) for row in found)]
    below = full
    if header:
        below = [cells for cells in full[found.index(list(first)) + 1 :] if tuple(map(str.strip, cells)) != header]
    return TableFile(
        **{**vars(table), "header": header, "count": len(first), "sample": tuple(below)},
    )


def allow_long_fields() -> None:
    """Let the csv module read fields of up to 16 MiB: its limit is one for the whole process."""
    csv.field_size_limit(max(_LONGEST_FIELD, csv.field_size_limit()))


def _csv_rows(lines: Iterator[tuple[int, str]], table: TableFile) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line and the cells of each row; an empty line has no cells."""
    allow_long_fields()
    numbers: list[int] = []  # of the lines of the row that is being read

    def fed() -> Iterator[str]:
        for number, line in lines:
            numbers.append(number)
            yield line + "\n"

    reader = csv.reader(
        fed(),
        delimiter=table.delimiter,
        quoting=csv.QUOTE_MINIMAL if table.quotes else csv.QUOTE_NONE,
        skipinitialspace=table.blanks_follow,
        strict=table.quotes,
    )
    while True:
        numbers.clear()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{table.file}, line {numbers[0] if numbers else 1}: cannot be read as a table ({error}); expected a "
                'field with a quotation mark in it to stand in quotes, and the mark to be doubled: the word " is '
                'written """"'
            ) from None
        if cells is None:
            return
        yield numbers[0], cells


def _with_marks(stream: BinaryIO, lines: Lines, form: TextForm) -> Iterator[tuple[int, str]]:
    """Yield the lines with a quotation mark; of UTF-8, without decoding the others."""
    if form.encoding not in ("utf-8", "utf-8-sig") or form.line_end != "\n":
        yield from ((number, line) for number, line in lines() if '"' in line)
        return
    stream.seek(0)
    for number, raw in enumerate(stream, start=1):
        if b'"' in raw:
            yield number, raw.decode("utf-8").lstrip("\ufeff").rstrip("\r\n")


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
