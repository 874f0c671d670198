"""doccano: JSON Lines of a text and its spans (https://doccano.github.io/doccano/).

Exports of doccano 1.x have ``"label": [[0, 9, "PER"]]``, older ones ``"labels"``, and projects with relations have
``"entities": [{"label": "PER", "start_offset": 0, "end_offset": 9}]``. Offsets are code points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from hf_tagging.atomic import json_text
from hf_tagging.data.formats.base import Document, Format, Head, Span
from hf_tagging.data.formats.json_values import objects, wrong
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_KEYS = ("label", "labels", "entities")


def _recognizes(head: Head) -> bool:
    if not head.has_keys("text"):
        return False
    spans = next((head.row[key] for key in _KEYS if key in head.row), None)
    if not isinstance(spans, list):
        return False
    return all(_is_triple(span) or (isinstance(span, dict) and "start_offset" in span) for span in spans)


def _is_triple(span: Any) -> bool:
    return isinstance(span, list) and len(span) == 3 and isinstance(span[0], int) and isinstance(span[2], str)


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    for place, row in objects(path, file):
        key = next((key for key in _KEYS if key in row), None)
        if not isinstance(row.get("text"), str) or key is None:
            raise wrong(file, place, row, 'expected "text" and one of "label", "labels", "entities"')
        spans = [_span(span, file, place) for span in row[key]]
        if row.get("relations"):
            notes.count("relations", "relations: not read", by=len(row["relations"]))
        known = str(row["id"]) if "id" in row else None
        yield Document(text=row["text"], spans=spans, id=known, place=place, source=row)


def _span(value: Any, file: str, place: str) -> Span:
    if _is_triple(value):
        return Span(*value)
    if isinstance(value, dict) and isinstance(value.get("label"), str):
        start, end = value.get("start_offset"), value.get("end_offset")
        if isinstance(start, int) and isinstance(end, int):
            return Span(start, end, value["label"])
    raise wrong(file, place, value, "expected a span as [start, end, type]")


def _write(documents: Iterable[Document], stream: IO[str]) -> None:
    for document in documents:
        label = [[span.start, span.end, span.type] for span in document.spans]
        row = {**document.source, "text": document.text, "label": label}
        stream.write(json_text(row, indent=None) + "\n")


DOCCANO = Format(
    name="doccano", title="doccano JSON Lines", recognizes=_recognizes, read=_read, write=_write, suffix=".jsonl"
)
