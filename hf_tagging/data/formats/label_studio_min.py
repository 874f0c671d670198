"""Label Studio JSON-MIN: a row per annotation, spans under the name of their control (https://labelstud.io/guide/export).

A text that several people annotated has several rows of one id: the latest is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import checked_text, list_in, name_of, objects
from hf_tagging.data.formats.label_studio_results import chosen_layer, region_spans, text_key
from hf_tagging.data.formats.offsets import checked_spans
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_MARKS = frozenset({"annotator", "annotation_id", "lead_time", "created_at", "updated_at"})
_OWN = _MARKS | {"id"}


def _recognizes(head: Head) -> bool:
    rows = head.objects
    marked = bool(rows) and all(len(_MARKS & row.keys()) >= 2 for row in rows)
    return marked and any(_layers(row) for row in rows)


def _layers(row: dict[str, Any]) -> list[str]:
    """Return the keys that hold spans."""
    return [key for key, value in row.items() if isinstance(value, list) and value and all(map(_is_region, value))]


def _is_region(value: object) -> bool:
    return isinstance(value, dict) and {"start", "end", "labels"} <= value.keys()


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    rows = list(objects(path, file, request.encoding))
    layers = list(dict.fromkeys(key for _, row in rows for key in _layers(row)))
    layer = chosen_layer(layers, file=file, request=request, notes=notes)
    latest: dict[object, int] = {}
    for index, (_, row) in enumerate(rows):
        task = name_of(row, "id") or index
        known = latest.setdefault(task, index)
        if str(row.get("updated_at", "")) >= str(rows[known][1].get("updated_at", "")):
            latest[task] = index
    for index, (place, row) in enumerate(rows):
        data = {key: value for key, value in row.items() if key not in _OWN and key not in layers}
        values = list_in(row, layer, file, place) if layer is not None and layer in row else []
        found = [span for value in values for span in region_spans(value, file=file, place=place, notes=notes)]
        key = text_key(data, found, (), file=file, place=place, request=request)
        text = checked_text(data.pop(key), file, place)
        yield Document(
            text=text,
            spans=checked_spans(text, found, file=file, place=place, request=request, notes=notes),
            id=name_of(row, "id"),
            unused="" if latest[name_of(row, "id") or index] == index else "with a later annotation",
            place=place,
            source=row,
            extra=data,
            layer=layer,
        )


LABEL_STUDIO_MIN = Format(
    name="label-studio-min",
    title="Label Studio JSON-MIN",
    recognizes=_recognizes,
    read=_read,
    suffix=".json",
    takes=frozenset({"encoding", "layer", "tokens_column"}),
)
