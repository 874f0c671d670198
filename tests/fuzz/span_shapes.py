"""Exports of annotation tools and corpora with spans, of characters or of words."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from fuzz.corpora import Corpus, Sentence, Text
from fuzz.shapes import Case, Files, Shape, documents, json_file, json_rows, tagged, texts, visible

Row = Callable[[Text, int, random.Random], dict[str, Any] | list[Any]]


def _count_texts(key: Callable[[Any], Any]) -> Callable[[Files], int | None]:
    """Return a count of the characters that are not blank in the texts of JSON files."""

    def count(files: Files) -> int | None:
        total = 0
        for row in json_rows(next(iter(files.values()))):
            try:
                text = key(row)
            except (KeyError, TypeError, IndexError):
                return None
            if not isinstance(text, str):
                return None
            total += visible(text)
        return total

    return count


def _of_texts(
    name: str, row: Row, *, key: Callable[[Any], Any] = lambda row: row["text"], lines: bool | None = None
) -> Shape:
    def write(corpus: Corpus, draw: random.Random) -> Case:
        found = documents(corpus)
        rows = [row(text, number, draw) for number, text in enumerate(found, start=1)]
        return Case({name: json_file(rows, draw, lines=lines)}, texts=texts(found), count=_count_texts(key))

    return write


def _utf16(text: str, place: int) -> int:
    return len(text[:place].encode("utf-16-le")) // 2


def _doccano(text: Text, number: int, draw: random.Random) -> dict[str, Any]:
    return {"id": number, "text": text.text, "label": [list(span) for span in text.spans]}


def _doccano_entities(text: Text, number: int, draw: random.Random) -> dict[str, Any]:
    spans = [{"id": i, "label": k, "start_offset": a, "end_offset": b} for i, (a, b, k) in enumerate(text.spans)]
    return {"id": number, "text": text.text, "entities": spans, "relations": [], "Comments": []}


def _label_studio(text: Text, number: int, draw: random.Random) -> dict[str, Any]:
    javascript = number % 2 == 0
    result = [
        {
            "id": f"r{i}",
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            "value": {
                "start": _utf16(text.text, a) if javascript else a,
                "end": _utf16(text.text, b) if javascript else b,
                "text": text.text[a:b],
                "labels": [kind],
            },
        }
        for i, (a, b, kind) in enumerate(text.spans)
    ]
    annotations = [{"id": number, "result": result, "was_cancelled": False}]
    return {"id": number, "data": {"text": text.text}, "annotations": annotations, "predictions": []}


def _label_studio_min(text: Text, number: int, draw: random.Random) -> dict[str, Any]:
    spans = [{"start": a, "end": b, "text": text.text[a:b], "labels": [kind]} for a, b, kind in text.spans]
    marks = {"annotator": 1, "annotation_id": number, "created_at": "2024", "updated_at": "2024", "lead_time": 1.5}
    return {"id": number, "text": text.text, "label": spans, **marks}


def _prodigy(text: Text, number: int, draw: random.Random) -> dict[str, Any]:
    starts, ends = [start for start, _ in text.words], [end for _, end in text.words]
    row: dict[str, Any] = {"text": text.text, "_input_hash": number, "_task_hash": number, "answer": "accept"}
    row["spans"] = [{"start": a, "end": b, "label": kind} for a, b, kind in text.spans]
    if draw.random() < 0.5:
        row["tokens"] = [
            {"text": text.text[a:b], "start": a, "end": b, "id": i, "ws": True} for i, (a, b) in enumerate(text.words)
        ]
        for span in row["spans"]:
            span |= {"token_start": starts.index(span["start"]), "token_end": ends.index(span["end"])}
    return row


def _text_entities(text: Text, number: int, draw: random.Random) -> dict[str, Any]:
    return {"text": text.text, "entities": [list(span) for span in text.spans]}


def _named_entities(text: Text, number: int, draw: random.Random) -> dict[str, Any]:
    return {"text": text.text, "ents": [{"start": a, "end": b, "label": kind} for a, b, kind in text.spans]}


def _spacy_pair(text: Text, number: int, draw: random.Random) -> list[Any]:
    return [text.text, {"entities": [list(span) for span in text.spans]}]


def _cluener(text: Text, number: int, draw: random.Random) -> dict[str, Any]:
    label: dict[str, dict[str, list[list[int]]]] = {}
    for a, b, kind in text.spans:
        label.setdefault(kind, {}).setdefault(text.text[a:b], []).append([a, b - 1])
    return {"text": text.text, "label": label}


def brat(corpus: Corpus, draw: random.Random) -> Case:
    """A folder of texts and standoff annotations, with relations and notes among them."""
    files: Files = {}
    found = documents(corpus)
    for number, text in enumerate(found):
        lines = []
        for i, (a, b, kind) in enumerate(text.spans, start=1):
            lines.append(f"T{i}\t{kind} {a} {b}\t{text.text[a:b]}")
            if draw.random() < 0.1:
                lines.append(f"#{i}\tAnnotatorNotes T{i}\tsure")
        files[f"doc{number:03}.txt"] = text.text.encode()
        files[f"doc{number:03}.ann"] = "".join(line + "\n" for line in lines).encode()
    return Case(files, texts=texts(found))


def webanno(corpus: Corpus, draw: random.Random) -> Case:
    """The export of WebAnno and INCEpTION."""
    lines = ["#FORMAT=WebAnno TSV 3.3",
             "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value", ""]  # fmt: skip
    begin = number = 0
    for place, sentence in enumerate(corpus.sentences, start=1):
        lines += ["", f"#Text={_escaped(' '.join(sentence.words))}"]
        values = ["_"] * len(sentence.words)
        for start, end, kind in sentence.entities:
            number += 1
            values[start:end] = [f"{_escaped(kind)}[{number}]"] * (end - start)
        for i, (word, value) in enumerate(zip(sentence.words, values, strict=True), start=1):
            end = begin + _utf16(word, len(word))
            first = value if value == "_" else "*" + value[value.index("[") :]
            lines.append(f"{place}-{i}\t{begin}-{end}\t{_escaped(word)}\t{first}\t{value}\t")
            begin = end + 1
    return Case({"train.tsv": ("\n".join(lines) + "\n").encode()}, tagged=tagged(corpus))


def _escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in "\\[]|_->;*" else character for character in text)


def _of_words(name: str, row: Callable[[Sentence], dict[str, Any]], words: str, *, lines: bool | None = None) -> Shape:
    def count(files: Files) -> int | None:
        rows = json_rows(next(iter(files.values())))
        if not all(isinstance(row, dict) and isinstance(row.get(words), list) for row in rows):
            return None
        return sum(len(row[words]) for row in rows)

    def write(corpus: Corpus, draw: random.Random) -> Case:
        rows = [row(sentence) for sentence in corpus.sentences]
        return Case({name: json_file(rows, draw, lines=lines)}, tagged=tagged(corpus), count=count)

    return write


def _gliner(sentence: Sentence) -> dict[str, Any]:
    return {"tokenized_text": sentence.words, "ner": [[a, b - 1, kind] for a, b, kind in sentence.entities]}


def _spert(sentence: Sentence) -> dict[str, Any]:
    entities = [{"type": kind, "start": a, "end": b} for a, b, kind in sentence.entities]
    return {"tokens": sentence.words, "entities": entities, "relations": [], "orig_id": "1"}


def _w2ner(sentence: Sentence) -> dict[str, Any]:
    entities = [{"index": list(range(a, b)), "type": kind} for a, b, kind in sentence.entities]
    return {"sentence": sentence.words, "ner": entities, "word": []}


def _spacy_json(sentence: Sentence) -> dict[str, Any]:
    tokens = [
        {"id": i, "orth": word, "tag": pos, "head": 0, "dep": "", "ner": tag}
        for i, (word, pos, tag) in enumerate(zip(sentence.words, sentence.pos, sentence.tags("BILOU"), strict=True))
    ]
    return {"id": 0, "paragraphs": [{"raw": " ".join(sentence.words), "sentences": [{"tokens": tokens}]}]}


def dygie(corpus: Corpus, draw: random.Random) -> Case:
    """Documents of sentences, positions counted over the document."""
    rows = []
    for number, document in enumerate(corpus.documents):
        ner: list[list[Any]] = []
        begin = 0
        for sentence in document:
            ner.append([[begin + a, begin + b - 1, kind] for a, b, kind in sentence.entities])
            begin += len(sentence.words)
        rows.append({"doc_key": str(number), "sentences": [s.words for s in document], "ner": ner})
    return Case({"train.json": json_file(rows, draw, lines=True)}, tagged=tagged(corpus))


def docbin(corpus: Corpus, draw: random.Random) -> Case:
    """spaCy's binary file."""
    import spacy
    from spacy.tokens import Doc, DocBin, Span

    vocab, store = spacy.blank("xx").vocab, DocBin()
    for sentence in corpus.sentences:
        doc = Doc(vocab, words=sentence.words)
        doc.ents = [Span(doc, a, b, label=kind) for a, b, kind in sentence.entities]
        store.add(doc)
    return Case({"train.spacy": store.to_bytes()}, tagged=tagged(corpus))


