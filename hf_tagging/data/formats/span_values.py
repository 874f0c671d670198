"""Spans as JSON files write them: ``[start, end, type]``, or objects with one of the many names for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hf_tagging.data.formats.base import Span
from hf_tagging.data.formats.json_values import checked_text, whole_number, wrong
from hf_tagging.data.formats.offsets import FoundSpan, checked_spans
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

# Keys are compared in lower case.
_STARTS = ("start", "start_offset", "begin", "startoffset", "beginoffset", "begin_offset", "start_char", "start_idx",
           "offset", "from")  # fmt: skip
_ENDS = ("end", "end_offset", "endoffset", "end_char", "end_idx", "stop", "to")
_RANGES = ("span", "offsets", "offset", "range", "position", "indices")
_TYPES = ("label", "type", "entity_type", "entity_group", "labels", "category", "tag", "class", "entity", "name")
_SURFACES = ("text", "name", "surface", "mention", "word", "entity")
_EITHER = ("entity", "name")  # its type in some data, and its text in others
EXPECTED = "expected a span as [start, end, type], or an object with start, end and label"


def spans_of(
    values: Sequence[Any], text: str, *, file: str, place: str, request: ReadRequest, notes: FileNotes
) -> list[Span]:
    """Return the spans of a text, checked against it.

    Raises:
        DataError: A value is no span, or does not lie in the text; see `checked_spans`.
    """
    found = [span for value in values for span in found_spans(value, text, file=file, place=place)]
    return checked_spans(text, found, file=file, place=place, request=request, notes=notes)


def is_span(value: Any) -> bool:
    """Return whether a value reads like a span of characters."""
    return _parts(value) is not None


def found_spans(value: Any, text: str, *, file: str, place: str) -> list[FoundSpan]:
    """Return a span as a file has it, once for each of its types.

    Args:
        value: The span.
        text: The text that it is in: what stands there is not the type.
        file: For messages.
        place: For messages.

    Raises:
        DataError: The value is no span.
    """
    parts = _parts(value)
    if parts is None:
        raise wrong(file, place, value, EXPECTED)
    start, end, kinds, surface = parts
    if isinstance(value, dict) and kinds == [text[start:end]]:
        keys = [key for key in value if key.lower() in _EITHER and value[key] == kinds[0]]
        if keys:
            raise wrong(file, place, value, f'"{keys[0]}" is the text of the span, and nothing is its type; {EXPECTED}')
    score = _lower(value).get("score") if isinstance(value, dict) else None
    known = float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None
    return [FoundSpan(start, end, checked_text(kind, file, place), surface, known) for kind in kinds]


def as_they_were(values: object) -> dict[tuple[int, int, str], dict[str, Any]]:
    """Return the spans of a source that are objects of one type, by start, end and type, for writing them back."""
    found = {}
    for value in values if isinstance(values, list) else []:
        parts = _parts(value) if isinstance(value, dict) else None
        if parts is not None and len(parts[2]) == 1:
            found[(parts[0], parts[1], parts[2][0])] = value
    return found


def _parts(value: Any) -> tuple[int, int, list[str], str | None] | None:
    """Return start, end, types and surface of a span; None for anything else."""
    if isinstance(value, dict):
        return _of_object(value)
    if not isinstance(value, list) or len(value) < 3:
        return None
    start, end, kinds = _offset(value[0]), _offset(value[1]), _types(value[2])
    return (start, end, kinds, None) if start is not None and end is not None and kinds else None


def _of_object(written: Mapping[str, Any]) -> tuple[int, int, list[str], str | None] | None:
    value = _lower(written)
    start = next((n for key in _STARTS if (n := _offset(value.get(key))) is not None), None)
    end = next((n for key in _ENDS if (n := _offset(value.get(key))) is not None), None)
    if start is not None and end is None and (length := _offset(value.get("length"))) is not None:
        end = start + length
    if start is None or end is None:
        pair = next((value[key] for key in _RANGES if isinstance(value.get(key), list) and len(value[key]) == 2), None)
        start, end = map(_offset, pair) if pair else (None, None)
    key = next((key for key in _TYPES if _types(value.get(key))), None)
    if start is None or end is None or key is None:
        return None
    if key == "entity" and "index" in value:  # what a pipeline of Transformers returns: its word is that of a tokenizer
        return start, end, _types(value[key]), None
    surface = next((value[name] for name in _SURFACES if name != key and isinstance(value.get(name), str)), None)
    return start, end, _types(value[key]), surface


def _lower(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with its keys in lower case; of two that are then the same, the first."""
    return {key.lower(): part for key, part in reversed(list(value.items()))}


def _offset(value: Any) -> int | None:
    """Return an offset, which some data write as a string of digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    return whole_number(value)


def _types(value: Any) -> list[str]:
    """Return a type, or those of a list; empty for anything else."""
    values = value if isinstance(value, list) else [value]
    return [kind.strip() for kind in values] if all(isinstance(kind, str) and kind.strip() for kind in values) else []


def places_of(tokens: Sequence[Any], text: str, *, file: str, place: str) -> list[tuple[int, int]]:
    """Return start and end of tokens or sentences in a text, without those of white space alone, which spaCy has.

    Raises:
        DataError: One has no start and end in the text behind the one before, or another text than is there.
    """
    places: list[tuple[int, int]] = []
    for token in tokens:
        start, end = (whole_number(token.get(key)) if isinstance(token, dict) else None for key in ("start", "end"))
        if start is None or end is None or not (places[-1][1] if places else 0) <= start <= end <= len(text):
            raise wrong(file, place, token, "expected a token with start and end, behind the one before")
        if token.get("text", text[start:end]) != text[start:end]:
            raise wrong(file, place, token, f"but the text from {start} to {end} is {text[start:end]!r}")
        if text[start:end].strip():
            places.append((start, end))
    return places


def count_gone_relations(notes: FileNotes, count: int, place: str) -> None:
    """Say how many relations of a document are left out, since one of their entities is gone."""
    if count:
        notes.count("relations", "relations of entities that are gone: left out", by=count, example=place)
