"""Column files as `tag_file` reads and writes them: lines become records, a sentence at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hf_tagging.data.columns.finding import find_layout
from hf_tagging.data.columns.layout import ColumnLayout, SentenceBorders, is_blank, without_mark
from hf_tagging.data.columns.marks import DOCUMENT_MARK, numbers_no_word
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import numbered_lines, shortened
from hf_tagging.errors import DataError
from hf_tagging.evaluation.escapes import HEADER
from hf_tagging.inference.results import WordLabels
from hf_tagging.inference.word_tagger import WordTagger
from hf_tagging.tasks import NER

_NO_TAG = "_"


@dataclass(frozen=True)
class Record:
    """A sentence or a text of a file.

    Args:
        sentences: Words of its sentences; one without words where there is only something to copy.
        render: Gives what to write, line ends included, from what the tagger says of the words.
        document: The same for neighbouring records of one document. None: the record is a document of its own.
    """

    sentences: list[list[str]]
    render: Callable[[WordTagger, WordLabels], str]
    document: str | int | None = None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield numbers from 1 and lines, without line ends, of a file in UTF-8.

    Raises:
        DataError: If it cannot be read, or a line is no UTF-8.
    """
    try:
        with open(path, "rb") as stream:
            yield from numbered_lines(stream, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def read_columns(
    path: Path,
    *,
    tokens_column: str | int | None = None,
    separator: str | None = None,
    documents: bool = False,
    otherwise: str = "",
) -> Iterator[Record]:
    """Yield the sentences of a column file, each with its comments and blank lines.

    Args:
        path: The file.
        tokens_column: Column of the words, by name or by position; None finds it.
        separator: ``tab``, ``space`` or a literal; None finds it.
        documents: Say which sentences are of one document, as `load_tagging_dataset` does; the file is then read twice.
        otherwise: End of the message about a line that does not fit the first one.

    Raises:
        DataError: If a line does not fit the first one; with its number.
    """
    layout = _words_layout(path, tokens_column, separator)
    borders = SentenceBorders(layout)
    words: list[str] = []
    lines: list[tuple[str, bool]] = []
    marked = documents and any(layout.document_mark(line) is not None for _, line in read_lines(path))
    document: str | int | None = 0 if marked else None
    count = 0

    def record() -> Record:
        return Record([words], partial(_write_columns, lines, layout), document)

    for number, line in read_lines(path):
        place = f"{path}, line {number}"
        written, fields = _column_line(line, layout, place, starts_sentence=not words, otherwise=otherwise)
        # A mark of a document ends a sentence, blank line or not.
        starts = DOCUMENT_MARK.match(line) or (fields is not None and layout.has_borders and borders.starts(fields))
        if starts and words:
            yield record()
            words, lines = [], []
        if marked and (not words or layout.conllu or not line.startswith("#")):
            name = layout.document_mark(without_mark(line))
            count += name is not None
            document = document if name is None else name or count
        lines.append((written, fields is not None))
        if fields is not None:
            words.append(layout.word(fields))
        if is_blank(line) or (fields is not None and borders.ends(fields)):
            yield record()
            words, lines = [], []
    if lines:
        yield record()


def _words_layout(path: Path, tokens_column: str | int | None, separator: str | None) -> ColumnLayout:
    """Return the layout of a file that need not have tags: a single column is the words."""
    request = ReadRequest(task=NER, tokens_column=tokens_column, separator=separator)
    return find_layout(read_lines(path), file=str(path), request=request, tagged=False)


def _column_line(
    line: str, layout: ColumnLayout, place: str, *, starts_sentence: bool, otherwise: str
) -> tuple[str, list[str] | None]:
    """Return a line as it is written, without the tag, and its fields; None for lines without a word."""
    line = without_mark(line)
    no_word = is_blank(line) or DOCUMENT_MARK.match(line) or layout.is_comment(line, starts_sentence=starts_sentence)
    if no_word:
        return line, None
    fields = layout.fields(line)
    if layout.is_header(fields):
        return f"{line}{layout.separator or ' '}{HEADER}", None
    if not layout.fits(fields):
        raise DataError(
            f"{place}: {shortened(line)} has {len(fields)} column{'s' * (len(fields) > 1)}; expected {layout.count}, "
            f"with {layout.separator_words} between them, as in line {layout.first_line}.{otherwise}"
        )
    written = line.rstrip(" \t") if layout.separator is None else layout.separator.join(fields)
    if layout.word_id is not None and numbers_no_word(fields[layout.word_id]):
        return f"{written}{layout.separator}{_NO_TAG}", None
    if layout.counter is not None and not fields[layout.counter].isdecimal():
        raise DataError(f"{place}: {shortened(fields[layout.counter])}; expected the number of a word, as before.")
    return written, fields


def _write_columns(lines: list[tuple[str, bool]], layout: ColumnLayout, tagger: WordTagger, labels: WordLabels) -> str:
    tags = iter(labels.tags(tagger.schema))
    between = "\t" if layout.count == 1 else layout.separator or " "
    return "".join(f"{line}{between}{next(tags)}\n" if is_word else f"{line}\n" for line, is_word in lines)
