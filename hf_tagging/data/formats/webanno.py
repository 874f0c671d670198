r"""WebAnno TSV 3, the export of WebAnno and INCEpTION.

https://inception-project.github.io/releases/34.0/docs/user-guide.html#sect_formats_webannotsv3

A header names the layers and their features, each a column; ``PER[1]`` is part of the entity 1, ``|`` is between
entities of one word, and ``1-2.1`` a part of the word ``1-2``. Offsets count UTF-16 code units, as Java does.
Relations, chains and slots are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hf_tagging.data.formats.base import Document, Format, Head, Span
from hf_tagging.data.formats.offsets import utf16_unit
from hf_tagging.data.formats.webanno_layers import Column, chosen_column, columns_of
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import TextForm, shortened, text_form, text_lines
from hf_tagging.errors import DataError

_MARK = "#FORMAT=WebAnno TSV 3"
_WORD = re.compile(r"(\d+)-(\d+)(\.\d+)?\t(\d{1,15})-(\d{1,15})\t(.*)")
_VALUE = re.compile(r"(.*?)(?:\[(\d+)\])?", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "b": "\b"}


@dataclass
class _Line:
    """A word, or a part of one: its place in UTF-16 code units, and the values of its column."""

    start: int
    end: int
    form: str
    is_part: bool
    values: list[tuple[str, str | None]]


def _recognizes(head: Head) -> bool:
    return head.text.startswith(_MARK)


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    column: Column | None = None
    header: list[str] = []
    texts: list[str] = []
    lines: list[_Line] = []
    sentences: list[tuple[str, list[_Line]]] = []
    with open(path, "rb") as stream:
        form = text_form(stream, file=file, encoding=request.encoding) if request.encoding else TextForm()
        for number, line in text_lines(stream, file, form):
            if line.startswith("#T_"):
                header.append(line)
            elif line.startswith("#Text="):
                if lines:
                    sentences.append(("".join(texts), lines))
                    texts, lines = [], []
                texts.append(("\n" if texts else "") + _unescaped(line.removeprefix("#Text=")))
            elif line.strip() and not line.startswith("#"):
                column = column or chosen_column(columns_of(header, file), file=file, request=request, notes=notes)
                lines.append(_line(line, column, f"{file}, line {number}"))
    if lines:
        sentences.append(("".join(texts), lines))
    if sentences:
        yield _document(sentences, file, notes)


def _line(line: str, column: Column, place: str) -> _Line:
    match = _WORD.fullmatch(line)
    fields = match[6].split("\t") if match else []
    if match is None or int(match[5]) < int(match[4]):
        raise DataError(
            f"{place}: {shortened(line)} is no word; expected 1-1, a tab, 0-4, a tab, the word, and columns"
        )
    form, *cells = fields
    if column.index >= len(cells):
        raise DataError(f"{place}: {len(cells)} columns behind the word; the header names at least {column.index + 1}")
    values = _values(cells[column.index])
    return _Line(int(match[4]), int(match[5]), _unescaped(form), bool(match[3]), values)


def _values(cell: str) -> list[tuple[str, str | None]]:
    """Return the values of a cell with their numbers; ``*`` is an annotation without a value, ``_`` none."""
    found = []
    for part in re.split(r"(?<!\\)\|", cell):
        match = _VALUE.fullmatch(part)
        if part != "_" and match is not None:
            found.append((_unescaped(match[1]), match[2]))
    return found


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _CONTROLS.get(match[1], match[1]), text)


def _document(sentences: list[tuple[str, list[_Line]]], file: str, notes: FileNotes) -> Document:
    """Return a file as one text: its sentences at their places, with line breaks and blanks between them."""
    text, units = "", 0  # code points and UTF-16 code units so far
    words: list[tuple[int, int]] = []
    borders: list[tuple[int, int]] = []
    entities: dict[tuple[str, str], tuple[int, int]] = {}
    for number, (sentence, lines) in enumerate(sentences, start=1):
        lead = max(sentence.find(lines[0].form), 0)  # what stands before the first word
        begin = lines[0].start - _units(sentence[:lead])
        if begin < units:
            raise DataError(f"{file}, sentence {number}: begins at {begin}, before the last one ends at {units}")
        gap = min(begin - units, 1_000)  # what stood between is not in the file
        text += ("\n" + " " * (gap - 1)) if gap else ""
        offset, unit = len(text), utf16_unit(sentence)
        for line in lines:
            start, end = unit(line.start - begin), unit(line.end - begin)
            if start is None or end is None or sentence[start:end] != line.form:
                raise DataError(
                    f"{file}, sentence {number}: the word {shortened(line.form)} is not at {line.start}-{line.end} of "
                    "#Text; expected offsets in UTF-16 code units"
                )
            place = (offset + start, offset + end)
            if not line.is_part:
                words.append(place)
            for value, name in line.values:
                key = (value, name) if name is not None else (value, f"{place}")
                first, _ = entities.get(key, place)
                entities[key] = (first, place[1])
        text += sentence
        borders.append((offset, len(text)))
        units = begin + _units(sentence)
    for value, _ in [key for key in entities if key[0] in ("*", "")]:
        notes.count("unlabelled", "annotations without a value: not read", severity="suspicious", example=value)
    spans = [Span(*place, value) for (value, _), place in entities.items() if value not in ("*", "")]
    return Document(text=text, spans=spans, words=words, sentences=borders, id=Path(file).stem, place=file)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


WEBANNO = Format(
    name="webanno",
    title="WebAnno TSV 3",
    recognizes=_recognizes,
    read=_read,
    suffix=".tsv",
    takes=frozenset({"encoding", "layer"}),
)
