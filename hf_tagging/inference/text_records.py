"""Texts as `tag_file` reads and writes them: lines, JSON Lines, and a column of a CSV file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from hf_tagging.atomic import Json, json_text
from hf_tagging.data.column_names import DOCUMENT_COLUMNS
from hf_tagging.data.tables.files import allow_long_fields
from hf_tagging.data.text_lines import BOM, shortened
from hf_tagging.errors import DataError
from hf_tagging.inference.cutting import CutText, TextCutter
from hf_tagging.inference.records import Record, read_lines
from hf_tagging.inference.results import SCORE_DIGITS, WordLabels, tagged_cut
from hf_tagging.inference.word_tagger import WordTagger
from hf_tagging.problems import argument

_SEPARATORS = (",", ";", "\t", "|")


def read_texts(path: Path, cutter: TextCutter) -> Iterator[Record]:
    """Return the lines of a plain text file, each a text."""
    return (text_record(line, cutter) for _, line in read_lines(path))


def text_record(text: str, cutter: TextCutter, row: Mapping[str, Json] | None = None) -> Record:
    """Return the record of a text, to be written as a line of JSON.

    Args:
        text: The text.
        cutter: Cuts it into sentences of words.
        row: Object that it is a value of; None: it has nothing else.
    """
    cut = cutter(text)
    return Record(cut.sentences or [[]], partial(_write_text, {"text": text} if row is None else row, cut))


def read_jsonl(
    path: Path, cutter: TextCutter, *, tokens_key: str | None = None, text_key: str | None = None
) -> Iterator[Record]:
    """Yield the rows of a JSON Lines file with words or text; blank lines are skipped.

    Args:
        path: The file.
        cutter: Cuts texts into sentences of words.
        tokens_key: The key of the words. Default: ``tokens``, or else ``text`` with a text.
        text_key: The key of the text.

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
        record = _json_record(row, cutter, tokens_key, text_key)
        if record is None:
            raise DataError(
                f"{path}, line {number}: {shortened(line)}; expected an object with {_wanted(tokens_key, text_key)}."
            )
        yield record


def _wanted(tokens_key: str | None, text_key: str | None) -> str:
    if text_key:
        return f'"{text_key}", a string'
    wanted = f'"{tokens_key or "tokens"}", a list of strings'
    return wanted if tokens_key else f'{wanted}, or "text", a string'


def _json_record(row: Json, cutter: TextCutter, tokens_key: str | None, text_key: str | None) -> Record | None:
    if not isinstance(row, dict):
        return None
    words = None if text_key else row.get(tokens_key or "tokens")
    if isinstance(words, list):
        texts = [word for word in words if isinstance(word, str)]
        document = next((name for name in map(row.get, DOCUMENT_COLUMNS) if isinstance(name, str | int)), None)
        return Record([texts], partial(_write_tags, row), document) if len(texts) == len(words) else None
    text = row.get(text_key or "text")
    return text_record(text, cutter, row) if words is None and tokens_key is None and isinstance(text, str) else None


def _write_tags(row: Mapping[str, Json], tagger: WordTagger, labels: WordLabels) -> str:
    return _json_line({**row, "tags": labels.tags(tagger.schema)})


def _write_text(row: Mapping[str, Json], cut: CutText, tagger: WordTagger, labels: WordLabels) -> str:
    return _json_line({**row, **_found(cut, tagger, labels)})


def _found(cut: CutText, tagger: WordTagger, labels: WordLabels) -> dict[str, object]:
    """Return words, tags and, from a tagger of entities, entities of a text."""
    tagged = tagged_cut(cut, [labels], tagger.schema)
    found = tagged.to_dict(score_digits=SCORE_DIGITS)
    kept = ("words", "tags", "entities") if tagged.has_entities else ("words", "tags")
    return {name: found[name] for name in kept}


def _json_line(row: Mapping[str, object]) -> str:
    return _json(row) + "\n"


def _json(value: object) -> str:
    text = json_text(value, indent=None)  # a value can have come in as NaN, which Python reads
    if any("\ud800" <= character <= "\udfff" for character in text):  # UTF-8 has no bytes for a lone surrogate
        text = json_text(value, indent=None, ascii_only=True)
    return text


