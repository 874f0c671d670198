"""Values of JSON files, with their places for messages."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_tagging.data.json_rows import json_rows
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError


def objects(path: Path, file: str, encoding: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and value of each object of a JSON file: JSON Lines, an array, or one after the other.

    Args:
        path: The file.
        file: Its name for messages.
        encoding: Its encoding. Default: UTF-8.

    Raises:
        DataError: A row is no JSON, or no object.
    """
    for place, row, _ in json_rows(path, encoding):
        if not isinstance(row, dict):
            raise wrong(file, place, row, "expected a JSON object")
        yield place, row


def wrong(file: str, place: str, value: object, expected: str) -> DataError:
    """Return the error for a value that is not what the format has there."""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return DataError(f"{file}, {place}: {shortened(shown)}; {expected}")


def text_in(row: Mapping[str, Any], key: str, file: str, place: str) -> str:
    """Return a text of an object.

    Raises:
        DataError: There is none, or it is no string that UTF-8 can hold.
    """
    text = row.get(key)
    if not isinstance(text, str):
        raise wrong(file, place, row, f'expected a text under "{key}"')
    return checked_text(text, file, place)


def checked_text(text: str, file: str, place: str) -> str:
    r"""Return a text of JSON; half of a character, as ``\ud83c`` writes it, is none.

    Raises:
        DataError: It has a lone surrogate in it.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{file}, {place}: {shortened(ascii(text))} is no text: {error.reason}") from error
    return text


def list_in(row: Mapping[str, Any], key: str, file: str, place: str) -> list[Any]:
    """Return a list of an object; an empty one for null.

    Raises:
        DataError: There is something else.
    """
    values = row.get(key)
    if values is None and key in row:
        return []
    if not isinstance(values, list):
        raise wrong(file, place, row, f'expected a list under "{key}"')
    return values


def words_in(row: Mapping[str, Any], key: str, file: str, place: str) -> list[str]:
    """Return the words of an object.

    Raises:
        DataError: They are no list of strings that are not empty.
    """
    words = list_in(row, key, file, place)
    if odd := [word for word in words if not isinstance(word, str) or not word]:
        raise wrong(file, place, odd[0], f'expected words that are strings and not empty under "{key}"')
    return [checked_text(word, file, place) for word in words]


def whole_number(value: object) -> int | None:
    """Return a number of JSON as an integer; None for anything else. Tables write 5 as 5.0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(value) if abs(value) < 1 << 53 and value == int(value) else None


def name_of(row: Mapping[str, Any], *keys: str) -> str | None:
    """Return the name of an object under the first of some keys that has one."""
    key = name_key(row, *keys)
    return None if key is None or row[key] == "" else str(row[key])


def name_key(row: Mapping[str, Any], *keys: str) -> str | None:
    """Return the key that `name_of` takes the name from; None where no key has one."""
    return next((key for key in keys if isinstance(row.get(key), str | int)), None)


def without(values: Mapping[str, Any], names: Collection[str | None]) -> dict[str, Any]:
    """Return the values of an object under all other names."""
    return {name: value for name, value in values.items() if name not in names}
