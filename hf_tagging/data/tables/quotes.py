"""Quotation marks in a table: those that fields stand in, and those that are words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hf_tagging.data.tables.sniff import split_line
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError

Lines = Callable[[], Iterator[tuple[int, str]]]
"""Returns the numbered lines of a file from its beginning."""


def has_quotes(lines: Lines, marked: Iterable[tuple[int, str]], *, delimiter: str, file: str) -> bool:
    """Return whether fields stand in quotes, or quotation marks are words.

    Args:
        lines: Of the file.
        marked: Those with a quotation mark.
        delimiter: Between two fields.
        file: Its name for messages.

    Raises:
        DataError: Both are so.
    """
    closed = 0
    opened: list[tuple[int, str]] = []
    for number, line in marked:
        found = split_line(line, delimiter)
        closed += bool(found.quoted)
        if found.is_open and '\\"' in line:
            raise DataError(
                f"{file}, line {number}: {shortened(line)}: a quotation mark behind a backslash; expected it to be "
                "doubled, as CSV has it (in Spark, write with escape='\"')"
            )
        if found.is_open and len(opened) < 2:
            opened.append((number, line))
    if not opened:
        return closed > 0 and (delimiter != "\t" or _tabs_need_quotes(lines))
    counts = {line.count(delimiter) for _, line in lines() if line.strip()}
    if len(counts) > 1:
        return True  # a field goes over several lines
    if not closed or delimiter == "\t":
        return False
    number, line = opened[0]
    raise DataError(
        f"{file}, line {number}: {shortened(line)}: nothing closes the field that this quotation mark opens, and in "
        'other lines fields stand in quotes; write the word " as """"'
    )


def _tabs_need_quotes(lines: Lines) -> bool:
    """Return whether a file with tabs quotes its fields: on every line, or those with a quotation mark in them."""
    doubled, every = 0, True
    for _, line in lines():
        if not line.strip():
            continue
        found = split_line(line, "\t")
        doubled += found.doubled
        every &= found.quoted > 0
        if doubled:
            return True
    return every