def read_csv(path: Path, cutter: TextCutter, *, text_column: str, separator: str | None = None) -> Iterator[Record]:
    """Yield the rows of a CSV file with names of columns, the row of names first.

    Each row comes back with its columns and what was found in its text, as JSON: ``entities``, or ``words`` and
    ``tags`` from a tagger without entities. A column of such a name is replaced.

    Args:
        path: The file.
        cutter: Cuts texts into sentences of words.
        text_column: Name of the column with the text, or its position.
        separator: ``tab`` or the character between columns. Default: the one with which there is such a column.

    Raises:
        DataError: If there is no such column, or a row has another number of columns; with its line.
    """
    separator, names, place = csv_head(path, text_column, separator)
    yield Record([[]], partial(_write_names, names, separator))
    for _, row in csv_rows(path, names, separator):
        cut = cutter(row[place])
        yield Record(cut.sentences or [[]], partial(_write_row, names, row, separator, cut))


def csv_rows(path: Path, names: Sequence[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file below the one of names, each with the number of its last line.

    Raises:
        DataError: A row has another number of columns, or is not CSV; with its line.
    """
    for number, row in islice(_rows(path, separator), 1, None):
        if len(row) != len(names):
            raise DataError(
                f"{path}, line {number}: has {len(row)} columns; expected {len(names)}, as line 1 names "
                f"({shortened(', '.join(names))})."
            )
        yield number, row


def csv_names(path: Path) -> list[str]:
    """Return the names of the columns of a CSV file, with the separator that makes the most of them.

    Raises:
        DataError: The file is empty.
    """
    names = max((_first_row(path, separator) for separator in _SEPARATORS), key=len)
    if not any(name.strip() for name in names):
        _refuse_empty(path)
    return names


def _refuse_empty(path: Path) -> None:
    with open(path, "rb") as stream:
        if not stream.read(1 << 16).removeprefix(BOM).strip():
            raise DataError(f"{path}: is empty; expected names of columns in the first line, and rows below.")


def csv_separators(asked: str | None) -> Sequence[str]:
    """Return the separators that a CSV file may have: the one that is asked for, or the usual ones.

    Args:
        asked: ``tab``, ``space`` or one character.

    Raises:
        DataError: It is longer.
    """
    separator = {"tab": "\t", "space": " "}.get(asked or "", asked)
    if separator is None:
        return _SEPARATORS
    if len(separator) != 1:
        raise DataError(f"{argument('separator', asked)}: expected tab or one character between columns of CSV.")
    return (separator,)


def csv_head(path: Path, column: str, separator: str | None = None) -> tuple[str, list[str], int]:
    """Return the separator of a CSV file, the names of its columns, and the position of one.

    Args:
        path: The file.
        column: Name or position of a column that it has.
        separator: ``tab`` or the character between columns. Default: the one with which there is such a column.

    Raises:
        DataError: It is empty, or has no such column.
    """
    found: dict[str, list[str]] = {candidate: _first_row(path, candidate) for candidate in csv_separators(separator)}
    for candidate, names in sorted(found.items(), key=lambda item: len(item[1]) < 2):  # stable: a single column is last
        if (position := _position(names, column)) is not None:
            return candidate, names, position
    _refuse_empty(path)
    named = shortened(", ".join(sorted(found.values(), key=len)[-1]) or "none", 200)
    raise DataError(f"{path}: {argument('text_column', column)}: the first line names no such column; it has {named}.")


def _first_row(path: Path, separator: str) -> list[str]:
    try:
        return next((row for _, row in _rows(path, separator)), [])
    except DataError as error:
        if isinstance(error.__cause__, csv.Error):  # quoted as for another separator
            return []
        raise


def _position(names: Sequence[str], column: str) -> int | None:
    if column in names:
        return names.index(column)
    return int(column) if column.isdecimal() and int(column) < len(names) else None


def _rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that are not blank, each with the number of its last line."""
    allow_long_fields()
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=separator, strict=True)
            try:
                yield from ((reader.line_num, row) for row in reader if row)
            except csv.Error as error:
                raise DataError(f"{path}, line {reader.line_num}: is not CSV ({error}).") from error
    except UnicodeDecodeError:
        for _ in read_lines(path):  # says which line it is
            pass
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def _write_names(names: Sequence[str], separator: str, tagger: WordTagger, labels: WordLabels) -> str:
    return _csv_line([*names, *(name for name in _added(tagger) if name not in names)], separator)


def _write_row(
    names: Sequence[str], row: Sequence[str], separator: str, cut: CutText, tagger: WordTagger, labels: WordLabels
) -> str:
    found = _found(cut, tagger, labels)
    added = {name: _json(found[name]) for name in _added(tagger)}
    kept = [added.pop(name) if name in added else value for name, value in zip(names, row, strict=True)]
    return _csv_line([*kept, *added.values()], separator)


def _added(tagger: WordTagger) -> tuple[str, ...]:
    return ("entities",) if tagger.schema.entity_types else ("words", "tags")


def _csv_line(fields: Sequence[str], separator: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=separator, lineterminator="\n").writerow(fields)
    return line.getvalue()