SPAN_SHAPES: dict[str, tuple[Shape, str]] = {
    "doccano": (_of_texts("admin.jsonl", _doccano, lines=True), "doccano"),
    "doccano entities": (_of_texts("all.jsonl", _doccano_entities, lines=True), "doccano"),
    "label studio": (_of_texts("project.json", _label_studio, key=lambda r: r["data"]["text"]), "label-studio"),
    "label studio min": (_of_texts("project-min.json", _label_studio_min), "label-studio-min"),
    "prodigy": (_of_texts("annotations.jsonl", _prodigy, lines=True), "prodigy"),
    "brat": (brat, "brat"),
    "text entities": (_of_texts("train.jsonl", _text_entities), "text-entities"),
    "named entities": (_of_texts("train.json", _named_entities), "text-entities"),
    "spacy pairs": (_of_texts("train.json", _spacy_pair, key=lambda row: row[0], lines=False), "spacy-pairs"),
    "spacy json": (_of_words("train.json", _spacy_json, "", lines=False), "spacy-json"),
    "docbin": (docbin, "spacy-docbin"),
    "cluener": (_of_texts("train.json", _cluener, lines=True), "cluener"),
    "webanno": (webanno, "webanno"),
    "gliner": (_of_words("train.json", _gliner, "tokenized_text"), "gliner"),
    "spert": (_of_words("train.json", _spert, "tokens", lines=False), "spert"),
    "w2ner": (_of_words("train.json", _w2ner, "sentence", lines=False), "w2ner"),
    "dygie": (dygie, "dygie"),
}
"""Shapes, each with the name of the format that reads it."""
