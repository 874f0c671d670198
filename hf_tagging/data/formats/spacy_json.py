"""spaCy's JSON of documents, paragraphs, sentences and tokens (https://spacy.io/api/data-formats#json-input).

Tags are BILUO; ``-`` is a token that is not annotated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hf_tagging.data.formats.base import Document, Format, Head, Record, Span, TaggedSentence
from hf_tagging.data.formats.json_values import checked_text, list_in, name_of, objects, wrong
from hf_tagging.data.formats.word_documents import document_of_words, entities_of
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import shortened

_POS = "tag"
_TAG = re.compile(r"O|-|[BILUES]-.+", re.DOTALL)


def _recognizes(head: Head) -> bool:
    paragraphs = [row.get("paragraphs") for row in head.objects]
    return bool(paragraphs) and all(
        isinstance(those, list) and all(isinstance(p, dict) and isinstance(p.get("sentences"), list) for p in those)
        for those in paragraphs
    )


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Record]:
    for place, row in objects(path, file, request.encoding):
        for number, paragraph in enumerate(list_in(row, "paragraphs", file, place), start=1):
            where = f"{place}, paragraph {number}"
            if not isinstance(paragraph, dict):
                raise wrong(file, where, paragraph, "expected a paragraph with sentences")
            sentences = [
                _tokens(sentence, file, f"{where}, sentence {index}")
                for index, sentence in enumerate(list_in(paragraph, "sentences", file, where), start=1)
            ]
            name = name_of(row, "id")
            if not request.task.has_entities:
                yield from _tagged(sentences, name, where)
                continue
            yield _document(sentences, paragraph.get("raw"), name, where)


def _tokens(sentence: Any, file: str, place: str) -> list[dict[str, Any]]:
    if not isinstance(sentence, dict):
        raise wrong(file, place, sentence, "expected a sentence with tokens")
    tokens = list_in(sentence, "tokens", file, place)
    for token in tokens:
        word = token.get("orth") if isinstance(token, dict) else None
        if not isinstance(word, str) or not isinstance(token.get("ner", ""), str | None):
            raise wrong(file, place, token, 'expected a token with "orth", and "ner" where it is annotated')
        if token.get("ner") and not _TAG.fullmatch(token["ner"]):
            where = f"{place}, {shortened(word)}"
            raise wrong(file, where, token["ner"], 'expected as "ner" a tag such as B-PER, O, or - for no annotation')
        tag = token.get(_POS)
        checked_text(f"{word}{token.get('ner')}{tag if isinstance(tag, str) else ''}", file, place)
    return [token for token in tokens if token["orth"].strip()]


def _tagged(sentences: Sequence[list[dict[str, Any]]], name: str | None, place: str) -> Iterator[TaggedSentence]:
    for tokens in sentences:
        tags = [token.get(_POS) for token in tokens]
        yield TaggedSentence(
            words=[token["orth"] for token in tokens],
            tags=[tag if isinstance(tag, str) and tag else None for tag in tags],
            id=name,
            place=place,
        )


def _document(sentences: Sequence[list[dict[str, Any]]], raw: Any, name: str | None, place: str) -> Document:
    """Return a paragraph: over its raw text where its tokens are found there one after the other."""
    entities, unknown, begin = [], [], 0
    for tokens in sentences:
        tags = [None if token.get("ner") in (None, "", "-") else token["ner"] for token in tokens]
        unknown += [begin + index for index, tag in enumerate(tags) if tag is None]
        entities += [(begin + first, begin + last, kind) for first, last, kind in entities_of(tags)]
        begin += len(tokens)
    words = [[token["orth"] for token in tokens] for tokens in sentences if tokens]
    unused = "without an annotation" if begin and len(unknown) == begin else ""
    places = _places(raw, [word for sentence in words for word in sentence]) if isinstance(raw, str) else None
    if places is None:
        document = document_of_words(words, entities, unknown=unknown, id=name, place=place)
        return document if not unused else Document(text=document.text, spans=[], unused=unused, place=place, id=name)
    ends = [sum(map(len, words[: index + 1])) for index in range(len(words))]
    return Document(
        text=raw,
        spans=[Span(places[first][0], places[last][1], kind) for first, last, kind in entities],
        words=places,
        sentences=[(places[end - len(w)][0], places[end - 1][1]) for w, end in zip(words, ends, strict=True)],
        unknown=tuple(places[index] for index in unknown),
        unused=unused,
        id=name,
        place=place,
    )


def _places(raw: str, words: Sequence[str]) -> list[tuple[int, int]] | None:
    """Return the places of words in a text, with only white space between them; None where they are not there."""
    places = []
    end = 0
    for word in words:
        start = raw.find(word, end)
        if start < 0 or raw[end:start].strip():
            return None
        end = start + len(word)
        places.append((start, end))
    return places


SPACY_JSON = Format(
    name="spacy-json", title="spaCy JSON of documents", recognizes=_recognizes, read=_read, suffix=".json"
)
