"""Splitters of text into words, by name.

A splitter returns the start and end of each word of a text: all else between words is white space.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hf_tagging.data.text import split_words
from hf_tagging.errors import ConfigError
from hf_tagging.problems import argument

Splitter = Callable[[str], list[tuple[int, int]]]
"""A text to the start and end of each word, in order. (words, 2)"""

# Han, with its extensions and compatibility forms: written without blanks, and BERT reads each character as a word.
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def at_blanks(text: str) -> list[tuple[int, int]]:
    """Split a text at white space alone."""
    return [match.span() for match in re.finditer(r"\S+", text)]


def into_characters(text: str) -> list[tuple[int, int]]:
    """Split the Han characters of a text into words of one character, and all other words as in English."""
    words = []
    for start, end in split_words(text):
        begin = start
        for match in _HAN.finditer(text, start, end):
            if begin < match.start():
                words.append((begin, match.start()))
            words.append(match.span())
            begin = match.end()
        if begin < end:
            words.append((begin, end))
    return words


SPLITTERS: dict[str, Splitter] = {"english": split_words, "blanks": at_blanks, "characters": into_characters}


def get_splitter(name: str | None) -> Splitter:
    """Return a splitter by its name; None is the one for any script: Han by characters, the rest as in English.

    Raises:
        ConfigError: There is no splitter of this name.
    """
    if name is None:
        return into_characters
    if name not in SPLITTERS:
        raise ConfigError(f"{argument('splitter', name)}: expected one of {', '.join(SPLITTERS)}")
    return SPLITTERS[name]
