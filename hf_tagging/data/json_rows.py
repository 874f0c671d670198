"""Checks of JSON files before the loader reads them: its parser names no line, and crashes on some files.

pyarrow 26 crashes on a file whose first row is ``null`` and on deep nesting, and drops later rows of ``null``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from hf_tagging.atomic import Json
from hf_tagging.data.text_lines import BOM, known_encoding, other_kind, shortened
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_BLANKS = re.compile(r"[ \t\r\n]*")
_DEEPEST = 32  # lists in lists; rows of words and tags have two
_MOST_KEYS = 500  # in all rows together: each is a column, and a parser of thousands never ends
_ROW = "expected a JSON object with tokens and tags"


def json_rows(path: Path, encoding: str | None = None) -> Iterator[tuple[str, Json, str]]:
    """Yield place, value and text of each row of a JSON file: of JSON Lines, of an array, or one after the other.

    Args:
        path: The file.
        encoding: Its encoding. Default: UTF-8.

    Raises:
        DataError: The file is empty, is something else, or a row is no JSON.
    """
    first = next((line for line in utf8_lines(path, encoding) if line.removeprefix(BOM).strip()), b"").removeprefix(BOM)
    if not first:
        what = "no rows" if path.stat().st_size else "the file is empty"
        raise DataError(f"{path}: {what}; {_ROW} per line")
    if hint := other_kind(first):
        raise DataError(f"{path}: is not JSON; {hint}")
    if first.lstrip().startswith(b"[") and not _is_array_per_line(path, encoding):
        yield from _of_array(path, encoding)
    elif _is_whole(first):
        yield from _of_lines(path, encoding)
    else:
        yield from _one_after_the_other(path, encoding)


def check_rows(path: Path, *, most: int | None = None) -> None:
    """Make sure that every row of a JSON file is an object: of JSON Lines, of an array, or one after the other.

    Args:
        path: The file.
        most: Rows to look at. Default: all.

    Raises:
        DataError: The first row that is none, with its line or its number.
    """
    keys: set[str] = set()
    for place, row, text in islice(json_rows(path), most):
        row = _as_object(path, place, row, text)
        keys.update(row if text.count("{") == 1 else _keys(row))
        if len(keys) > _MOST_KEYS:
            raise DataError(
                f"{path}, {place}: {shortened(text)}: so far the rows have more than {_MOST_KEYS} different keys, as "
                f"where a word or an id is a key; {_ROW}"
            )


def check_line(path: Path, number: int, line: bytes, *, whole: bool = False) -> None:
    """Make sure that a line of JSON Lines is an object, or empty.

    Args:
        path: The file.
        number: Of the line.
        line: Its bytes.
        whole: Also make sure that it is JSON where nothing in it can harm the parser, which takes longer.

    Raises:
        DataError: It is something else.
    """
    content = (line.removeprefix(BOM) if number == 1 else line).strip(b" \t\r\n")
    is_plain = content[:1] == b"{" and content[-1:] == b"}" and content.count(b"[") + content.count(b"{") <= _DEEPEST
    if not content or (is_plain and not whole):
        return
    place = f"line {number:,}"
    try:
        text = content.decode("utf-8")
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _broken(path, place, content, error) from error
    _as_object(path, place, row, text)


def utf8_lines(path: Path, encoding: str | None) -> Iterator[bytes]:
    """Yield the lines of a file in UTF-8, whichever encoding it has.

    Raises:
        DataError: There is no such encoding, or a line is not in it.
    """
    if encoding is None:
        with open(path, "rb") as stream:
            yield from stream
        return
    name = known_encoding(encoding)
    try:
        with open(path, encoding=name, newline="\n") as text:
            for line in text:
                yield line.encode("utf-8", "surrogatepass")
    except UnicodeError as error:
        raise DataError(f"{path}: is not {name}: {error}; give another {argument('encoding')}") from error


def _as_object(path: Path, place: str, row: Json, text: str) -> dict[str, Json]:
    """Return a row; refuse one that is no object, nested too deep, or holds half a character."""
    if not isinstance(row, dict):
        raise DataError(f"{path}, {place}: {shortened(text)} is no JSON object; {_ROW}")
    if text.count("[") + text.count("{") > _DEEPEST and _depth(row) > _DEEPEST:
        raise DataError(f"{path}, {place}: {shortened(text)} is nested more than {_DEEPEST} deep; {_ROW}")
    try:
        text.encode()
        if "\\u" in text:
            json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{path}, {place}: {shortened(text)} is not JSON: {error}") from error
    return row


def _is_array_per_line(path: Path, encoding: str | None) -> bool:
    """Return whether a file has an array on each line, at least on two."""
    lines = (line.removeprefix(BOM) for line in utf8_lines(path, encoding) if line.removeprefix(BOM).strip())
    first, second = next(lines, b""), next(lines, b"")
    if not second.lstrip().startswith(b"["):
        return False
    try:
        return isinstance(json.loads(first), list)
    except (ValueError, RecursionError):
        return False


def _is_whole(line: bytes) -> bool:
    """Return whether a line was meant to be a row of its own."""
    try:
        json.loads(line)
    except RecursionError:
        return True
    except ValueError:
        return not line.rstrip().endswith((b"{", b"[", b","))  # where a printer breaks an object into lines
    return True


def _of_lines(path: Path, encoding: str | None) -> Iterator[tuple[str, Json, str]]:
    """Yield place, row and text of each line."""
    for number, raw in enumerate(utf8_lines(path, encoding), start=1):
        place = f"line {number}"
        try:
            text = raw.removeprefix(BOM if number == 1 else b"").decode("utf-8").strip(" \t\r\n")
            if text:
                yield place, json.loads(text), text
        except (ValueError, RecursionError) as error:
            raise _broken(path, place, raw, error) from error


def _of_array(path: Path, encoding: str | None) -> Iterator[tuple[str, Json, str]]:
    raw = b"".join(utf8_lines(path, encoding))
    try:
        rows = json.loads(raw.removeprefix(BOM))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: an array that is not JSON: {_reason(error)}") from error
    if not rows:
        raise DataError(f"{path}: an empty array; {_ROW} in it")
    for number, row in enumerate(rows, start=1):
        yield f"row {number}", row, json.dumps(row)


def _one_after_the_other(path: Path, encoding: str | None) -> Iterator[tuple[str, Json, str]]:
    """Yield objects that are written over several lines."""
    decoder = json.JSONDecoder()
    raw = b"".join(utf8_lines(path, encoding)).removeprefix(BOM)
    try:
        text = raw.decode("utf-8").strip()
        end, number = 0, 0
        while end < len(text):
            row, after = decoder.raw_decode(text, end)
            number += 1
            yield f"row {number}", row, text[end:after]
            end = _BLANKS.match(text, after).end()  # type: ignore[union-attr]  # it matches nothing, too
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON: {_reason(error)}; {_ROW} per line") from error


def _broken(path: Path, place: str, raw: bytes, error: Exception) -> DataError:
    shown = shortened(raw.decode("utf-8", "backslashreplace").strip())
    return DataError(f"{path}, {place}: {shown} is not JSON: {_reason(error)}")


def _reason(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _keys(row: Json, above: str = "") -> Iterator[str]:
    """Yield the keys of objects in a row, each behind those above it."""
    if isinstance(row, dict):
        for key, value in row.items():
            yield above + key
            if isinstance(value, dict | list):
                yield from _keys(value, f"{above}{key}/")
    elif isinstance(row, list):
        for item in row:
            if isinstance(item, dict | list):
                yield from _keys(item, above)


def _depth(row: Json) -> int:
    depth, level = 0, [row]
    while level:
        inner = [list(x.values()) if isinstance(x, dict) else x for x in level if isinstance(x, dict | list)]
        level = [item for items in inner for item in items]
        depth += bool(inner)
    return depth
