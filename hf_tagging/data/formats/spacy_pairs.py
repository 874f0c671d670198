"""spaCy 2 training data as JSON: ``[text, {"entities": [[start, end, type]]}]`` (https://v2.spacy.io/usage/training).

The list of all pairs, a pair a line, or under ``annotations`` as the NER Annotator for spaCy saves it
(https://github.com/tecoholic/ner-annotator), which leaves null for a text that was skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from hf_tagging.atomic import json_text
from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import checked_text, list_in, wrong
from hf_tagging.data.formats.span_values import spans_of
from hf_tagging.data.json_rows import json_rows, utf8_lines
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import BOM
from hf_tagging.errors import DataError

_EXPECTED = 'expected a pair of a text and {"entities": [[start, end, type]]}'


def _recognizes(head: Head) -> bool:
    if head.rows and isinstance(head.row, dict):
        annotations = head.row.get("annotations")
        return isinstance(annotations, list) and any(map(_is_pair, annotations))
    return any(map(_is_pair, head.rows)) or _is_pair(_first_line(head.text))


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)


def _first_line(text: str) -> Any:
    """Return the JSON of the first line that is not blank."""
    try:
        return json.loads(next(line for line in text.splitlines() if line.strip()))
    except (ValueError, StopIteration, RecursionError):
        return None


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    for place, pair in _pairs(path, file, request.encoding):
        if pair is None:
            yield Document(text="", spans=[], place=place, unused="that were skipped")
            continue
        if not _is_pair(pair):
            raise wrong(file, place, pair, _EXPECTED)
        text, annotations = checked_text(pair[0], file, place), pair[1]
        values = list_in(annotations, "entities", file, place) if "entities" in annotations else []
        if others := [name for name in annotations if name != "entities" and annotations[name]]:
            notes.left_out += [name for name in others if name not in notes.left_out]
        yield Document(
            text=text,
            spans=spans_of(values, text, file=file, place=place, request=request, notes=notes),
            place=place,
            unused="" if "entities" in annotations else "without entities",
            source=annotations,
        )


def _pairs(path: Path, file: str, encoding: str | None) -> Iterator[tuple[str, Any]]:
    """Yield the place and value of each pair."""
    raw = b"".join(utf8_lines(path, encoding)).removeprefix(BOM)
    if raw.lstrip().startswith(b"{"):
        for place, row, _ in json_rows(path, encoding):
            if not isinstance(row, dict):
                raise wrong(file, place, row, _EXPECTED)
            for number, pair in enumerate(list_in(row, "annotations", file, place), start=1):
                yield f"annotation {number}", pair
        return
    try:
        whole = json.loads(raw)
    except (ValueError, RecursionError) as error:
        yield from _lines(raw, file, error)
        return
    if _is_pair(whole):
        yield "line 1", whole
        return
    yield from ((f"row {number}", pair) for number, pair in enumerate(whole, start=1))


def _lines(raw: bytes, file: str, error: Exception) -> Iterator[tuple[str, Any]]:
    """Yield a pair per line, for a file that is not JSON as a whole."""
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", json.loads(line)
        except (ValueError, RecursionError) as broken:
            first = number == 1 and not isinstance(error, RecursionError)
            reason = "nested too deep" if isinstance(broken, RecursionError) else str(error if first else broken)
            raise DataError(f"{file}, line {number}: is not JSON: {reason}; {_EXPECTED}") from broken


def _write(documents: Iterable[Document], stream: IO[str], notes: FileNotes) -> None:
    begin = "[\n"
    for document in documents:
        if document.unused and document.model is None and "entities" not in document.source:
            stream.write(begin + json_text([document.text, dict(document.source)], indent=None))
            begin = ",\n"
            continue
        entities = [[span.start, span.end, span.type] for span in document.spans]
        stream.write(begin + json_text([document.text, {**document.source, "entities": entities}], indent=None))
        begin = ",\n"
    stream.write("\n]\n" if begin != "[\n" else "[]\n")


SPACY_PAIRS = Format(
    name="spacy-pairs",
    title="spaCy pairs of text and entities",
    recognizes=_recognizes,
    read=_read,
    write=_write,
    suffix=".json",
    holds=frozenset({"texts", "overlaps"}),
)
