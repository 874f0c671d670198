"""What a shape of files is: how it writes a corpus, what it has to be read as, and what it holds."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fuzz.corpora import Corpus, Text, text_of

Files = dict[str, bytes]
Tagged = list[tuple[list[str], list[str]]]


@dataclass
class Case:
    """Files of a corpus, and what they are.

    Args:
        files: Path to content; the only file is loaded, or the folder.
        tagged: Words and tags in IOB2 of each sentence, in order; None where a splitter finds the words.
        texts: Text and entities of each document, where a splitter finds the words.
        task: Of the tags.
        arguments: Of `load_tagging_dataset`.
        main: The file that is given where others lie beside it.
        count: Of files that were changed: how many words they hold (of `texts`: characters that are not blank), counted
            in another way than the reader does; None where that cannot be told, `Unreadable` where they are nothing.
    """

    files: Files
    tagged: Tagged | None = None
    texts: list[tuple[str, list[tuple[str, str]]]] | None = None
    task: str = "ner"
    arguments: dict[str, Any] = field(default_factory=dict)
    main: str | None = None
    count: Callable[[Files], int | None] = lambda files: None


class Unreadable(Exception):
    """Files that cannot be read as what they are, and have to be refused."""


Shape = Callable[[Corpus, random.Random], Case]


def encoded(text: str, draw: random.Random) -> bytes:
    """Return text as bytes: now and then with a mark, and with line ends of Windows."""
    if draw.random() < 0.15:
        text = text.replace("\n", "\r\n")
    return (b"\xef\xbb\xbf" if draw.random() < 0.1 else b"") + text.encode()


def tagged(corpus: Corpus) -> Tagged:
    """Return the sentences of a corpus with tags in IOB2."""
    return [(sentence.words, sentence.tags()) for sentence in corpus.sentences]


def texts(documents: Sequence[Text]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return documents as they are compared: text, and surface and type of each entity."""
    return [(t.text, [(t.text[a:b], kind) for a, b, kind in t.spans]) for t in documents]


def documents(corpus: Corpus) -> list[Text]:
    """Return the documents of a corpus as texts."""
    return [text_of(document) for document in corpus.documents]


def json_file(rows: Sequence[Any], draw: random.Random, *, lines: bool | None = None) -> bytes:
    """Return rows as JSON Lines, or as an array on one line, on several or indented."""
    ascii_only = draw.random() < 0.3
    kind = ("lines" if lines else "array") if lines is not None else draw.choice(["lines", "array"])
    if kind == "lines":
        return encoded("".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows), draw)
    return encoded(json.dumps(list(rows), ensure_ascii=ascii_only, indent=draw.choice([None, None, 1, 2])), draw)


def json_rows(content: bytes) -> list[Any]:
    """Return the rows of a file as `json_file` writes it.

    Raises:
        Unreadable: It is no JSON.
    """
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise Unreadable(error) from error
    with contextlib.suppress(ValueError, RecursionError):  # JSON Lines are not one value
        whole = json.loads(text)
        return whole if isinstance(whole, list) else [whole]
    decoder, rows, at = json.JSONDecoder(), [], 0
    while (at := at + len(text[at:]) - len(text[at:].lstrip(" \t\r\n"))) < len(text):
        try:
            row, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise Unreadable(error) from error
        rows.append(row)
    return rows


def visible(text: str) -> int:
    """Return how many characters of a text are not white space."""
    return sum(not character.isspace() for character in text)
