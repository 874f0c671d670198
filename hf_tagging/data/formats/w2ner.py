"""W2NER: words and entities that list their words (https://github.com/ljynlp/W2NER#4-preparation).

A discontinuous entity is read with all words between its first and its last, or dropped, as `misfit` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import checked_text, list_in, name_of, objects, whole_number, words_in, wrong
from hf_tagging.data.formats.word_documents import Entity, document_of_words, indexed
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_OWN = frozenset({"sentence", "ner", "word", "id"})


def _recognizes(head: Head) -> bool:
    rows = head.objects
    if not rows or not all(isinstance(row.get(key), list) for row in rows for key in ("sentence", "ner")):
        return False
    return all(isinstance(entity, dict) and "index" in entity for row in rows for entity in row["ner"])


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    for place, row in objects(path, file, request.encoding):
        words = words_in(row, "sentence", file, place)
        entities: list[Entity] = []
        for value in list_in(row, "ner", file, place):
            index, kind = _parts(value, len(words), file, place)
            entities += indexed(index, kind, request=request, notes=notes, place=place)
        yield document_of_words(
            [words],
            entities,
            id=name_of(row, "id"),
            place=place,
            source=row,
            extra={name: value for name, value in row.items() if name not in _OWN},
        )


def _parts(value: object, words: int, file: str, place: str) -> tuple[list[int], str]:
    index, kind = (value.get("index"), value.get("type")) if isinstance(value, dict) else (None, None)
    numbers = [whole_number(item) for item in index] if isinstance(index, list) else []
    found = [number for number in numbers if number is not None and 0 <= number < words]
    if not found or len(found) < len(numbers) or not isinstance(kind, str) or not kind.strip():
        raise wrong(
            file, place, value, f'expected an entity with "index", a list of positions below {words}, and "type"'
        )
    return found, checked_text(kind.strip(), file, place)


W2NER = Format(name="w2ner", title="W2NER JSON", recognizes=_recognizes, read=_read, suffix=".json")
