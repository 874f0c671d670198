"""doccano: JSON Lines of a text and its spans (https://doccano.github.io/doccano/).

Exports of doccano 1.x have ``"label": [[0, 9, "PER"]]``, older ones ``"labels"``, and projects with relations have
``"entities": [{"label": "PER", "start_offset": 0, "end_offset": 9}]``. Offsets are code points; releases before 2019
counted as JavaScript does (https://github.com/doccano/doccano/pull/99).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from hf_tagging.atomic import json_text
from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import list_in, name_of, objects, text_in, whole_number, without, wrong
from hf_tagging.data.formats.span_values import as_they_were, count_gone_relations, is_span, spans_of
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_LISTS = ("label", "labels")
_KEYS = (*_LISTS, "entities")
_OWN = frozenset({"id", "text", "relations", *_KEYS})


def _recognizes(head: Head) -> bool:
    rows = head.objects
    if not rows or not all(isinstance(row.get("text"), str) for row in rows):
        return False
    if all(isinstance(row.get("entities"), list) for row in rows):  # others have this key, too
        spans = [span for row in rows for span in row["entities"]]
        return any(isinstance(span, dict) and "start_offset" in span for span in spans) or (
            not spans and all("relations" in row for row in rows)
        )
    lists = [next((row[key] for key in _LISTS if key in row), None) for row in rows]
    first: list[Any] = next(filter(None, lists), [])
    return all(isinstance(spans, list) for spans in lists) and all(isinstance(s, list) and is_span(s) for s in first)


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    for place, row in objects(path, file, request.encoding):
        key = _key(row)
        if key is None:
            raise wrong(file, place, row, 'expected "text" and one of "label", "labels", "entities"')
        text = text_in(row, "text", file, place)
        values = list_in(row, key, file, place)
        if row.get("relations"):
            notes.count("relations", "relations: not read", by=len(list_in(row, "relations", file, place)))
        yield Document(
            text=text,
            spans=spans_of(values, text, file=file, place=place, request=request, notes=notes),
            id=name_of(row, "id"),
            unused="" if row[key] is not None else "without an annotation",
            place=place,
            source=row,
            extra=without(row, {"id", "text", "relations", key}),
        )


def _key(row: Mapping[str, Any]) -> str | None:
    """Return the key of the spans: the first that is not null, else the first that is there."""
    there = [key for key in _KEYS if key in row]
    return next((key for key in there if row[key] is not None), there[0] if there else None)


def _write(documents: Iterable[Document], stream: IO[str], notes: FileNotes) -> None:
    for document in documents:
        source = document.source or ({"id": document.id} if document.id is not None else {})
        row = {**without(document.extra, _OWN), **source, "text": document.text}
        key = _key(source) or "label"
        if document.unused and document.model is None and document.source:
            stream.write(json_text(row, indent=None) + "\n")
            continue
        if key == "entities":
            row |= _with_relations(document, row, notes)
        else:
            row[key] = [[span.start, span.end, span.type] for span in document.spans]
        stream.write(json_text(row, indent=None) + "\n")


def _with_relations(document: Document, row: dict[str, Any], notes: FileNotes) -> dict[str, Any]:
    """Return entities and relations: an entity that was there keeps its id, and its relations."""
    known = as_they_were(row["entities"])
    taken = [number for entity in known.values() if (number := whole_number(entity.get("id"))) is not None]
    fresh, entities = max(taken, default=-1) + 1, []
    for span in document.spans:
        entity = known.get((span.start, span.end, span.type))
        if entity is None:
            entity = {"id": fresh, "label": span.type, "start_offset": span.start, "end_offset": span.end}
            fresh += 1
        entities.append(entity)
    there = [entity.get("id") for entity in entities]
    before = row.get("relations") or []
    relations = [r for r in before if isinstance(r, dict) and r.get("from_id") in there and r.get("to_id") in there]
    count_gone_relations(notes, len(before) - len(relations), document.place)
    return {"entities": entities, "relations": relations}


DOCCANO = Format(
    name="doccano",
    title="doccano JSON Lines",
    recognizes=_recognizes,
    read=_read,
    write=_write,
    suffix=".jsonl",
    holds=frozenset({"texts", "overlaps", "ids", "extra"}),
    own=_OWN,
)
