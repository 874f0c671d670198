"""GLiNER: words and entities by first and last word (https://github.com/urchade/GLiNER#-training)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from hf_tagging.atomic import json_text
from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import list_in, name_of, objects, words_in
from hf_tagging.data.formats.word_documents import document_of_words, positions
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_OWN = frozenset({"tokenized_text", "ner", "id"})


def _recognizes(head: Head) -> bool:
    rows = head.objects
    return bool(rows) and all(isinstance(row.get("tokenized_text"), list) and "ner" in row for row in rows)


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    for place, row in objects(path, file, request.encoding):
        words = words_in(row, "tokenized_text", file, place)
        values = list_in(row, "ner", file, place)
        document = document_of_words(
            [words],
            [positions(value, inclusive=True, words=len(words), file=file, place=place) for value in values],
            id=name_of(row, "id"),
            place=place,
            source=row,
            extra={name: value for name, value in row.items() if name not in _OWN},
        )
        yield document if row.get("ner") is not None else replace(document, unused="without an annotation")


def _write(documents: Iterable[Document], stream: IO[str], notes: FileNotes) -> None:
    begin = "[\n"
    for document in documents:
        words = document.words or []
        starts, ends = [start for start, _ in words], [end for _, end in words]
        ner = [[bisect_left(starts, s.start), bisect_left(ends, s.end), s.type] for s in document.spans]
        row = {**document.extra, **({} if document.id is None else {"id": document.id}), **document.source}
        row |= {"tokenized_text": [document.text[start:end] for start, end in words], "ner": ner}
        if document.unused and document.model is None and "ner" in document.source:
            row["ner"] = document.source["ner"]
        stream.write(begin + json_text(row, indent=None))
        begin = ",\n"
    stream.write("\n]\n" if begin != "[\n" else "[]\n")


GLINER = Format(
    name="gliner",
    title="GLiNER JSON",
    recognizes=_recognizes,
    read=_read,
    write=_write,
    suffix=".json",
    holds=frozenset({"words", "ids"}),
)
