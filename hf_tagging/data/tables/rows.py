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

_NUMBER = re.compile(r"(.*?)(\d+)(?:\.0)?$", re.DOTALL)  # 1.0: pandas makes a column with gaps floats


@dataclass(frozen=True, kw_only=True)
class TableSentence:
    """One sentence of a table.

    Args:
        words: Its words.
        tags: A tag per word as the table has it; None for a word of a list that is not annotated.
        features: Values of the further columns. (columns, words)
        document: Id of its document, None where there is none.
        place: Its first row, for messages.
    """

    words: list[str]
    tags: list[Cell]
    features: list[list[Cell]]
    document: str | None
    place: str


@dataclass
class SentenceIds:
    """Ids of sentences in the order of a table, each of which may occur in adjacent rows alone.

    Args:
        file: The table, for messages.
        notes: Counts where numbers start again.
    """

    file: str
    notes: FileNotes
    _current: str | None = None
    _first: tuple[str, int] | None = None
    _next: tuple[str, int] | None = None  # the following number, as long as there are no gaps and nothing is in _seen
    _seen: set[int] = field(default_factory=set)
    _last: int | None = None
    _rising: bool = True  # the numbers so far; where they fall back to the first one without it, rows are mixed up

    def begins(self, value: str, place: str) -> bool:
        """Return whether a row with this id begins a sentence.

        Raises:
            DataError: The id was that of an earlier sentence, and others came between.
        """
        if value == self._current:
            return False
        self._current = value
        number = _numbered(value)
        if number is not None and number == self._first and self._rising:
            self.notes.count(
                "sentence_ids", "times the numbers of sentences start again: read as other sentences", example=place
            )
            self._seen.clear()
            self._next, self._last = _after(number), None
        elif number is not None and (self._first is None or number == self._next):
            self._first, self._next = self._first or number, _after(number)
        else:
            self._add(value, number, place)
        if number is not None:
            self._rising &= self._last is None or number[1] > self._last
            self._last = number[1]
        return True

    def restart(self) -> None:
        """Forget all ids: another document has its own."""
        self._current, self._first, self._next, self._last, self._rising = None, None, None, None, True
        self._seen.clear()

    def _add(self, value: str, number: tuple[str, int] | None, place: str) -> None:
        """Add an id that does not follow the one before it."""
        if self._next is not None and self._first is not None:
            prefix, first = self._first
            self._seen.update(hash((prefix, earlier)) for earlier in range(first, self._next[1]))
            self._next = None
        self._first = self._first or ("", -1)
        key = hash(number or value)
        if key in self._seen:
            raise DataError(
                f"{self.file}, {place}: the sentence {shortened(value)} comes again after others; expected the rows of "
                "a sentence to stand together: sort them by sentence and word, or give every sentence an id of its own"
            )
        self._seen.add(key)


def sentences(
    rows: Iterable[tuple[str, Cells]], columns: TableColumns, *, file: str, names: Sequence[str], notes: FileNotes
) -> Iterator[TableSentence]:
    """Yield the sentences of a table.

    Args:
        rows: Place, for messages, and cells of each row; an empty cell is None or "".
        columns: Which columns are read.
        file: The table, for messages.
        names: Of its columns.
        notes: Filled in with what is counted.

    Raises:
        DataError: A row has a word without a tag or a tag without a word, or as many of one as not of the other.
    """
    if columns.a_sentence_a_row:
        for place, cells in rows:
            if not _is_empty(cells[columns.words]) or not _is_empty(cells[columns.tags]):
                yield _of_row(cells, columns, place=f"{file}, {place}", names=names)
        return
    found = 0
    for sentence in _of_words(rows, columns, file=file, names=names, notes=notes):
        found += 1
        last = sentence
        yield sentence
    if found == 1 and columns.sentence is None and len(last.words) > 1:
        text = f"no row is empty and no column numbers the sentences: read as one sentence of {len(last.words):,} words"
        notes.remark("one_sentence", text, severity="suspicious")


