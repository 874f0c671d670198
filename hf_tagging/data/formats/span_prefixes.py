"""Spans whose types have the prefixes of tags, as taggers return and scripts write them: ``B-PER``, ``I-PER``, ``O``.

Where all types of a file have a prefix, neighbours are joined to entities by the rule of `entities_of`, and spans of
``O`` are left out. Where only some have one, nothing says what the others are: that is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hf_tagging.data.formats.base import Document, Record, Span
from hf_tagging.data.formats.word_documents import entities_of
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.prefixes import SPELLINGS, STANDARD, Spelling, find_spelling
from hf_tagging.errors import DataError

_MOST_TYPES = 1_000
_ENOUGH = 10_000  # texts that tell how all types of a file are written
_OUTSIDE = "O"


def without_prefixes(records: Iterable[Record], notes: FileNotes) -> Iterator[Record]:
    """Yield records with entities in the place of spans that have prefixes.

    Args:
        records: Of one file; read ahead until a type without a prefix is found.
        notes: Of the file.

    Raises:
        DataError: Some types have a prefix and others have none.
    """
    rest = iter(records)
    held: list[Record] = []
    types: set[str] = set()
    for record in rest:
        held.append(record)
        types.update(_types(record))
        if any(map(_is_plain, types)) or len(held) >= _ENOUGH:
            break
    spelling = None if any(map(_is_plain, types)) else _spelling(types)
    if spelling is not None:
        shown = ", ".join(sorted(types)[:3])
        notes.remark(
            "prefixed_types",
            f"the types of spans are tags ({shown}): neighbours of a type are joined to entities, without the prefix",
            severity="suspicious",
        )
    seen: set[str] = set()
    prefixed = spelling is not None
    for record in _both(held, rest):
        if isinstance(record, Document):
            new = _types(record) - seen
            seen |= new
            prefixed = prefixed or any(STANDARD.parts(kind) for kind in new)
            if new and prefixed and len(seen) <= _MOST_TYPES:  # more are refused as types, whatever their prefixes
                _check(seen, spelling, notes.file, record.place)
            yield _mended(record, spelling, notes)
        else:
            yield record


def _both(held: list[Record], rest: Iterator[Record]) -> Iterator[Record]:
    """Yield what was read ahead and what follows, and keep nothing."""
    held.reverse()
    while held:
        yield held.pop()
    yield from rest


def _types(record: Record) -> set[str]:
    return {span.type for span in record.spans} - {_OUTSIDE} if isinstance(record, Document) else set()


def _is_plain(kind: str) -> bool:
    """Return whether a type has no prefix in any spelling."""
    return not any(spelling.parts(kind) for spelling in SPELLINGS)


def _spelling(types: Iterable[str]) -> Spelling | None:
    """Return how the types of a file are spelled as tags; None where they are none: ``E-mail``, ``I/O``."""
    found = find_spelling(types)
    if found is None or not found[1]:
        return None
    letters = {parts[0] for kind in types if (parts := found[0].parts(kind))}
    return found[0] if letters & {"B", "I", "S", "U"} else None


def _check(types: set[str], spelling: Spelling | None, file: str, place: str) -> None:
    """Refuse types of which some have a prefix, and others have none."""
    if spelling is not None:
        fit = {kind for kind in types if spelling.parts(kind)}
    else:
        parts = {kind: found for kind in types if (found := STANDARD.parts(kind)) and found[0] in "BIESLU"}
        plain = types - parts.keys()
        begun, inside = ({kind for letter, kind in parts.values() if letter in some} for some in ("BSU", "IEL"))
        fit = {kind for kind, (_, name) in parts.items() if name in plain or name in begun & inside or name.isupper()}
    if fit and (others := types - fit):
        raise DataError(
            f"{file}, {place}: some types of spans have the prefix of a tag ({', '.join(sorted(fit)[:3])}) and others "
            f"have none ({', '.join(sorted(others)[:3])}); write all of them with a prefix, or none"
        )


def _mended(document: Document, spelling: Spelling | None, notes: FileNotes) -> Document:
    """Return a document without spans of ``O``, and with neighbours joined where types have prefixes."""
    spans = [span for span in document.spans if span.type != _OUTSIDE]
    if outside := len(document.spans) - len(spans):
        text = "annotated spans of the type O: read as outside of entities"
        notes.count("outside_spans", text, by=outside, severity="suspicious", example=document.place)
    if spelling is None:
        return document if not outside else replace(document, spans=spans)
    joined: list[Span] = []
    for group in _neighbours(sorted(spans, key=lambda span: (span.start, span.end)), document.text):
        for first, last, kind in entities_of([spelling.standard(span.type) for span in group]):
            parts = group[first : last + 1]
            scores = [span.score for span in parts if span.score is not None]
            joined.append(Span(parts[0].start, parts[-1].end, kind, min(scores, default=None)))
    return replace(document, spans=joined)


def _neighbours(spans: list[Span], text: str) -> Iterator[list[Span]]:
    """Yield spans in groups that have nothing but white space between them."""
    group: list[Span] = []
    for span in spans:
        if group and text[group[-1].end : span.start].strip():
            yield group
            group = []
        group.append(span)
    if group:
        yield group
