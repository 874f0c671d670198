"""Words of Chinese, Japanese and Thai, as a package of its own finds them. None is needed for anything else."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

Splitter = Callable[[str], list[tuple[int, int]]]
"""A text to the start and end of each word, in order. (words, 2)"""

_LONGEST = 8_000  # characters that a package is given at once: SudachiPy refuses more than 49,149 bytes


@dataclass(frozen=True)
class WordPackage:
    """A package that finds words.

    Args:
        name: Its name on the package index, and what else it needs.
        module: Its module, which has the name of the distribution.
        extra: Extra of hf-tagging that installs it.
        load: Import it, and return the splitter.
        is_chinese: It cuts Chinese, which can be read by characters too, so that no text needs it.
    """

    name: str
    module: str
    extra: str
    load: Callable[[], Splitter]
    is_chinese: bool = False


def _pythainlp() -> Splitter:
    from pythainlp.tokenize import word_tokenize

    return _placed(lambda line: word_tokenize(line, engine="newmm", keep_whitespace=True))


def _sudachi() -> Splitter:
    from sudachipy import Dictionary

    dictionary = _dictionary(Dictionary)
    # Named `create` before SudachiPy 0.7, which warns of the old name.
    tokenizer = (dictionary.tokenizer if hasattr(dictionary, "tokenizer") else dictionary.create)()
    return _placed(lambda line: (morpheme.surface() for morpheme in tokenizer.tokenize(line)))


def _dictionary(kind: Callable[..., Any]) -> Any:
    """Return the dictionary that is installed, of three sizes."""
    reasons = []
    for size in ("core", "small", "full"):
        try:
            return kind(dict=size)
        except Exception as error:  # of Rust code, which has no class of its own for a missing dictionary
            reasons.append(error)
    raise ImportError("no dictionary: install sudachidict-core") from reasons[0]


def _jieba() -> Splitter:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return _placed(jieba.cut)


PACKAGES = {
    "pythainlp": WordPackage("pythainlp", "pythainlp", "thai", _pythainlp),
    "sudachi": WordPackage("sudachipy with a dictionary", "sudachipy", "japanese", _sudachi),
    "jieba": WordPackage("jieba", "jieba", "chinese", _jieba, is_chinese=True),
}
"""Splitters that need a package, by name."""


def _placed(cut: Callable[[str], Iterable[str]]) -> Splitter:
    """Return a splitter from a function that cuts a line into pieces.

    A piece is looked for in the line, behind the one before it. Blanks end a word, and what the function has left out
    or written otherwise is a word of its own: every character but white space is in exactly one word.

    Args:
        cut: Gives the pieces of a text without line breaks, in order.
    """

    def split(text: str) -> list[tuple[int, int]]:
        return [*chain.from_iterable(_words(text, start, end, cut) for start, end in _lines(text))]

    return split


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of the lines of a text; a very long one in parts that end at a blank where there is one."""
    for match in re.finditer(r"\S[^\r\n]*", text):
        start, end = match.span()
        while end - start > _LONGEST:
            blank = text.rfind(" ", start + _LONGEST // 2, start + _LONGEST)
            middle = start + _LONGEST if blank < 0 else blank
            yield start, middle
            start = middle
        yield start, end


def _words(text: str, start: int, end: int, cut: Callable[[str], Iterable[str]]) -> Iterator[tuple[int, int]]:
    at = start
    for piece in cut(text[start:end]):
        found = text.find(piece, at, end) if piece else -1
        if found < 0:
            continue
        yield from _at_blanks(text, at, found)
        yield from _at_blanks(text, found, found + len(piece))
        at = found + len(piece)
    yield from _at_blanks(text, at, end)


def _at_blanks(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    return (match.span() for match in re.compile(r"\S+").finditer(text, start, end))