def _of_words(
    rows: Iterable[tuple[str, Cells]], columns: TableColumns, *, file: str, names: Sequence[str], notes: FileNotes
) -> Iterator[TableSentence]:
    """Yield the sentences of a table with a word a row."""
    ids = SentenceIds(file, notes)
    words: list[str] = []
    tags: list[Cell] = []
    features: list[list[Cell]] = [[] for _ in columns.features]
    document: str | None = None
    begin = ""
    sentence_column, document_column = columns.sentence, columns.document
    of_words, of_tags = columns.words, columns.tags

    def finished() -> TableSentence:
        return TableSentence(
            words=[*words], tags=[*tags], features=[[*values] for values in features], document=document, place=begin
        )

    for place, cells in rows:
        word, tag = cells[of_words], cells[of_tags]
        ends = False
        other = document
        if document_column is not None and not _is_empty(cells[document_column]):
            other = str(cells[document_column])
        if other != document:
            ids.restart()
            ends = True
        if word is None or word == "" or tag is None or tag == "":
            _refuse_half(cells, columns, place=f"{file}, {place}", names=names)
            ends = True
        elif sentence_column is not None and not _is_empty(value := cells[sentence_column]):
            ends |= ids.begins(str(value).strip(), place)
        if ends:
            if words:
                yield finished()
                words.clear()
                tags.clear()
                for values in features:
                    values.clear()
            document = other
            if _is_empty(word):
                continue
        begin = begin if words else place
        words.append(str(word))
        tags.append(tag.strip() if isinstance(tag, str) else tag)
        for values, position in zip(features, columns.features, strict=True):
            values.append(cells[position])
    if words:
        yield finished()


def _refuse_half(cells: Cells, columns: TableColumns, *, place: str, names: Sequence[str]) -> None:
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
        if word is None
        else "a row between two sentences has neither"
    )
    raise DataError(
        f"{place}: nothing in the column {_name(names, empty)} beside {known}; expected a word and its tag ({missing})"
    )


def _of_row(cells: Cells, columns: TableColumns, *, place: str, names: Sequence[str]) -> TableSentence:
    """Return the sentence that one row holds."""
    items = {
        position: _items(cells[position], position in columns.lists, place=place, column=_name(names, position))
        for position in (columns.words, columns.tags, *columns.features)
    }
    words = items[columns.words]
    for position, found in items.items():
        if len(found) != len(words):
            raise DataError(
                f"{place}: {len(words)} words in {_name(names, columns.words)} but {len(found)} in "
                f"{_name(names, position)}; expected one {'tag' if position == columns.tags else 'value'} per word"
            )
    if None in words:
        raise DataError(f"{place}: a null among the words in {_name(names, columns.words)}; expected a word")
    document = None if columns.document is None else cells[columns.document]
    return TableSentence(
        words=[str(word) for word in words],
        tags=list(as_strings(items[columns.tags])),
        features=[list(as_strings(items[position])) for position in columns.features],
        document=None if _is_empty(document) else str(document),
        place=place,
    )


def _items(cell: Cell, is_list: bool, *, place: str, column: str) -> Sequence[Item]:
    if _is_empty(cell):
        return []
    if not is_list:
        return str(cell).split()
    try:
        return parse_list(str(cell))
    except ValueError as error:
        raise DataError(f"{place}: {shortened(str(cell))} in {column}: {error}") from error


def _name(names: Sequence[str], position: int) -> str:
    return repr(names[position]) if position < len(names) and names[position] else str(position)


def _is_empty(cell: Cell) -> bool:
    return cell is None or cell == ""


def _numbered(value: str) -> tuple[str, int] | None:
    """Return the number that an id ends with, and what is before it: `Sentence: 12`; None without one."""
    found = _NUMBER.match(value) if value.isascii() else None
    return (found[1], int(found[2])) if found and len(found[2]) < 19 else None


def _after(number: tuple[str, int]) -> tuple[str, int]:
    return number[0], number[1] + 1
