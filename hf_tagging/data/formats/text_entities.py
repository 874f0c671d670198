"""A text with its entities in a list, under the names that scripts and services use for both.

Entities are ``[start, end, type]`` or objects with start, end and label. So write spaCy (``doc.to_json()``, displaCy,
https://spacy.io/api/doc#to_json), Stockmark's Japanese corpus (https://github.com/stockmarkteam/ner-wikipedia-dataset),
Amazon Comprehend (``Text`` and ``Entities``) and many others. Tokens with start and end are read as its words,
and ``sents`` as its sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from hf_tagging.atomic import json_text
from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import list_in, name_key, name_of, objects, text_in, without, wrong
from hf_tagging.data.formats.span_values import EXPECTED, as_they_were, is_span, places_of, spans_of
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError
from hf_tagging.problems import argument


def _or_capitalized(*names: str) -> tuple[str, ...]:
    """Return names as they are, then with a capital: Amazon Comprehend writes Text and Entities."""
    return (*names, *map(str.capitalize, names))


_TEXT_NAMES = ("text", "sentence", "content", "raw_text", "data", "document")
_TEXTS = _or_capitalized(*_TEXT_NAMES)
_SPANS = _or_capitalized("entities", "ents", "spans", "annotations", "labels", "label", "entity", "ner", "mentions")
_WORDS = ("tokens", "words")  # a format of its own
_PLAIN = _or_capitalized("entities", "ents", "spans")
_IDS = ("id", "curid", "doc_id", "document_id")
_ASIDE = frozenset({*_IDS, "relations"})
_OWN = frozenset({*_IDS, *_SPANS, "text", "Text", "tokens", "sents", "relations"})


def _recognizes(head: Head) -> bool:
    rows = head.objects
    if not rows or not all(_text_key(row) for row in rows):
        return False
    if any(_is_of_another_shape(row) for row in rows):
        return True
    lists = {key: [row[key] for row in rows if key in row] for key in _SPANS}
    lists = {key: values for key, values in lists.items() if all(isinstance(value, list | None) for value in values)}
    first = {key: next(filter(None, values), None) for key, values in lists.items() if values}
    found = [spans for spans in first.values() if spans is not None]
    if found:  # the first that are there tell: what is wrong further down, the reader says
        return any(all(map(is_span, spans)) for spans in found)
    return any(key in _PLAIN and len(lists[key]) == len(rows) for key in first)


def _is_of_another_shape(row: dict[str, Any]) -> bool:
    """Return whether a text has entities in a shape that is not read, which the reader says with its place."""
    words = any(isinstance(row.get(key), list) and row[key] for key in _WORDS)
    values = [row[key] for key in _SPANS if key in row and isinstance(row[key], list | dict) and row[key]]
    return not words and any(
        isinstance(value, dict) or all(isinstance(item, list | dict) and _may_be_span(item) for item in value)
        for value in values
    )


def _may_be_span(item: list[Any] | dict[str, Any]) -> bool:
    """Return whether a part of a list may be meant as a span; a word with its tag is none."""
    if isinstance(item, dict):
        return not {"word", "token", "form", "tokens", "words"} & {key.lower() for key in item}
    return any(str(part).isdigit() for part in item)


def _text_key(row: dict[str, Any]) -> str | None:
    return next((key for key in _TEXTS if isinstance(row.get(key), str)), None)


def _layers(row: dict[str, Any]) -> list[str]:
    """Return the keys that spans may be under."""
    return [key for key in _SPANS if isinstance(row.get(key, ""), list | dict | None)]


def _chosen_layer(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> str | None:
    """Return the key of the spans, one for the whole file: what is asked for, else the first that has any anywhere.

    Raises:
        DataError: There is none of the name that was asked for.
    """
    there: set[str] = set()
    filled: set[str] = set()
    for _, row in objects(path, file, request.encoding):
        there.update(_layers(row))
        filled.update(key for key in _layers(row) if _holds_spans(row[key]))
    layers = [key for key in _SPANS if key in filled] or [key for key in _SPANS if key in there]
    if not filled or request.layer is not None:
        if request.layer is not None and request.layer not in there:
            found = ", ".join(key for key in _SPANS if key in there) or "none"
            raise DataError(f"{file}: {argument('layer', request.layer)}: no such list of spans; found {found}")
        return request.layer or next(iter(layers), None)
    if others := layers[1:]:
        notes.left_out += others
        text = f"several layers of spans: {layers[0]} is read and not {', '.join(others)}; choose with "
        notes.remark("layer", text + argument("layer"), severity="suspicious")
    return layers[0]


def _holds_spans(values: list[Any] | dict[str, Any] | None) -> bool:
    """Return whether a value has something that may be a span: labels of a text are none."""
    return (isinstance(values, dict) and bool(values)) or any(isinstance(value, dict | list) for value in values or ())


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    key = _chosen_layer(path, file, request, notes)
    for place, row in objects(path, file, request.encoding):
        asked = request.tokens_column
        text_key = _text_key(row) if asked is None else str(asked)
        if asked is not None and not isinstance(row.get(str(asked)), str):
            there = ", ".join(name for name, value in row.items() if isinstance(value, str)) or "none"
            raise DataError(f"{file}, {place}: {argument('tokens_column', asked)}: no such text; found {there}")
        if text_key is None:
            raise wrong(file, place, row, f"expected a text under one of {', '.join(_TEXT_NAMES)}")
        text = text_in(row, text_key, file, place)
        if isinstance(row.get(key or ""), dict):
            raise wrong(file, place, row, f'of "{key}": {EXPECTED}')
        values = list_in(row, key, file, place) if key in row else []
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
            unused="" if key and row.get(key) is not None else "without an annotation",
            place=place,
            source=row,
            extra=without(row, {name_key(row, *_IDS), "relations", text_key, key, *places}),
        )


def _has_places(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) and {"start", "end"} <= v.keys() for v in value)
    )


def _write(documents: Iterable[Document], stream: IO[str], notes: FileNotes) -> None:
    for document in documents:
        source = dict(document.source)
        row = {**without(document.extra, _OWN), **source}
        if document.unused and source and document.model is None:
            stream.write(json_text(row, indent=None) + "\n")
            continue
        if document.id is not None and not any(key in row for key in _IDS):
            row["id"] = document.id
        key = _written_key(document)
        row |= {_written_text_key(document): document.text, key: _entities(document, key)}
        stream.write(json_text(row, indent=None) + "\n")


def _written_text_key(document: Document) -> str:
    """Return the key of the text that was read, which is not one of what is left over."""
    there = (key for key, value in document.source.items() if isinstance(value, str) and key not in _ASIDE)
    return next((key for key in there if key not in document.extra), "text")


def _written_key(document: Document) -> str:
    """Return the key of the spans that were read, which is not one of what is left over."""
    if not document.source:
        return "entities"
    there = (key for key in _layers(dict(document.source)) if key not in document.extra)
    return next(there, next((key for key in _PLAIN if key not in document.extra), "entities"))


def _entities(document: Document, key: str) -> list[Any]:
    """Return entities as the source writes them, those that were there as they were."""
    before = document.source.get(key) or []
    scored = any(span.score is not None for span in document.spans)
    if before and all(isinstance(value, list) for value in before) and not scored:
        return [[span.start, span.end, span.type] for span in document.spans]
    known, found = as_they_were(before), []
    for span in document.spans:
        entity = dict(known.get((span.start, span.end, span.type), ()))
        entity = entity or {"start": span.start, "end": span.end, "label": span.type}
        score = next((name for name in entity if name.lower() == "score"), "score")
        found.append(entity if span.score is None else entity | {score: span.score})
    return found


TEXT_ENTITIES = Format(
    name="text-entities",
    title="JSON of texts and entities",
    recognizes=_recognizes,
    read=_read,
    write=_write,
    suffix=".jsonl",
    holds=frozenset({"texts", "overlaps", "scores", "ids", "extra"}),
    takes=frozenset({"encoding", "layer", "tokens_column"}),
    own=_OWN,
)
