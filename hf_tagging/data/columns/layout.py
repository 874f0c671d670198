"""Layout of column files: how a line is split into fields, and which of them are the word and the tag.

The layout is found once per file, from its first data line, because the formats that people have differ in
little more: CoNLL-2003 (word POS chunk NER), CoNLL-2000/2002 (three columns), two columns, CoNLL-U and
CoNLL-U Plus (https://universaldependencies.org/format.html,
https://universaldependencies.org/ext-format.html).

A first data line of nothing but column names, one of words and one of tags (`word<tab>tag`), is a header: it names the
columns and is no word. A corpus whose first sentence begins with the word `word` tagged `pos` would lose this word;
none is known, and the log says that a header was read.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hf_tagging.data.columns.names import (
    CONLLU_COLUMNS,
    WORD_NAMES,
    ColumnFinder,
    column_names,
    header_names,
    header_tag_names,
    index_of,
)
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

# Spaces and tabs only: a no-break space or a U+3000 inside a word is data.
_BLANKS = re.compile(r"[ \t]+")
# An annotation line of CoNLL-U or MultiCoNER; "# NN" alone is the word "#" with its tag.
_ANNOTATION = re.compile(r"# (id|sent_id|text|newdoc)\b")
_CONLLU_ID = re.compile(r"\d+([-.]\d+)?$")
_GLOBAL_COLUMNS = re.compile(r"#\s*global\.columns\s*=\s*(.+)")
DOCUMENT_MARK = re.compile(r"[ \t]*-DOCSTART-(?!\w)")
"""A line that starts a document; what follows the mark differs between corpora and is not looked at."""


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
        has_header: That line names the columns and is not a word.
        features: Positions of the requested word features, in order.
    """

    separator: str | None
    count: int
    tokens: int
    tags: int
    word_id: int | None
    conllu: bool
    first_line: int
    has_header: bool = False
    features: tuple[int, ...] = ()

    def fields(self, line: str) -> list[str]:
        """Split a line into its fields; blanks after the last column are not another column."""
        fields = split_fields(line, self.separator)
        while len(fields) > self.count and not fields[-1]:
            fields.pop()
        return fields

    def is_comment(self, line: str, *, starts_sentence: bool) -> bool:
        """Return whether a line is a comment. Outside CoNLL-U, `#` may also be a word."""
        if not line.startswith("#"):
            return False
        if self.conllu:
            return True
        if not starts_sentence or not line.startswith(("# ", "#\t")):
            return False
        return bool(_ANNOTATION.match(line)) or len(self.fields(line)) != self.count

    @property
    def separator_words(self) -> str:
        """Name of the separator in messages."""
        return {None: "spaces or tabs", "\t": "one tab"}.get(self.separator, repr(self.separator))


def is_blank(line: str) -> bool:
    """Return whether a line separates sentences: it has only spaces and tabs."""
    return not line.strip(" \t")


def split_fields(line: str, separator: str | None) -> list[str]:
    """Split a line at the separator; None is any run of spaces and tabs, ignoring leading and trailing ones."""
    if separator is None:
        return _BLANKS.split(line.strip(" \t"))
    return line.rstrip(" ").split(separator)


def find_layout(lines: Iterable[tuple[int, str]], *, file: str, request: ReadRequest) -> ColumnLayout:
    """Detect a file's layout from its first line of data.

    Args:
        lines: Line numbers from 1 and lines without their ends; read as far as needed.
        file: The file's name for messages.
        request: Column options.

    Returns:
        The layout.

    Raises:
        DataError: No data line, a single column, or a column that is not there or cannot be guessed.
    """
    number, line, header = _first_data_line(lines, file)
    separator = separator_of(line, request.separator)
    fields = _first_fields(line, separator, place=f"{file}, line {number}")
    conllu = separator == "\t" and _is_conllu(fields, header)
    if conllu and header and len(header) != len(fields):
        declared = f"expected {len(header)}, as `# global.columns` declares"
        raise DataError(f"{file}, line {number}: {shortened(line)} has {len(fields)} columns; {declared}")
    has_header = not conllu and _is_header(fields, request)
    if has_header:
        names = header_names(fields)
        logger.info("%s, line %d: read as the names of the columns: %s", file, number, ", ".join(fields))
    else:
        names = column_names(len(fields), header if conllu else (), conllu)
    finder = ColumnFinder(
        file=file, number=number, count=len(fields), names=names, conllu=conllu, has_header=has_header
    )
    tokens = finder.tokens_position(request)
    tags = finder.tags_position(request)
    if tokens == tags:
        raise DataError(
            f"{file}: column {tokens} would be both the word and the tag; there are: {finder.listing}; "
            f"give another {argument('tags_column')} or {argument('tokens_column')}"
        )
    return ColumnLayout(
        separator=separator,
        count=len(fields),
        tokens=tokens,
        tags=tags,
        word_id=index_of("id", names) if conllu else None,
        conllu=conllu,
        first_line=number,
        has_header=has_header,
        features=finder.feature_positions(request, tokens=tokens, tags=tags),
    )


def _first_data_line(lines: Iterable[tuple[int, str]], file: str) -> tuple[int, str, Sequence[str]]:
    """Return the first line that is certainly a word, with its number and the columns that CoNLL-U Plus declares.

    A line with `#` is taken only where no other follows: it may be a comment or the word `#`, and only the
    number of columns of the other lines tells.
    """
    header: Sequence[str] = ()
    uncertain: tuple[int, str] | None = None
    for number, line in lines:
        if declared := _GLOBAL_COLUMNS.match(line):
            header = declared[1].lower().split()
        elif line.startswith("#"):
            uncertain = uncertain or (None if _ANNOTATION.match(line) else (number, line))
        elif not is_blank(line) and not DOCUMENT_MARK.match(line):
            return number, line, header
    if uncertain is None:
        raise DataError(f"{file}: no sentence in this file; expected one word and its tag per line")
    return *uncertain, header


def separator_of(line: str, asked: str | None) -> str | None:
    """Return the requested separator, or the one of the first line of data."""
    if asked is None:
        return "\t" if "\t" in line else None
    if asked == "":
        raise DataError(f"{argument('separator')} is empty; expected tab, space or the characters between two columns")
    return {"tab": "\t", "space": None, " ": None}.get(asked, asked)


def _first_fields(line: str, separator: str | None, *, place: str) -> list[str]:
    """Return the fields of the first line of data, which set the number of columns of the file."""
    fields = split_fields(line, separator)
    while len(fields) > 2 and not fields[-1]:  # a tab at the end of every line is no column
        fields.pop()
    if len(fields) == 1:
        raise DataError(
            f"{place}: {shortened(line)} is a single column, so there are no tags; expected a word and its "
            f"tag with a tab or spaces between them (another separator: {argument('separator')})"
        )
    return fields


def _is_conllu(fields: Sequence[str], header: Sequence[str]) -> bool:
    return bool(header) or (len(fields) == len(CONLLU_COLUMNS) and bool(_CONLLU_ID.match(fields[0])))


def _is_header(fields: Sequence[str], request: ReadRequest) -> bool:
    names = {field.strip().lower() for field in fields}
    of_tags, features = header_tag_names(request.task), {name.lower() for name in request.word_features}
    known = WORD_NAMES | of_tags | {"lemma", "id", "index", "predicted"} | features
    return names <= known and not names.isdisjoint(WORD_NAMES) and not names.isdisjoint(of_tags)
