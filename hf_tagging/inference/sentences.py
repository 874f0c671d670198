"""Checks of words, sentences and spans given by callers, and their division into blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard, cast

import numpy as np

from hf_tagging.errors import TaggingError

BLOCK_WORDS = 100_000  # a block of a stream is closed early where its sentences are very long


def blocks(parts: Iterable[Sequence[Sequence[str]]], size: int) -> Iterator[list[Sequence[Sequence[str]]]]:
    """Group sentences, those of a part together, until they are `size`, or have about `BLOCK_WORDS` words."""
    block: list[Sequence[Sequence[str]]] = []
    sentences = words = 0
    for part in parts:
        block.append(part)
        sentences += len(part)
        words += sum(len(sentence) for sentence in part if _is_list(sentence))  # `label` refuses what is not
        if sentences >= size or words >= BLOCK_WORDS:
            yield block
            block, sentences, words = [], 0, 0
    if block:
        yield block


def as_sentences(words: object) -> tuple[list[Sequence[str]], bool]:
    """Return the argument of `tag` as sentences, and whether it was a list of sentences."""
    if isinstance(words, str | bytes) or not isinstance(words, Iterable):
        hint = " a text goes to Tagger.tag_text." if isinstance(words, str) else ""
        raise TaggingError(
            f"Tagger.tag takes a list of words or of sentences, and was given a {type(words).__name__};{hint}"
        )
    refuse_table(words, "Tagger.tag takes a list of words or of sentences")
    items = cast(list[Sequence[str]], list(words))  # `check_words` makes sure of it
    if not items:
        return [], True
    many = _is_list(items[0])  # the first item decides; any other of another kind is refused with its place
    return (items, True) if many else ([cast(list[str], items)], False)


def refuse_table(given: object, expected: str) -> None:
    """Refuse a DataFrame, a dictionary and the like: they yield names of columns, which would be tagged in silence."""
    if isinstance(given, Mapping) or hasattr(given, "columns"):
        raise TaggingError(
            f"{expected}, and was given a {type(given).__name__}, whose items are the names of its columns. Give one "
            "of the columns; Tagger.pipe takes them all."
        )


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)


def check_words(sentences: Sequence[object], first: int) -> None:
    """Check that every sentence is a list of strings; the error names the first that is not."""
    for number, sentence in enumerate(sentences):
        place = f"sentence {first + number}"
        if not _is_list(sentence):
            raise TaggingError(f"{place} is a {type(sentence).__name__}, {sentence!r:.60}; expected a list of words.")
        if set(map(type, sentence)) <= {str}:
            continue
        for position, word in enumerate(sentence):
            if not isinstance(word, str):
                raise TaggingError(
                    f"{place}, word {position} is a {type(word).__name__}, {word!r:.60}; expected a string. (Words and "
                    "sentences count from 0.)"
                )


def check_documents(documents: Sequence[int] | None, sentences: int) -> None:
    """Check that documents, given as their numbers of sentences, hold all sentences; None: there are none."""
    if documents is None:
        return
    if any(count < 0 for count in documents):
        raise TaggingError(f"documents: {min(documents)} is not a number of sentences; expected 0 or more.")
    if (total := sum(documents)) != sentences:
        raise TaggingError(
            f"documents: they have {total:,} sentences together, and {sentences:,} were given; expected the number of "
            "sentences in each document."
        )


def checked_texts(texts: Iterable[object]) -> Iterator[str]:
    """Yield texts if they are strings; the error names the first that is not."""
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TaggingError(
                f"text {number} is a {type(text).__name__}, {text!r:.60}; expected a string. (Texts count from 0.)"
            )
        yield text


def checked_spans(text: str, spans: Iterable[object]) -> list[tuple[int, int]]:
    """Return the spans of words from a splitter if they are in the text and in order."""
    checked, behind = [], 0
    for span in spans:
        if not (isinstance(span, tuple | list) and len(span) == 2 and behind <= span[0] <= span[1] <= len(text)):
            raise TaggingError(
                f"splitter gave {span!r:.60}; expected (start, end) of words in the text, one after the other."
            )
        behind = span[1]
        checked.append((int(span[0]), int(span[1])))
    return checked


def encodable(sentences: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Replace lone surrogates, which JSON can spell and no tokenizer takes, by U+FFFD."""
    try:
        "".join(map("".join, sentences)).encode()
    except UnicodeEncodeError:
        return [[word.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for word in s] for s in sentences]
    return sentences
