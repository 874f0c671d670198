"""Formats of annotated data: what a reader is given, and what it returns.

A format is a module of this folder with one `Format`. Its reader yields sentences of words and tags, or texts with
spans of characters; `hf_tagging.data.formats.builder` turns both into rows. A format is recognized by how a file
begins, never by its name alone.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Literal

from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import BOM
from hf_tagging.errors import DataError

_START = 1 << 16  # bytes that tell a format
_BLANKS = re.compile(r"[\s,]*")  # between the rows of JSON Lines and of arrays


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
        has_text: False where `text` is nothing but the words joined by blanks, and lines of them by line breaks.
        sentences: Start and end of each sentence where the format brings them; None: each line is one.
        unknown: Start and end of stretches that are not annotated; words in them are not scored.
        unused: Why it is no gold data, such as "without an annotation"; empty for what is.
        id: Its name in the source, None where it has none.
        place: Where it stands, for messages: "line 3".
        source: The object it was read from, with all that this package does not read, for writing it back.
        extra: The part of it that does not belong to the format: columns and metadata of the user's own.
        layer: Annotation layer that its spans are from, where the format has several.
        annotates: Name of the text that the layer is about, where the format has several.
        model: Name of the model that predicts its spans; None for gold.
    """

    text: str
    spans: list[Span]
    words: list[tuple[int, int]] | None = None
    has_text: bool = True
    sentences: list[tuple[int, int]] | None = None
    unknown: tuple[tuple[int, int], ...] = ()
    unused: str = ""
    id: str | None = None
    place: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    layer: str | None = None
    annotates: str | None = None
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
                return stream.read(_START).removeprefix(BOM)
        except OSError:
            return b""

    @cached_property
    def text(self) -> str:
        """Start as text, damaged bytes replaced."""
        return self.start.decode("utf-8", "replace")

    @cached_property
    def rows(self) -> list[Any]:
        """First values of JSON Lines, first items of a JSON array, or a whole JSON object; empty for anything else.

        All that are whole in the start; only one that is longer is read to its end.
        """
        text = self.text.lstrip()
        is_array = text.startswith("[")
        if not text.startswith(("[", "{")) or (is_array and text[1:].lstrip()[:1] not in ("{", "[")):
            return []
        decoder, found, end = json.JSONDecoder(), [], int(is_array)
        with contextlib.suppress(ValueError, RecursionError):  # cut at the end of the start; else the reader says it
            while (end := _BLANKS.match(text, end).end()) < len(text) and text[end] in "[{":  # type: ignore[union-attr]
                row, end = decoder.raw_decode(text, end)
                found.append(row)
        return found if found or len(self.start) < _START else self._first_of_all(is_array)

    def _first_of_all(self, is_array: bool) -> list[Any]:
        """Return the first row where it is longer than the start."""
        try:
            with open(self.path, encoding="utf-8-sig") as stream:
                text = stream.read().lstrip()
            return [json.JSONDecoder().raw_decode(text[1:].lstrip() if is_array else text)[0]]
        except (OSError, ValueError, RecursionError):
            return []

    @property
    def row(self) -> Any:
        """First of `rows`; None where there is none."""
        return self.rows[0] if self.rows else None

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """Rows where all are JSON objects and none is a row of words and tags; else none."""
        rows = self.rows if all(isinstance(row, dict) for row in self.rows) else []
        return [] if any(map(_is_tagged, rows)) else rows

    def has_keys(self, *keys: str) -> bool:
        """Return whether the first row is a JSON object with all these keys."""
        return isinstance(self.row, dict) and self.row.keys() >= set(keys)


def _is_tagged(row: dict[str, Any]) -> bool:
    """Return whether a row is a sentence of words with a tag each, as every task may have it."""
    words = next((row[name] for name in ("tokens", "words") if isinstance(row.get(name), list)), None)
    if not words or not all(isinstance(word, str) for word in words):
        return False
    return any(
        name.endswith(("tags", "labels"))
        and isinstance(tags, list)
        and len(tags) == len(words)
        and all(isinstance(tag, str | int | None) for tag in tags)
        for name, tags in row.items()
    )


Record = TaggedSentence | Document
Reader = Callable[[Path, str, ReadRequest, FileNotes], Iterator[Record]]
"""Path to read, the file's name for messages, options, notes to fill in; yields records or raises a `DataError`."""
Writer = Callable[[Iterable[Document], IO[str], FileNotes], None]
"""Documents, an open text file, and notes for what the format cannot hold."""
SentenceWriter = Callable[[Iterable[TaggedSentence], IO[str], FileNotes], None]
"""The same of words with tags in IOB2, or of any tags for a task without entities."""
FolderWriter = Callable[[Iterable[Document], Path, FileNotes], None]
"""The same into an empty folder, for formats with several files per corpus."""


def _not_read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Record]:
    """Refuse to read a format that is only written."""
    raise DataError(f"{file}: is read as words with tags, not as {notes.format}")


Holding = Literal["texts", "words", "overlaps", "scores", "ids", "unknown", "extra", "predictions"]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of annotated data.

    Args:
        name: Short name, as `hf-tagging convert --to` takes it.
        title: Name in messages and docs.
        recognizes: Return whether a file is of this format, by how it begins. Default: never.
        read: Read a file. Default: refused; words with tags are read by other modules.
        write: Write documents to an open text file; None for a format that is only read.
        write_sentences: Write words with tags to an open text file, for a format of these.
        write_folder: Write documents into an empty folder of `whole_folder`, for a format of many files.
        suffix: Suffix of files that are written.
        holds: What it can hold besides entities: "texts" as they were, "words", "overlaps" of spans, "scores", "ids" of
            documents, "unknown" words that are not annotated, "extra" values of the user's own, and "predictions"
            beside gold.
        own: Keys of its own in each object that it writes: values of the user's own cannot have these names.
        beside: All files that are read for a path, where they are others than the path.
        takes: Options of reading that it takes, of those that are for some formats and for column files.
    """

    name: str
    title: str
    recognizes: Callable[[Head], bool] = lambda head: False
    read: Reader = _not_read
    write: Writer | None = None
    write_sentences: SentenceWriter | None = None
    write_folder: FolderWriter | None = None
    suffix: str = ""
    holds: frozenset[Holding] = frozenset()
    own: frozenset[str] = frozenset()
    beside: Callable[[Path], list[Path]] = lambda path: []
    takes: frozenset[str] = frozenset({"encoding"})

    @property
    def is_written(self) -> bool:
        """True where this format is written."""
        return any(write is not None for write in (self.write, self.write_sentences, self.write_folder))
