"""What a format says that it holds comes back from it, and what it does not hold is counted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from reading import written

from hf_tagging.cli import main
from hf_tagging.data.converting import convert
from hf_tagging.data.formats import FORMATS, TARGETS
from hf_tagging.data.formats.base import Document, Span
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.tasks import NER

TEXT = "Zoe  Quist drinks.\nGouda?"
SPANS = [Span(0, 10, "PER"), Span(19, 24, "LOC")]
WORDS = [(0, 3), (5, 10), (11, 18), (19, 24), (24, 25)]  # as no splitter cuts them
HELD = [(name, item) for name, form in TARGETS.items() for item in sorted(form.holds)]
REQUEST = ReadRequest(task=NER)


def document_with(item):
    document = Document(text=TEXT, spans=SPANS)
    changes = {
        "words": {"words": WORDS},
        "overlaps": {"spans": [*SPANS, Span(5, 10, "NAME")]},
        "scores": {"spans": [replace(span, score=0.5) for span in SPANS]},
        "ids": {"id": "a1"},
        "extra": {"extra": {"by": "me", "level": [1, {"a": None}]}},
    }
    return replace(document, **changes.get(item, {}))


def round_of(form, document, tmp_path):
    notes = FileNotes("out")
    if form.write_folder is not None:
        path = tmp_path / "out"
        path.mkdir()
        form.write_folder([document], path, notes)
    else:
        path = tmp_path / f"out{form.suffix}"
        with open(path, "w", encoding="utf-8") as stream:
            form.write([document], stream, notes)
    assert not notes.remarks
    (found,) = form.read(path, "out", REQUEST, FileNotes("out"))
    return found


@pytest.mark.parametrize(("name", "item"), HELD)
def test_what_a_format_holds_comes_back(tmp_path, name, item):
    form = TARGETS[name]
    if item == "unknown" or name not in FORMATS:
        rows = [
            {"tokens": [word, "x y", "."], "ner_tags": ["B-PER", None, "O"], "document_id": "d1"}
            for word in ("Zoe", "Quist")
        ]
        path = written(tmp_path, {"train.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
        convert(path, tmp_path / f"out{form.suffix}", to=name)
        again = convert(tmp_path / f"out{form.suffix}", tmp_path / "again.jsonl", to="jsonl")
        found = [json.loads(line) for line in (tmp_path / "again.jsonl").read_text().splitlines()]
        assert [(row["tokens"], row["tags"]) for row in found] == [(row["tokens"], row["ner_tags"]) for row in rows]
        assert again.splits["train"]["records"] == 2
        assert item != "ids" or all(row["document_id"].endswith("d1") for row in found)
        return
    document = document_with(item)
    if item == "predictions":
        first = round_of(form, document, tmp_path)
        found = round_of(form, replace(first, model="m", spans=[Span(5, 10, "X", 0.5)]), tmp_path)
        assert found.spans == SPANS
        assert found.source["predictions"][0]["result"][0]["value"]["labels"] == ["X"]
        return
    if "texts" not in form.holds:
        document = replace(document, words=WORDS)
    found = round_of(form, document, tmp_path)
    if "texts" in form.holds:
        assert (found.text, set(found.spans)) == (TEXT, set(document.spans))
    assert item != "words" or [found.text[a:b] for a, b in found.words] == [TEXT[a:b] for a, b in WORDS]
    assert item != "ids" or found.id == "a1"
    assert item != "extra" or found.extra == document.extra


def converted(tmp_path, rows, to, *, name="start.jsonl", **reading):
    path = written(tmp_path, {name: "".join(json.dumps(row) + "\n" for row in rows)})
    target = tmp_path / f"out{TARGETS[to].suffix}"
    said = convert(path, target, to=to, **reading).notes[-1]
    content = target.read_text()
    found = json.loads(content) if content.startswith("[") else [json.loads(line) for line in content.splitlines()]
    return found, [str(remark) for remark in said.remarks]


@pytest.mark.parametrize(
    ("row", "to", "key"),
    [
        ({"text": "Zoe.", "label": [[0, 3, "PER"]], "document": "d", "mentions": [1]}, "text-entities", "mentions"),
        ({"text": "Zoe.", "entities": [{"start": 0, "end": 3, "label": "PER"}], "label": "news"}, "doccano", "label"),
        ({"text": "Zoe.", "label": [[0, 3, "PER"]], "answer": "reject"}, "prodigy", "answer"),
        ({"text": "Zoe.", "label": [[0, 3, "PER"]], "tokens": 12}, "prodigy", "tokens"),
        ({"text": "Zoe.", "label": [[0, 3, "PER"]], "tokens": ["a"]}, "prodigy", "tokens"),
    ],
)
def test_a_value_under_a_name_of_the_format_is_counted_and_not_taken_for_its_own(tmp_path, row, to, key):
    found, said = converted(tmp_path, [row], to)
    assert said == [f"1 value of keys of your own that {TARGETS[to].title} has for itself: not written ({key})"]
    assert found[0]["text"] == "Zoe."
    (document,) = FORMATS[to].read(tmp_path / f"out{TARGETS[to].suffix}", "x", REQUEST, FileNotes("x"))
    assert (document.text, document.spans, document.unused) == ("Zoe.", [Span(0, 3, "PER")], "")
    assert found[0].get("document") == row.get("document")


def test_the_other_text_of_a_task_is_counted(tmp_path):
    task = {
        "data": {"text": "A title", "body": "Zoe."},
        "annotations": [
            {"result": [{"type": "labels", "from_name": "n", "value": {"start": 0, "end": 3, "labels": ["PER"]}}]}
        ],
    }
    found, said = converted(tmp_path, [task], "doccano", tokens_column="body")
    assert found == [{"text": "Zoe.", "label": [[0, 3, "PER"]]}]
    assert said == ["1 value of keys of your own that doccano JSON Lines has for itself: not written (text)"]


def test_words_with_entities_go_back_as_they_were(tmp_path):
    gliner = {"tokenized_text": ["Zoe", "Quist"], "ner": [[0, 1, "PER"], [0, 0, "NAME"]], "k": 1, "id": 4}
    assert converted(tmp_path / "a", [gliner], "gliner") == ([gliner], [])
    spert = {
        "tokens": ["Zoe", "drinks", "beer"],
        "entities": [{"type": "PER", "start": 0, "end": 1, "id": "e1"}, {"type": "X", "start": 2, "end": 3}],
        "relations": [{"type": "likes", "head": 0, "tail": 1}],
        "orig_id": 7,
        "k": 1,
    }
    assert converted(tmp_path / "b", [spert], "spert") == ([spert], [])
    assert converted(tmp_path / "c", [spert], "gliner")[1] == ["1 value of keys of your own: not written (k)"]


@pytest.mark.parametrize("to", ["conll", "spacy-pairs"])
def test_names_of_documents_are_counted(tmp_path, to):
    rows = [{"tokens": ["Zoe", "."], "ner_tags": ["B-PER", "O"], "document_id": "d1"}] * 2
    path = written(tmp_path, {"train.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    remarks = convert(path, tmp_path / "out", to=to).notes[-1].remarks
    assert [(one.kind, one.count) for one in remarks if one.kind == "ids"] == [("ids", 1)]


def test_columns_that_are_not_read_are_said(tmp_path, capsys):
    path = written(tmp_path, {"train.txt": "-DOCSTART- -X- -X- O\n\nZoe NNP B-NP B-PER\ndrinks VBZ B-VP O\n"})
    main(["convert", str(path), str(tmp_path / "out.conll"), "--to", "conll"])
    assert ": not read: " in capsys.readouterr().out


def test_two_annotations_of_one_span_keep_their_ids_in_brat(tmp_path):
    lines = "T1\tPER 0 3\tZoe\nT2\tPER 0 3\tZoe\nT3\tLOC 4 9\tGouda\nA1\tNeg T1\nR1\tIn Arg1:T2 Arg2:T3\n"
    written(tmp_path / "in", {"a.txt": "Zoe Gouda", "a.ann": lines})
    convert(tmp_path / "in", tmp_path / "out", to="brat")
    assert (tmp_path / "out" / "a.ann").read_text() == lines


def task_of_two_labels():
    region = {"id": "r1", "type": "labels", "from_name": "n", "to_name": "text"}
    results = [
        region | {"value": {"start": 0, "end": 3, "text": "Zoe", "labels": ["PER", "NAME"]}},
        region | {"id": "r2", "value": {"start": 4, "end": 9, "text": "Gouda", "labels": ["LOC"]}},
        {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"},
    ]
    return {"id": 1, "data": {"text": "Zoe Gouda"}, "annotations": [{"id": 3, "result": results}]}


def test_a_region_of_two_labels_goes_back_as_it_was(tmp_path):
    assert converted(tmp_path, [task_of_two_labels()], "label-studio") == ([task_of_two_labels()], [])


def test_relations_of_a_region_that_is_gone_are_counted(tmp_path):
    path = written(tmp_path, {"in.json": json.dumps([task_of_two_labels()])})
    form, notes = FORMATS["label-studio"], FileNotes("out")
    (document,) = form.read(path, "in", REQUEST, FileNotes("in"))
    with open(tmp_path / "out.json", "w") as stream:
        form.write([replace(document, spans=[span for span in document.spans if span.type != "NAME"])], stream, notes)
    results = json.loads((tmp_path / "out.json").read_text())[0]["annotations"][0]["result"]
    assert [result["value"]["labels"] for result in results] == [["PER"], ["LOC"]]
    assert results[0]["id"] != "r1"
    assert [str(remark) for remark in notes.remarks] == ["1 result of entities that are gone: left out (row 1)"]
