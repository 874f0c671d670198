"""Reading `word ... gold predicted` lines, as conlleval takes them and as runs and `hf-tagging predict` write them."""

from __future__ import annotations

from pathlib import Path

from hf_tagging.data.columns.layout import ColumnLayout, is_blank, separator_of, split_fields
from hf_tagging.data.columns.marks import DOCUMENT_MARK, is_annotation
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError
from hf_tagging.evaluation.escapes import HEADER, unescaped
from hf_tagging.evaluation.metrics import Tags
from hf_tagging.inference.records import read_lines


def read_tagged_lines(path: Path) -> tuple[Tags, Tags, Tags]:
    """Read a file of columns whose last two are the gold and the predicted tag.

    Blank lines and ``-DOCSTART-`` lines end a sentence; lines of annotation (``# text = ...``) are passed over.

    Args:
        path: In UTF-8, with spaces or tabs between the columns.

    Returns:
        Words (the first column), gold and predicted tags, (sentences, words) each.

    Raises:
        DataError: If it cannot be read, holds no word, or a line has other columns than the first; with its number.
    """
    layout = _find_layout(path)
    sentences: list[list[list[str]]] = [[]]  # (sentences, words, columns)
    for number, line in read_lines(path):
        if is_blank(line) or DOCUMENT_MARK.match(line):
            sentences.append([])
            continue
        fields = layout.fields(line)
        if not sentences[-1] and _is_comment(line, fields, layout):
            continue
        if len(fields) != layout.count:
            raise DataError(
                f"{path}, line {number}: {shortened(line)} has {len(fields)} columns; expected {layout.count}, with "
                f"{layout.separator_words} between them, as in line {layout.first_line}."
            )
        if number > layout.first_line or fields[-1] != HEADER:
            sentences[-1].append([*map(unescaped, fields)])
    rows = [sentence for sentence in sentences if sentence]
    words, gold, predicted = ([[fields[i] for fields in sentence] for sentence in rows] for i in (0, -2, -1))
    return words, gold, predicted


def _is_comment(line: str, fields: list[str], layout: ColumnLayout) -> bool:
    """Return whether the first line of a sentence is a comment; ``#`` may also be a word."""
    return line.startswith(("# ", "#\t")) and (is_annotation(line) or len(fields) != layout.count)


def _first_line(path: Path) -> tuple[int, str] | None:
    """Return the first line that is a word; one with ``#`` only where there is no other."""
    uncertain = None
    for number, line in read_lines(path):
        if not is_blank(line) and not DOCUMENT_MARK.match(line):
            if not line.startswith("#"):
                return number, line
            uncertain = uncertain or (None if is_annotation(line) else (number, line))
    return uncertain


def _find_layout(path: Path) -> ColumnLayout:
    """Return the layout of the columns, from the first line with a word."""
    if found := _first_line(path):
        number, line = found
        separator = separator_of(line, None)
        fields = split_fields(line.rstrip(" \t"), separator)
        if len(fields) < 3:
            raise DataError(
                f"{path}, line {number}: {shortened(line)} has {len(fields)} column{'s' * (len(fields) > 1)}; expected "
                "`word gold predicted`: three or more, the last two the gold and the predicted tag."
            )
        return ColumnLayout(
            separator=separator, count=len(fields), tokens=0, tags=-2, word_id=None, conllu=False, first_line=number
        )
    raise DataError(f"{path}: holds no word; expected lines of `word ... gold predicted`.")
