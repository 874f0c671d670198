"""Detection of how the words of a corpus were cut from running text, so that text can be cut alike when it is tagged.

Words alone do not say it. They are joined as a person would write them, without blanks before closing punctuation,
behind opening brackets, before clitics and between characters of scripts without blanks, and split again: the splitter
that gives most of them back is the one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
from datasets import Dataset

from hf_tagging.data.splitters import OF_HAN, SPLITTERS, get_splitter, needed_splitter
from hf_tagging.data.text_pattern import CLITICS
from hf_tagging.data.word_packages import PACKAGES, Splitter
from hf_tagging.errors import ConfigError

MIXED_BELOW = 0.9
"""Share of words that a splitter has to give back; less is mixed, or cut by something else."""

_SENTENCES = 1_000
_CANDIDATES = ("english", "blanks", "characters")
_TIGHT = re.compile(  # a letter, or the punctuation, of a script without blanks
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
    r"\U00020000-\U0003ffff]"
)
_ATTACHED = re.compile(rf"[,.;:!?%)\]}}»”’…]+|{CLITICS}|n['’]t", re.IGNORECASE)
_OPENING = re.compile(r"[(\[{«“‘$€£#]+")


@dataclass(frozen=True)
class WordCut:
    """Way in which words were cut.

    Args:
        splitter: Name of the splitter that gives most of them back; None where there are no words.
        shares: Splitter to the share of words that it gives back.
        given: The data was split by it when it was read, so that nothing had to be found out.
    """

    splitter: str | None
    shares: dict[str, float] = field(default_factory=dict)
    given: bool = False

    @property
    def is_mixed(self) -> bool:
        """True where no splitter gives the words back."""
        return not self.given and bool(self.shares) and max(self.shares.values()) < MIXED_BELOW

    def describe(self) -> str:
        """Return how words were cut, in a line for the log."""
        if self.given:
            return f"words were cut by the splitter {self.splitter}; text is cut alike when it is tagged"
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.shares.items())
        if self.is_mixed:
            return (
                f"words were cut in no way that a splitter gives back (of the words: {shares}); text that is tagged is "
                f"cut by {self.splitter}, into other words than those of training"
            )
        return f"words are those of the splitter {self.splitter} (gives back: {shares}); text is cut alike"


def find_word_cut(words: Dataset, *, given: str | None = None) -> WordCut:
    """Return how the words of a training split were cut.

    Args:
        words: With `tokens`; 1,000 of its sentences are looked at, spread over the split.
        given: Splitter that the data was read with, if one was named.
    """
    if given is not None:
        return WordCut(given, given=True)
    chosen = np.unique(np.linspace(0, max(len(words) - 1, 0), min(len(words), _SENTENCES)).astype(int))
    sentences: Sequence[list[str]] = words.select_columns("tokens")[chosen.tolist()]["tokens"] if len(words) else []
    return word_cut(sentences)


def word_cut(sentences: Sequence[Sequence[str]]) -> WordCut:
    """Return how words were cut.

    Args:
        sentences: Words. (sentences, words)
    """
    texts = [as_text([word for word in words if word.strip()]) for words in sentences]
    total = sum(len(spans) for _, spans in texts)
    if not total:
        return WordCut(None)
    shares = {name: _share(SPLITTERS[name], texts, total) for name in _CANDIDATES}
    for name in _packages(texts) if max(shares.values()) < MIXED_BELOW else ():
        try:
            shares[name] = _share(get_splitter(name), texts, total)
        except ConfigError:
            continue  # installed, but not whole
    best = max(shares, key=lambda name: round(shares[name], 4))  # of equals the first
    return WordCut(best, {name: round(share, 4) for name, share in shares.items()})


def _packages(texts: Sequence[tuple[str, object]]) -> list[str]:
    """Return the splitters of installed packages that some of the texts ask for."""
    needed = {needed_splitter(text) for text, _ in texts}
    has_han = any(OF_HAN.search(text) for text, _ in texts)
    return [
        name
        for name, package in PACKAGES.items()
        if (name in needed or (package.is_chinese and has_han)) and find_spec(package.module) is not None
    ]


def _share(split: Splitter, texts: Sequence[tuple[str, list[tuple[int, int]]]], total: int) -> float:
    return sum(len({*spans} & {*split(text)}) for text, spans in texts) / total


def as_text(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Join words as running text.

    Args:
        words: Words of a sentence.

    Returns:
        The text, and the start and end of each word in it.
    """
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    length, before = 0, ""
    for word in words:
        if before and not _are_joined(before, word):
            parts.append(" ")
            length += 1
        parts.append(word)
        spans.append((length, length + len(word)))
        length += len(word)
        before = word
    return "".join(parts), spans


def _are_joined(before: str, word: str) -> bool:
    if _TIGHT.match(before[-1]) and _TIGHT.match(word[0]):
        return True
    return bool(_ATTACHED.fullmatch(word) or _OPENING.fullmatch(before))
