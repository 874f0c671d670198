"""CLUENER: a text, and for each type its surfaces with their places (https://github.com/CLUEbenchmark/CLUENER2020).

Positions are characters, and the last one is in the entity.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import checked_text, name_of, objects, text_in, whole_number, wrong
from hf_tagging.data.formats.offsets import FoundSpan, checked_spans
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_OWN = frozenset({"text", "label", "id"})


def _recognizes(head: Head) -> bool:
    rows = head.objects
    labels = [row["label"] for row in rows if "label" in row]
    return (
        bool(labels)
        and all(isinstance(row.get("text"), str) for row in rows)
        and all(isinstance(label, dict) and all(isinstance(v, dict) for v in label.values()) for label in labels)
    )


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    for place, row in objects(path, file, request.encoding):
        text = text_in(row, "text", file, place)
        found = _found(row.get("label") or {}, file, place)
        yield Document(
            text=text,
            spans=checked_spans(text, found, file=file, place=place, request=request, notes=notes),
            id=name_of(row, "id"),
            unused="" if row.get("label") is not None else "without an annotation",
            place=place,
            source=row,
            extra={name: value for name, value in row.items() if name not in _OWN},
        )


def _found(label: Any, file: str, place: str) -> list[FoundSpan]:
    found = []
    for kind, surfaces in label.items() if isinstance(label, dict) else [("", label)]:
        if not isinstance(surfaces, dict) or not kind.strip():
            raise wrong(file, place, {kind: surfaces}, "expected the surfaces of a type with their places")
        for surface, places in surfaces.items():
            for pair in places if isinstance(places, list) else [places]:
                first, last = map(whole_number, pair) if isinstance(pair, list) and len(pair) == 2 else (None, None)
                if first is None or last is None:
                    raise wrong(file, place, {surface: places}, "expected places as [[first, last]]")
                found.append(FoundSpan(first, last + 1, checked_text(kind.strip(), file, place), surface))
    return found


CLUENER = Format(name="cluener", title="CLUENER JSON Lines", recognizes=_recognizes, read=_read, suffix=".json")
