"""Values of JSON files, with their places for messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_tagging.data.json_rows import json_rows
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError


def objects(path: Path, file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and value of each object of a JSON file: JSON Lines, an array, or one after the other.

    Args:
        path: The file.
        file: Its name for messages.

    Raises:
        DataError: A row is no JSON, or no object.
    """
    for place, row, _ in json_rows(path):
        if not isinstance(row, dict):
            raise wrong(file, place, row, "expected a JSON object")
        yield place, row


def wrong(file: str, place: str, value: object, expected: str) -> DataError:
    """Return the error for a value that is not what the format has there."""
    return DataError(f"{file}, {place}: {shortened(str(value))}; {expected}")
