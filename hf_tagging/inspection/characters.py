"""Checks of characters: text that was decoded wrongly, or that hides what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hf_tagging.data.notes import Remark, Severity
from hf_tagging.inspection.corpus import Corpus
from hf_tagging.inspection.remarks import counted, graded
from hf_tagging.problems import argument

_ENOUGH = 10  # words
# U+200C and U+200D join letters in Persian, Hindi and emoji, U+FE0F chooses an emoji: they belong to words.
_INVISIBLE = r"[\x00-\x1f\x7f-\x{9f}\x{ad}\x{200b}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2060}-\x{2064}\x{feff}]"
# What UTF-8 of Latin, Greek, Cyrillic and Arabic letters (two bytes), of punctuation and of Han (three) begins like.
_MAYBE_MOJIBAKE = r"[ÂÃÄÅÎÏÐÑØÙ][^\x00-\x7f]|[âãäåæçèé][^\x00-\x7f]{2}"


def mojibake(corpus: Corpus) -> Iterator[Remark]:
    """Yield words in UTF-8 that were read as Latin-1 or Windows-1252: CafÃ© for Café."""
    chosen = corpus.where(_MAYBE_MOJIBAKE)
    chosen[chosen] = [is_mojibake(corpus.vocabulary[i].as_py()) for i in np.flatnonzero(chosen)]
    yield from _remarks(
        corpus,
        chosen,
        "mojibake",
        "look like UTF-8 that was read as Latin-1 and saved so: save the source again as UTF-8",
        lambda count, words: "suspicious" if count >= _ENOUGH or count > 0.001 * words else "note",
    )


def replacement_characters(corpus: Corpus) -> Iterator[Remark]:
    """Yield words with U+FFFD, which stands for bytes that could not be decoded."""
    yield from _remarks(
        corpus,
        corpus.where("\ufffd"),
        "replacement_characters",
        f"have U+FFFD in the place of a letter that was lost when the text was decoded; see {argument('encoding')}",
        lambda count, words: "suspicious",
    )


def invisible_characters(corpus: Corpus) -> Iterator[Remark]:
    """Yield words with control characters, or with characters of no width."""
    yield from _remarks(
        corpus,
        corpus.where(_INVISIBLE),
        "invisible_characters",
        "have control characters or characters of no width, which make them another word than the one that is seen",
        lambda count, words: graded(count / words, 0.01),
    )


def is_mojibake(word: str) -> bool:
    """Return whether a word is valid UTF-8 once its characters are bytes of Latin-1 or Windows-1252 again."""
    for encoding in ("cp1252", "latin-1"):
        try:
            again = word.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        return again != word
    return False


def _remarks(
    corpus: Corpus, chosen: np.ndarray, kind: str, text: str, severity: Callable[[int, int], Severity]
) -> Iterator[Remark]:
    for split in corpus.splits.values():
        found = split.words[chosen[split.words]]
        grade: Severity = severity(len(found), len(split.words)) if len(found) else "note"
        yield from counted(
            kind,
            f"words of {split.name} {text}",
            len(found),
            severity=grade,
            examples=corpus.quoted(found),
        )
