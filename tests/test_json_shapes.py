"""JSON files of every shape that people export words and tags in."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from datasets import Dataset

from hf_tagging.errors import DataError
from tests.reading import read

ROWS = [
    {"tokens": ["Olga", "Ruiz", "saw", "Quito", "."], "ner_tags": ["B-PER", "I-PER", "O", "B-LOC", "O"]},
    {"tokens": ["Rain", "again"], "ner_tags": ["O", "O"]},
    {"tokens": ["Not", "in", "Quito"], "ner_tags": ["O", "O", "B-LOC"]},
]
SENTENCES = [list(zip(row["tokens"], row["ner_tags"], strict=True)) for row in ROWS]
WORDS = [
    {"sent_id": f"s{9 - i}", "token": word, "label": tag} for i, part in enumerate(SENTENCES) for word, tag in part
]
PAIRS = [[list(pair) for pair in part] for part in SENTENCES]
OBJECTS = [[{"word": word, "pos": "X", "tag": tag, "start": 0} for word, tag in part] for part in SENTENCES]
FRAME = pd.DataFrame(ROWS)


def lines(rows: list) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


SHAPES = {
    "lines": lines(ROWS),
    "array": json.dumps(ROWS),
    "array, indented": json.dumps(ROWS, indent=2),
    "objects, indented": "\n".join(json.dumps(row, indent=1) for row in ROWS),
    "to_dict": json.dumps(Dataset.from_list(ROWS).to_dict()),
    "to_dict, indented": json.dumps(Dataset.from_list(ROWS).to_dict(), indent=2),
    "pandas": FRAME.to_json(),
    "pandas split": FRAME.to_json(orient="split"),
    "pandas table": FRAME.to_json(orient="table"),
    "pandas index": FRAME.set_index(pd.Index(["a", "b", "c"])).to_json(orient="index"),
    "pandas lines": FRAME.to_json(orient="records", lines=True),
    "words": lines(WORDS),
    "words in an array": json.dumps(WORDS),
    "words in columns": json.dumps(pd.DataFrame(WORDS).to_dict(orient="list")),
    "words in columns by index": pd.DataFrame(WORDS).to_json(),
    "beside a version": json.dumps({"version": "1.0", "labels": ["PER", "LOC"], "data": ROWS}),
    "by id": json.dumps({f"doc{i}": row for i, row in enumerate(ROWS)}),
    "pairs": lines([{"sentence": part, "id": i} for i, part in enumerate(PAIRS)]),
    "pairs alone": lines(PAIRS),
    "pairs in an array": json.dumps(PAIRS),
    "pairs under a key": json.dumps({"sentences": PAIRS}),
    "tags before words": lines([[[tag, word] for word, tag in part] for part in SENTENCES]),
    "words and tags": json.dumps([[row["tokens"], row["ner_tags"]] for row in ROWS]),
    "triples": lines([[[word, "X", tag] for word, tag in part] for part in SENTENCES]),
    "objects": lines([{"tokens": part} for part in OBJECTS]),
    "objects in an array": json.dumps(OBJECTS),
    "joined": lines([{"text": " ".join(row["tokens"]), "labels": " ".join(row["ner_tags"])} for row in ROWS]),
    "with a mark": "\ufeff" + lines(ROWS),
    "crlf": lines(ROWS).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("content", SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_has_the_same_sentences(tmp_path, content):
    found = read(tmp_path, {"train.json": content})
    assert found.splits == {"train": SENTENCES}
    [notes] = found.report.splits["train"]
    assert [column.examples[0] for column in notes.columns if column.role in ("words", "tags")] == ["Olga", "B-PER"]


@pytest.mark.parametrize("shape", ["lines", "to_dict", "pairs in an array", "words", "objects in an array", "pandas"])
def test_splits_in_one_object(tmp_path, shape):
    content = SHAPES[shape]
    part = [json.loads(line) for line in content.splitlines()] if content.count("\n") > 1 else json.loads(content)
    whole = {"train": part, "dev": part, "test_set": part, "labels": ["PER"]}
    found = read(tmp_path, {"corpus.json": json.dumps(whole)})
    assert found.splits == {"train": SENTENCES, "validation": SENTENCES, "test": SENTENCES}
    assert found.said("keys beside the data, not read: labels")
    assert found.report.splits["validation"][0].file.endswith("corpus.json, dev")


def test_one_split_of_several_is_asked_for(tmp_path):
    (tmp_path / "corpus").mkdir()
    path = tmp_path / "corpus" / "all.json"
    path.write_text(json.dumps({"train": ROWS, "test": ROWS[:1]}))
    from hf_tagging import load_tagging_dataset

    found = load_tagging_dataset(train_file=path, test_file=path, task="ner", cache_dir=tmp_path / "cache")
    assert {split: len(rows) for split, rows in found.items()} == {"train": 3, "test": 1}
    with pytest.raises(
        DataError, match=r"all.json: holds the splits train, test; expected one of them to be validation"
    ):
        load_tagging_dataset(validation_file=path, task="ner", cache_dir=tmp_path / "cache")


def test_a_single_row_is_a_row(tmp_path):
    assert read(tmp_path, {"train.json": json.dumps(ROWS[0])}).splits == {"train": SENTENCES[:1]}
    assert read(tmp_path / "b", {"train.json": json.dumps(ROWS[0], indent=2)}).splits == {"train": SENTENCES[:1]}


def test_parts_of_speech_of_objects_and_triples(tmp_path):
    assert read(tmp_path, {"train.json": SHAPES["objects"]}, task="pos").tags == ["X"] * 5
    assert read(tmp_path / "b", {"train.json": SHAPES["triples"]}, task="pos").tags == ["X"] * 5


def test_null_tags_of_pairs_are_not_scored(tmp_path):
    found = read(
        tmp_path, {"train.jsonl": lines([[["Olga", "B-PER"], ["saw", None]], [["Quito", "B-LOC"], [".", "O"]]])}
    )
    assert found.splits["train"] == [[("Olga", "B-PER"), ("saw", None)], [("Quito", "B-LOC"), (".", "O")]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps({"tokens": [["a"], ["b"]], "tags": [["O"]]}), r"different lengths \(tokens 2, tags 1\)"),
        (lines([*PAIRS, [["Olga"]]]), r"train.json, line 4: .*expected a list with 2 values per word"),
        (
            lines([{"sentence": PAIRS[0]}, {"sent": PAIRS[0]}]),
            r"train.json, line 2: .*expected an object with 'sentence'",
        ),
        (lines([*PAIRS, 7]), r"train.json, line 4: '7'; expected a list"),
        (json.dumps({"columns": ["tokens", "tags"], "data": [[["a"]]]}), r"row 1: .*expected 2 values"),
        (
            lines([{"word": w["token"], "tag": w["label"]} for w in WORDS]),
            r"'tag' has a single value per row: name the",
        ),
        (json.dumps({"train": 5}), r"no column of tokens"),
        (json.dumps({"tokens": [["a"], 7], "tags": [["O"], ["O"]]}), r"row 2"),
        (lines([{"text": "Olga saw Quito", "found": [["Olga", "PER"]]}] * 3), r"no column of tags|train.json"),
        (lines([{"text": "Olga saw Quito", "found": [[0, 4, "PER"]]}] * 3), r"train.json"),
        ("[" * 5_000, r"train.json"),
        ('{"a":' * 5_000, r"train.json"),
        ('{"tokens": [["a"]], "tags": [["O"]', r"train.json"),
        ("", r"the file is empty"),
        ("[]", r"an empty array"),
        ("{}", r"train.json"),
    ],
)
def test_what_is_of_no_shape_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, {"train.json": content})
