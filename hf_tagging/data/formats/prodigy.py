"""Prodigy: JSON Lines of a text, its tokens and its spans (https://prodi.gy/docs/api-interfaces#ner_manual).

Rows that were rejected or ignored are no annotations. Offsets are code points, as spaCy counts them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from hf_tagging.atomic import json_text
from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import list_in, name_key, name_of, objects, text_in, without
from hf_tagging.data.formats.span_values import as_they_were, places_of, spans_of
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_MARKS = frozenset({"answer", "_input_hash", "_task_hash", "_view_id", "_session_id"})
_IDS = ("id", "doc_id")
_TOOL = _MARKS | {"text", "tokens", "spans", "_is_binary", "_annotator_id", "_timestamp"}
_OWN = _TOOL | {*_IDS, "label"}
_UNUSED = {"reject": "that were rejected", "ignore": "that were ignored"}
_VIEW, _BINARY = "_view_id", "_is_binary"  # how a text was shown: `ner` asks for a single span
_AGAIN = "that stand further up with other answers"


def _recognizes(head: Head) -> bool:
    rows = head.objects
    if not rows or not all(isinstance(row.get("text"), str) for row in rows):
        return False
    spans = all(isinstance(row.get("spans", []), list) and "label" not in row for row in rows)
    tokens = [token for row in rows if isinstance(row.get("tokens"), list) for token in row["tokens"]]
    objects_of_tokens = bool(tokens) and all(isinstance(token, dict) and "start" in token for token in tokens)
    marked = any(not _MARKS.isdisjoint(row) for row in rows)
    return spans and any("spans" in row for row in rows) and (marked or objects_of_tokens)


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    seen: set[str] = set()
    for place, row in objects(path, file, request.encoding):
        text = text_in(row, "text", file, place)
        values = list_in(row, "spans", file, place) if "spans" in row else []
        answer = row.get("answer")
        unused = _UNUSED.get(str(answer), "")
        if answer is None and row.get("spans") is None:
            unused = "without an annotation"
        if row.get(_VIEW) == "ner" or row.get(_BINARY):
            notes.count("binary", "answers to a single span: other entities of their texts are read as outside of any",
                        severity="suspicious", example=place)  # fmt: skip
        elif not unused and "_input_hash" in row:
            unused = _AGAIN if str(row["_input_hash"]) in seen else ""
            seen.add(str(row["_input_hash"]))
        yield Document(
            text=text,
            spans=spans_of(values, text, file=file, place=place, request=request, notes=notes),
            words=_words(row, text, file, place),
            id=name_of(row, *_IDS),
            unused=unused,
            place=place,
            source=row,
            extra=without(row, {*_TOOL, name_key(row, *_IDS)}),
        )


def _words(row: dict[str, Any], text: str, file: str, place: str) -> list[tuple[int, int]] | None:
    """Return the places of the tokens; None where there are none."""
    if not row.get("tokens"):
        return None
    return places_of(list_in(row, "tokens", file, place), text, file=file, place=place)


def _write(documents: Iterable[Document], stream: IO[str], notes: FileNotes) -> None:
    for document in documents:
        if document.unused and document.model is None and document.source:
            stream.write(json_text(dict(document.source), indent=None) + "\n")
            continue
        row = {**without(document.extra, _OWN), **document.source, "text": document.text}
        if document.id is not None and name_key(row, *_IDS) is None:
            row["id"] = document.id
        if document.words is not None and "tokens" not in document.source:
            row["tokens"] = _tokens(document.text, document.words)
        row["spans"] = _spans(document, row.get("tokens") or [])
        if document.model is not None:
            row.pop("answer", None)
            meta = row.get("meta")
            row["meta"] = (meta if isinstance(meta, dict) else {}) | {"model": document.model}
        else:
            row.setdefault("answer", "accept")
        stream.write(json_text(row, indent=None) + "\n")


def _tokens(text: str, words: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Return tokens as spaCy cuts them: what is more than one blank between words is a token."""
    found: list[tuple[int, int]] = []
    end = 0
    for start, stop in [*words, (len(text), len(text))]:
        gap = end + text.startswith(" ", end) if end else 0
        if gap < start:
            found.append((gap, start))
        if start < stop:
            found.append((start, stop))
        end = stop
    return [
        {
            "text": text[a:b],
            "start": a,
            "end": b,
            "id": index,
            "ws": text.startswith(" ", b) and not text[a:b].isspace(),
        }
        for index, (a, b) in enumerate(found)
    ]


def _spans(document: Document, tokens: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return spans, with the first and the last token of each that begins and ends with one."""
    starts, ends = [token["start"] for token in tokens], [token["end"] for token in tokens]
    known = as_they_were(document.source.get("spans"))
    found = []
    for span in document.spans:
        row = dict(known.get((span.start, span.end, span.type), ()))
        row |= {"start": span.start, "end": span.end, "label": span.type}
        first, last = bisect_left(starts, span.start), bisect_left(ends, span.end)
        if first < len(starts) and starts[first] == span.start and last < len(ends) and ends[last] == span.end:
            row |= {"token_start": first, "token_end": last}
        if span.score is not None:
            row["score"] = span.score
        found.append(row)
    return found


PRODIGY = Format(
    name="prodigy",
    title="Prodigy JSON Lines",
    recognizes=_recognizes,
    read=_read,
    write=_write,
    suffix=".jsonl",
    holds=frozenset({"texts", "words", "overlaps", "scores", "ids", "extra"}),
    own=_OWN,
)
