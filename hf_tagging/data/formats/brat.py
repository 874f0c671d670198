"""brat: a text and a file of standoff annotations beside it (https://brat.nlplab.org/standoff.html).

A corpus is a folder of ``name.txt`` and ``name.ann`` pairs. Text-bound annotations (``T1``) are read; relations,
events, attributes and notes are counted. A discontinuous one is read from its first to its last character, or dropped,
as `misfit` says. Offsets are code points, each line end of Windows two of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from hf_tagging.atomic import staged_file
from hf_tagging.data.formats.base import Document, Format, Head, Span
from hf_tagging.data.formats.offsets import FoundSpan, checked_spans
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import shortened, text_form
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_BORDERS = r"\d{1,15} \d{1,15}"  # Python refuses to make numbers of thousands of digits
_LINE = re.compile(rf"(T\d\S*)\t(\S.*?) ({_BORDERS}(?:;{_BORDERS})*)[ \t]*(?:\t(.*))?")
_OTHERS = {"R": "relations", "E": "events", "A": "attributes", "M": "attributes", "N": "normalizations", "#": "notes",
           "*": "equivalences"}  # fmt: skip
_FIRST_LINE = re.compile(r"T\d+\t\S+ \d+ \d+|[REAMN]\d+\t\S|#\d*\t\S|\*\t\S")
SETTINGS = "annotation.conf"
"""File that is in every folder that is written."""
_SCORE = re.compile(r"#\d+\tAnnotatorNotes (T\d\S*)\tscore (\d(?:\.\d{1,15})?)")  # as they are written
_EXPECTED = "expected T1, a tab, a type with start and end, a tab, and the text"


def pairs(path: Path) -> list[tuple[Path, Path]]:
    """Return the text and the annotations of each document of a folder, or of the one that a file belongs to.

    Either may be missing.
    """
    if not path.is_dir():
        return [(path.with_suffix(".txt"), path.with_suffix(".ann"))]
    stems = {file.with_suffix("") for file in path.iterdir() if _may_belong(file)}
    return [(stem.with_name(f"{stem.name}.txt"), stem.with_name(f"{stem.name}.ann")) for stem in sorted(stems)]


def is_brat(path: Path) -> bool:
    """Return whether a path is a file with annotations, the text beside one, or a folder of such pairs."""
    if path.is_dir():
        return any(file.suffix == ".ann" for file in path.iterdir() if _may_belong(file))
    if path.suffix not in (".ann", ".txt") or not path.with_suffix(".ann").is_file():
        return False
    return path.with_suffix(".txt").is_file() or _begins_like_brat(path)  # of a pair, the reader says what is damaged


def files_of(path: Path) -> list[Path]:
    """Return all files that are read for a path."""
    return [file for pair in pairs(path) for file in pair if file.is_file()]


def _may_belong(file: Path) -> bool:
    return file.suffix in (".ann", ".txt") and not file.name.startswith((".", "_")) and file.is_file()


def _begins_like_brat(path: Path) -> bool:
    head = Head(path.with_suffix(".ann")).text
    return not head.strip() or bool(_FIRST_LINE.match(head))


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    for text_file, annotation_file in pairs(path):
        if not text_file.is_file():
            raise DataError(f"{annotation_file}: no {text_file.name} beside it, which has its text")
        text = _decoded(text_file, request, notes)
        if not annotation_file.is_file():
            unused = "without annotations: there is no .ann beside them"
            yield Document(text=text, spans=[], id=text_file.stem, place=text_file.name, unused=unused)
            continue
        yield _document(text, annotation_file, request, notes)


def _decoded(path: Path, request: ReadRequest, notes: FileNotes) -> str:
    """Return the text of a file with its line ends, in the encoding that is asked for or certain."""
    with open(path, "rb") as stream:
        form = text_form(stream, file=str(path), encoding=request.encoding)
        raw = stream.read()
    notes.encoding = form.shown
    if form.remark:
        notes.count("encoding", f"files {form.remark}", example=path.name)
    try:
        return raw.decode(form.encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not {form.shown}: {error}; give another {argument('encoding')}") from error


def _document(text: str, path: Path, request: ReadRequest, notes: FileNotes) -> Document:
    found: list[FoundSpan] = []
    names: list[str] = []
    scores: dict[str, tuple[float, str]] = {}
    rest: list[str] = []
    for number, line in enumerate(_decoded(path, request, notes).split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        if not line.startswith("T"):
            if score := _SCORE.fullmatch(line):
                scores[score[1]] = float(score[2]), line
                continue
            rest.append(line)
            kind = _OTHERS.get(line[0])
            if kind is None:
                raise DataError(f"{path}, line {number}: {shortened(line)} is no annotation; {_EXPECTED}")
            notes.count(kind, f"{kind}: not read", example=f"{path.name}, line {number}")
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise DataError(f"{path}, line {number}: {shortened(line)}; {_EXPECTED}")
        span = _span(text, match, request, notes, f"{path.name}, line {number}")
        if span is not None:
            found.append(span)
            names.append(match[1])
    if not found:
        notes.count("no_entities", "texts without an entity", example=path.name)
    ids: dict[tuple[int, int, str], list[str]] = {}
    for name, span in zip(names, found, strict=True):
        ids.setdefault((span.start, span.end, span.type), []).append(name)
    found = [replace(s, score=scores[name][0]) if name in scores else s for name, s in zip(names, found, strict=True)]
    file, place = str(path), path.name
    spans = checked_spans(text, found, file=file, place=place, request=request, notes=notes)
    rest += [line for name, (_, line) in scores.items() if name not in names]
    source = {"ids": ids, "rest": rest}
    return Document(text=text, spans=spans, id=path.stem, place=place, source=source)


def _span(text: str, match: re.Match[str], request: ReadRequest, notes: FileNotes, place: str) -> FoundSpan | None:
    """Return the span of a line; None for a discontinuous one that is dropped."""
    borders = [(int(start), int(end)) for start, end in (part.split() for part in match[3].split(";"))]
    start, end = borders[0][0], borders[-1][1]
    gaps = [text[a:b] for (_, a), (b, _) in pairwise(borders)]
    if not any(gap.strip() for gap in gaps):  # an entity over a line end is written in parts
        return FoundSpan(start, end, match[2], match[4])
    what = "read from the first to the last character" if request.misfit == "widen" else "dropped"
    notes.count("discontinuous", f"discontinuous annotated spans: {what}", severity="suspicious", example=place)
    ends = max(end for _, end in borders)
    return FoundSpan(min(start for start, _ in borders), ends, match[2]) if request.misfit == "widen" else None


def _write_folder(documents: Iterable[Document], folder: Path, notes: FileNotes) -> None:
    types: set[str] = set()
    taken: set[str] = set()
    for number, document in enumerate(documents, start=1):
        stem = _stem(document.id or f"text-{number:05d}", taken)
        if document.id is not None and stem != document.id:
            notes.count("names", "documents whose names cannot be those of files: renamed", example=document.id)
        with staged_file(folder / f"{stem}.txt") as text:
            text.write(document.text)
        if document.unused and document.model is None:
            continue
        with staged_file(folder / f"{stem}.ann") as annotations:
            annotations.writelines(line + "\n" for line in _lines(document, notes))
        types.update(_type(span.type) for span in document.spans)
    with staged_file(folder / SETTINGS) as settings:
        sections = ["[entities]", *sorted(types), "[relations]", "[events]", "[attributes]"]
        settings.write("\n".join(sections) + "\n")


def _stem(name: str, taken: set[str]) -> str:
    """Return a name of a file for a document that no other has, and take it."""
    stem = re.sub(r"[^\w.-]+", "_", name)[:100].strip("._") or "text"
    unique, count = stem, 1
    while unique.casefold() in taken:
        count += 1
        unique = f"{stem}-{count}"
    taken.add(unique.casefold())
    return unique


def _type(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name)


def _lines(document: Document, notes: FileNotes) -> Iterator[str]:
    """Yield the lines of annotations: those that were there before keep their ids, and what refers to them."""
    before: dict[tuple[int, int, str], list[str]] = document.source.get("ids", {})
    known = {place: list(ids) for place, ids in before.items()}  # what is left of them
    gone = {id for ids in before.values() for id in ids}
    fresh = max((int(id[1:]) for id in gone if re.fullmatch(r"T\d{1,15}", id)), default=0)
    written = []
    for span in document.spans:
        waiting = known.get((span.start, span.end, span.type))
        fresh += not waiting
        name = waiting.pop(0) if waiting else f"T{fresh}"
        written.append(name)
        if document.text[span.start : span.end].strip("\r\n") != document.text[span.start : span.end]:
            notes.count("line_ends", "entities that begin or end with a line end: written without it")
        kind = _type(span.type)
        if kind != span.type:
            notes.count(
                "types", "entity types with characters that brat does not allow: written with _", example=span.type
            )
        surface = re.sub(r"[\r\n]", " ", document.text[span.start : span.end])
        yield f"{name}\t{kind} {_borders(document.text, span)}\t{surface}"
    numbers = [int(n) for n in re.findall(r"^#(\d{1,15})\t", "\n".join(document.source.get("rest", ())), re.MULTILINE)]
    scored = [(name, span.score) for name, span in zip(written, document.spans, strict=True) if span.score is not None]
    for number, (name, score) in enumerate(scored, start=max(numbers, default=0) + 1):
        yield f"#{number}\tAnnotatorNotes {name}\tscore {score:.4f}"
    gone -= set(written)
    for line in document.source.get("rest", ()):
        if gone.isdisjoint(re.findall(r"\bT\d+\b", line.split("\t", 2)[1] if "\t" in line else "")):
            yield line
        else:
            notes.count("references", "annotations of entities that are gone: left out", example=line.split("\t")[0])


def _borders(text: str, span: Span) -> str:
    """Return the borders of a span as brat writes them, which has no line end inside a part."""
    parts = [m.span() for m in re.finditer(r"[^\r\n]+", text[span.start : span.end])] or [(0, span.end - span.start)]
    return ";".join(f"{span.start + start} {span.start + end}" for start, end in parts)


BRAT = Format(
    name="brat",
    title="brat standoff",
    recognizes=lambda head: is_brat(head.path),
    read=_read,
    write_folder=_write_folder,
    holds=frozenset({"texts", "overlaps", "scores", "ids"}),
    beside=files_of,
)
