"""What a format cannot hold of the documents that are to be written in it: counted, never lost without a word."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate

from hf_tagging.data.formats.base import Document, Format, Record, TaggedSentence
from hf_tagging.data.formats.json_values import without
from hf_tagging.data.formats.word_documents import entities_of
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.splitters import at_blanks, get_splitter
from hf_tagging.problems import argument


def counting_losses(
    records: Iterable[Record], source: Format | None, target: Format, notes: FileNotes
) -> Iterator[Record]:
    """Yield what is written of records, and count what is not.

    Args:
        records: From the source.
        source: Their format, None for words with tags.
        target: The format that is written.
        notes: Of the file that is written.
    """
    before: str | None = None
    for record in records:
        if isinstance(record, TaggedSentence):
            if record.id not in (None, before) and "ids" not in target.holds:
                notes.count("ids", "names of documents: not written", example=str(record.id))
            before = record.id
            unknown = sum(tag is None for tag in record.tags)
            inside = sum(record.tags[first:last].count(None) for first, last, _ in entities_of(record.tags))
            _count_unknown(unknown - inside, inside, target, notes, record.place)
            if "texts" in target.holds and "words" not in target.holds:
                _count_cuts(" ".join(record.words), len(record.words), notes, record.place)
            yield record
            continue
        if source is target:  # it goes back as it was, with what is not annotated
            yield record
            continue
        if record.unused:
            notes.count("unused", f"texts {record.unused}: not written", example=record.place)
            continue
        _count(record, target, notes)
        yield replace(
            record,
            source={},
            layer=None,
            id=record.id if "ids" in target.holds else None,
            extra=without(record.extra, target.own) if "extra" in target.holds else {},
        )


def _count(document: Document, target: Format, notes: FileNotes) -> None:
    place = document.place
    if "scores" not in target.holds and (scores := sum(span.score is not None for span in document.spans)):
        notes.count("scores", "scores of entities: not written", by=scores, example=place)
    if "ids" not in target.holds and document.id is not None:
        notes.count("ids", "names of texts: not written", example=document.id)
    for key in document.extra:
        if "extra" not in target.holds:
            notes.count("extra", "values of keys of your own: not written", example=key)
        elif key in target.own:
            notes.count("extra", f"values of keys of your own that {target.title} has for itself: not written",
                        severity="suspicious", example=key)  # fmt: skip
    inside = _unknown_inside(document)
    _count_unknown(len(document.unknown) - inside, inside, target, notes, place)
    if "texts" in target.holds and "words" not in target.holds and document.words is not None:
        _count_cuts(document.text, len(document.words), notes, place, words=document.words)
    if "texts" not in target.holds and document.has_text:
        notes.remark("texts", "words are written, and not what is between them")


def _unknown_inside(document: Document) -> int:
    """Return how many words that are not annotated lie in an entity."""
    if not document.unknown or not document.spans:
        return 0
    spans = sorted((span.start, span.end) for span in document.spans)
    ends = list(accumulate((end for _, end in spans), max, initial=0))  # the last end of the spans up to each one
    return sum(end <= ends[bisect_right(spans, start, key=lambda span: span[0])] for start, end in document.unknown)


def _count_unknown(outside: int, inside: int, target: Format, notes: FileNotes, place: str) -> None:
    """Count words that are not annotated, outside of entities and between the words of one."""
    if "unknown" in target.holds:
        return
    for kind, count, become in (
        ("unknown", outside, "as outside of any entity"),
        ("unknown_inside", inside, "as part of the entity around them"),
    ):
        if count:
            text = f"words that are not annotated: written {become}"
            notes.count(kind, text, by=count, severity="suspicious", example=place)


def _count_cuts(
    text: str, count: int, notes: FileNotes, place: str, *, words: list[tuple[int, int]] | None = None
) -> None:
    """Count texts whose words are others when they are read back."""
    blanks = at_blanks(text)
    if len(blanks) != count or (words is not None and blanks != words):
        notes.count("words", "texts whose words are not written, and are cut in other places when they are read",
                    example=place)  # fmt: skip
    elif get_splitter(None)(text) != blanks:
        how = f"texts whose words are those of {argument('splitter', 'blanks')} when they are read"
        notes.count("words", how, example=place)
