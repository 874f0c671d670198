"""A look at files that were refused: what they seem to be, and what stands in their first lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hf_tagging.data.text_lines import other_kind, shortened
from hf_tagging.disk import expanded, reason

_BYTES = 200_000
_LINES, _VALUES, _COLUMNS, _FILES = 3, 4, 12, 8


@dataclass(frozen=True)
class FileLook:
    """What the beginning of a file shows.

    Args:
        file: Its name.
        size: In bytes.
        encoding: "UTF-8", or what is known instead, such as why it cannot be read.
        lines: The first lines that are not blank, shortened.
        columns: The most frequent values of each column, where most lines have as many fields.
    """

    file: str
    size: int
    encoding: str
    lines: list[str] = field(default_factory=list)
    columns: list[list[str]] = field(default_factory=list)


def look_at(*paths: str | Path | None) -> list[FileLook]:
    """Look at files, and at the first files of folders; what is not there is left out.

    Args:
        paths: Of files and folders.
    """
    return [_look(file) for file in list(_files(paths))[:_FILES]]


def _files(paths: tuple[str | Path | None, ...]) -> Iterator[Path]:
    for path in (expanded(name) for name in paths if name is not None):
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))


def _look(file: Path) -> FileLook:
    try:
        with open(file, "rb") as stream:
            head = stream.read(_BYTES)
        size = file.stat().st_size
    except OSError as error:
        return FileLook(str(file), 0, f"cannot be read ({reason(error)})")
    if hint := other_kind(head):
        return FileLook(str(file), size, hint)
    if b"\0" in head:
        return FileLook(str(file), size, "binary")
    try:
        text, encoding = (head[: head.rfind(b"\n") + 1] or head).decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError as error:
        line = head.count(b"\n", 0, error.start) + 1
        text, encoding = head.decode("utf-8", "replace"), f"not UTF-8 (byte 0x{head[error.start]:02x} in line {line})"
    lines = [line for line in text.splitlines() if line.strip()]
    return FileLook(str(file), size, encoding, [shortened(line) for line in lines[:_LINES]], _columns(lines))


def _columns(lines: list[str]) -> list[list[str]]:
    """Return the most frequent values of each column, if nine lines of ten have the same number of fields."""
    for separator in ("\t", None, ",", ";"):
        rows = [re.split(r"\s+", line.strip()) if separator is None else line.split(separator) for line in lines]
        width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
        if 1 < width <= _COLUMNS and count >= 0.9 * len(rows):
            columns = zip(*(row for row in rows if len(row) == width), strict=True)
            return [[shortened(value, 20) for value, _ in Counter(column).most_common(_VALUES)] for column in columns]
    return []
