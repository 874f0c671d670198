"""Tables and JSON at their edges: headers that come again or are missing, empty files, indices, splits left out."""

from __future__ import annotations

import json

import pytest

from hf_tagging.data.tables.sniff import split_line
from hf_tagging.errors import DataError
from tests.reading import read

PART = "Word,Tag\nMina,B-PER\nwaits,O\n\nRain,O\n"


def test_header_again_is_no_word(tmp_path):
    found = read(tmp_path, {"train.csv": PART + PART})
    assert found.sizes() == {"train": (4, 6, 2)}
    assert found.remarks()["headers"] == 1
    assert found.said("line 1 is read as the names of the columns: Word, Tag")


def test_first_word_of_a_table_without_header(tmp_path):
    rows = ["Mina,plant", *(f"w{i},{'person' if i % 40 == 1 else 'O'}" for i in range(200))]
    found = read(tmp_path, {"train.csv": "\n".join(rows) + "\n"})
    assert found.words[0] == "Mina"
    assert found.types == ["person", "plant"]
    assert found.said("no line names the columns")


@pytest.mark.parametrize("content", [",,\n,,\n", "", "\n\n"])
def test_table_without_rows(tmp_path, content):
    with pytest.raises(DataError, match=r"train\.csv.*(no rows|empty|no sentence)"):
        read(tmp_path, {"train.csv": content})


def test_entity_tags_are_no_parts_of_speech(tmp_path):
    rows = 10 * (json.dumps({"tokens": ["Mina", "waits"], "tags": ["B-PER", "O"]}) + "\n")
    with pytest.raises(DataError, match=r"holds entity tags .*task ner.*accept=\['entity_tags'\]"):
        read(tmp_path / "a", {"train.jsonl": rows}, task="pos")
    assert read(tmp_path / "b", {"train.jsonl": rows}, task="pos", accept=["entity_tags"]).tags == ["B-PER", "O"]
    with pytest.raises(DataError, match="holds entity tags"):
        read(tmp_path / "c", {"train.csv": "word,tag\n" + 10 * "Mina,B-PER\nwaits,O\n\n"}, task="pos")


def test_columns_by_index_are_joined_by_it(tmp_path):
    columns = {"tokens": {"0": ["a"], "1": ["b", "c"]}, "tags": {"1": ["O", "O"], "0": ["B-X"]}}
    assert read(tmp_path / "a", {"train.json": json.dumps(columns)}).splits["train"] == [
        [("a", "B-X")],
        [("b", "O"), ("c", "O")],
    ]
    columns["tags"]["2"] = columns["tags"].pop("1")
    with pytest.raises(DataError, match="the column tags has the index 2 and tokens has not"):
        read(tmp_path / "b", {"train.json": json.dumps(columns)})


def test_splits_in_a_named_file_are_said(tmp_path):
    rows = [{"tokens": ["Mina"], "tags": ["B-PER"]}]
    files = {"train.json": json.dumps({"train": rows, "test": rows, "info": 1}), "dev.json": json.dumps(rows)}
    found = read(tmp_path / "a", files)
    assert found.remarks()["other_splits"] == 1
    assert found.said("not read from it: test")
    whole = read(tmp_path / "b", {"all.json": files["train.json"]})
    assert list(whole.splits) == ["train", "test"]
    assert not whole.remarks()["other_splits"]


def test_what_parts_sentences_is_said_as_it_is(tmp_path):
    one = read(tmp_path / "a", {"train.csv": "word,tag\nMina,B-PER\nwaits,O\n"})
    assert one.said("no empty row and no column parts sentences")
    assert not one.said("empty rows part the sentences")
    assert read(tmp_path / "b", {"train.csv": PART}).said("each row is a word; empty rows part the sentences")
    with pytest.raises(DataError, match="no word is annotated"):
        read(tmp_path / "c", {"train.jsonl": json.dumps({"tokens": ["a", "b"], "tags": [None, None]}) + "\n"})


def test_long_lines_are_split_in_linear_time():
    line = '"a",' * 200_000
    assert len(split_line(line, ",").fields) == 200_001
    assert split_line('  "x, y" ,z', ",").is_open
    assert split_line(' "x, y",z', ",").fields == ["x, y", "z"]


@pytest.mark.parametrize("task", ["ner", "pos"])
def test_lists_of_two_words_are_no_pairs(tmp_path, task):
    tags = ["B-PER", "O"] if task == "ner" else ["NNP", "VBZ"]
    lists = [[["Mina", "waits"], tags], [["Ruiz", "sings"], tags]]
    pairs = [[["Mina", tags[0]], ["waits", tags[1]]], [["Ruiz", tags[0]], ["sings", tags[1]]]]
    expected = [[("Mina", tags[0]), ("waits", tags[1])], [("Ruiz", tags[0]), ("sings", tags[1])]]
    for name, rows in {"lists": lists, "pairs": pairs}.items():
        assert read(tmp_path / name, {"train.json": json.dumps(rows)}, task=task).splits["train"] == expected


def test_parts_of_speech_without_a_header(tmp_path):
    found = read(tmp_path, {"train.csv": "Mina,NNP\nwaits,VBZ\n\nRain,NN\nfell,VBD\n"}, task="pos")
    assert found.splits["train"] == [[("Mina", "NNP"), ("waits", "VBZ")], [("Rain", "NN"), ("fell", "VBD")]]


def test_placeholders_name_no_tags(tmp_path):
    rows = json.dumps({"tokens": ["Mina", "waits"], "ner_tags": [1, 0]}) + "\n"
    config = json.dumps({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}})
    with pytest.raises(DataError, match="integers without names"):
        read(tmp_path / "a", {"train.jsonl": rows, "config.json": config})
    with pytest.raises(DataError, match="integers without names"):
        read(tmp_path / "b", {"data/train.jsonl": rows, "config.json": config.replace("LABEL_0", "O")})
    named = config.replace("LABEL_0", "O").replace("LABEL_1", "B-PER")
    assert read(tmp_path / "c", {"train.jsonl": rows, "config.json": named}).tags == ["B-PER", "O"]
