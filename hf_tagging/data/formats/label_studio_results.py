"""Results of Label Studio: which layer is read, which are spans of text, and which text they are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hf_tagging.data.formats.json_values import checked_text, whole_number, wrong
from hf_tagging.data.formats.offsets import FoundSpan
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError
from hf_tagging.problems import argument


def layers_of(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the layers that hold spans of text, in the order in which they first occur."""
    return list(Counter(str(result.get("from_name", "")) for result in results if result.get("type") == "labels"))


def chosen_layer(layers: Sequence[str], *, file: str, request: ReadRequest, notes: FileNotes) -> str | None:
    """Return the layer that is read: the one that was asked for, else the first; None where there is none.

    Raises:
        DataError: There is no layer of the name that was asked for.
    """
    if request.layer is not None and request.layer not in layers:
        there = ", ".join(layers) or "none"
        raise DataError(f"{file}: {argument('layer', request.layer)}: no such layer; found {there}")
    if not layers:
        return None
    layer = request.layer or layers[0]
    if others := [name for name in layers if name != layer]:
        notes.left_out += others
        if request.layer is None:
            text = f"several layers of spans: {layer} is read and not {', '.join(others)}; choose with "
            notes.remark("layer", text + argument("layer"), severity="suspicious")
    return layer


def found_in(
    results: Iterable[Mapping[str, Any]], layer: str | None, *, file: str, place: str, notes: FileNotes
) -> list[FoundSpan]:
    """Return the spans of a layer as they are in the file, once for each of their labels.

    Raises:
        DataError: A result is no span of text.
    """
    found: list[FoundSpan] = []
    for result in results:
        kind = result.get("type")
        if kind in ("hypertextlabels", "paragraphlabels"):
            raise wrong(file, place, result, f"{kind} are spans of HTML or of dialogues; expected labels of plain text")
        if kind != "labels":
            notes.count("results", "results that are no spans of text: not read", example=str(kind))
        elif str(result.get("from_name", "")) == layer:
            found += region_spans(
                result.get("value"), file=file, place=place, notes=notes, score=score_of(result.get("score"))
            )
    return found


def score_of(value: object) -> float | None:
    """Return a score; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def region_spans(
    value: object, *, file: str, place: str, notes: FileNotes, score: float | None = None
) -> list[FoundSpan]:
    """Return the spans of a region, one for each of its labels.

    Raises:
        DataError: It has no start and end.
    """
    start, end = (whole_number(value.get(key)) if isinstance(value, dict) else None for key in ("start", "end"))
    if not isinstance(value, dict) or start is None or end is None:
        raise wrong(file, place, value, "expected a span with start, end and labels")
    labels = value.get("labels") or []
    if not isinstance(labels, list) or not all(isinstance(label, str) and label.strip() for label in labels):
        raise wrong(file, place, value, "expected labels that are strings")
    if not labels:
        notes.count("unlabelled", "spans without a label: not read", severity="suspicious", example=place)
    surface = value.get("text")
    said = surface if isinstance(surface, str) else None
    return [FoundSpan(start, end, checked_text(label.strip(), file, place), said, score) for label in labels]


def whole_labels(result: Mapping[str, Any]) -> list[tuple[object, object, str]]:
    """Return start, end and type of each label of a result, as its spans have them."""
    value = result.get("value")
    if not isinstance(value, dict):
        return []
    start, end = whole_number(value.get("start")), whole_number(value.get("end"))
    return [(start, end, str(label).strip()) for label in value.get("labels") or ()]


def text_key(
    data: Mapping[str, Any],
    found: Sequence[FoundSpan],
    names: Sequence[object],
    *,
    file: str,
    place: str,
    request: ReadRequest,
) -> str:
    """Return the key of the text that spans are of.

    It is the one asked for as `tokens_column`, else the only text, else the one that has what the spans say, else
    ``text`` or the name that results give.

    Raises:
        DataError: There is no such text, or it cannot be told which of several it is.
    """
    texts = [key for key, value in data.items() if isinstance(value, str)]
    if request.tokens_column is not None:
        if request.tokens_column not in texts:
            asked = argument("tokens_column", request.tokens_column)
            raise DataError(f"{file}, {place}: {asked}: no text of this name; found {', '.join(texts) or 'none'}")
        return str(request.tokens_column)
    if len(texts) == 1:
        return texts[0]
    surfaces = {"".join(span.surface.split()) for span in found if span.surface}
    bare = {key: "".join(data[key].split()) for key in texts}
    having = [key for key in texts if all(surface in bare[key] for surface in surfaces)]
    candidates = (having or texts) if surfaces else texts
    if len(candidates) == 1:
        return candidates[0]
    known = next((key for key in ("text", *names) if key in candidates), None)
    if known is None:
        what = "expected a text in the data of the task"
        several = f"{what}; which of {', '.join(candidates)} it is, says {argument('tokens_column')}"
        raise wrong(file, place, dict(data), several if candidates else what)
    return str(known)
