"""Rows of column files, sentence by sentence, with notes of every line that holds no word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from hf_tagging.data.columns.layout import ColumnLayout, SentenceBorders, is_blank, without_mark
from hf_tagging.data.columns.marks import numbers_no_word
from hf_tagging.data.columns.shapes import inner_fields, misc_values
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.text_lines import as_number, shortened
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

Row = tuple[str, ...]
"""A word, its tag and its features."""

_NOT_PLAIN = frozenset("#-\ufeff \t")  # first characters of lines that may hold no word


class RowReader:
    """Reader of the lines of a column file.

    Args:
        file: Its name for messages.
        layout: How its lines are read.
        at_mentions: A sentence starts at every word that begins with `@`, and blank lines mean nothing.
    """

    def __init__(self, file: str, layout: ColumnLayout, *, at_mentions: bool = False) -> None:
        self.file, self.layout, self.at_mentions = file, layout, at_mentions
        self._passed: dict[str, list[str]] = {kind: [] for kind in _PASSED}
        self._counts = dict.fromkeys(_PASSED, 0)

    def sentences(self, lines: Iterable[tuple[int, str]]) -> Iterator[list[Row] | str]:
        """Yield the rows of each sentence; at the start of a document its name, empty where it has none."""
        layout, at_mentions = self.layout, self.at_mentions
        rows: list[Row] = []
        borders, has_borders = SentenceBorders(layout), layout.has_borders
        fresh = True  # no word since the last blank line: here, and only here, a comment without a key may stand
        for number, line in lines:
            if not line or line[0] in _NOT_PLAIN or layout.comment is not None:
                line = self._without_mark(line)
                name = layout.document_mark(line) if fresh or layout.conllu or not line.startswith("#") else None
                if name is not None or is_blank(line):
                    fresh = True
                    if rows and (name is not None or not at_mentions):
                        yield rows
                        rows = []
                    if name is not None:
                        yield name
                    continue
                if layout.is_comment(line, starts_sentence=fresh):
                    self._pass("comments", line)
                    continue
            if layout.inside is not None:
                yield [self._row(fields, line, number) for fields in self._items(line, layout.inside)]
                continue
            fields = layout.fields(line)
            if not self._holds_word(fields, line, number):
                continue
            row = self._row(fields, line, number)
            if has_borders:
                if borders.starts(fields) and rows:
                    yield rows
                    rows = []
            elif at_mentions and rows and row[0].startswith("@"):
                yield rows
                rows = []
            rows.append(row)
            fresh = False
            if layout.sentence_end is not None and borders.ends(fields):
                fresh = True
                yield rows
                rows = []
        if rows:
            yield rows

    def note(self, notes: FileNotes) -> None:
        """Say which lines were passed over, when all are read."""
        for kind, text in _PASSED.items():
            for example in self._passed[kind]:
                notes.count(kind, text, example=example, by=0)
            if self._counts[kind]:
                notes.count(kind, text, by=self._counts[kind])

    def _pass(self, kind: str, line: str) -> None:
        self._counts[kind] += 1
        if self._counts[kind] == 1:
            self._passed[kind].append(shortened(line, 40))

    def _without_mark(self, line: str) -> str:
        rest = without_mark(line)
        if line.startswith("\ufeff") and (rest != line or is_blank(line)):
            self._counts["byte_order_marks"] += 1
        return rest

    def _holds_word(self, fields: Sequence[str], line: str, number: int) -> bool:
        """Return whether a line holds a word: it is no header, contraction or empty node.

        Raises:
            DataError: It has other columns than the first one.
        """
        layout = self.layout
        if layout.header and layout.is_header(fields):
            if number > layout.first_line:
                self._pass("headers", line)
            return False
        if not layout.fits(fields):
            raise DataError(
                f"{self.file}, line {number}: {shortened(line)} has {_columns(len(fields))}; expected {layout.count}, "
                f"with {layout.separator_words} between them, as in line {layout.first_line}{_comment_hint(line)}"
            )
        if layout.counter is not None and as_number(fields[layout.counter]) is None:
            raise DataError(
                f"{self.file}, line {number}: {shortened(fields[layout.counter])} in column {layout.counter}; expected "
                "the number of a word, as in the first lines: a sentence starts where these start anew"
            )
        if layout.word_id is not None and not fields[layout.word_id].isdecimal():
            if numbers_no_word(fields[layout.word_id]):
                self._counts["no_words"] += not layout.conllu
                return False
            raise DataError(
                f"{self.file}, line {number}: {shortened(line)} starts with {shortened(fields[layout.word_id])}; "
                f"expected the number of a word, as in {'every CoNLL-U file' if layout.conllu else 'the first lines'}"
            )
        return True

    def _row(self, fields: Sequence[str], line: str, number: int) -> Row:
        layout = self.layout
        tag = fields[layout.tags].strip(" ")
        if layout.tag_key is not None:
            tag = misc_values(tag).get(layout.tag_key, "O")
        if not tag:
            raise DataError(
                f"{self.file}, line {number}: {shortened(line)} has nothing in column {layout.tags}; expected a tag "
                "there"
            )
        word = layout.word(fields) if layout.prefix else fields[layout.tokens]
        if not word:
            raise DataError(
                f"{self.file}, line {number}: {shortened(line)} has nothing in column {layout.tokens}; expected a word "
                "there"
            )
        if not layout.features:
            return word, tag
        return (word, tag, *(fields[position].strip(" ") for position in layout.features))

    def _items(self, line: str, separator: str) -> Iterator[list[str]]:
        return (inner_fields(item, separator, self.layout.count) for item in line.split())


_PASSED = {
    "comments": "comment lines, which hold no word",
    "headers": "further lines with the names of the columns, which hold no word",
    "byte_order_marks": "byte order marks within the file: left out",
    "no_words": "lines numbered as a range or an empty node, which are no words",
}


def _comment_hint(line: str) -> str:
    """Return what to do if a line is a comment, for one that begins with a sign of a comment."""
    sign = re.match(r"[#%;/*=~-]+(?=[\s\w])", line)
    return f"; if such lines are comments, give {argument('comment', sign[0])}" if sign else ""


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"
