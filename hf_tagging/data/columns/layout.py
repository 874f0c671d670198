"""Layout of column files: how a line is split into fields, and which of them are the word and the tag.

The formats that people have differ in little more: CoNLL-2003 (word POS chunk NER), CoNLL-2000/2002 (three columns),
two columns, CoNLL-U and CoNLL-U Plus (https://universaldependencies.org/format.html,
https://universaldependencies.org/ext-format.html), CoNLL-2012 with entities in brackets, and sentences on a line.
`hf_tagging.data.columns.finding` finds the layout of a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hf_tagging.data.columns.marks import (
    document_mark,
    is_annotation,
    is_key_and_value,
    is_key_mark,
    is_no_tag,
    looks_like_comment,
)
from hf_tagging.data.prefixes import STANDARD, is_outside, spelling_of
from hf_tagging.data.text_lines import as_number
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

# Spaces and tabs only: a no-break space or a U+3000 inside a word is data.
_BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True, kw_only=True)
class ColumnLayout:
    """Layout of one column file.

    Args:
        separator: Separator of fields; None is any run of spaces and tabs.
        count: Number of columns.
        tokens: Position of the word.
        tags: Position of the tag.
        word_id: Position of the CoNLL-U word number, None where there is none.
        conllu: Every line that starts with `#` is a comment.
        first_line: Number of the line that the layout was read from.
        header: Names of the columns where the file begins with them; that line is not a word.
        features: Positions of the requested word features, in order.
        comment: Beginning of comment lines that was asked for.
        numbers: Position of a column of numbers, None where there is none: no comment has a number there.
        known_tags: Tags of the first lines, by which comments with as many columns are told from words.
        comment_marks: Marks of the first lines, `##` and longer, that comments may begin with.
        sentences: Positions of columns that change where a sentence starts, in a file without blank lines.
        counter: Position of word numbers, in a file without blank lines: a sentence starts where they start anew.
        sentence_end: Position of a column and what it says behind the last word of a sentence.
        open_ended: Lines may have further columns.
        inside: Separator within the items of a line, where a line is a sentence of `word|tag` items.
        prefix: Beginning of every word, which is left out.
        tag_key: The tag is the value of this key in its column, as in `name=B-PER`.
        brackets: Tags are brackets around entities: `(PER*`, `*)`.
    """

    separator: str | None
    count: int
    tokens: int
    tags: int
    word_id: int | None
    conllu: bool
    first_line: int
    header: tuple[str, ...] = ()
    features: tuple[int, ...] = ()
    comment: str | None = None
    numbers: int | None = None
    known_tags: frozenset[str] = frozenset()
    comment_marks: frozenset[str] = frozenset()
    sentences: tuple[int, ...] = ()
    counter: int | None = None
    sentence_end: tuple[int, str] | None = None
    open_ended: bool = False
    inside: str | None = None
    prefix: str = ""
    tag_key: str | None = None
    brackets: bool = False

    @property
    def has_borders(self) -> bool:
        """Columns tell where a sentence starts."""
        return bool(self.sentences) or self.counter is not None

    def fields(self, line: str) -> list[str]:
        """Split a line into its fields; blanks after the last column are not another column."""
        fields = split_fields(line, self.separator)
        while len(fields) > self.count and not fields[-1]:
            fields.pop()
        return fields

    def fits(self, fields: Sequence[str]) -> bool:
        """Return whether fields are as many as a line with a word has."""
        return len(fields) == self.count or (self.open_ended and len(fields) > self.count)

    def is_header(self, fields: Sequence[str]) -> bool:
        """Return whether fields are the names of the columns, be it again in the middle of a file."""
        return bool(self.header) and tuple(fields) == self.header

    def word(self, fields: Sequence[str]) -> str:
        """Return the word among the fields of a line."""
        word = fields[self.tokens]
        return word.removeprefix(self.prefix) or word if self.prefix else word

    def is_comment(self, line: str, *, starts_sentence: bool) -> bool:
        """Return whether a line is a comment. Outside CoNLL-U, `#` may also be a word."""
        if self.comment is not None:
            return line.startswith(self.comment)
        if not line.startswith("#"):
            return False
        if self.conllu:
            return True
        if self.inside is not None and all(self.inside in item for item in line.split()):
            return False
        fields = self.fields(line)
        if not self.fits(fields) or (self.numbers is not None and not fields[self.numbers].isdecimal()):
            return looks_like_comment(line) if starts_sentence else is_key_and_value(line)
        if not starts_sentence:
            return False
        if is_annotation(line):
            return True
        tag = fields[self.tags].strip(" ")
        unknown = bool(self.known_tags) and tag not in self.known_tags
        return unknown and line.startswith(("# ", "#\t", "##")) and self._is_no_tag(tag, line)

    def _is_no_tag(self, tag: str, line: str) -> bool:
        """Return whether a tag that no other word has belongs to a comment.

        It does where it is a number and no tag is one, or stands behind a mark of comments and has no prefix as the
        others have.
        """
        if is_no_tag(tag):
            return True
        if tag.isdecimal():
            return not any(map(str.isdecimal, self.known_tags))
        if line.split(maxsplit=1)[0] not in self.comment_marks or not any(map(STANDARD.parts, self.known_tags)):
            return False
        return not is_outside(tag) and spelling_of(tag) is None

    def document_mark(self, line: str) -> str | None:
        """Return the name of the document that starts at a line; None at any other line, and at a word with its tag."""
        if self.comment is not None and line.startswith("#") and not line.startswith(self.comment):
            return None
        name = document_mark(line)
        return None if name is not None and not self.conllu and is_key_mark(line) and self._holds_tag(line) else name

    def _holds_tag(self, line: str) -> bool:
        """Return whether a line has the columns of a word and one of the tags of the first lines."""
        if self.inside is not None:
            return all(self.inside in item for item in line.split())
        fields = self.fields(line)
        return self.fits(fields) and fields[self.tags].strip(" ") in self.known_tags

    @property
    def separator_words(self) -> str:
        """Name of the separator in messages."""
        return {None: "spaces or tabs", "\t": "one tab"}.get(self.separator, repr(self.separator))


class SentenceBorders:
    """Borders between sentences that columns of a file tell, where no blank line does.

    Args:
        layout: Of the file.
    """

    def __init__(self, layout: ColumnLayout) -> None:
        self._layout = layout
        self._before: tuple[str, ...] = ()

    def starts(self, fields: Sequence[str]) -> bool:
        """Return whether a sentence starts at the next line, given its fields; an empty field goes on as before."""
        layout, before = self._layout, self._before
        if layout.counter is not None:
            self._before = (fields[layout.counter],)
            return bool(before) and not (as_number(before[0]) or 0) < (as_number(fields[layout.counter]) or 0)
        values = (fields[position] for position in layout.sentences)
        self._before = tuple(value or (before[index] if before else "") for index, value in enumerate(values))
        return bool(before) and self._before != before

    def ends(self, fields: Sequence[str]) -> bool:
        """Return whether a sentence ends with a line, given its fields."""
        end = self._layout.sentence_end
        return end is not None and end[1] in fields[end[0]]


def is_blank(line: str) -> bool:
    """Return whether a line separates sentences: it has only spaces and tabs, or a lone byte order mark."""
    return not line.strip(" \t\ufeff")


def without_mark(line: str) -> str:
    """Return a line without the byte order mark that it has where files were joined; a word of its own is kept."""
    return line[1:] if line[:1] == "\ufeff" and line[1:2] not in ("", " ", "\t") else line


def split_fields(line: str, separator: str | None) -> list[str]:
    """Split a line at the separator; None is any run of spaces and tabs, ignoring leading and trailing ones."""
    if separator is None:
        line = line.strip(" \t")
        fields = line.split(" ")  # five times as fast, and right where single blanks are between columns
        return _BLANKS.split(line) if "" in fields or "\t" in line else fields
    return line.rstrip(" ").split(separator)


def separator_of(line: str, asked: str | None) -> str | None:
    """Return the requested separator, or the one of the first line of data."""
    if asked is None:
        return "\t" if "\t" in line else None
    if asked == "":
        raise DataError(f"{argument('separator')} is empty; expected tab, space or the characters between two columns")
    return {"tab": "\t", "space": None, " ": None}.get(asked, asked)
