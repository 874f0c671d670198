"""A text with its entities in a list, under the names that scripts and services use for both.

Entities are ``[start, end, type]`` or objects with start, end and label. So write spaCy (``doc.to_json()``, displaCy,
https://spacy.io/api/doc#to_json), Stockmark's Japanese corpus (https://github.com/stockmarkteam/ner-wikipedia-dataset)
and many others. Tokens with start and end are read as its words, and ``sents`` as its sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from hf_tagging.atomic import json_text
from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import list_in, name_of, objects, text_in, wrong
from hf_tagging.data.formats.span_values import as_they_were, is_span, places_of, spans_of
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_TEXTS = ("text", "sentence", "content", "raw_text", "data", "document")
_SPANS = ("entities", "ents", "spans", "annotations", "labels", "label", "entity", "ner", "mentions")
_PLAIN = ("entities", "ents", "spans")
_IDS = ("id", "curid", "doc_id", "document_id")
_OWN = frozenset({*_IDS, "tokens", "sents", "relations"})


def _recognizes(head: Head) -> bool:
    rows = head.objects
    if not rows or not all(_text_key(row) for row in rows):
        return False
    lists = {key: [row[key] for row in rows if key in row] for key in _SPANS}
    lists = {key: values for key, values in lists.items() if all(isinstance(value, list | None) for value in values)}
    first = {key: next(filter(None, values), None) for key, values in lists.items() if values}
    found = [spans for spans in first.values() if spans is not None]
    if found:  # the first that are there tell: what is wrong further down, the reader says
        return any(all(map(is_span, spans)) for spans in found)
    return any(key in _PLAIN and len(lists[key]) == len(rows) for key in first)


def _text_key(row: dict[str, Any]) -> str | None:
    return next((key for key in _TEXTS if isinstance(row.get(key), str)), None)


def _span_key(row: dict[str, Any]) -> str | None:
    """Return the key of the spans: the first that has any, else the first that is there."""
    there = [key for key in _SPANS if isinstance(row.get(key, ""), list | None)]
    return next((key for key in there if row[key]), there[0] if there else None)


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    for place, row in objects(path, file):
        text_key, key = _text_key(row), _span_key(row)
        if text_key is None:
            raise wrong(file, place, row, f"expected a text under one of {', '.join(_TEXTS)}")
        text = text_in(row, text_key, file, place)
        values = list_in(row, key, file, place) if key else []
        if row.get("relations"):
            notes.count("relations", "relations: not read", by=len(list_in(row, "relations", file, place)))
        places = {
            name: places_of(list_in(row, name, file, place), text, file=file, place=place)
            for name in ("tokens", "sents")
            if _has_places(row.get(name))
        }
        yield Document(
            text=text,
            spans=spans_of(values, text, file=file, place=place, request=request, notes=notes),
            words=places.get("tokens"),
            sentences=places.get("sents"),
            id=name_of(row, *_IDS),
            unused="" if key else "without an annotation",
            place=place,
            source=row,
            extra={name: value for name, value in row.items() if name not in {*_OWN, text_key, key}},
        )


def _has_places(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) and {"start", "end"} <= v.keys() for v in value)
    )


def _write(documents: Iterable[Document], stream: IO[str], notes: FileNotes) -> None:
    for document in documents:
        row = {**document.extra, **document.source}
        if document.unused and document.source and document.model is None:
            stream.write(json_text(row, indent=None) + "\n")
            continue
        if document.id is not None and not any(key in row for key in _IDS):
            row["id"] = document.id
        row |= {_text_key(row) or "text": document.text, _span_key(row) or "entities": _entities(document)}
        stream.write(json_text(row, indent=None) + "\n")


def _entities(document: Document) -> list[Any]:
    """Return entities as the source writes them, those that were there as they were."""
    key = _span_key(dict(document.source))
    before = document.source[key] if key else []
    scored = any(span.score is not None for span in document.spans)
    if before and all(isinstance(value, list) for value in before) and not scored:
        return [[span.start, span.end, span.type] for span in document.spans]
    known, found = as_they_were(before), []
    for span in document.spans:
        entity = dict(known.get((span.start, span.end, span.type), ()))
        entity = entity or {"start": span.start, "end": span.end, "label": span.type}
        found.append(entity if span.score is None else entity | {"score": span.score})
    return found


TEXT_ENTITIES = Format(
    name="text-entities",
    title="JSON of texts and entities",
    recognizes=_recognizes,
    read=_read,
    write=_write,
    suffix=".jsonl",
    holds=frozenset({"texts", "overlaps", "scores", "ids", "extra"}),
)
