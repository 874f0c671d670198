"""SpERT: words and entities with start and end, which is behind the last word (https://github.com/lavis-nlp/spert).

A file of this shape in which an entity ends where it starts counts the last word in, and is read so.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from hf_tagging.atomic import json_text
from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import (
    list_in,
    name_key,
    name_of,
    objects,
    whole_number,
    without,
    words_in,
    wrong,
)
from hf_tagging.data.formats.span_values import count_gone_relations
from hf_tagging.data.formats.word_documents import document_of_words, positions
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError

_INCLUSIVE = "entities end where they start: ends are read as the last word, and not as the one behind it"
_IDS = ("orig_id", "id")
_OWN = frozenset({"tokens", "entities", "relations"})


def _recognizes(head: Head) -> bool:
    rows = head.objects
    if not rows or not all(isinstance(row.get(key), list) for row in rows for key in ("tokens", "entities")):
        return False
    entities = [entity for row in rows for entity in row["entities"]]
    words = all(isinstance(word, str) for row in rows for word in row["tokens"])
    spans = all(isinstance(entity, dict) and {"type", "start", "end"} <= entity.keys() for entity in entities)
    return words and spans and (bool(entities) or any("relations" in row or "orig_id" in row for row in rows))


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    rows = list(objects(path, file, request.encoding))
    inclusive = _is_inclusive(rows, file)
    if inclusive:
        notes.remark("inclusive", _INCLUSIVE, severity="suspicious")
    for place, row in rows:
        words = words_in(row, "tokens", file, place)
        values = [_triple(entity, file, place) for entity in list_in(row, "entities", file, place)]
        if row.get("relations"):
            notes.count("relations", "relations: not read", by=len(list_in(row, "relations", file, place)))
        yield document_of_words(
            [words],
            [positions(value, inclusive=inclusive, words=len(words), file=file, place=place) for value in values],
            id=name_of(row, *_IDS),
            place=place,
            source=row | {"entities": [_behind(one, int(inclusive)) for one in row["entities"] or ()]},
            extra=without(row, {*_OWN, name_key(row, *_IDS)}),
        )


def _is_inclusive(rows: Sequence[tuple[str, dict[str, Any]]], file: str) -> bool:
    """Return whether ends are those of the last words.

    Raises:
        DataError: Some entities say so, and others say the opposite.
    """
    empty, behind = "", ""
    for place, row in rows:
        words = len(words_in(row, "tokens", file, place))
        for entity in list_in(row, "entities", file, place):
            if isinstance(entity, dict) and entity.get("start") == entity.get("end"):
                empty = empty or place
            elif isinstance(entity, dict) and entity.get("end") == words:
                behind = behind or place
    if empty and behind:
        raise DataError(
            f"{file}: an entity in {empty} ends at its first word, and one in {behind} behind the last word of all; "
            "expected ends behind the last word of each entity"
        )
    return bool(empty)


def _triple(entity: Any, file: str, place: str) -> list[Any]:
    if not isinstance(entity, dict):
        raise wrong(file, place, entity, "expected an entity with type, start and end")
    return [entity.get("start"), entity.get("end"), entity.get("type")]


def _behind(entity: dict[str, Any], more: int) -> dict[str, Any]:
    """Return an entity whose end is behind its last word."""
    return entity | {"end": entity["end"] + more}


def _write(documents: Iterable[Document], stream: IO[str], notes: FileNotes) -> None:
    begin = "[\n"
    for document in documents:
        row = {**document.extra, **document.source}
        if document.id is not None and name_key(row, *_IDS) is None:
            row["orig_id"] = document.id
        row["tokens"] = [document.text[start:end] for start, end in document.words or ()]
        row |= _with_relations(document, notes)
        stream.write(begin + json_text(row, indent=None))
        begin = ",\n"
    stream.write("\n]\n" if begin != "[\n" else "[]\n")


def _with_relations(document: Document, notes: FileNotes) -> dict[str, Any]:
    """Return entities and relations: an entity that was there stays as it was, and its relations with it."""
    starts, ends = zip(*document.words or (), strict=True) if document.words else ((), ())
    before = list(document.source.get("entities") or ())
    places = {index: (one["start"], one["end"], one["type"].strip()) for index, one in enumerate(before)}
    entities: list[dict[str, Any]] = []
    moved: dict[int | None, int] = {}  # position of each entity before, and now
    for span in document.spans:
        first, end = bisect_left(starts, span.start), bisect_left(ends, span.end) + 1
        index = next((i for i, place in places.items() if place == (first, end, span.type)), None)
        if index is not None:
            moved[index] = len(entities)
            del places[index]
        entities.append({"type": span.type, "start": first, "end": end} if index is None else before[index])
    there = list(document.source.get("relations") or ())
    relations = []
    for relation in there:
        names = [whole_number(relation.get(key)) for key in ("head", "tail")] if isinstance(relation, dict) else [None]
        if all(name in moved for name in names):
            relations.append(relation | {"head": moved[names[0]], "tail": moved[names[1]]})
    count_gone_relations(notes, len(there) - len(relations), document.place)
    return {"entities": entities, "relations": relations}


SPERT = Format(
    name="spert",
    title="SpERT JSON",
    recognizes=_recognizes,
    read=_read,
    write=_write,
    suffix=".json",
    holds=frozenset({"words", "ids"}),
)
