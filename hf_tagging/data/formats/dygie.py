"""DyGIE++ and SciERC: a document a row (https://github.com/dwadden/dygiepp/blob/master/doc/data.md).

Positions of words count over the whole document, and the last word is in the entity.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import list_in, name_of, objects, words_in, wrong
from hf_tagging.data.formats.word_documents import Entity, document_of_words, positions
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_IGNORED = ("relations", "clusters", "events")
_OWN = frozenset({"doc_key", "sentences", "ner", *_IGNORED})


def _recognizes(head: Head) -> bool:
    rows = head.objects
    return bool(rows) and all(
        isinstance(row.get(key), list) and all(isinstance(item, list) for item in row[key])
        for row in rows
        for key in ("sentences", "ner")
        if key in row or key == "sentences"
    ) and any("ner" in row for row in rows)  # fmt: skip


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    for place, row in objects(path, file, request.encoding):
        sentences = [
            words_in({"sentences": sentence}, "sentences", file, f"{place}, sentence {number}")
            for number, sentence in enumerate(list_in(row, "sentences", file, place), start=1)
        ]
        for key in _IGNORED:
            lists = row[key] if isinstance(row.get(key), list) else []
            if number := sum(len(one) for one in lists if isinstance(one, list)):
                notes.count(key, f"{key}: not read", by=number)
        document = document_of_words(
            sentences,
            _entities(row, sentences, file, place) if "ner" in row else [],
            id=name_of(row, "doc_key"),
            place=place,
            source=row,
            extra={name: value for name, value in row.items() if name not in _OWN},
        )
        yield document if "ner" in row else Document(
            text=document.text, spans=[], words=document.words, has_text=False, unused="without an annotation",
            id=document.id, place=place, source=row,
        )  # fmt: skip


def _entities(row: dict[str, Any], sentences: list[list[str]], file: str, place: str) -> list[Entity]:
    lists = list_in(row, "ner", file, place)
    if len(lists) != len(sentences):
        raise wrong(file, place, row["ner"], f"expected a list of entities for each of the {len(sentences)} sentences")
    words = sum(map(len, sentences))
    found: list[Entity] = []
    begin = 0
    for number, (sentence, values) in enumerate(zip(sentences, lists, strict=True), start=1):
        where = f"{place}, sentence {number}"
        for value in values if isinstance(values, list) else [values]:
            first, last, kind = positions(value, inclusive=True, words=words, file=file, place=where)
            end = begin + len(sentence) - 1
            if not begin <= first <= last <= end:
                expected = f"expected positions in the document, {begin} to {end} in this sentence"
                raise wrong(file, where, value, expected)
            found.append((first, last, kind))
        begin += len(sentence)
    return found


DYGIE = Format(name="dygie", title="DyGIE++ JSON Lines", recognizes=_recognizes, read=_read, suffix=".jsonl")
