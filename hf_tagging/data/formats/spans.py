"""Spans of characters as tags over words.

The words are those of the format, or a splitter finds them. A span whose border falls inside a word is a misfit: it is
widened to the word, or dropped. Of overlapping spans the longest is kept, and of equally long ones the first. A text is
divided into rows at its sentences, or at its line breaks where it brings none, except inside an entity. What is widened
or dropped is counted in the notes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from hf_tagging.data.formats.base import Document, Span, TaggedSentence
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import Misfit
from hf_tagging.data.splitters import Splitter

Words = list[tuple[int, int]]


@dataclass(frozen=True)
class WordSpan:
    """An entity over words: its first word, its last one, and its type."""

    first: int
    last: int
    type: str


def tagged_rows(
    document: Document, *, split: Splitter, misfit: Misfit, notes: FileNotes
) -> Iterator[tuple[Words, list[str | None]]]:
    """Yield the rows of a document: start and end of each word in its text, and a tag per word in IOB2,
    None for a word that is not annotated.

    Args:
        document: Its words are used where it has any.
        split: Finds the words of a text that has none.
        misfit: What becomes of a span with a border inside a word.
        notes: Counts misfits and overlaps.
    """
    words = document.words if document.words is not None else split(document.text)
    tags: list[str | None] = ["O"] * len(words)
    for first, last in (_words_in(words, *stretch) for stretch in document.unknown):
        tags[first : last + 1] = [None] * (last + 1 - first)
    inside: set[int] = set()  # words that go on with an entity
    for entity in word_spans(document, words, misfit=misfit, notes=notes):
        inside.update(range(entity.first + 1, entity.last + 1))
        for index in range(entity.first, entity.last + 1):
            if tags[index] is not None or index in (entity.first, entity.last):
                tags[index] = f"{'B' if index == entity.first else 'I'}-{entity.type}"
    begin = 0
    for index in range(1, len(words) + 1):
        if index == len(words) or (index not in inside and ends_row(document, words[index - 1][1], words[index][0])):
            yield words[begin:index], tags[begin:index]
            begin = index


def sentences_of(document: Document, *, split: Splitter, misfit: Misfit, notes: FileNotes) -> Iterator[TaggedSentence]:
    """Yield the rows of a document as words with tags; see `tagged_rows`."""
    for words, tags in tagged_rows(document, split=split, misfit=misfit, notes=notes):
        text = [document.text[start:end] for start, end in words]
        yield TaggedSentence(words=text, tags=tags, id=document.id, place=document.place)


def ends_row(document: Document, end: int, start: int) -> bool:
    """Return whether a row ends between a word that ends, and the next one."""
    if document.sentences is None:
        return "\n" in document.text[end:start]
    ends = bisect_left(document.sentences, (end, -1))
    return ends < len(document.sentences) and document.sentences[ends][0] <= start


def _words_in(words: Words, start: int, end: int) -> tuple[int, int]:
    """Return the first and the last word that a stretch touches; the last is before the first where it touches none."""
    return bisect_right(words, start, key=lambda word: word[1]), bisect_left(words, end, key=lambda word: word[0]) - 1


def word_spans(document: Document, words: Words, *, misfit: Misfit, notes: FileNotes) -> list[WordSpan]:
    """Return the entities of a document over words, in order and without overlaps; see the head of this module."""
    kept: list[WordSpan] = []
    taken: set[int] = set()
    for span in sorted(document.spans, key=lambda span: (span.start - span.end, span.start)):
        shown = f"{document.text[span.start : span.end]!r}"
        example = f"{document.place}: {shown}" if document.place else shown
        first, last = _words_in(words, span.start, span.end)
        if first > last or not document.text[span.start : span.end].strip():
            notes.count(
                "empty_span", "annotated spans without a word in them: dropped", severity="suspicious", example=example
            )
            continue
        if not _fits(document.text, span, words[first][0], words[last][1]):
            what = "widened to the word" if misfit == "widen" else "dropped"
            notes.count(
                "misfit", f"annotated spans with a border inside a word: {what}", severity="suspicious", example=example
            )
            if misfit == "drop":
                continue
        if taken.isdisjoint(range(first, last + 1)):
            taken.update(range(first, last + 1))
            kept.append(WordSpan(first, last, span.type))
        else:
            text = "annotated spans that overlap a longer or an earlier one: dropped"
            notes.count("overlap", text, severity="suspicious", example=example)
    return sorted(kept, key=lambda entity: entity.first)


def _fits(text: str, span: Span, start: int, end: int) -> bool:
    """Return whether a span covers whole words, apart from white space at its borders."""
    inside = text[span.start : span.end]
    left = span.start + len(inside) - len(inside.lstrip())
    right = span.end - (len(inside) - len(inside.rstrip()))
    return (left, right) == (start, end)
