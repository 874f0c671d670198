"""Formats of annotated data: what a reader is given, and what it returns.

A format is a module of this folder with one `Format`. Its reader yields sentences of words and tags, or texts with
spans of characters; `hf_tagging.data.formats.builder` turns both into rows. A format is recognized by how a file
begins, never by its name alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_START = 1 << 16  # bytes that tell a format


@dataclass(frozen=True)
class Span:
    """An annotated stretch of a text.

    Args:
        start: First character, from 0, in code points.
        end: Behind the last character.
        type: Entity type.
        score: Probability that a model gives it; None for gold.
    """

    start: int
    end: int
    type: str
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text with annotated spans.

    Args:
        text: The text as it was annotated.
        spans: Its entities, in any order; they may overlap or end inside a word.
        words: Start and end of each word where the format brings words; None: the text is to be split.
        id: Its name in the source, None where it has none.
        place: Where it stands, for messages: "line 3".
        source: The object it was read from, with all that this package does not read, for writing it back.
        model: Name of the model that predicts its spans; None for gold.
    """

    text: str
    spans: list[Span]
    words: list[tuple[int, int]] | None = None
    id: str | None = None
    place: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class TaggedSentence:
    """Words with one tag each.

    Args:
        words: Its words.
        tags: A tag per word as the source writes it; None: the word is not annotated, and is not scored.
        id: Name of the document that it belongs to, None where there is none.
        place: Where it stands, for messages: "line 3".
    """

    words: list[str]
    tags: list[str | None]
    id: str | None = None
    place: str = ""


@dataclass(frozen=True)
class Head:
    """Beginning of a file, by which its format is recognized.

    Args:
        path: The file.
    """

    path: Path

    @cached_property
    def start(self) -> bytes:
        """First 64 KiB; empty where the file cannot be read, which its reader says."""
        try:
            with open(self.path, "rb") as stream:
                return stream.read(_START).removeprefix(b"\xef\xbb\xbf")
        except OSError:
            return b""

    @cached_property
    def text(self) -> str:
        """The same as text, damaged bytes replaced."""
        return self.start.decode("utf-8", "replace")

    @cached_property
    def row(self) -> Any:
        """First value of JSON Lines, first item of a JSON array, or a whole JSON object; None for anything else."""
        text = self.text.lstrip()
        if not text.startswith(("[", "{")):
            return None
        whole = len(self.start) < _START
        decoder = json.JSONDecoder()
        try:
            if text.startswith("["):
                inner = text[1:].lstrip()
                return decoder.raw_decode(inner)[0] if inner[:1] in ("{", "[") else None
            return decoder.raw_decode(text)[0]
        except (ValueError, RecursionError):
            return None if whole else self._row_of_all(text.startswith("["))

    def _row_of_all(self, is_array: bool) -> Any:
        """Return the same of a first row that is longer than the start."""
        try:
            with open(self.path, encoding="utf-8-sig") as stream:
                text = stream.read().lstrip()
            return json.JSONDecoder().raw_decode(text[1:].lstrip() if is_array else text)[0]
        except (OSError, ValueError, RecursionError):
            return None

    def has_keys(self, *keys: str) -> bool:
        """Return whether the first row is a JSON object with all these keys."""
        return isinstance(self.row, dict) and self.row.keys() >= set(keys)


Record = TaggedSentence | Document
Reader = Callable[[Path, str, ReadRequest, FileNotes], Iterator[Record]]
"""Path to read, the file's name for messages, options, notes to fill in; yields records or raises a `DataError`."""
Writer = Callable[[Iterable[Document], IO[str]], None]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of annotated data.

    Args:
        name: Short name, as `hf-tagging convert --to` takes it.
        title: Name in messages and docs.
        recognizes: Return whether a file is of this format, by how it begins.
        read: Read a file.
        write: Write documents to an open text file; None for a format that is only read.
        suffix: Suffix of files that are written.
    """

    name: str
    title: str
    recognizes: Callable[[Head], bool]
    read: Reader
    write: Writer | None = None
    suffix: str = ""
