"""Columns of a table: which holds the words, the tags, and what tells the sentences apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hf_tagging.data.column_names import (
    TEXT_NAMES,
    WORD_COLUMNS,
    column_position,
    is_position,
    names_documents,
    names_sentences,
    names_words,
    near_column,
    normalized,
    tag_names,
)
from hf_tagging.data.columns.headers import is_header as names_columns
from hf_tagging.data.columns.kinds import Column, Table, column_kinds
from hf_tagging.data.prefixes import entity_likeness
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.tables.cells import looks_like_list
from hf_tagging.data.text_lines import shortened
from hf_tagging.data.word_features import features_by_column
from hf_tagging.errors import DataError
from hf_tagging.problems import argument
from hf_tagging.tasks import POS

Cell = str | int | None
Cells = Sequence[Cell]

_JOINED_SHARE = 0.5
_MANY, _MANY_TIMES = 50, 3  # different values of a column of words, and how many times those of another column
_CERTAIN, _LIKELY = 0.8, 0.5  # of `entity_likeness`: tags with prefixes, and types without them


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """Positions of the columns that are read.

    Args:
        words: Of the words.
        tags: Of the tags.
        sentence: Of what tells sentences apart, None where blank rows do.
        document: Of the document, None where there is none.
        number: Of the number of each word in its sentence, where nothing else tells sentences apart.
        features: Of the requested further columns, in order.
        a_sentence_a_row: A row holds a sentence, written as lists or joined by blanks; else it holds a word.
        lists: Those of these columns whose cells are lists.
    """

    words: int
    tags: int
    sentence: int | None = None
    document: int | None = None
    number: int | None = None
    features: tuple[int, ...] = ()
    a_sentence_a_row: bool = False
    lists: frozenset[int] = frozenset()


def is_header(cells: Sequence[str], rest: Sequence[Cells], request: ReadRequest) -> bool:
    """Return whether a first row names the columns.

    It does where it has names that are asked for, or known ones of words and of tags, or where it is the only row
    without an entity tag in a column of them; else it is told as that of a column file.

    Args:
        cells: The first row.
        rest: The rows below it.
        request: Names that are asked for.
    """
    lower = [normalized(cell) for cell in cells]
    asked = [request.tokens_column, request.tags_column, *request.word_features]
    if any(isinstance(n, str) and not is_position(n) and column_position(n, cells) is not None for n in asked):
        return True
    if any(map(names_words, lower)) and not tag_names(request.task).isdisjoint(lower):
        return True
    if not rest:
        return False
    column = _column_of_entities(rest, len(cells), taken=set())
    if column is None or _likeness(rest, column) < _CERTAIN:
        kinds = kinds_of(rest)
        return names_columns(cells, kinds, kinds[0].counts.total() if kinds else 0, request)
    if not lower[column]:
        return False
    below = {tag for row in rest for tag in _tags_of(row[column])}
    return cells[column].strip() not in below and entity_likeness([cells[column].strip()]) < _CERTAIN


def kinds_of(rows: Sequence[Cells]) -> list[Column]:
    """Return what stands in each column, told by the rows without an empty cell."""
    full = [[str(cell) for cell in row] for row in rows if all(cell not in (None, "") for cell in row)]
    return column_kinds(Table(full, [False] * len(full)))


def find_columns(
    names: Sequence[str], rows: Sequence[Cells], *, request: ReadRequest, place: str, named: bool = True
) -> TableColumns:
    """Find the columns of a table by their names, and by what stands in them.

    Args:
        names: Of all columns; an empty one is that of an index.
        rows: The first rows.
        request: Columns that are asked for.
        place: The table, for messages.
        named: The names are the table's own; else there are none.

    Raises:
        DataError: A column is not there or cannot be told.
    """
    finder = _Finder(names, rows, request, place, named)
    words, tags = finder.words_and_tags()
    features = finder.features(words, tags)
    a_sentence_a_row = _a_sentence_a_row(rows, words, tags)
    if not a_sentence_a_row and _hold_texts(rows, words):
        example = next(row for row in rows if len(str(row[words]).split()) > 2)
        raise DataError(
            f"{place}: the columns {finder.shown(words)} and {finder.shown(tags)} hold texts with a single tag each, "
            f"as {shortened(str(example[words]))}; expected a word and its tag in each row, or as many tags as words"
        )
    free = [i for i in range(len(names)) if i not in (words, tags, *features)]
    document = next((i for i in free if names_documents(names[i])), None)
    sentence = None if a_sentence_a_row else finder.sentence([i for i in free if i != document], words)
    number = None if a_sentence_a_row or sentence is not None else finder.number(free, words)
    return TableColumns(
        words=words,
        tags=tags,
        sentence=sentence,
        document=document,
        number=number,
        features=features,
        a_sentence_a_row=a_sentence_a_row,
        lists=frozenset(i for i in (words, tags, *features) if a_sentence_a_row and _holds_lists(rows, i)),
    )


class _Finder:
    """Search for the columns of one table."""

    def __init__(self, names: Sequence[str], rows: Sequence[Cells], request: ReadRequest, place: str, named: bool):
        self.names, self.rows, self.request, self.place = names, rows, request, place
        self.lower = [normalized(name) for name in names] if named else []
        shown = [name or "(no name)" for name in names] if named else list(map(str, range(len(names))))
        self.listing = ", ".join(shown) if named else f"{len(names)} columns without names, 0 to {len(names) - 1}"

    def words_and_tags(self) -> tuple[int, int]:
        """Return the positions of words and tags."""
        asked = self.request
        tags = self._asked(asked.tags_column, "tags_column")
        tags = self._asked(asked.layer, "layer") if tags is None else tags
        words = self._asked(asked.tokens_column, "tokens_column")
        words = self._named_words(tags) if words is None else words
        tags = self._tags(words) if tags is None else tags
        words = self._other(tags, "words", "tokens_column") if words is None else words
        tags = self._other(words, "tags", "tags_column") if tags is None else tags
        if words == tags:
            raise DataError(
                f"{self.place}: the column {self.shown(words)} would be both words and tags; give another "
                f"{argument('tags_column')} or {argument('tokens_column')}; there are: {self.listing}"
            )
        return words, tags

    def features(self, words: int, tags: int) -> tuple[int, ...]:
        """Return the positions of the requested further columns."""
        return tuple(
            features_by_column(
                self.request.word_features,
                lambda name: self._position(name, "word_features"),
                taken={words: "words", tags: "tags"},
                place=self.place,
                shown=lambda position: f"the column {self.shown(position)}",
            )
        )

    def sentence(self, free: Sequence[int], words: int) -> int | None:
        """Return the column that tells sentences apart: by its name, or, without blank rows, by its numbers."""
        known = next((i for i in free if i < len(self.lower) and names_sentences(self.lower[i])), None)
        if known is not None:
            return known
        filled = [row for row in self.rows if row[words] not in (None, "")]
        if len(filled) < len(self.rows):
            return None
        return next((i for i in free if _numbers_sentences([row[i] for row in filled])), None)

    def number(self, free: Sequence[int], words: int) -> int | None:
        """Return the column that counts the words of each sentence, in a table without empty rows."""
        if any(row[words] in (None, "") for row in self.rows):
            return None
        return next((i for i in free if _counts_words([row[i] for row in self.rows])), None)

    def _named_words(self, tags: int | None) -> int | None:
        for name in (*WORD_COLUMNS, *sorted(TEXT_NAMES)):
            if name in self.lower and self.lower.index(name) != tags:
                return self.lower.index(name)
        return None

    def _tags(self, words: int | None) -> int | None:
        named = [self.lower.index(name) for name in self.request.task.columns if name in self.lower]
        named = [position for position in named if position != words]
        if self.request.task.has_entities:
            fitting = [position for position in named if _likeness(self.rows, position) >= _LIKELY]
            by_content = _column_of_entities(self.rows, len(self.names), taken={words})
            return next(iter([*fitting, *([] if by_content is None else [by_content]), *named]), None)
        return named[0] if named else self._parts_of_speech(words)

    def _parts_of_speech(self, words: int | None) -> int | None:
        """Return the only column of parts of speech of a known set, where these are the task."""
        if self.request.task.name != POS.name:
            return None
        found = [i for i, column in enumerate(kinds_of(self.rows)) if column.kind == "pos" and i != words]
        return found[0] if len(found) == 1 else None

    def _other(self, known: int | None, what: str, option: str) -> int:
        """Return the only column that may be the other one of words and tags."""
        may_be = [i for i in range(len(self.names)) if i != known and not self._is_number(i)]
        if known is not None and len(may_be) == 1:
            return may_be[0]
        if known is not None and what == "words" and (found := self._of_most_values(may_be)) is not None:
            return found
        raise DataError(
            f"{self.place}: cannot tell which column holds the {what}; there are: {self.listing}; give "
            f"{argument(option)}"
        )

    def _of_most_values(self, columns: Sequence[int]) -> int | None:
        """Return the column that has many times as many values as the others, as words have beside their tags."""
        values = {column: [row[column] for row in self.rows if any(row)] for column in columns}
        values = {c: v for c, v in values.items() if None not in v and "" not in v and not _numbers_sentences(v)}
        counts = {column: len(set(found)) for column, found in values.items()}
        ranked = sorted(counts, key=counts.__getitem__, reverse=True)
        clear = all(counts[ranked[0]] >= _MANY_TIMES * counts[other] for other in ranked[1:])
        return ranked[0] if ranked and clear and counts[ranked[0]] >= _MANY else None

    def _is_number(self, column: int) -> bool:
        """Return whether a column is an index or an id: numbers, or named like one."""
        if self.lower and (not self.lower[column] or names_sentences(self.lower[column])):
            return True
        if self.lower and names_documents(self.lower[column]):
            return True
        values = [row[column] for row in self.rows if row[column] not in (None, "")]
        return bool(values) and all(str(value).strip().isdecimal() for value in values)

    def _asked(self, asked: str | int | None, option: str) -> int | None:
        return None if asked is None else self._position(asked, option)

    def _position(self, asked: str | int, option: str) -> int:
        position = column_position(asked, self.names if self.lower else (), count=len(self.names))
        if position is None:
            there = f"there are: {self.listing}{near_column(asked, self.names)}"
            raise DataError(f"{self.place}: {argument(option, asked)}: no such column; {there}")
        return position

    def shown(self, position: int) -> str:
        """Return a column as messages name it."""
        return repr(self.names[position]) if self.lower and self.names[position] else str(position)


def _tags_of(cell: Cell) -> list[str]:
    """Return the tags of a cell, be it one, a list as it is written, or several joined by blanks."""
    text = str(cell).strip()
    if looks_like_list(text):
        return re.findall(r"[^\s,'\"]+", text[1:-1])
    return text.split()


def _likeness(rows: Sequence[Cells], column: int) -> float:
    """Return how much a column looks like one of entity tags."""
    return entity_likeness([tag for row in rows if row[column] not in (None, "") for tag in _tags_of(row[column])])


def _column_of_entities(rows: Sequence[Cells], count: int, *, taken: set[int | None]) -> int | None:
    """Return the first column that certainly holds entity tags, or else the first that is likely to."""
    found = {column: _likeness(rows, column) for column in range(count) if column not in taken}
    certain = next((column for column, likeness in found.items() if likeness >= _CERTAIN), None)
    return certain if certain is not None else next((c for c, value in found.items() if value >= _LIKELY), None)


def _a_sentence_a_row(rows: Sequence[Cells], words: int, tags: int) -> bool:
    """Return whether cells hold whole sentences: lists of tags, or as many tags between blanks as words, several."""
    pairs = [
        (str(row[words]), str(row[tags])) for row in rows if row[words] not in (None, "") and row[tags] is not None
    ]
    if not pairs:
        return False
    if sum(looks_like_list(tag) for _, tag in pairs) > _JOINED_SHARE * len(pairs):
        return True
    several = [(word.split(), tag.split()) for word, tag in pairs if len(tag.split()) > 1 and len(word.split()) > 1]
    if len(several) <= _JOINED_SHARE * len(pairs):
        return False
    return sum(len(word) == len(tag) for word, tag in several) > _JOINED_SHARE * len(several)


def _holds_lists(rows: Sequence[Cells], column: int) -> bool:
    found = [looks_like_list(str(row[column])) for row in rows if row[column] not in (None, "")]
    return sum(found) > _JOINED_SHARE * len(found)


def _hold_texts(rows: Sequence[Cells], words: int) -> bool:
    """Return whether cells that should be words are mostly texts."""
    found = [len(str(row[words]).split()) > 2 for row in rows if row[words] not in (None, "")]
    return sum(found) > _JOINED_SHARE * len(found)


def _numbers_sentences(values: Sequence[Cell]) -> bool:
    """Return whether a column numbers sentences: the same number in adjacent rows, then the next; or only on the first.

    Args:
        values: The column in all rows that have a word.
    """
    filled = [str(value).strip() for value in values if value not in (None, "")]
    if not filled or values[0] in (None, ""):
        return False
    numbers = [re.search(r"(?<!\d)(\d{1,15})$", value) for value in filled]
    if not all(numbers):
        return False
    found = [int(number[1]) for number in numbers if number]
    steps = [after - before for before, after in pairwise(found)]
    if len(filled) < len(values):  # on the first word of each sentence alone
        return len(values) >= 2 * len(filled) and all(step > 0 for step in steps)
    return 1 in steps and all(step in (0, 1) for step in steps) and steps.count(0) >= steps.count(1)


def _counts_words(values: Sequence[Cell]) -> bool:
    """Return whether a column counts up by one, and starts again at least once."""
    written = [str(value).strip() for value in values]
    if not all(value.isdecimal() and len(value) < 16 for value in written):
        return False
    numbers = [int(value) for value in written]
    again = [after == numbers[0] for before, after in pairwise(numbers) if after != before + 1]
    return bool(again) and all(again) and 2 * len(again) <= len(numbers)
