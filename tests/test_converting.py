"""`convert`: any corpus in any format, and back again."""

from __future__ import annotations

import json
import random

import pytest
from reading import read, written

from hf_tagging.cli import main
from hf_tagging.data import load_tagging_dataset
from hf_tagging.data.converting import convert
from hf_tagging.data.formats import FORMATS, TARGETS, format_of
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.targets import TARGET_NAMES
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.tasks import NER

WORDS = [
    "Zoe", "drinks", "in", "Gouda", ".", ",", '"', "'", "#", "##", "-DOCSTART-", "_", "\\", "|", "[1]", "*", "O",
    "B-PER",
    "🍺", "👩‍🚀", "🇳🇱", "e\u0301tude", "\u0915\u094d\u0937", "李", "天津", "ไทย", "{", "}", "<b>", "&amp;", "a;b",
    "1-2", "…", "\ufb01n", "\u202eabc", "𝒳",
]  # fmt: skip
TYPES = ["PER", "LOC", "名", "B-type", "sub_type"]
ON_SPANS = [name for name, form in TARGETS.items() if "texts" in form.holds]


def corpus(seed, documents=12):
    """Sentences of words and tags in IOB2 of some documents, with all that is hard about them."""
    dice = random.Random(seed)
    found = []
    for _ in range(documents):
        sentences = []
        for _ in range(dice.randint(1, 4)):
            words, tags = [], []
            while not words or dice.random() < 0.8:
                kind, length = dice.choice([None, *TYPES]), dice.randint(1, 3)
                words += dice.choices(WORDS, k=length)
                tags += ["O"] * length if kind is None else [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
            sentences.append((words, tags))
        found.append(sentences)
    return found


def rows_of(documents):
    return "".join(
        json.dumps({"tokens": words, "ner_tags": tags, "document_id": f"d{number:02}"}) + "\n"
        for number, sentences in enumerate(documents)
        for words, tags in sentences
    )


@pytest.mark.parametrize("name", TARGETS)
def test_tags_are_the_same_after_a_round_through_every_format(tmp_path, name):
    documents = corpus(seed=7)
    if name == "conll":  # no format to hold these at the beginning of a line
        documents = [
            [([w.replace("#", "+").replace("-DOCSTART-", "-") for w in words], tags) for words, tags in sentences]
            for sentences in documents
        ]
    if name == "brat":
        documents = [[(w, [tag.replace("B-type", "Btype") for tag in t]) for w, t in s] for s in documents]
    path = written(tmp_path, {"train.jsonl": rows_of(documents)})
    target = tmp_path / f"out{TARGETS[name].suffix}"
    converted = convert(path, target, to=name)
    assert converted.splits["train"]["entities"] == sum(
        tag.startswith("B-") for sentences in documents for _, tags in sentences for tag in tags
    )
    splitter = {} if name in ("conll", "conllup", "jsonl") else {"splitter": "blanks"}
    files = {f"out/{f.name}": f.read_bytes() for f in target.iterdir()} if target.is_dir() else target.read_bytes()
    found = read(tmp_path / "again", files if isinstance(files, dict) else {target.name: files}, **splitter)
    expected = [list(zip(words, tags, strict=True)) for sentences in documents for words, tags in sentences]
    assert found.splits["train"] == expected


@pytest.mark.parametrize("seed", range(3))
def test_texts_and_spans_are_the_same_after_a_tour_of_all_formats_of_texts(tmp_path, seed):
    dice = random.Random(seed)
    rows = []
    for number in range(8):
        text = "".join(dice.choice([*WORDS, " ", "  ", "\n", "\r\n", "\t", "\u00a0"]) for _ in range(30))
        spans = set()
        for _ in range(5):
            start, end = sorted(dice.sample(range(len(text) + 1), 2))
            if text[start:end].strip() and text[start:end].strip("\r\n") == text[start:end]:  # brat has none like it
                spans.add((start, end, dice.choice(["PER", "LOC"])))
        rows.append({"id": number, "text": text, "label": [list(span) for span in sorted(spans)]})
    path = written(tmp_path, {"start.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    tour = [name for name in ON_SPANS if name != "doccano"]
    dice.shuffle(tour)
    for index, name in enumerate([*tour, "doccano"]):
        target = tmp_path / f"{index}{TARGETS[name].suffix}"
        convert(path, target, to=name, splitter="english")
        path = target
    found = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert [(row["text"], sorted(row["label"])) for row in found] == [(row["text"], row["label"]) for row in rows]


@pytest.mark.failure_mode("convert-losses")
def test_what_the_target_cannot_hold_is_counted(tmp_path):
    rows = [
        {"id": 5, "text": "Zoe  Quist drinks.", "label": [[0, 10, "PER"], [5, 10, "PER"], [11, 13, "X"]], "by": "me"},
        {"id": 6, "text": "No.", "label": []},
    ]
    path = written(tmp_path, {"start.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    converted = convert(path, tmp_path / "out.conll", to="conll")
    said = {remark.kind: remark for note in converted.notes for remark in note.remarks}
    assert {kind: remark.count for kind, remark in said.items()} == {
        "ids": 2, "extra": 1, "texts": None, "overlap": 1, "misfit": 1,
    }  # fmt: skip
    assert (tmp_path / "out.conll").read_text().splitlines() == [
        "Zoe\tB-PER", "Quist\tI-PER", "drinks\tB-X", ".\tO", "", "No\tO", ".\tO", "",
    ]  # fmt: skip
    pairs = convert(path, tmp_path / "out.json", to="spacy-pairs")
    assert [remark.kind for note in pairs.notes for remark in note.remarks] == ["ids", "extra"]


def test_extra_values_and_names_go_along_where_they_can(tmp_path):
    row = {"id": "a/1", "text": "Zoe.", "label": [[0, 3, "PER"]], "by": "me"}
    path = written(tmp_path, {"start.jsonl": json.dumps(row)})
    for name in ("prodigy", "label-studio", "text-entities", "doccano"):
        target = tmp_path / f"{name}{TARGETS[name].suffix}"
        assert not [r for note in convert(path, target, to=name).notes for r in note.remarks]
        path = target
    assert json.loads(path.read_text()) == row


def test_texts_without_an_annotation_are_not_written_as_gold(tmp_path):
    done = {"result": [{"type": "labels", "from_name": "ner", "value": {"start": 0, "end": 3, "labels": ["PER"]}}]}
    tasks = [
        {"id": 1, "data": {"text": "Zoe."}, "annotations": [done]},
        {"id": 2, "data": {"text": "?"}, "annotations": []},
    ]
    path = written(tmp_path, {"tasks.json": json.dumps(tasks)})
    converted = convert(path, tmp_path / "out.jsonl", to="doccano")
    assert [str(remark) for remark in converted.notes[-1].remarks] == [
        "1 text without an annotation: not written (row 2)"
    ]
    convert(path, tmp_path / "again.json", to="label-studio")
    assert json.loads((tmp_path / "again.json").read_text()) == tasks


@pytest.mark.failure_mode("convert-over")
def test_splits_become_files_of_a_folder(tmp_path):
    files = {"train.conll": "Zoe\tB-PER\n\n", "dev.conll": "Gouda\tB-LOC\n"}
    convert(written(tmp_path / "in", files), tmp_path / "out", to="brat")
    assert sorted(str(f.relative_to(tmp_path / "out")) for f in (tmp_path / "out").rglob("*.ann")) == [
        "train/text-00001.ann", "validation/text-00001.ann",
    ]  # fmt: skip
    assert format_of(tmp_path / "out" / "train") is FORMATS["brat"]
    convert(tmp_path / "out", tmp_path / "rows", to="jsonl")
    assert sorted(f.name for f in (tmp_path / "rows").iterdir()) == ["train.jsonl", "validation.jsonl"]
    with pytest.raises(OutputError, match="there already"):
        convert(tmp_path / "in", tmp_path / "rows", to="jsonl")
    convert(tmp_path / "in", tmp_path / "rows", to="jsonl", overwrite=True)
    (tmp_path / "rows" / "mine.py").write_text("")
    with pytest.raises(OutputError, match=r"holds mine.py"):
        convert(tmp_path / "in", tmp_path / "rows", to="jsonl", overwrite=True)
    with pytest.raises(OutputError, match="what is to be converted is there"):
        convert(tmp_path / "in" / "train.conll", tmp_path / "in" / "train.conll", to="jsonl", overwrite=True)


def test_a_saved_dataset_that_kept_its_texts_goes_back_to_them(tmp_path):
    row = {"text": "Zoe  drinks-in\nGouda.", "label": [[0, 3, "PER"], [15, 20, "LOC"]]}
    path = written(tmp_path, {"train.jsonl": json.dumps(row)})
    load_tagging_dataset(path, task="ner", cache_dir=tmp_path / "cache").save_to_disk(tmp_path / "saved")
    convert(tmp_path / "saved", tmp_path / "out.jsonl", to="text-entities")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(one["text"], [(e["start"], e["end"], e["label"]) for e in one["entities"]]) for one in found] == [
        ("Zoe  drinks-in", [(0, 3, "PER")]),
        ("Gouda.", [(0, 5, "LOC")]),
    ]


def test_tags_without_entities_go_to_formats_of_words(tmp_path):
    path = written(tmp_path, {"train.conll": "Zoe\tPROPN\ndrinks\tVERB\n"})
    convert(path, tmp_path / "out.jsonl", to="jsonl", task="pos")
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert row == {"tokens": ["Zoe", "drinks"], "tags": ["PROPN", "VERB"]}
    with pytest.raises(ConfigError, match=r"expected one of conll, conllup, jsonl"):
        convert(path, tmp_path / "out.json", to="doccano", task="pos")


@pytest.mark.parametrize("name", ["conll", "conllup", "jsonl"])
def test_words_that_are_not_annotated_stay_so(tmp_path, name):
    row = {"tokens": ["Zoe", "drinks", "."], "ner_tags": ["B-PER", None, "O"]}
    path = written(tmp_path, {"train.jsonl": json.dumps(row)})
    target = tmp_path / f"out{TARGETS[name].suffix}"
    convert(path, target, to=name)
    assert read(tmp_path / "again", {target.name: target.read_bytes()}).tags == ["B-PER", None, "O"]
    said = convert(path, tmp_path / "out.json", to="gliner").notes[-1].remarks
    assert [str(remark) for remark in said] == ["1 word that is not annotated: written as outside of any entity"]


@pytest.mark.parametrize("text", ["", "Mary von Ems ran ."])
def test_an_entity_goes_on_behind_a_word_that_is_not_annotated(tmp_path, text):
    row = {"tokens": ["Mary", "von", "Ems", "ran", "."], "ner_tags": ["B-PER", None, "I-PER", None, "O"]}
    if text:
        row |= {"text": text, "starts": [0, 5, 9, 13, 17], "ends": [4, 8, 12, 16, 18]}
    path = written(tmp_path, {"train.jsonl": json.dumps(row)})
    done = convert(path, tmp_path / "out.json", to="gliner")
    assert done.splits["train"]["entities"] == 1
    assert json.loads((tmp_path / "out.json").read_text())[0]["ner"] == [[0, 2, "PER"]]
    assert [str(remark) for remark in done.notes[-1].remarks if remark.kind.startswith("unknown")] == [
        "1 word that is not annotated: written as outside of any entity",
        "1 word that is not annotated: written as part of the entity around them",
    ]
    convert(path, tmp_path / "out.jsonl", to="jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["tags"] == row["ner_tags"]


def test_a_word_that_is_a_mark_is_refused_in_columns(tmp_path):
    path = written(tmp_path, {"train.jsonl": json.dumps({"tokens": ["#", "x"], "ner_tags": ["O", "B-X"]})})
    with pytest.raises(DataError, match=r"the word '#' .* such as to=conllup"):
        convert(path, tmp_path / "out.conll", to="conll")
    assert not (tmp_path / "out.conll").exists()


def test_the_command_says_what_it_wrote(tmp_path, capsys):
    path = written(tmp_path, {"train.conll": "Zoe\tB-PER\nx-y,\tO\n"})
    main(["convert", str(path), str(tmp_path / "out.jsonl"), "--to", "doccano"])
    shown = capsys.readouterr().out
    assert "train" in shown
    assert "1 text whose words are those of --splitter blanks" in shown
    main(["convert", str(path), str(tmp_path / "out.json"), "--to", "gliner", "--json"])
    assert json.loads(capsys.readouterr().out)["splits"] == {"train": {"records": 1, "entities": 1}}


def test_scores_of_a_model_are_read_and_written(tmp_path):
    row = {"text": "Zoe.", "entities": [{"start": 0, "end": 3, "label": "PER", "score": 0.5}]}
    path = written(tmp_path, {"train.jsonl": json.dumps(row)})
    form = FORMATS["text-entities"]
    (document,) = form.read(path, "x", ReadRequest(task=NER), FileNotes("x"))
    assert document.spans[0].score == 0.5
    said = convert(path, tmp_path / "out.jsonl", to="doccano").notes[-1].remarks
    assert [str(remark) for remark in said] == ["1 score of entities: not written (line 1)"]


def test_the_command_line_knows_every_target():
    assert tuple(TARGETS) == TARGET_NAMES
