"""First lines of a column file, cut into fields: the table by which its columns are told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hf_tagging.data.columns.kinds import BRACKETS, Table
from hf_tagging.data.columns.layout import is_blank, separator_of, split_fields, without_mark
from hf_tagging.data.columns.marks import document_mark, is_annotation
from hf_tagging.data.columns.names import CONLLU_COLUMNS
from hf_tagging.data.columns.refusals import refuse_text
from hf_tagging.data.columns.shapes import inner_fields, inner_separator
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_LINES = 4000
_MARK = re.compile(r"#+(?=[ \t])")
_CONLLU_ID = re.compile(r"\d+([-.]\d+)?$")
_GLOBAL_COLUMNS = re.compile(r"#\s*global\.columns\s*=\s*(.+)")
CONLL2012_COLUMNS = ("document", "part", "id", "word", "pos", "parse", "lemma", "frame", "sense", "speaker", "ner")
"""Columns of CoNLL-2012 that every line has; arguments of its predicates and coreference follow."""

_MOST_COLUMNS = 1_000


@dataclass
class Sample:
    """First lines of a file.

    Args:
        lines: Lines that certainly hold words, or names of columns, with their numbers.
        starts: Whether a line is the first one behind a blank line or a mark. (lines,)
        declared: Columns that CoNLL-U Plus declares.
        marks: Frequency of `##` and longer marks, alone in their field, where a sentence starts.
        inner_marks: Such marks, and `#`, within sentences.
    """

    lines: list[tuple[int, str]] = field(default_factory=list)
    starts: list[bool] = field(default_factory=list)
    declared: Sequence[str] = ()
    marks: Counter[str] = field(default_factory=Counter)
    inner_marks: set[str] = field(default_factory=set)

    def comment_marks(self) -> frozenset[str]:
        """Return the marks that comments may begin with: they come again, or no sentence has one as its word."""
        return frozenset(mark for mark, count in self.marks.items() if count > 1 or not self.inner_marks)

    @classmethod
    def of(cls, lines: Iterable[tuple[int, str]], *, file: str, comment: str | None, tagged: bool = True) -> Sample:
        """Read the first lines.

        A line with `#` is taken only where no other follows: it may be a comment or the word `#`, and only the number
        of columns of the other lines tells.

        Raises:
            DataError: There is no line of data.
        """
        sample = cls()
        uncertain: tuple[int, str] | None = None
        fresh = True
        for number, given in lines:
            line = without_mark(given)
            if is_blank(line) or document_mark(line) is not None:
                fresh = True
            elif declared := _GLOBAL_COLUMNS.match(line):
                sample.declared = declared[1].split()
            elif line.startswith(comment or "#"):
                uncertain = uncertain or (None if comment or is_annotation(line) else (number, line))
                if not comment and (mark := _MARK.match(line)):
                    if not fresh:
                        sample.inner_marks.add(mark[0])
                    elif len(mark[0]) > 1:
                        sample.marks[mark[0]] += 1
            else:
                sample.lines.append((number, line))
                sample.starts.append(fresh)
                fresh = False
            if number >= _LINES and sample.lines:
                break
        if not sample.lines and uncertain:
            sample.lines.append(uncertain)
            sample.starts.append(True)
        if not sample.lines:
            expected = "no sentence in this file; expected one word and its tag per line"
            raise DataError(f"{file}: {expected if tagged else 'there are no words in it.'}")
        return sample


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Fields of a file: the cut of its lines, and the fields of the first lines.

    Args:
        separator: Separator of fields; None is any run of spaces and tabs.
        inside: Separator within the items of a line, where a line is a sentence of items.
        count: Number of columns.
        open_ended: Lines may have further columns.
        first_line: Number of the first line with so many columns.
        table: The lines with so many columns.
        declared: Names of all columns, as the format or the file declares them.
        conllu: The file is CoNLL-U.
    """

    separator: str | None
    inside: str | None
    count: int
    open_ended: bool
    first_line: int
    table: Table
    declared: Sequence[str]
    conllu: bool


