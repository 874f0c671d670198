"""Label Studio, Prodigy and brat: what they export is read, and what is written goes back into them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from reading import read, written

from hf_tagging.data import load_tagging_dataset
from hf_tagging.data.formats import FORMATS, format_of
from hf_tagging.data.formats.base import Document, Span
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError
from hf_tagging.tasks import NER

BEER = "🍺🍺 Zoe Quist drinks in Gouda."


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def documents(path: Path, **options):
    form = format_of(path)
    return form, list(form.read(path, str(path), ReadRequest(task=NER, **options), FileNotes(str(path))))


def task(text, *spans, layer="label", **more):
    result = [
        {"id": f"r{i}", "from_name": layer, "to_name": "text", "type": "labels", "value": dict(value)}
        for i, value in enumerate(spans)
    ]
    return {"id": 1, "data": {"text": text}, "annotations": [{"result": result, "was_cancelled": False}], **more}


def span(start, end, label, text=None):
    return {"start": start, "end": end, "labels": [label]} | ({} if text is None else {"text": text})


# --- Label Studio


@pytest.mark.parametrize(
    "spans",
    [
        [span(3, 12, "PER", "Zoe Quist"), span(23, 28, "LOC", "Gouda")],
        [span(5, 14, "PER", "Zoe Quist"), span(25, 30, "LOC", "Gouda")],
        [span(5, 14, "PER"), span(25, 30, "LOC")],  # nothing but the words themselves tells
        [span(3, 12, "PER"), span(23, 28, "LOC")],
    ],
    ids=["code points", "UTF-16", "UTF-16 unsaid", "code points unsaid"],
)
def test_label_studio_offsets_are_right_behind_emoji(tmp_path, spans):
    found = read(tmp_path, {"project.json": json.dumps([task(BEER, *spans)])})
    entities = [(word, tag) for word, tag in found.first if tag != "O"]
    assert entities == [("Zoe", "B-PER"), ("Quist", "I-PER"), ("Gouda", "B-LOC")]
    assert found.remarks()["offsets"] == (spans[0]["start"] == 5)
    assert not found.remarks()["misfit"]


@pytest.mark.failure_mode("span-not-in-text")
def test_label_studio_refuses_a_span_whose_text_is_another_one(tmp_path):
    files = {"project.json": json.dumps([task("Zoe Quist drinks.", span(1, 9, "PER", "Ben Quist"))])}
    with pytest.raises(DataError, match=r"project.json, row 1: the text from 1 to 9 is 'oe Quist', but the span says"):
        read(tmp_path, files)
    found = read(tmp_path / "dropped", files, misfit="drop")
    assert found.tags == ["O"] * 4
    assert found.remarks()["bad_span"] == 1


def test_label_studio_reads_the_latest_annotation_and_skips_what_is_not_annotated(tmp_path):
    first = {"result": [], "was_cancelled": False, "updated_at": "2024-01-01"}
    two = task("Zoe drinks.", span(0, 3, "PER", "Zoe"))
    two["annotations"][0]["updated_at"] = "2024-01-02"
    two["annotations"] = [two["annotations"][0], first]
    open_task = {"id": 2, "data": {"text": "Not yet."}, "annotations": [], "predictions": []}
    cancelled = {"id": 3, "data": {"text": "Skipped."}, "annotations": [{"result": [], "was_cancelled": True}]}
    found = read(tmp_path, {"project.json": json.dumps([two, open_task, cancelled])})
    assert found.splits == {"train": [[("Zoe", "B-PER"), ("drinks", "O"), (".", "O")]]}
    assert found.remarks()["annotators"] == 1
    assert found.remarks()["unused"] == 2
    two["annotations"][1]["ground_truth"] = True
    assert read(tmp_path / "truth", {"project.json": json.dumps([two])}).tags == ["O", "O", "O"]


def test_label_studio_layers_are_chosen_by_name(tmp_path):
    both = task("Zoe drinks.", span(0, 3, "PER", "Zoe"))
    both["annotations"][0]["result"] += task("", span(4, 10, "verb", "drinks"), layer="words")["annotations"][0][
        "result"
    ]
    both["annotations"][0]["result"].append({"type": "choices", "from_name": "mood", "value": {"choices": ["good"]}})
    files = {"project.json": json.dumps([both])}
    default = read(tmp_path / "a", files)
    assert default.tags == ["B-PER", "O", "O"]
    assert default.said("several layers of spans: label is read and not words")
    assert read(tmp_path / "b", files, layer="words").tags == ["O", "B-verb", "O"]
    with pytest.raises(DataError, match="no such layer; found label, words"):
        read(tmp_path / "c", files, layer="word")


def test_label_studio_finds_the_text_among_the_data(tmp_path):
    odd = task("", span(0, 3, "PER", "Zoe"))
    odd["data"] = {"url": "https://example.org/1", "body": "Zoe drinks."}
    assert read(tmp_path / "a", {"project.json": json.dumps([odd])}).words == ["Zoe", "drinks", "."]
    del odd["annotations"][0]["result"][0]["value"]["text"]
    with pytest.raises(DataError, match=r"which of url, body it is, says tokens_column"):
        read(tmp_path / "b", {"project.json": json.dumps([odd])})
    named = read(tmp_path / "c", {"project.json": json.dumps([odd])}, tokens_column="body")
    assert named.tags == ["B-PER", "O", "O"]


def test_label_studio_min_reads_the_latest_row_of_a_text(tmp_path):
    marks = {"annotator": 1, "created_at": "2024-01-01", "lead_time": 2.5}
    rows = [
        {"id": 1, "text": "Zoe drinks.", "label": [span(0, 3, "ORG", "Zoe")], "updated_at": "2024-01-01", **marks},
        {"id": 1, "text": "Zoe drinks.", "label": [span(0, 3, "PER", "Zoe")], "updated_at": "2024-01-03", **marks},
        {"id": 2, "text": "Nothing here.", "updated_at": "2024-01-02", **marks},
    ]
    found = read(tmp_path, {"min.json": json.dumps(rows)})
    assert found.sizes() == {"train": (2, 6, 1)}
    assert found.tags == ["B-PER", "O", "O"]
    assert found.remarks()["unused"] == 1


def test_label_studio_predictions_stand_beside_the_annotations(tmp_path):
    gold = task("Zoe drinks.", span(0, 3, "PER", "Zoe"), meta="kept")
    form, (document,) = documents(written(tmp_path, {"p.json": json.dumps([gold])}))
    predicted = Document(
        text=document.text, spans=[Span(0, 3, "PER", 0.75)], source=document.source, layer=document.layer, model="m-1"
    )
    stream = io.StringIO()
    form.write([predicted], stream, FileNotes("out"))
    (row,) = json.loads(stream.getvalue())
    assert row["annotations"] == gold["annotations"]
    assert (row["id"], row["meta"]) == (1, "kept")
    (prediction,) = row["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("m-1", 0.75)
    (result,) = prediction["result"]
    assert result["value"] == {"start": 0, "end": 3, "text": "Zoe", "labels": ["PER"]}
    assert (result["from_name"], result["to_name"], result["type"], result["score"]) == (
        "label",
        "text",
        "labels",
        0.75,
    )


# --- Prodigy


def prodigy(text, spans, **more):
    words = text.split(" ")
    starts = [len(" ".join(words[:i])) + bool(i) for i in range(len(words))]
    tokens = [
        {"text": word, "start": start, "end": start + len(word), "id": i, "ws": True}
        for i, (word, start) in enumerate(zip(words, starts, strict=True))
    ]
    return {"text": text, "tokens": tokens, "spans": spans, "answer": "accept", "_input_hash": hash(text), **more}


def test_prodigy_words_are_its_tokens_and_rejected_rows_are_skipped(tmp_path):
    rows = [
        prodigy("Zoe drinks-in Gouda.", [{"start": 14, "end": 20, "label": "LOC"}]),
        prodigy("Ben sleeps", [{"start": 0, "end": 3, "label": "PER"}], answer="reject"),
        prodigy("Ben waits", [], answer="ignore"),
    ]
    found = read(tmp_path, {"ner.jsonl": lines(*rows)})
    assert found.splits == {"train": [[("Zoe", "O"), ("drinks-in", "O"), ("Gouda.", "B-LOC")]]}
    assert found.said("1 text that was rejected: not read (line 2)")
    assert found.said("1 text that was ignored: not read (line 3)")


def test_prodigy_refuses_tokens_that_are_not_in_the_text(tmp_path):
    row = prodigy("Zoe drinks", [])
    row["tokens"][1]["text"] = "sleeps"
    with pytest.raises(DataError, match=r"ner.jsonl, line 1: .*but the text from 4 to 10 is 'drinks'"):
        read(tmp_path, {"ner.jsonl": lines(row)})


def test_prodigy_answers_to_single_spans_are_said(tmp_path):
    found = read(tmp_path, {"ner.jsonl": lines(prodigy("Zoe drinks", [], _view_id="ner"))})
    assert found.said("other entities of their texts are read as outside of any")


# --- brat


def test_brat_reads_pairs_in_folders_of_splits(tmp_path):
    files = {
        "train/a.txt": "Zoe Quist\ndrinks in Gouda.\n",
        "train/a.ann": "T1\tPER 0 9\tZoe Quist\nT2\tLOC 20 25\tGouda\nR1\tin Arg1:T1 Arg2:T2\n#1\tNotes T1\tok\n",
        "train/b.txt": "Nothing.",
        "train/b.ann": "",
        "test/c.txt": "Gouda sleeps.",
        "test/c.ann": "T7\tLOC 0 5\tGouda\r\n",
    }
    found = read(tmp_path, files)
    assert found.sizes() == {"train": (3, 8, 2), "test": (1, 3, 1)}
    assert found.splits["train"][0] == [("Zoe", "B-PER"), ("Quist", "I-PER")]
    assert (found.remarks()["relations"], found.remarks()["notes"]) == (1, 1)


def test_brat_is_given_as_a_folder_or_by_its_files(tmp_path):
    files = {"a.txt": "Zoe drinks.", "a.ann": "T1\tPER 0 3\tZoe\n", "b.txt": "Gouda.", "b.ann": "T1\tLOC 0 5\tGouda\n"}
    folder = written(tmp_path / "corpus", files)
    for given in ({"train_file": folder}, {"train_file": [folder / "a.ann", folder / "b.txt"]}):
        dataset = load_tagging_dataset(task="ner", cache_dir=tmp_path / "cache", **given)
        assert dataset["train"]["tokens"][:] == [["Zoe", "drinks", "."], ["Gouda", "."]]


def test_brat_reads_again_when_annotations_change(tmp_path):
    files = {"a.txt": "Zoe drinks.", "a.ann": "T1\tPER 0 3\tZoe\n"}
    assert read(tmp_path, files).tags == ["B-PER", "O", "O"]
    assert read(tmp_path, files | {"a.ann": "T1\tORG 0 3\tZoe\n"}).tags == ["B-ORG", "O", "O"]


def test_brat_discontinuous_spans_are_widened_or_dropped(tmp_path):
    files = {"a.txt": "Lake and River Gouda", "a.ann": "T1\tLOC 0 4;15 20\tLake Gouda\n"}
    widened = read(tmp_path / "a", files)
    assert widened.tags == ["B-LOC", "I-LOC", "I-LOC", "I-LOC"]
    dropped = read(tmp_path / "b", files, misfit="drop")
    assert dropped.tags == ["O"] * 4
    assert widened.remarks()["discontinuous"] == dropped.remarks()["discontinuous"] == 1


def test_brat_offsets_are_checked_against_the_text(tmp_path):
    with pytest.raises(DataError, match=r"a.ann, a.ann: the text from 0 to 3 is 'Zoe', but the span says 'Ben'"):
        read(tmp_path / "a", {"a.txt": "Zoe drinks.", "a.ann": "T1\tPER 0 3\tBen\n"})
    with pytest.raises(DataError, match=r"a span from 0 to 30 in a text of 11 characters"):
        read(tmp_path / "b", {"a.txt": "Zoe drinks.", "a.ann": "T1\tPER 0 30\n"})
    with pytest.raises(DataError, match=r"a.ann, line 1: 'T1 PER 0 3 Zoe'; expected T1, a tab"):
        read(tmp_path / "c", {"a.txt": "Zoe drinks.", "a.ann": "T1 PER 0 3 Zoe\nT2\tPER 0 3\tZoe\n"})
    windows = read(tmp_path / "d", {"a.txt": b"Hm.\r\nZoe drinks.", "a.ann": "T1\tPER 4 7\tZoe\n"})
    assert windows.splits["train"][1][0] == ("Zoe", "B-PER")
    assert windows.said("a line end of Windows as one character")


@pytest.mark.failure_mode("brat-partner")
def test_brat_says_what_has_no_partner(tmp_path):
    files = {"a.txt": "Zoe drinks.", "a.ann": "T1\tPER 0 3\tZoe\n", "b.txt": "Not yet."}
    found = read(tmp_path / "a", files)
    assert found.sizes() == {"train": (1, 3, 1)}
    assert found.said("there is no .ann beside them: not read (b.txt)")
    with pytest.raises(DataError, match=r"c.ann: no c.txt beside it"):
        read(tmp_path / "b", files | {"c.ann": ""})


def test_brat_is_written_with_ids_and_notes_of_scores(tmp_path):
    path = written(
        tmp_path / "in", {"a.txt": "Zoe\nQuist drinks.", "a.ann": "T4\tPER 0 3;4 9\tZoe Quist\n#2\tX T4\told\n"}
    )
    form, (document,) = documents(path)
    assert document.spans == [Span(0, 9, "PER")]
    spans = [*document.spans, Span(10, 16, "sort of verb", 0.5)]
    out = tmp_path / "out"
    out.mkdir()
    form.write_folder([Document(text=document.text, spans=spans, id="a", source=document.source)], out, FileNotes(""))
    assert (out / "a.txt").read_text() == "Zoe\nQuist drinks."
    assert (out / "a.ann").read_text().splitlines() == [
        "T4\tPER 0 3;4 9\tZoe Quist",
        "T5\tsort_of_verb 10 16\tdrinks",
        "#3\tAnnotatorNotes T5\tscore 0.5000",
        "#2\tX T4\told",
    ]


@pytest.mark.parametrize("name", ["doccano", "label-studio", "prodigy"])
def test_what_a_tool_exported_is_written_back_as_it_was(tmp_path, name):
    rows = {
        "doccano": [{"id": 3, "text": BEER, "relations": [], "Comments": ["!"],
                     "entities": [{"id": 9, "label": "PER", "start_offset": 3, "end_offset": 12}]}],
        "label-studio": [task(BEER, span(3, 12, "PER", "Zoe Quist"), project=4)],
        "prodigy": [prodigy("Zoe drinks", [{"start": 0, "end": 3, "label": "PER", "token_start": 0, "token_end": 0}],
                            meta={"source": "pub"})],
    }[name]  # fmt: skip
    content = json.dumps(rows) if name == "label-studio" else lines(*rows)
    form, found = documents(written(tmp_path, {"in.json": content}))
    assert form is FORMATS[name]
    stream = io.StringIO()
    form.write(found, stream, FileNotes("out"))
    text = stream.getvalue()
    assert (json.loads(text) if name == "label-studio" else [json.loads(line) for line in text.splitlines()]) == rows
