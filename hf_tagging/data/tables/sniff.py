"""Recognize tables: files whose fields are parted by commas, semicolons or tabs, and may stand in quotes.

A file of columns parted by tabs or blanks is no table: quotation marks are words there. With tabs, a file is a table
where it has a mark of one beside the names of its columns: the nameless index of pandas, ids of sentences, sentences in
cells, or fields that are quoted because a quotation mark stands in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_tagging.data.column_names import names_sentences, names_words, normalized, tag_names
from hf_tagging.data.tables.cells import looks_like_list

DELIMITERS = (",", ";", "\t")
_FEWEST = 3  # rows without a header that tell a table from a text
_PART = 1 << 20


@dataclass(frozen=True)
class Line:
    """A line as fields.

    Args:
        fields: Without their quotes where these are closed.
        quoted: Fields that stood in quotes.
        doubled: Fields that stood in quotes with a quotation mark in them.
        is_open: A quotation mark begins a field, and none ends it on this line.
    """

    fields: list[str]
    quoted: int = 0
    doubled: int = 0
    is_open: bool = False


def split_line(line: str, delimiter: str) -> Line:
    """Return the fields of a line that may stand in quotes; an open one is split at every delimiter."""
    if '"' not in line:
        return Line(line.split(delimiter))
    fields: list[str] = []
    quoted = doubled = at = 0
    while True:
        start = at
        while line.startswith(" ", start):
            start += 1
        if line.startswith('"', start):
            end = _closing(line, start, delimiter)
            if end < 0:
                return Line(line.split(delimiter), is_open=True)
            inner = line[start + 1 : end]
            quoted, doubled = quoted + 1, doubled + ('""' in inner)
            fields.append(inner.replace('""', '"'))
            at = end + 1
        else:
            end = line.find(delimiter, at)
            end = len(line) if end < 0 else end
            fields.append(line[at:end])
            at = end
        if at >= len(line):
            return Line(fields, quoted, doubled)
        at += 1
        if at == len(line):
            return Line([*fields, ""], quoted, doubled)


def said_delimiter(line: str) -> str | None:
    """Return the delimiter that a first line of Excel says, `sep=;`; None for any other line."""
    found = re.fullmatch(r'"?sep=([,;\t|])"?', line.strip("\ufeff\r\n "))
    return found[1] if found else None


def leading_comments(lines: Sequence[str]) -> int:
    """Return how many lines that begin with `#` are before a line that names the columns; 0 where none does."""
    count = next((i for i, line in enumerate(lines) if not line.lstrip("\ufeff").startswith("#") and line.strip()), 0)
    named = count and any(_names_columns(split_line(lines[count], delimiter).fields) for delimiter in DELIMITERS)
    return count if named else 0


def delimiter_of(text: str, *, path: Path | None = None, whole: bool = False) -> str | None:
    """Return the delimiter of a table; None if the text is of another kind, such as columns parted by blanks.

    Args:
        text: The beginning of the file.
        path: The file, where a mark of a table may also stand behind its beginning.
        whole: The text is the whole file, so that its last line is not cut.
    """
    lines = re.split(r"\r\n|\n", text) if "\n" in text else text.split("\r")
    lines = [line for line in (lines if whole else lines[:-1] or lines) if line.strip()]
    if lines and (said := said_delimiter(lines[0])):
        return said
    lines = lines[leading_comments(lines) :]
    if not lines or lines[0].lstrip()[:1] in ("{", "<") or lines[0].lstrip().startswith(("[[", "[{")):
        return None
    for delimiter in (",", ";"):
        if _is_table(lines, delimiter, known_name=path is not None and path.suffix.lower() == ".csv"):
            return delimiter
    return "\t" if _is_tab_table(lines, path) else None


def _is_table(lines: Sequence[str], delimiter: str, *, known_name: bool) -> bool:
    """Return whether lines are those of a table with commas or semicolons."""
    if delimiter not in lines[0]:
        return False
    first = split_line(lines[0], delimiter)
    if _names_columns(first.fields) and "\t" not in lines[0]:
        return True
    if any("\t" in line for line in lines):
        return False
    split = [split_line(line, delimiter) for line in lines]
    if len({len(line.fields) for line in split}) > 1:
        return False
    blanks = {len(line.split()) for line in lines}
    followed = all(delimiter + " " in line and not re.search(rf"{delimiter}\S", line) for line in lines)
    if len(blanks) == 1 and blanks != {1} and not followed:
        return False  # columns parted by blanks, and a tag such as N,Sg in one of them
    return known_name or len(lines) >= _FEWEST


def _is_tab_table(lines: Sequence[str], path: Path | None) -> bool:
    """Return whether lines parted by tabs have a mark of a table."""
    if "\t" not in lines[0]:
        return False
    split = [split_line(line, "\t") for line in lines]
    header, rest = split[0].fields, split[1:]
    cells = [field for line in split for field in line.fields]
    if all(line.quoted == len(line.fields) for line in split) and len(cells) > 2:
        return True
    if _is_joined(split):
        return True
    nameless = not header[0].strip() and all(line.fields[0].strip().isdecimal() for line in rest if line.fields[0])
    if nameless and rest and all(len(line.fields) == len(header) for line in rest):
        return True
    if not _names_columns(header):
        return False
    if any(map(names_sentences, header)) and len(header) > 2:
        return True
    if any(line.doubled and not line.is_open for line in rest):
        return True
    tags = [line.fields[_tags_position(header)] for line in rest if len(line.fields) == len(header)]
    if tags and all(looks_like_list(tag) or len(tag.split()) > 1 for tag in tags if tag.strip()):
        return True
    return path is not None and _has_quoted_quote(path)


def _is_joined(lines: Sequence[Line]) -> bool:
    """Return whether lines are two fields with as many words as tags, several in most lines."""
    counts = [[len(field.split()) for field in line.fields] for line in lines]
    if len(counts) < _FEWEST or any(len(count) != 2 or count[0] != count[1] for count in counts):
        return False
    return 2 * sum(count[0] > 1 for count in counts) > len(counts)


def _has_quoted_quote(path: Path) -> bool:
    """Return whether a file has a quotation mark as CSV writes it: four quotation marks between delimiters."""
    rest = b""
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(_PART):
                text = rest + chunk
                if b'\n""""\t' in text or b'\t""""\t' in text:
                    return True
                rest = text[-8:]
    except OSError:
        return False  # who reads the file says why it cannot be read
    return False


def _names_columns(fields: Sequence[str]) -> bool:
    """Return whether fields are names of columns, among them one of words and one of tags."""
    names = {normalized(field.strip().strip("\ufeff")) for field in fields}
    return any(map(names_words, names)) and not names.isdisjoint(tag_names())


def _tags_position(header: Sequence[str]) -> int:
    names = tag_names()
    return next(i for i, name in enumerate(header) if normalized(name) in names)


def _closing(line: str, start: int, delimiter: str) -> int:
    """Return where the quotes that open at `start` are closed, right before a delimiter or the end; -1 if nowhere."""
    at = start + 1
    while (end := line.find('"', at)) >= 0:
        if line[end + 1 : end + 2] == '"':
            at = end + 2
        elif end + 1 == len(line) or line.startswith(delimiter, end + 1):
            return end
        else:
            return -1
    return -1
