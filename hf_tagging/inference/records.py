"""Formats that `tag_file` reads and writes. Each cuts lines into records, one sentence or text at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from hf_tagging.atomic import Json, json_text
from hf_tagging.data.columns.finding import find_layout
from hf_tagging.data.columns.layout import ColumnLayout, is_blank
from hf_tagging.data.columns.marks import DOCUMENT_MARK
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text import split_words
from hf_tagging.data.text_lines import numbered_lines, shortened
from hf_tagging.errors import DataError
from hf_tagging.inference.results import WordLabels, tagged_text
from hf_tagging.inference.tagger import Tagger
from hf_tagging.tasks import NER

_NO_WORD_ID = re.compile(r"\d+[-.]\d+")  # CoNLL-U: 1-2 is a contraction, 1.1 an empty node; neither is a word
_NO_TAG = "_"
_TAG_HEADER = "predicted"  # what a header row calls the column of predicted tags
_SCORE_DIGITS = 6


@dataclass(frozen=True)
class Record:
    """A sentence of a file.

    Args:
        words: Its words; none where there is only something to copy.
        render: Gives what to write, line ends included, from what the tagger says of the words.
    """

    words: list[str]
    render: Callable[[Tagger, WordLabels], str]


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
    path: Path, *, tokens_column: str | int | None = None, separator: str | None = None, otherwise: str = ""
) -> Iterator[Record]:
    """Yield the sentences of a column file, each with its comments and blank lines.

    Args:
        path: The file.
        tokens_column: Column of the words, by name or by position; None finds it.
        separator: ``tab``, ``space`` or a literal; None finds it.
        otherwise: End of the message about a line that does not fit the first one.

    Raises:
        DataError: If a line does not fit the first one; with its number.
    """
    layout = _words_layout(path, tokens_column, separator)
    words: list[str] = []
    lines: list[tuple[str, bool]] = []
    for number, line in read_lines(path):
        if DOCUMENT_MARK.match(line) and words:  # ends a sentence, blank line or not
            yield Record(words, partial(_write_columns, lines, layout))
            words, lines = [], []
        if layout.has_header and number == layout.first_line:
            lines.append((f"{line}{layout.separator or ' '}{_TAG_HEADER}", False))
            continue
        written, word = _column_line(
            line, layout, f"{path}, line {number}", starts_sentence=not words, otherwise=otherwise
        )
        lines.append((written, word is not None))
        if word is not None:
            words.append(word)
        elif is_blank(line):
            yield Record(words, partial(_write_columns, lines, layout))
            words, lines = [], []
    if lines:
        yield Record(words, partial(_write_columns, lines, layout))


def read_jsonl(path: Path, *, tokens_key: str | None = None) -> Iterator[Record]:
    """Yield the rows of a JSON Lines file with words or text; blank lines are skipped.

    Args:
        path: The file.
        tokens_key: The key of the words. Default: ``tokens``, or else ``text`` with a text.

    Raises:
        DataError: If a line is no JSON, or holds neither words nor text; with its number.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: {shortened(line)} is not JSON ({error}).") from None
        record = _json_record(row, tokens_key)
        if record is None:
            wanted = f'"{tokens_key or "tokens"}", a list of strings'
            wanted = wanted if tokens_key else f'{wanted}, or "text", a string'
            raise DataError(f"{path}, line {number}: {shortened(line)}; expected an object with {wanted}.")
        yield record


def read_texts(path: Path) -> Iterator[Record]:
    """Return the lines of a plain text file, each a text."""
    return (text_record(line) for _, line in read_lines(path))


def text_record(text: str, row: Mapping[str, Json] | None = None) -> Record:
    """Return the record of a text, to be written as a line of JSON.

    Args:
        text: The text.
        row: Object that it is the ``text`` of; None: it has nothing else.
    """
    spans = split_words(text)
    row = {"text": text} if row is None else row
    return Record([text[start:end] for start, end in spans], partial(_write_text, row, text, spans))


def _json_record(row: Json, tokens_key: str | None) -> Record | None:
    if not isinstance(row, dict):
        return None
    words = row.get(tokens_key or "tokens")
    if isinstance(words, list):
        texts = [word for word in words if isinstance(word, str)]
        return Record(texts, partial(_write_tags, row)) if len(texts) == len(words) else None
    text = row.get("text")
    return text_record(text, row) if words is None and tokens_key is None and isinstance(text, str) else None


def _write_tags(row: Mapping[str, Json], tagger: Tagger, labels: WordLabels) -> str:
    return _json_line({**row, "tags": labels.tags(tagger.schema)})


def _write_text(
    row: Mapping[str, Json], text: str, spans: list[tuple[int, int]], tagger: Tagger, labels: WordLabels
) -> str:
    tagged = asdict(tagged_text(text, spans, labels, tagger.schema))
    for item in (*tagged["words"], *tagged["entities"]):
        item["score"] = round(item["score"], _SCORE_DIGITS)
    result = {**row, "words": tagged["words"], "tags": [word["tag"] for word in tagged["words"]]}
    return _json_line({**result, "entities": tagged["entities"]} if tagger.schema.entity_types else result)


def _json_line(row: Mapping[str, object]) -> str:
    line = json_text(row, indent=None)  # a value can have come in as NaN, which Python reads
    if any("\ud800" <= character <= "\udfff" for character in line):  # UTF-8 has no bytes for a lone surrogate
        line = json_text(row, indent=None, ascii_only=True)
    return line + "\n"


def _words_layout(path: Path, tokens_column: str | int | None, separator: str | None) -> ColumnLayout:
    """Return the layout of a file that need not have tags: a single column is the words."""
    request = ReadRequest(task=NER, tokens_column=tokens_column, separator=separator)
    return find_layout(read_lines(path), file=str(path), request=request, tagged=False)


def _column_line(
    line: str, layout: ColumnLayout, place: str, *, starts_sentence: bool, otherwise: str
) -> tuple[str, str | None]:
    """Return a line as it is written, without the tag, and its word; None for lines without a word."""
    no_word = is_blank(line) or DOCUMENT_MARK.match(line) or layout.is_comment(line, starts_sentence=starts_sentence)
    if no_word:
        return line, None
    fields = layout.fields(line)
    if len(fields) != layout.count:
        raise DataError(
            f"{place}: {shortened(line)} has {len(fields)} column{'s' * (len(fields) > 1)}; expected {layout.count}, "
            f"with {layout.separator_words} between them, as in line {layout.first_line}.{otherwise}"
        )
    written = line.rstrip(" \t") if layout.separator is None else layout.separator.join(fields)
    if layout.word_id is not None and _NO_WORD_ID.fullmatch(fields[layout.word_id]):
        return f"{written}{layout.separator}{_NO_TAG}", None
    return written, fields[layout.tokens]


def _write_columns(lines: list[tuple[str, bool]], layout: ColumnLayout, tagger: Tagger, labels: WordLabels) -> str:
    tags = iter(labels.tags(tagger.schema))
    between = "\t" if layout.count == 1 else layout.separator or " "
    return "".join(f"{line}{between}{next(tags)}\n" if is_word else f"{line}\n" for line, is_word in lines)
