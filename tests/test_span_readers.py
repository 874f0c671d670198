"""Spans as pipelines and tools write them: what is their type, what is no annotation, and which options are taken."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from reading import read, written

from hf_tagging.data.converting import convert
from hf_tagging.data.formats import format_of
from hf_tagging.data.formats.base import Document, Span
from hf_tagging.data.formats.spans import word_spans
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError
from hf_tagging.inference.cutting import TextCutter
from hf_tagging.inference.documents import word_rows
from hf_tagging.tasks import NER

TEXT = "Zoe Quist moved to Gouda."


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def again(path: Path) -> list[dict]:
    """Return the rows that a format writes of what it reads in a file."""
    form, stream = format_of(path), io.StringIO()
    notes = FileNotes(str(path))
    form.write(form.read(path, str(path), ReadRequest(task=NER), notes), stream, notes)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("kind", ["entity_type", "category", "tag", "class"])
def test_text_of_a_span_beside_its_type(tmp_path, kind):
    span = {"entity": "Zoe Quist", kind: "PER", "start": 0, "end": 9}
    assert read(tmp_path, lines({"text": TEXT, "entities": [span]})).tags == ["B-PER", "I-PER", "O", "O", "O", "O"]


def test_text_of_a_span_without_a_type(tmp_path):
    row = {"text": TEXT, "entities": [{"entity": "Zoe Quist", "start": 0, "end": 9}]}
    with pytest.raises(DataError, match=r'line 1.*"entity" is the text of the span, and nothing is its type'):
        read(tmp_path, lines(row))


def test_keys_in_capitals_and_offsets_as_strings(tmp_path):
    row = {"text": TEXT, "entities": [{"BeginOffset": "0", "EndOffset": "9", "Type": "PERSON"}]}
    assert read(tmp_path, lines(row)).tags[:3] == ["B-PERSON", "I-PERSON", "O"]
    assert read(tmp_path / "b", lines({"text": TEXT, "entities": [["19", "24", "LOC"]]})).tags[4] == "B-LOC"


def test_output_of_comprehend(tmp_path):
    entity = {"BeginOffset": 0, "EndOffset": 4, "Score": 0.99, "Text": "Anna", "Type": "PERSON"}
    rows = [
        {"Text": "Anna ran", "Entities": [entity], "File": "a.txt", "Line": 0},
        {"Text": "No one came", "Entities": [], "File": "a.txt", "Line": 1},
    ]
    found = read(tmp_path, {"train.jsonl": lines(*rows)})
    assert found.first == [("Anna", "B-PERSON"), ("ran", "O")]
    assert found.sizes()["train"] == (2, 5, 1)
    convert(tmp_path / "corpus" / "train.jsonl", tmp_path / "out.jsonl", to="text-entities")
    assert again(tmp_path / "out.jsonl") == rows


def spacy_json(*tags: str) -> str:
    tokens = [{"orth": word, "ner": tag} for word, tag in zip(TEXT[:-1].split(), tags, strict=True)]
    return json.dumps([{"id": 0, "paragraphs": [{"sentences": [{"tokens": tokens}]}]}])


def test_tags_of_spacy_json(tmp_path):
    right = spacy_json("B-PER", "L-PER", "O", "-", "U-LOC")
    assert read(tmp_path, {"a.json": right}).tags == ["B-PER", "I-PER", "O", None, "B-LOC"]


@pytest.mark.parametrize("tag", ["PER", "B_PER", "b-PER", "X-PER"])
def test_tags_that_spacy_does_not_have(tmp_path, tag):
    with pytest.raises(DataError, match=f'sentence 1.*Quist.*{tag}.*expected as "ner" a tag such as B-PER'):
        read(tmp_path, {"a.json": spacy_json("U-PER", tag, "O", "O", "O")})


@pytest.mark.parametrize("key", ["label", "labels", "entities"])
def test_null_is_no_annotation(tmp_path, key):
    path = written(tmp_path, {"a.jsonl": lines({"text": TEXT, key: [[0, 9, "PER"]]}, {"text": TEXT, key: None})})
    done = read(tmp_path / "read", path.read_text())
    assert done.sizes()["train"] == (1, 6, 1)
    assert done.remarks()["unused"] == 1
    assert again(path)[1] == {"text": TEXT, key: None}


def test_null_is_no_annotation_of_words(tmp_path):
    words = TEXT[:-1].split()
    rows = [{"tokenized_text": words, "ner": [[0, 1, "PER"]]}, {"tokenized_text": words, "ner": None}]
    done = read(tmp_path, {"a.json": json.dumps(rows)})
    assert done.sizes()["train"] == (1, 5, 1)
    assert done.remarks()["unused"] == 1


def test_rows_of_prodigy_that_are_not_annotated_stay_so(tmp_path):
    rows = [
        {"text": TEXT, "spans": [{"start": 0, "end": 9, "label": "PER"}], "_input_hash": 1, "answer": "accept"},
        {"text": "Nobody has looked.", "_input_hash": 2},
        {"text": "Not this.", "spans": [], "_input_hash": 3, "answer": "reject"},
    ]
    path = written(tmp_path, {"a.jsonl": lines(*rows)})
    assert again(path)[1:] == rows[1:]


def test_damaged_annotations_beside_their_text(tmp_path):
    files = {"a.txt": TEXT, "a.ann": "T1 PER 0 9 Zoe Quist\n"}
    written(tmp_path, files)
    for name in files:
        form = format_of(tmp_path / name)
        with pytest.raises(DataError, match="line 1: 'T1 PER 0 9 Zoe Quist'; expected T1, a tab"):
            list(form.read(tmp_path / name, name, ReadRequest(task=NER), FileNotes(name)))


@pytest.mark.parametrize(("start", "end"), [(2, 2), (9, 9), (9, 10)])
def test_span_without_a_character_is_no_entity(start, end):
    notes = FileNotes("a")
    document = Document(text=TEXT, spans=[Span(start, end, "PER")])
    assert word_spans(document, [(0, 3), (4, 9), (10, 15)], misfit="widen", notes=notes) == []
    assert [remark.kind for remark in notes.remarks] == ["empty_span"]


def test_rows_of_documents_are_their_sentences():
    words = [(0, 3), (4, 9), (10, 15), (16, 18), (19, 24), (24, 25)]
    document = Document(text=TEXT, spans=[], words=words, sentences=[(0, 15), (16, 25)])
    assert [len(row) for row in word_rows(document, TextCutter("english", trained=None))] == [3, 3]


def test_group_of_spans_that_one_document_lacks(tmp_path):
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import DocBin
    from spacy.tokens import Span as SpacySpan

    blank, packed = spacy.blank("en"), DocBin()
    first, second = blank("Zoe drinks beer."), blank("Nobody sings.")
    first.spans["sc"] = [SpacySpan(first, 0, 1, "PER")]
    for doc in (first, second):
        packed.add(doc)
    done = read(tmp_path, {"a.spacy": packed.to_bytes()}, layer="sc")
    assert done.sizes()["train"] == (2, 7, 1)


def test_one_layer_for_a_whole_file(tmp_path):
    rows = [
        {"text": TEXT, "entities": [], "mentions": [[0, 9, "MENTION"]]},
        {"text": TEXT, "entities": [[0, 9, "PER"]], "mentions": [[0, 9, "MENTION"], [19, 24, "MENTION"]]},
    ]
    done = read(tmp_path / "a", lines(*rows))
    assert done.types == ["PER"]
    assert done.sizes()["train"] == (2, 12, 1)
    assert done.said("several layers of spans: entities is read and not mentions; choose with layer")
    assert read(tmp_path / "b", lines(*rows), layer="mentions").sizes()["train"] == (2, 12, 3)
    with pytest.raises(DataError, match=r"layer=people: no such list of spans; found entities, mentions"):
        read(tmp_path / "c", lines(*rows), layer="people")
    assert again(written(tmp_path, {"a.jsonl": lines(*rows)})) == rows


def pipeline(*words: tuple[str, str]) -> list[dict]:
    """Return what a pipeline of Transformers returns for words of `TEXT` and their tags."""
    places = ((TEXT.index(word.removeprefix("##")), word, tag) for word, tag in words)
    return [
        {"entity": tag, "score": 0.9, "index": i, "word": word, "start": at, "end": at + len(word.removeprefix("##"))}
        for i, (at, word, tag) in enumerate(places)
    ]


def test_spans_of_a_pipeline_are_joined(tmp_path):
    spans = pipeline(("Zoe", "B-PER"), ("Qui", "I-PER"), ("##st", "I-PER"), ("moved", "O"), ("Gouda", "B-LOC"))
    done = read(tmp_path, lines({"text": TEXT, "entities": spans}))
    assert done.tags == ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]
    assert done.said("the types of spans are tags (B-LOC, B-PER, I-PER): neighbours of a type are joined")
    assert done.said("1 annotated span of the type O: read as outside of entities")


@pytest.mark.parametrize(
    ("spans", "tags"),
    [
        ([[0, 3, "B-PER"], [4, 9, "I-PER"]], ["B-PER", "I-PER"]),
        ([[0, 3, "B-PER"], [4, 9, "E-PER"], [10, 15, "S-PER"]], ["B-PER", "I-PER", "B-PER"]),
        ([[0, 3, "B-PER"], [4, 9, "B-PER"]], ["B-PER", "B-PER"]),
        ([[0, 3, "B_PER"], [4, 9, "I_PER"], [19, 24, "B_LOC"]], ["B-PER", "I-PER", "O", "O", "B-LOC"]),
        ([[0, 3, "B-PER"], [10, 15, "I-PER"]], ["B-PER", "O", "B-PER"]),
        ([[0, 9, "PER"], [10, 15, "O"]], ["B-PER", "I-PER", "O"]),
        ([[0, 3, "B-cell"], [4, 9, "T-cell"]], ["B-B-cell", "B-T-cell"]),
        ([[0, 3, "E-mail"], [4, 9, "name"]], ["B-E-mail", "B-name"]),
    ],
)
def test_types_with_prefixes(tmp_path, spans, tags):
    assert read(tmp_path, lines({"text": TEXT, "label": spans})).tags[: len(tags)] == tags


@pytest.mark.parametrize("types", [("B-PER", "PER"), ("LOC", "B-PER"), ("B-per", "I-per", "loc")])
def test_types_of_which_some_have_a_prefix(tmp_path, types):
    rows = [{"text": TEXT, "label": [[0, 9, kind]]} for kind in types]
    with pytest.raises(DataError, match=r"line \d: some types of spans have the prefix of a tag .* others have none"):
        read(tmp_path, lines(*rows))


def test_text_of_the_name_that_is_asked_for(tmp_path):
    rows = [{"text": "A title.", "content": TEXT, "entities": [[0, 9, "PER"]]}]
    assert read(tmp_path / "a", lines(*rows), tokens_column="content").tags[:2] == ["B-PER", "I-PER"]
    with pytest.raises(DataError, match="tokens_column=body: no such text; found text, content"):
        read(tmp_path / "b", lines(*rows), tokens_column="body")


def test_encoding_of_json(tmp_path):
    row = {"text": "Zoë moved.", "entities": [[0, 3, "PER"]]}
    content = json.dumps(row, ensure_ascii=False).encode("latin-1")
    assert read(tmp_path / "a", {"a.jsonl": content}, encoding="latin-1").first[0] == ("Zoë", "B-PER")
    pairs = json.dumps([["Zoë moved.", {"entities": [[0, 3, "PER"]]}]], ensure_ascii=False).encode("latin-1")
    assert read(tmp_path / "b", {"a.json": pairs}, encoding="latin-1").first[0] == ("Zoë", "B-PER")
    with pytest.raises(DataError, match=r"is not utf-8.*; give another encoding"):
        read(tmp_path / "c", {"a.jsonl": content}, encoding="utf-8")


@pytest.mark.parametrize("options", [{"tokens_column": "body"}, {"layer": "x"}, {"tags_column": "x"}])
def test_option_that_a_format_does_not_take(tmp_path, options):
    content = lines({"text": TEXT, "label": [[0, 9, "PER"]]})
    with pytest.raises(DataError, match="is not for doccano JSON Lines, which takes encoding; leave it out"):
        read(tmp_path, content, **options)


@pytest.mark.parametrize(
    "entities", [[["PER", 0, 9]], [["0", "9"]], {"PER": ["Zoe Quist"]}, [{"label": "PER"}], [{"start": 0, "end": 9}]]
)
def test_entities_of_another_shape(tmp_path, entities):
    content = lines({"text": TEXT, "entities": []}, {"text": TEXT, "entities": entities})
    with pytest.raises(DataError, match=r"line 2: .*expected a span as \[start, end, type\], or an object with start"):
        read(tmp_path, content)


@pytest.mark.parametrize("labels", [["news", "sports"], [0, 1], [["news", "x"]], [{"word": "Zoe", "x": 1}]])
def test_labels_of_a_text_are_no_entities(tmp_path, labels):
    with pytest.raises(DataError, match="no column of tokens"):
        read(tmp_path, {"a.jsonl": lines({"text": TEXT, "labels": labels})})
