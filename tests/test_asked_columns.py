"""Columns and layers that are asked for: they are read, or refused where they are not there or do nothing."""

from __future__ import annotations

import json

import pytest
from datasets import Dataset

from hf_tagging.data import load_tagging_dataset
from hf_tagging.data.column_names import column_position
from hf_tagging.errors import DataError
from tests.reading import read

ROW = {"tokens": ["Mina", "waits"], "ner_tags": ["B-PER", "O"], "ner_fine": ["B-poet", "O"]}
LINE = json.dumps(ROW) + "\n"


def test_layer_of_json_and_memory(tmp_path):
    assert read(tmp_path / "a", {"train.jsonl": LINE}).types == ["PER"]
    assert read(tmp_path / "b", {"train.jsonl": LINE}, layer="ner_fine").types == ["poet"]
    with pytest.raises(DataError, match=r"layer=ner_fin: no such column, found tokens, .* did you mean 'ner_fine'"):
        read(tmp_path / "c", {"train.jsonl": LINE}, layer="ner_fin")
    rows = Dataset.from_list([ROW])
    names = load_tagging_dataset(rows, task="ner", layer="ner_fine")["train"].features["tags"].feature.names
    assert names == ["O", "B-poet"]


def test_layer_of_words_in_rows():
    rows = {"sentence_id": [1, 1], "word": ["Mina", "waits"], "ner_tags": ["B-PER", "O"], "fine": ["B-poet", "O"]}
    names = load_tagging_dataset(Dataset.from_dict(rows), task="ner", layer="fine")["train"].features["tags"].feature
    assert names.names == ["O", "B-poet"]


def test_layer_and_column_at_once_are_refused(tmp_path):
    for name, content in {"train.jsonl": LINE, "train.csv": "word,tag,fine\nMina,B-PER,B-poet\n"}.items():
        with pytest.raises(DataError, match="tags_column=ner_tags and layer=fine: both say which tags are read"):
            read(tmp_path / name, {name: content}, tags_column="ner_tags", layer="fine")


@pytest.mark.parametrize("option", ["separator", "comment"])
def test_options_of_column_files_are_refused_elsewhere(tmp_path, option):
    with pytest.raises(DataError, match=f"{option}=# is for column files and tables; it does nothing here"):
        read(tmp_path / "a", {"train.jsonl": LINE}, **{option: "#"})
    with pytest.raises(DataError, match=f"{option}=# is for column files and tables"):
        load_tagging_dataset(Dataset.from_list([ROW]), task="ner", **{option: "#"})


@pytest.mark.parametrize("asked", ["Ner_Tags", " ner_tags ", "ner", "1", -2])
@pytest.mark.parametrize("name", ["train.jsonl", "train.csv", "train.txt"])
def test_columns_are_found_by_one_rule_in_every_kind_of_data(tmp_path, name, asked):
    rows = {
        "train.jsonl": LINE,
        "train.csv": "tokens,ner_tags,ner_fine\nMina,B-PER,B-poet\nwaits,O,O\n",
        "train.txt": "tokens ner_tags label\nMina B-PER B-poet\nwaits O O\n",
    }
    assert read(tmp_path, {name: rows[name]}, tags_column=asked).types == ["PER"]


@pytest.mark.parametrize(
    ("asked", "position"),
    [
        ("Tag", 1),
        ("tag", 0),
        ("TAG", 0),
        ("pos", 2),
        ("0", 3),
        ("1", 1),
        (0, 0),
        (-1, 3),
        ("-4", 0),
        (4, None),
        ("x", None),
    ],
)
def test_position_of_a_column(asked, position):
    assert column_position(asked, ["tag", "Tag", "pos_tags", "0"]) == position
