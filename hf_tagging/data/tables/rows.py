"""Sentences from the rows of a table, of which each holds a word or a sentence.

Rows of words are divided where their sentence id changes; a row without an id continues the sentence before it. Where
no column tells sentences apart, rows without a word and a tag do. The rows of a sentence stand together: an id that
comes again after others is refused, unless the numbers start from the first one again, as in the next document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hf_tagging.data.notes import FileNotes
from hf_tagging.data.tables.cells import Item, as_strings, parse_list
from hf_tagging.data.tables.names import Cell, Cells, TableColumns
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError

_NUMBER = re.compile(r"(.*?)(?<!\d)(\d+)(?:\.0)?$", re.DOTALL)  # 1.0: pandas makes a column with gaps floats


Rows = Iterable[tuple[int, Cells]]
"""Number and cells of each row of a table."""


@dataclass(frozen=True)
class TableSource:
    """A table, as messages and notes speak of it.

    Args:
        file: Its name.
        names: Of its columns.
        notes: About it.
        unit: What its rows are numbered by: "line" or "row".
    """

    file: str
    names: Sequence[str]
    notes: FileNotes
    unit: str = "row"

    def place(self, row: int) -> str:
        """Return a row as messages name it."""
        return f"{self.file}, {self.unit} {row}"

    def column(self, position: int) -> str:
        """Return a column as messages name it."""
        return repr(self.names[position]) if position < len(self.names) and self.names[position] else str(position)


@dataclass(frozen=True, kw_only=True)
class TableSentence:
    """One sentence of a table.

    Args:
        words: Its words.
        tags: A tag per word as the table has it; None for a word of a list that is not annotated.
        features: Values of the further columns. (columns, words)
        document: Id of its document, None where there is none.
        row: Number of its first row.
    """

    words: list[str]
    tags: list[Cell]
    features: list[list[Cell]]
    document: str | None
    row: int


@dataclass
class SentenceIds:
    """Ids of sentences in the order of a table, each of which may occur in adjacent rows alone.

    Args:
        source: The table; its notes count where numbers start again.
    """

    source: TableSource
    _current: str | None = None
    _first: tuple[str, int] | None = None
    _next: tuple[str, int] | None = None  # the following number, as long as there are no gaps and nothing is in _seen
    _seen: set[int] = field(default_factory=set)
    _last: int | None = None
    _rising: bool = True  # the numbers so far; where they fall back to the first one without it, rows are mixed up

    def begins(self, value: str, row: int) -> bool:
        """Return whether a row with this id begins a sentence.

        Raises:
            DataError: The id was that of an earlier sentence, and others came between.
        """
        if value == self._current:
            return False
        self._current = value
        number = _numbered(value)
        if number is not None and number == self._first and self._rising:
            text = "times the numbers of sentences start again: read as other sentences"
            self.source.notes.count("sentence_ids", text, example=f"{self.source.unit} {row}")
            self._seen.clear()
            self._next, self._last = _after(number), None
        elif number is not None and (self._first is None or number == self._next):
            self._first, self._next = self._first or number, _after(number)
        else:
            self._add(value, number, row)
        if number is not None:
            self._rising &= self._last is None or number[1] > self._last
            self._last = number[1]
        return True

    def restart(self) -> None:
        """Forget all ids: another document has its own."""
        self._current, self._first, self._next, self._last, self._rising = None, None, None, None, True
        self._seen.clear()

    def _add(self, value: str, number: tuple[str, int] | None, row: int) -> None:
        """Add an id that does not follow the one before it."""
        if self._next is not None and self._first is not None:
            prefix, first = self._first
            self._seen.update(hash((prefix, earlier)) for earlier in range(first, self._next[1]))
            self._next = None
        self._first = self._first or ("", -1)
        key = hash(number or value)
        if key in self._seen:
            raise DataError(
                f"{self.source.place(row)}: the sentence {shortened(value)} comes again after others; expected the "
                "rows of a sentence to stand together: sort them by sentence and word, or give each sentence its own id"
            )
        self._seen.add(key)


def sentences(rows: Rows, columns: TableColumns, source: TableSource) -> Iterator[TableSentence]:
    """Yield the sentences of a table.

    Args:
        rows: Number and cells of each row; an empty cell is None or "".
        columns: Which columns are read.
        source: The table; its notes are filled in with what is counted.

    Raises:
        DataError: A row has a word without a tag or a tag without a word, or as many of one as not of the other.
    """
    if columns.a_sentence_a_row:
        for number, cells in rows:
            if not _is_empty(cells[columns.words]) or not _is_empty(cells[columns.tags]):
                yield _of_row(cells, columns, source, number)
        return
    found, words, documents = 0, 0, set[str | None]()
    for sentence in _of_words(rows, columns, source):
        found += 1
        if found == len(documents) + 1 and (not documents or columns.document is not None):
            documents.add(sentence.document)
        words += len(sentence.words)
        yield sentence
    if columns.sentence is not None or columns.number is not None:
        return
    if words > found and found in (1, len(documents)):
        what = f"read as one sentence of {words:,} words" if found == 1 else "each document is read as one sentence"
        text = f"no empty row and no column parts sentences: {what}"
        source.notes.remark("one_sentence", text, severity="suspicious")
    else:
        source.notes.remark("grouping", "each row is a word; empty rows part the sentences")


def _of_words(rows: Rows, columns: TableColumns, source: TableSource) -> Iterator[TableSentence]:
    """Yield the sentences of a table with a word a row."""
    borders = _Borders(columns, SentenceIds(source))
    words: list[str] = []
    tags: list[Cell] = []
    kept: list[Cells] = []  # the rows, where further columns are asked for
    of_words, of_tags, further = columns.words, columns.tags, columns.features
    begin, document = 0, borders.document
    for number, cells in rows:
        word, tag = cells[of_words], cells[of_tags]
        is_empty = word is None or word == "" or tag is None or tag == ""
        if is_empty:
            _refuse_half(cells, columns, source, number)
        if is_empty or borders.begins(cells, number):
            if words:
                features = [[row[position] for row in kept] for position in further]
                yield TableSentence(words=words, tags=tags, features=features, document=document, row=begin)
                words, tags, kept = [], [], []
            if is_empty:
                continue
        if not words:
            begin, document = number, borders.document
        words.append(str(word))
        tags.append(tag.strip() if isinstance(tag, str) else tag)
        if further:
            kept.append(cells)
    if words:
        features = [[row[position] for row in kept] for position in further]
        yield TableSentence(words=words, tags=tags, features=features, document=document, row=begin)


class _Borders:
    """Search for the rows that begin sentences, by the columns that tell."""

    def __init__(self, columns: TableColumns, ids: SentenceIds) -> None:
        self.columns, self.ids = columns, ids
        self.document: str | None = None
        self._number = 0

    def begins(self, cells: Cells, row: int) -> bool:
        """Return whether a row with a word begins a sentence.

        Raises:
            DataError: The rows of a sentence do not stand together.
        """
        columns, begins = self.columns, False
        if columns.document is not None and not _is_empty(cells[columns.document]):
            document = str(cells[columns.document])
            if document != self.document:
                self.document, begins = document, True
                self.ids.restart()
        if columns.sentence is not None and not _is_empty(value := cells[columns.sentence]):
            begins |= self.ids.begins(str(value).strip(), row)
        if columns.number is not None and not _is_empty(value := cells[columns.number]):
            text = str(value).strip()
            number = int(text) if text.isdecimal() and len(text) < 16 else self._number + 1
            begins |= number <= self._number
            self._number = number
        return begins


def _refuse_half(cells: Cells, columns: TableColumns, source: TableSource, row: int) -> None:
    """Refuse a row that has one of word and tag.

    Raises:
        DataError: It has.
    """
    word, tag = cells[columns.words], cells[columns.tags]
    if _is_empty(word) and _is_empty(tag):
        return
    empty = columns.words if _is_empty(word) else columns.tags
    known = shortened(str(tag if _is_empty(word) else word))
    missing = (
        'pandas reads the words "NA" and "null" as missing: read the file with keep_default_na=False'
        if cells[empty] is None
        else "a row between two sentences has neither"
    )
    raise DataError(
        f"{source.place(row)}: nothing in the column {source.column(empty)} beside {known}; expected a word and its "
        f"tag ({missing})"
    )


def _of_row(cells: Cells, columns: TableColumns, source: TableSource, row: int) -> TableSentence:
    """Return the sentence that one row holds."""
    positions = (columns.words, columns.tags, *columns.features)
    items = {position: _items(cells[position], position, columns, source, row) for position in positions}
    words = items[columns.words]
    for position, found in items.items():
        if len(found) != len(words):
            raise DataError(
                f"{source.place(row)}: {len(words)} words in {source.column(columns.words)} but {len(found)} in "
                f"{source.column(position)}; expected one {'tag' if position == columns.tags else 'value'} per word"
            )
    if None in words:
        raise DataError(f"{source.place(row)}: a null among the words in {source.column(columns.words)}")
    document = None if columns.document is None else cells[columns.document]
    return TableSentence(
        words=[str(word) for word in words],
        tags=list(as_strings(items[columns.tags])),
        features=[list(as_strings(items[position])) for position in columns.features],
        document=None if _is_empty(document) else str(document),
        row=row,
    )


def _items(cell: Cell, position: int, columns: TableColumns, source: TableSource, row: int) -> Sequence[Item]:
    """Return the items of a cell that holds a sentence."""
    if _is_empty(cell):
        return []
    if position not in columns.lists:
        return str(cell).split()
    try:
        return parse_list(str(cell))
    except ValueError as error:
        raise DataError(f"{source.place(row)}: {shortened(str(cell))} in {source.column(position)}: {error}") from error


def _is_empty(cell: Cell) -> bool:
    return cell is None or cell == ""


def _numbered(value: str) -> tuple[str, int] | None:
    """Return the number that an id ends with, and what is before it: `Sentence: 12`; None without one."""
    found = _NUMBER.match(value) if value.isascii() else None
    return (found[1], int(found[2])) if found and len(found[2]) < 19 else None


def _after(number: tuple[str, int]) -> tuple[str, int]:
    return number[0], number[1] + 1
