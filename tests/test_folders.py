"""Folders: which files are the splits, what names integer tags, and what is refused with the way on."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile

import pandas as pd
import pytest

from hf_tagging.errors import DataError
from tests.reading import read

ADA = "Ada\tB-PER\nran\tO\n\nRome\tB-LOC\n"
IDS = "\n".join(json.dumps(row) for row in [{"tokens": ["Ada", "ran"], "tags": [1, 0]}, {"tokens": ["x"], "tags": [2]}])
AS_TEXT = IDS.replace("[1, 0]", '["1", "0"]').replace("[2]", '["2"]')
NAMES = ["O", "B-PER", "B-LOC"]
CARD = "---\ndataset_info:\n  features:\n  - name: tokens\n    sequence: string\n  - name: tags\n    {}\n---\n# X\n"
OF_CARD = {
    "sequence": "sequence:\n      class_label:\n        names: {'0': O, '1': B-PER, '2': B-LOC}",
    "list": "list:\n      class_label:\n        names: [O, B-PER, B-LOC]",
}
INFO = {"features": {"tags": {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "Sequence"}}}


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev", "devel", "Dev", "01_dev"])
def test_a_folder_per_split(tmp_path, name):
    files = {f"{folder}/{file}.conll": ADA for folder in ("train", name, "test") for file in ("a", "b")}
    found = read(tmp_path, files)
    assert found.sizes() == dict.fromkeys(("train", "validation", "test"), (4, 6, 4))
    assert len(found.report.splits["validation"]) == 2


def test_two_versions_of_a_corpus_are_both_read_and_named(tmp_path):
    found = read(tmp_path, {"corpus.conll.train": ADA, "corpus_v2.conll.train": ADA})
    assert found.sizes() == {"train": (4, 6, 4)}
    assert found.said("corpus.conll.train, ")
    assert found.said("corpus_v2.conll.train: column file")


@pytest.mark.failure_mode("folder-to-choose")
def test_a_folder_among_several_has_to_be_chosen(tmp_path):
    files = {f"{language}/{split}.txt": ADA for language in ("de", "en", "fr") for split in ("train", "test")}
    with pytest.raises(DataError, match=r"in the folders de, en, fr; choose one of them: give dataset=\S+/de"):
        read(tmp_path, files)


def test_languages_below_data_have_to_be_chosen_too(tmp_path):
    files = {f"data/{language}/{split}.txt": ADA for language in ("de", "en") for split in ("train", "test")}
    with pytest.raises(DataError, match=r"in the folders de, en; choose one"):
        read(tmp_path, files | {"README.md": "# Corpus"})


@pytest.mark.parametrize("folder", ["data", "corpus", "conll/data"])
def test_the_only_folder_with_data_is_read(tmp_path, folder):
    found = read(tmp_path, {f"{folder}/train.txt": ADA, "README.md": "# Corpus", "scripts/convert.py": "print()"})
    assert found.sizes() == {"train": (2, 3, 2)}


def test_splits_beside_another_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a folder for each split, and extra beside or twice"):
        read(tmp_path, {"train/a.txt": ADA, "test/a.txt": ADA, "extra/a.txt": ADA})
    with pytest.raises(DataError, match=r"a folder for each split, and dev, valid beside or twice"):
        read(tmp_path / "b", {"train/a.txt": ADA, "dev/a.txt": ADA, "valid/a.txt": ADA})


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("label.json", json.dumps({name: i for i, name in enumerate(NAMES)})),
        ("label2id.json", json.dumps({name: i for i, name in enumerate(NAMES)})),
        ("id2label.json", json.dumps(dict(enumerate(NAMES)))),
        ("labels.json", json.dumps(NAMES)),
        ("labels.json", json.dumps({"labels": NAMES})),
        ("ner_tags.json", json.dumps(NAMES)),
        ("config.json", json.dumps({"id2label": dict(enumerate(NAMES))})),
        ("labels.txt", "\n".join(NAMES)),
        ("tags.txt", "\r\n".join(f"{name} {i}" for i, name in enumerate(NAMES))),
        ("tag2id.txt", "\ufeff" + "\n".join(f"{i}\t{name}" for i, name in enumerate(NAMES))),
        ("README.md", CARD.format(OF_CARD["sequence"])),
        ("README.md", CARD.format(OF_CARD["list"]).replace("\n", "\r\n")),
        ("dataset_infos.json", json.dumps({"default": INFO})),
        ("dataset_info.json", json.dumps(INFO)),
    ],
)
@pytest.mark.parametrize("rows", [IDS, AS_TEXT], ids=["integers", "strings"])
def test_names_of_integer_tags_beside_the_data(tmp_path, file, content, rows):
    found = read(tmp_path, {"train.json": rows, "test.json": rows, file: content})
    assert found.splits["train"] == [[("Ada", "B-PER"), ("ran", "O")], [("x", "B-LOC")]]
    assert found.said(f"{file}: O B-PER B-LOC")


def test_names_in_the_folder_above(tmp_path):
    found = read(tmp_path, {"dataset/train.json": IDS, "label.json": json.dumps(NAMES)})
    assert found.types == ["LOC", "PER"]


def test_given_names_come_before_those_of_a_file(tmp_path):
    found = read(tmp_path, {"train.json": IDS, "label.json": json.dumps(NAMES)}, tag_names=["O", "B-X", "B-Y"])
    assert found.types == ["X", "Y"]
    assert not found.said("label.json")


@pytest.mark.failure_mode("integers-without-names")
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"names .* tag_names=.*--tag_names"),
        (
            {"labels.json": json.dumps(NAMES), "tags.txt": "O\nB-X\nB-Y"},
            r"labels.json and .*tags.txt name .* differently",
        ),
        (
            {"label.json": json.dumps({"O": 1, "B-PER": 2, "B-LOC": 3})},
            r"label.json: .* ids 1, 2, 3; expected all from 0",
        ),
        ({"label.json": json.dumps(NAMES[:2])}, r"tag id 2 has no name; there are names for 0 to 1"),
        ({"README.md": CARD.format("dtype: int64")}, r"tag_names"),
        ({"README.md": "---\nfeatures: [!!python/object/apply:os.system [x]]\n---\n"}, r"tag_names"),
        ({"README.md": "---\na: &a [*a]\n---\n"}, r"tag_names"),
        ({"labels.json": "[" * 100_000}, r"tag_names"),
    ],
)
def test_integers_without_names_are_refused(tmp_path, files, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, {"train.json": IDS, "test.json": IDS, **files})


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return stream.getvalue()


@pytest.mark.failure_mode("other-data")
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train.xlsx",
            zipped("[Content_Types].xml", "xl/workbook.xml"),
            r"train.xlsx: this is an Excel workbook.*CSV or",
        ),
        ("train.csv", zipped("[Content_Types].xml", "xl/workbook.xml"), r"train.csv: this is an Excel workbook"),
        ("train.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64), r"train.xls: this is an Excel workbook"),
        ("corpus.xlsx", zipped("xl/workbook.xml"), r"corpus.xlsx: this is an Excel workbook"),
        ("train.pkl", pickle.dumps([1]), r"train.pkl: this is a pickle, which may run code"),
        ("train.txt", pickle.dumps([1]), r"train.txt: this is a pickle"),
        ("train.zip", zipped("train.txt"), r"zip archive: unpack it first"),
        ("train.csv.gz", gzip.compress(ADA.encode(), mtime=0), r"compressed by gzip: unpack it first"),
        ("train.db", b"SQLite format 3\0" + bytes(20), r"an SQLite database, which is not read; export"),
    ],
)
def test_other_files_are_refused_with_the_way_on(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, {name: content})
    with pytest.raises(DataError, match=message):
        read(tmp_path / "folder", {name: content, "README.md": "# x"})


def test_rows_of_words_in_every_source(tmp_path):
    from datasets import Dataset, DatasetDict

    from hf_tagging import load_tagging_dataset

    rows = [("a", "Ada", 1, "NN"), ("a", "ran", 0, "VB"), ("b", "Rome", 2, "NN"), (None, ".", 0, ".")]
    frame = pd.DataFrame(rows, columns=["Sentence #", "Word", "ner", "POS"])
    whole = Dataset.from_pandas(frame)
    frame.to_parquet(tmp_path / "train.parquet")
    DatasetDict(train=whole).save_to_disk(str(tmp_path / "saved"))
    for source in (frame, whole, DatasetDict(train=whole), tmp_path / "train.parquet", tmp_path / "saved"):
        for _ in range(2):  # the second time, from the cache
            found = load_tagging_dataset(
                source, task="ner", tag_names=NAMES, word_features=["POS"], cache_dir=tmp_path / "cache"
            )["train"]
            assert found["tokens"][:] == [["Ada", "ran"], ["Rome", "."]]
            assert found["tags"][:] == [[1, 0], [2, 0]]
            assert found["POS"][:] == [["NN", "VB"], ["NN", "."]]


def test_missing_words_of_pandas_are_refused_with_the_reason():
    from hf_tagging import load_tagging_dataset

    frame = pd.DataFrame({"sentence_id": [1, 1, 2], "word": ["Ada", None, "x"], "tag": ["B-PER", "O", "O"]})
    with pytest.raises(DataError, match=r'row 2: nothing in the column .word. beside .O.; .*"NA" and "null"'):
        load_tagging_dataset(frame, task="ner")
