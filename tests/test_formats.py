"""Formats of annotation tools: texts with spans, read as words with tags."""

from __future__ import annotations

import json

from reading import read, written

from hf_tagging.data import load_tagging_dataset


def test_doccano_spans_become_tags_over_words(tmp_path):
    rows = [
        {"id": 7, "text": "Mina Falk moved to Ghent.", "label": [[0, 9, "PER"], [19, 24, "LOC"]]},
        {"id": 8, "text": "Nothing happened.", "label": []},
    ]
    found = read(tmp_path, {"admin.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    assert found.first == [
        ("Mina", "B-PER"), ("Falk", "I-PER"), ("moved", "O"), ("to", "O"), ("Ghent", "B-LOC"), (".", "O"),
    ]  # fmt: skip
    assert found.sizes() == {"train": (2, 9, 2)}


def test_a_border_inside_a_word_is_widened_or_dropped_and_counted(tmp_path):
    row = {"text": "Ghentish beer from Ghent", "label": [[0, 5, "LOC"], [19, 24, "LOC"]]}
    widened = read(tmp_path / "widen", {"a.jsonl": json.dumps(row)})
    assert widened.tags == ["B-LOC", "O", "O", "B-LOC"]
    dropped = read(tmp_path / "drop", {"a.jsonl": json.dumps(row)}, misfit="drop")
    assert dropped.tags == ["O", "O", "O", "B-LOC"]
    assert widened.remarks()["misfit"] == dropped.remarks()["misfit"] == 1
    assert widened.said("1 annotated span with a border inside a word: widened to the word")


def test_of_overlapping_spans_the_longest_is_kept(tmp_path):
    row = {"text": "University of Ghent", "label": [[14, 19, "LOC"], [0, 19, "ORG"]]}
    found = read(tmp_path, {"a.jsonl": json.dumps(row)})
    assert found.tags == ["B-ORG", "I-ORG", "I-ORG"]
    assert found.remarks()["overlap"] == 1


def test_the_text_and_the_offsets_of_its_words_are_kept(tmp_path):
    rows = [{"text": "Hm.\n\n  Ghent 🍺 calls", "label": [[7, 12, "LOC"]]}]
    path = written(tmp_path, {"train.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    dataset = load_tagging_dataset(path, task="ner", cache_dir=tmp_path / "cache")["train"]
    assert dataset["text"][:] == ["Hm.", "Ghent 🍺 calls"]
    for row in dataset:
        assert [row["text"][a:b] for a, b in zip(row["starts"], row["ends"], strict=True)] == row["tokens"]
    again = tmp_path / "saved"
    dataset.save_to_disk(again)
    loaded = load_tagging_dataset(again, task="ner", cache_dir=tmp_path / "cache")["train"]
    assert loaded["text"][:] == dataset["text"][:]
    assert loaded.features == dataset.features