def cut(sample: Sample, *, file: str, request: ReadRequest, tagged: bool) -> Cut:
    """Cut the first lines of a file into fields.

    Args:
        sample: The lines.
        file: The file's name for messages.
        request: Column options.
        tagged: The file has a column of tags.

    Raises:
        DataError: There is a single column, or lines of text, or other columns than the file declares.
    """
    texts = [line for _, line in sample.lines]
    if inner := inner_separator(texts) if tagged and request.separator is None else None:
        return _cut_items(sample, *inner)
    with_tabs = sum("\t" in line for line in texts)
    separator = separator_of("\t" if 2 * with_tabs >= len(texts) else "", request.separator)
    rows = [split_fields(line, separator) for line in texts]
    open_ended = separator in (None, "\t") and not sample.declared and _are_conll2012(rows)
    count = len(CONLL2012_COLUMNS) if open_ended else _count(rows)
    if count == 1 and tagged:
        raise _single_column(sample.lines, file, rows)
    if count > _MOST_COLUMNS:
        raise DataError(
            f"{file}, line {sample.lines[0][0]}: {shortened(texts[0])} has {count:,} columns; expected a word, "
            f"with its tag, in {_MOST_COLUMNS:,} columns at most"
        )
    fitting = [index for index, row in enumerate(rows) if len(row) >= count and (open_ended or not any(row[count:]))]
    number, line = sample.lines[fitting[0]]
    conllu = separator == "\t" and _is_conllu(rows[fitting[0]][:count], sample.declared)
    if conllu and sample.declared and len(sample.declared) != count:
        raise DataError(
            f"{file}, line {number}: {shortened(line)} has {count} columns; expected {len(sample.declared)}, as "
            "`# global.columns` declares"
        )
    if tagged and separator is None and not open_ended:
        refuse_text(sample.lines, [len(row) for row in rows], file=file)
    return Cut(
        separator=separator,
        inside=None,
        count=count,
        open_ended=open_ended,
        first_line=number,
        table=Table([rows[index][:count] for index in fitting], [sample.starts[index] for index in fitting]),
        declared=CONLL2012_COLUMNS
        if open_ended
        else (sample.declared or [name.upper() for name in CONLLU_COLUMNS])
        if conllu
        else (),
        conllu=conllu,
    )


def _cut_items(sample: Sample, inside: str, count: int) -> Cut:
    """Cut lines that are sentences of `word|tag` items."""
    rows, starts = [], []
    for _, line in sample.lines:
        items = [inner_fields(item, inside, count) for item in line.split()]
        rows += items
        starts += [True, *[False] * (len(items) - 1)]
    return Cut(
        separator=None,
        inside=inside,
        count=count,
        open_ended=False,
        first_line=sample.lines[0][0],
        table=Table(rows, starts),
        declared=(),
        conllu=False,
    )


def _count(rows: Sequence[Sequence[str]]) -> int:
    """Return the number of columns: that of nearly all lines, or of the first one where there are few lines.

    A tab at the end of every line is no column.
    """
    first = len(rows[0])
    if len(rows) < 10:
        while first > 2 and not rows[0][first - 1]:
            first -= 1
        return first
    count, lines = Counter(map(len, rows)).most_common(1)[0]
    if lines < 0.8 * len(rows):
        count = first
    while count > 2 and not any(row[count - 1] for row in rows if len(row) >= count):
        count -= 1
    return count


def _single_column(lines: Sequence[tuple[int, str]], file: str, rows: Sequence[Sequence[str]]) -> DataError:
    number, line = lines[next(index for index, row in enumerate(rows) if len(row) == 1)]
    other = next((s for s in ("|", ";", ",", "/") if all(0 < text.count(s) <= 9 for _, text in lines)), None)
    typed = argument("separator", other) if other else argument("separator")
    return DataError(
        f"{file}, line {number}: {shortened(line)} is a single column, so there are no tags; expected a word and its "
        f"tag with a tab or spaces between them (another separator: {typed})"
    )


def _is_conllu(fields: Sequence[str], declared: Sequence[str]) -> bool:
    return bool(declared) or (len(fields) == len(CONLLU_COLUMNS) and bool(_CONLLU_ID.match(fields[0])))


def _are_conll2012(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether rows are CoNLL-2012: part and word number, a parse and entities in brackets."""
    parse, ner = CONLL2012_COLUMNS.index("parse"), CONLL2012_COLUMNS.index("ner")
    return all(
        len(row) > ner
        and row[1].isdecimal()
        and row[2].isdecimal()
        and "*" in row[parse]
        and BRACKETS.fullmatch(row[ner]) is not None
        for row in rows
    )
