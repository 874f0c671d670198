import json
import logging
import os
import pickle
import time
from pathlib import Path

import datasets
import huggingface_hub
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from hf_tagging.data import hub_source
from hf_tagging.data.files import looks_like_path, split_in_name
from hf_tagging.data.loading import load_tagging_dataset, unseen_tags
from hf_tagging.errors import ConfigError, DataError

TRAIN = "-DOCSTART- O\n\nAda B-PER\nsleeps O\n\nRome B-LOC\n\n-DOCSTART- O\n\nBob B-PER\nSmith I-PER\n"
TEST = "Acme B-ORG\nInc I-ORG\n. O\n\nRome B-LOC\n"
REAL = Path(os.environ.get("HF_TAGGING_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL} (HF_TAGGING_TEST_DATA)")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", "http://127.0.0.1:9")
    datasets.disable_progress_bars()


@pytest.fixture
def folder(tmp_path):
    """Writes files into a folder and returns it."""

    def _folder(files, name="corpus"):
        path = tmp_path / name
        path.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (path / file).write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return _folder


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def rows(tokens, tags):
    return jsonl({"tokens": tokens, "tags": tags})


def cached(tmp_path):
    """What the cache holds, files and folders alike."""
    return sorted(path.name for path in (tmp_path / "cache").rglob("*")) if (tmp_path / "cache").exists() else []


def named(dataset, split="train"):
    """The tags of a split as strings."""
    names = dataset[split].features["tags"].feature.names
    return [[names[tag] for tag in row] for row in dataset[split]["tags"]]


# What comes out


def test_columns_types_and_order(folder):
    dataset = load_tagging_dataset(str(folder({"train.txt": TRAIN, "test.txt": TEST})), task="ner")
    names = ["O", "B-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    features = Features(
        {"tokens": List(Value("string")), "tags": List(ClassLabel(names=names)), "document_id": Value("string")}
    )
    assert isinstance(dataset, DatasetDict)
    assert list(dataset) == ["train", "test"]
    assert dataset["train"].features == dataset["test"].features == features
    assert dataset["train"][:] == {
        "tokens": [["Ada", "sleeps"], ["Rome"], ["Bob", "Smith"]],
        "tags": [[4, 0], [1], [4, 5]],
        "document_id": ["train:1", "train:1", "train:2"],
    }
    assert dataset["test"]["document_id"] == ["test:1", "test:2"]
    assert all(part.cache_files for part in dataset.values())


def test_tag_order(folder):
    tags = ["S-PER", "I-PER-x", "E-PER", "B-PER", "X", "I-PER", "O", "B-A-B", "B-PER-x"]
    text = "".join(f"w {tag}\n" for tag in tags)
    path = folder({"train.txt": text}) / "train.txt"
    ner = load_tagging_dataset(path, task="ner")["train"].features["tags"].feature.names
    assert ner == ["O", "B-A-B", "B-PER", "I-PER", "E-PER", "S-PER", "B-PER-x", "I-PER-x", "X"]
    pos = load_tagging_dataset(path, task="pos")["train"].features["tags"].feature.names
    assert pos == sorted(tags)


def test_pickles(folder):
    dataset = load_tagging_dataset(folder({"train.txt": TRAIN}), task="ner")
    assert pickle.loads(pickle.dumps(dataset))["train"][1]["tokens"] == ["Rome"]


def test_unseen_tags(folder, caplog):
    corpus = folder({"train.txt": TRAIN, "dev.txt": TRAIN, "test.txt": TEST})
    with caplog.at_level(logging.WARNING):
        dataset = load_tagging_dataset(corpus, task="ner")
    assert unseen_tags(dataset) == {"test": {"B-ORG": 1, "I-ORG": 1}}
    assert [record.message for record in caplog.records if "never" in record.message] == [
        f"{corpus}: entity types that train never has, with their words: test: ORG (2)"
    ]
    assert unseen_tags(DatasetDict(test=dataset["test"])) == {}


def test_unseen_tags_in_the_log(folder, caplog):
    corpus = folder({"train.txt": TRAIN, "dev.txt": "Ada S-PER\n\nRome S-LOC\n", "test.txt": "Oslo I-LOC\n"})
    with caplog.at_level(logging.WARNING):
        dataset = load_tagging_dataset(corpus, task="ner")
    assert "never" not in caplog.text  # another scheme, the same entity types
    assert unseen_tags(dataset) == {"validation": {"S-LOC": 1, "S-PER": 1}, "test": {"I-LOC": 1}}
    load_tagging_dataset(corpus, task="pos")
    assert "tags that train never has, with their words: validation: S-LOC (1), S-PER (1); test: I-LOC (1)" in (
        caplog.text
    )


def test_missing_splits_are_said(folder, caplog):
    with caplog.at_level(logging.INFO):
        load_tagging_dataset(folder({"train.txt": TRAIN}), task="ner")
    assert "has no validation and no test split" in caplog.text


# Files and splits


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.txt", "train"),
        ("eng.train", "train"),
        ("eng.testa", "validation"),
        ("eng.testb", "test"),
        ("en_ewt-ud-dev.conllu", "validation"),
        ("train-00000-of-00003.parquet", "train"),
        ("VALID.TXT", "validation"),
        ("my_val2.jsonl", "validation"),
        ("corpus.txt", None),
        ("training-data.txt", "train"),
        ("latest.txt", None),
    ],
)
def test_split_in_name(name, split):
    assert split_in_name(name) == split


def test_a_name_of_two_splits():
    with pytest.raises(DataError, match="names two splits, test and train"):
        split_in_name("train_test.txt")


def test_folder_of_files(folder):
    corpus = folder(
        {
            "eng.train": TRAIN,
            "eng.testa": TEST,
            "eng.testb": TEST,
            "README.md": "train",
            "LICENSE": "test",
            ".train.txt.swp": "x",
            "stats.xml": "x",
        }
    )
    dataset = load_tagging_dataset(corpus, task="ner")
    assert {split: len(part) for split, part in dataset.items()} == {"train": 3, "validation": 2, "test": 2}


def test_several_files_of_a_split_in_sorted_order(folder):
    corpus = folder({"train-2.txt": "b O\n", "train-1.txt": "a O\n", "train-10.txt": "c O\n"})
    for num_proc in (None, 2):
        dataset = load_tagging_dataset(corpus, task="ner", num_proc=num_proc)["train"]
        assert dataset["tokens"] == [["a"], ["c"], ["b"]]
        assert dataset["document_id"] == ["train-1:1", "train-10:1", "train-2:1"]


def test_single_file_without_a_split_is_train(folder):
    assert list(load_tagging_dataset(folder({"a[1] *.txt": TRAIN}) / "a[1] *.txt", task="ner")) == ["train"]
    assert list(load_tagging_dataset(folder({"b.txt": TRAIN}, "one"), task="ner")) == ["train"]


def test_files_by_flag_win(folder):
    corpus = folder({"train.txt": TRAIN, "test.txt": TEST})
    other = folder({"x.txt": "Zoe B-PER\n", "y.jsonl": rows(["Yan"], ["B-PER"])}, "other")
    dataset = load_tagging_dataset(
        corpus, task="ner", test_file=str(other / "x.txt"), validation_file=[other / "y.jsonl"]
    )
    assert {split: part["tokens"][0] for split, part in dataset.items()} == {
        "train": ["Ada", "sleeps"],
        "validation": ["Yan"],
        "test": ["Zoe"],
    }
    alone = load_tagging_dataset(task="ner", train_file=other / "x.txt")
    assert alone["train"]["tokens"] == [["Zoe"]]


def test_files_by_flag_stay_in_their_order(folder):
    corpus = folder({f"{name}.txt": f"{name} O\n" for name in "abc"})
    for num_proc in (None, 2):
        dataset = load_tagging_dataset(
            task="ner", train_file=[corpus / f"{name}.txt" for name in "bca"], num_proc=num_proc
        )
        assert dataset["train"]["tokens"] == [["b"], ["c"], ["a"]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": TRAIN, "b.txt": TRAIN}, r"none of a.txt, b.txt has a split in its name .*train_file"),
        ({"train.txt": TRAIN, "train.jsonl": "{}"}, r"train.jsonl, train.txt: two kinds of file for the split train"),
        ({"train.txt": TRAIN, "train.tsv": TRAIN}, r"two kinds of file for the split train"),
        ({"README.md": "x"}, r"no data files in this folder; .* beside: README.md"),
        ({}, r"no data files in this folder"),
    ],
)
def test_folders_that_are_unclear(folder, files, message):
    with pytest.raises(DataError, match=message):
        load_tagging_dataset(folder(files), task="ner")


def test_flags_that_are_wrong(folder):
    corpus = folder({"train.txt": TRAIN, "a.txt": TRAIN, "b.jsonl": "{}"})
    for arguments, message in [
        ({"train_file": corpus / "trian.txt"}, r"trian.txt does not exist; did you mean .*corpus/train.txt\?"),
        ({"train_file": corpus}, r"train_file=.* is a folder"),
        ({"train_file": [corpus / "train.txt"] * 2}, r"train.txt is given twice"),
        ({"train_file": [corpus / "train.txt", corpus / "a.txt", corpus / "train.txt"]}, r"train.txt is given twice"),
        ({"train_file": [corpus / "train.txt", corpus / "b.jsonl"]}, r"two kinds of file"),
        ({}, r"no data was named"),
    ]:
        with pytest.raises(DataError, match=message):
            load_tagging_dataset(task="ner", **arguments)
    with pytest.raises(ConfigError, match="task 'tagging' is not one of pos, ner"):
        load_tagging_dataset(corpus, task="tagging")


def test_a_path_that_is_not_there_is_no_hub_name(folder, monkeypatch):
    corpus = folder({"train.txt": TRAIN})
    monkeypatch.chdir(corpus.parent)
    with pytest.raises(DataError, match=r"corpsu/train.txt does not exist; did you mean corpus\?"):
        load_tagging_dataset("./corpsu/train.txt", task="ner")
    with pytest.raises(DataError, match=r"corpus/trian.txt does not exist; did you mean corpus/train.txt\?"):
        load_tagging_dataset("corpus/trian.txt", task="ner")
    assert [looks_like_path(name) for name in ("a/b", "conll2003", "x.jsonl", "eng.train", "a/b/c", "~/a")] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]


# JSON Lines, Parquet, saved datasets


@pytest.mark.parametrize("tokens", ["tokens", "words", "form", "text"])
@pytest.mark.parametrize(
    ("task", "tags"), [("ner", "ner_tags"), ("ner", "entities"), ("pos", "upos"), ("pos", "labels")]
)
def test_jsonl_columns(folder, tokens, task, tags):
    text = jsonl({"id": 1, tokens: ["a", "b"], tags: ["O", "B-X"]}, {"id": 2, tokens: ["c"], tags: ["O"]})
    dataset = load_tagging_dataset(folder({"train.jsonl": text}), task=task)
    assert dataset["train"].column_names == ["tokens", "tags", "document_id"]
    assert named(dataset) == [["O", "B-X"], ["O"]]
    assert dataset["train"]["document_id"] == ["train:1", "train:2"]


def test_jsonl_first_match_and_override(folder):
    path = folder({"train.jsonl": jsonl({"text": "a b", "words": ["a"], "tags": ["T"], "pos": ["P"], "gold": ["G"]})})
    assert named(load_tagging_dataset(path, task="pos")) == [["P"]]
    assert named(load_tagging_dataset(path, task="ner")) == [["T"]]
    assert named(load_tagging_dataset(path, task="ner", tags_column="gold")) == [["G"]]
    assert named(load_tagging_dataset(path, task="ner", tags_column=-1)) == [["G"]]


def test_jsonl_documents_and_unusual_characters(folder):
    text = jsonl({"doc_id": 7, "tokens": ["a\u2028", "\x85"], "tags": ["O", "O"]})
    train = load_tagging_dataset(folder({"train.jsonl": text}), task="ner")["train"]
    assert train[0] == {"tokens": ["a\u2028", "\x85"], "tags": [0, 0], "document_id": "7"}


def test_rows_whose_document_is_null_are_documents_of_their_own(folder):
    read = [{"document_id": name, "tokens": ["a"], "tags": ["O"]} for name in ("x", None, None)]
    for text in (jsonl(*read), jsonl(*({**row, "document_id": None} for row in read))):
        train = load_tagging_dataset(folder({"train.jsonl": text}), task="ner")["train"]
        assert train["document_id"][1:] == ["train:2", "train:3"]
    assert train["document_id"][0] == "train:1"


def test_integer_tags_with_names(folder):
    path = folder({"train.jsonl": rows(["a", "b"], [1, 0])})
    assert named(load_tagging_dataset(path, task="ner", tag_names=["O", "B-X"])) == [["B-X", "O"]]
    with pytest.raises(DataError, match=r"integers without names; .* tag_names"):
        load_tagging_dataset(path, task="ner")
    with pytest.raises(DataError, match=r"row 1: the tag id 1 has no name; there are names for 0 to 0"):
        load_tagging_dataset(path, task="ner", tag_names=["O"])


def test_tag_names_fix_string_tags(folder):
    path = folder({"train.jsonl": rows(["a"], ["B-X"])})
    dataset = load_tagging_dataset(path, task="ner", tag_names=["B-X", "O", "I-X"])
    assert dataset["train"].features["tags"].feature.names == ["B-X", "O", "I-X"]
    with pytest.raises(DataError, match=r"the tag 'B-X' is not among tag_names=\['O', 'B-Y'\]; did you mean 'B-Y'\?"):
        load_tagging_dataset(path, task="ner", tag_names=["O", "B-Y"])
    with pytest.raises(DataError, match=r"a name occurs twice"):
        load_tagging_dataset(path, task="ner", tag_names=["O", "O"])


GOOD = rows(["a"], ["O"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + '{"tokens": ["a"], "tags": ["O"\n' + GOOD, r"train.jsonl, line 2: .* is not JSON"),
        (GOOD + "[1]\n", r"train.jsonl, line 2: '\[1\]' is no JSON object"),
        (GOOD.encode() + b'{"tokens": ["\xe9"], "tags": ["O"]}\n', r"train.jsonl, line 2: .* is not JSON: .*utf-8"),
        (GOOD + r'{"tokens": ["\ud800"], "tags": ["O"]}', r"train.jsonl, line 2: .* is not JSON: .*surrogates"),
        ("", r"train.jsonl: the file is empty"),
        (
            jsonl({"sentence": ["a"], "tags": ["O"]}),
            r"no column of tokens; expected one of tokens, words, .* found sentence, tags",
        ),
        (
            jsonl({"tokens": ["a"], "labl": ["O"]}),
            r"no column of tags; expected one of ner_tags, ner, .* found tokens, labl",
        ),
        (
            GOOD + rows(["a", "b"], ["O"]),
            r"train.jsonl, row 2: 2 in 'tokens' but 1 in 'tags'; expected one tag per word",
        ),
        (GOOD + '{"tokens": ["a"]}\n', r"train.jsonl, row 2: the column 'tags' is null"),
        (GOOD + rows(["a", None], ["O", "O"]), r"row 2: a null in the list 'tokens'"),
        (GOOD + rows(["a", "b"], ["O", ""]), r"row 2: an empty tag in 'tags'"),
        (rows("a b", ["O"]), r"row 1: 'a b' in the column 'tokens' .*; expected a list with one string per word"),
        (rows(["a"], "O"), r"row 1: 'O' in the column 'tags' .*; expected a list with one tag per word"),
        (GOOD + rows(["a"], "O"), r"row 2: 'O' in the column 'tags'"),
        (GOOD + rows(["a"], [1]), r"row 2: '\[1\]' in the column 'tags' .* of one type in all rows"),
        (rows([["a"]], ["O"]), r"row 1: .* in the column 'tokens'"),
        (rows(["a"], [1.5]), r"row 1: '\[1.5\]' in the column 'tags' \(List\(Value\('float64'\)\)\)"),
        ("\n\n", r"train.jsonl: no rows"),
        (rows([], []), r"every list of the column 'tokens' is empty"),
        (rows(["a"], ["_"]), r"every tag is '_', which means no tag"),
    ],
)
def test_broken_jsonl(folder, tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        load_tagging_dataset(folder({"train.jsonl": text}), task="ner")
    assert cached(tmp_path) == []


def test_columns_that_are_not_there(folder):
    path = folder({"train.jsonl": GOOD})
    for asked, message in [
        ("tgas", r"tags_column=tgas: no such column, found tokens, tags; did you mean 'tags'\?"),
        (2, r"tags_column=2: no such column"),
        ("tokens", r"'tokens' would be both words and tags"),
    ]:
        with pytest.raises(DataError, match=message):
            load_tagging_dataset(path, task="ner", tags_column=asked)


def class_labels(names, tokens=("a", "b"), ids=(0, 1)):
    features = Features({"words": List(Value("string")), "ner_tags": List(ClassLabel(names=names))})
    return Dataset.from_dict({"words": [list(tokens)], "ner_tags": [list(ids)]}, features=features)


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\u00a0", "\u3000", "\u2028"])
def test_white_space_in_tags_becomes_underscores(folder, blank):
    tag = f"B-first{blank}name"
    rare, good = rows(["a", "b"], [tag, "O"]), rows(["a"], ["O"])
    dataset = load_tagging_dataset(folder({"train.jsonl": good, "test.jsonl": rare}), task="ner")
    assert named(dataset, "test") == [["B-first_name", "O"]]


def test_white_space_in_tags_becomes_underscores_in_every_source(folder, tmp_path):
    path = folder({"train.tsv": "a\tB-first name\nb\tO\n"})
    assert named(load_tagging_dataset(path, task="ner")) == [["B-first_name", "O"]]
    path = folder({"train.jsonl": rows(["a"], [1])}, "ids")
    assert named(load_tagging_dataset(path, task="ner", tag_names=["O", "B X"])) == [["B_X"]]
    DatasetDict(train=class_labels(["O", "B-X Y"])).save_to_disk(tmp_path / "blank")
    assert named(load_tagging_dataset(tmp_path / "blank", task="ner")) == [["O", "B-X_Y"]]
    DatasetDict(train=class_labels(["O", ""])).save_to_disk(tmp_path / "empty")
    with pytest.raises(DataError, match=r"split train: the tag '' is empty"):
        load_tagging_dataset(tmp_path / "empty", task="ner")
    with pytest.raises(DataError, match=r"'B-X Y' and 'B-X_Y' would be the same without blanks"):
        load_tagging_dataset(folder({"train.jsonl": rows(["a", "b"], ["B-X Y", "B-X_Y"])}, "both"), task="ner")


def test_parquet_keeps_class_labels(folder):
    path = folder({})
    class_labels(["O", "B-X", "never"]).to_parquet(path / "train-00000-of-00001.parquet")
    dataset = load_tagging_dataset(path, task="ner", test_file=folder({"t.txt": "a B-Z\nb B-X\n"}, "b") / "t.txt")
    assert dataset["train"].features["tags"].feature.names == ["O", "B-X", "never", "B-Z"]
    assert named(dataset) == [["O", "B-X"]]
    assert named(dataset, "test") == [["B-Z", "B-X"]]


@pytest.mark.parametrize("second", ["train-1.parquet", "test.parquet"])
def test_parquet_with_other_class_labels(folder, second):
    path = folder({})
    class_labels(["O", "B-X"]).to_parquet(path / "train-0.parquet")
    class_labels(["B-X", "O"]).to_parquet(path / second)
    with pytest.raises(DataError, match=r"ClassLabel names"):
        load_tagging_dataset(path, task="ner")


def test_broken_parquet(folder, tmp_path):
    with pytest.raises(DataError, match=r"train.parquet: cannot be read as Parquet"):
        load_tagging_dataset(folder({"train.parquet": "PAR1 or not"}), task="ner")
    assert cached(tmp_path) == []


def test_saved_datasets(tmp_path):
    part = class_labels(["O", "B-X"])
    DatasetDict(train=part, dev=part, other=part).save_to_disk(tmp_path / "dict")
    part.save_to_disk(tmp_path / "one")
    assert list(load_tagging_dataset(tmp_path / "dict", task="ner")) == ["train", "validation"]
    dataset = load_tagging_dataset(tmp_path / "one", task="ner")
    assert named(dataset) == [["O", "B-X"]]
    assert not [path for path in (tmp_path / "one").iterdir() if path.name.startswith("cache-")]
    dataset.save_to_disk(tmp_path / "ours")
    again = load_tagging_dataset(tmp_path / "ours", task="pos")
    assert again["train"][:] == dataset["train"][:]


def test_saved_dataset_with_other_class_labels(tmp_path):
    parts = DatasetDict(train=class_labels(["O", "B-X"]), test=class_labels(["O", "B-Y"]))
    parts.save_to_disk(tmp_path / "dict")
    with pytest.raises(DataError, match=r"the ClassLabel names of test are O B-Y, but those of train are O B-X"):
        load_tagging_dataset(tmp_path / "dict", task="ner")


def test_saved_dataset_that_is_damaged(tmp_path):
    class_labels(["O", "B-X"]).save_to_disk(tmp_path / "one")
    (tmp_path / "one" / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"a damaged dataset of save_to_disk"):
        load_tagging_dataset(tmp_path / "one", task="ner")


def test_sample():
    sample = load_tagging_dataset("sample", task="pos")
    assert list(sample) == ["train", "validation", "test"]
    assert "NN" in sample["train"].features["tags"].feature.names


# Holding out


def test_validation_share_by_document(folder):
    text = "".join(
        "-DOCSTART- O\n\n" + "".join(f"d{document}s{sentence} O\n\n" for sentence in range(4)) for document in range(20)
    )
    path = folder({"train.txt": text})
    dataset = load_tagging_dataset(path, task="ner", validation_share=0.25, seed=1)
    again = load_tagging_dataset(path, task="ner", validation_share=0.25, seed=1)
    other = load_tagging_dataset(path, task="ner", validation_share=0.25, seed=2)
    train, validation = (set(dataset[split]["document_id"]) for split in ("train", "validation"))
    assert (len(train), len(validation), train & validation) == (15, 5, set())
    assert dataset["train"]._indices is None
    assert dataset["validation"][:] == again["validation"][:]
    assert dataset["validation"]["document_id"] != other["validation"]["document_id"]
    order = [int(words[0].split("s")[0][1:]) for words in dataset["train"]["tokens"]]
    assert order == sorted(order)


def test_validation_share_without_document_marks(folder):
    text = jsonl(*({"tokens": [str(number)], "tags": ["O"]} for number in range(10)))
    dataset = load_tagging_dataset(folder({"train.jsonl": text}), task="ner", validation_share=0.1)
    assert {split: len(part) for split, part in dataset.items()} == {"train": 9, "validation": 1}


def test_validation_share_that_cannot_be(folder):
    for files, share, message in [
        ({"train.txt": TRAIN, "dev.txt": TRAIN}, 0.1, "has a validation split of its own"),
        ({"test.txt": TRAIN}, 0.1, "has no train split"),
        ({"train.txt": "-DOCSTART- O\n\na O\n"}, 0.1, "is a single sentence"),
        ({"train.txt": TRAIN}, 0.0, "validation_share=0.0: expected a share between 0 and 1"),
        ({"train.txt": TRAIN}, 1, "expected a share between 0 and 1"),
    ]:
        path = folder(files, name=message.replace(" ", "-"))
        with pytest.raises(DataError, match=message):
            load_tagging_dataset(path, task="ner", validation_share=share)


# The cache


def test_cache_is_used_and_follows_the_file(folder, monkeypatch):
    path = folder({"train.txt": TRAIN})
    first = load_tagging_dataset(path, task="ner")["train"]
    with monkeypatch.context() as patch:
        patch.setattr("hf_tagging.data.columns.conll.read_sentences", None)
        assert load_tagging_dataset(path, task="ner")["train"].cache_files == first.cache_files
    (path / "train.txt").write_text("Zoe B-PER\n")
    assert load_tagging_dataset(path, task="ner")["train"]["tokens"] == [["Zoe"]]


def test_cache_dir(folder, tmp_path):
    dataset = load_tagging_dataset(folder({"train.txt": TRAIN}), task="ner", cache_dir=tmp_path / "mine")
    assert dataset["train"].cache_files[0]["filename"].startswith(str(tmp_path / "mine"))
    assert cached(tmp_path) == []


@pytest.mark.parametrize("num_proc", [None, 2])
def test_a_failed_load_leaves_nothing(folder, tmp_path, num_proc):
    path = folder({"train-1.txt": TRAIN, "train-2.txt": "a O\nb\n", "test.txt": TEST})
    with pytest.raises(DataError, match=r"train-2.txt, line 2: 'b' has 1 column; expected 2"):
        load_tagging_dataset(path, task="ner", num_proc=num_proc)
    assert cached(tmp_path) == []


def test_a_failed_load_keeps_what_was_there(folder, tmp_path):
    path = folder({"train.txt": TRAIN})
    load_tagging_dataset(path, task="ner")
    before = cached(tmp_path)
    with pytest.raises(DataError, match="line 1"):
        load_tagging_dataset(path, task="ner", test_file=folder({"t.txt": "a\n"}, "b") / "t.txt")
    assert cached(tmp_path) == before


# The Hub


@pytest.mark.parametrize("name", ["conll2003", "somebody/something", "json", "no name"])
def test_offline(name):
    start = time.perf_counter()
    with pytest.raises(DataError) as error:
        load_tagging_dataset(name, task="ner")
    assert time.perf_counter() - start < 10
    message = str(error.value)
    assert message.startswith(f"dataset {name!r}")
    assert "`dataset=PATH model=PATH`" in message
    assert "`make quickstart`" in message
    if name in ("conll2003", "somebody/something"):
        assert "the Hub at http://127.0.0.1:9 cannot be reached" in message


def test_offline_by_setting_and_near_names(folder, monkeypatch):
    monkeypatch.chdir(folder({"x": ""}, "somebody").parent)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"HF_HUB_OFFLINE is set.* Or did you mean the local ./somebody\?"):
        load_tagging_dataset("sombody", task="ner")


@pytest.fixture
def hub(monkeypatch):
    """A Hub that answers: load_dataset's arguments are recorded, a loading script fails as it does in datasets."""
    calls = []

    def _load_dataset(path, name=None, *, revision=None, data_dir=None, **_):
        calls.append((path, name, revision, data_dir))
        if path == "old/script" and revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found script.py")
        if path == "no/body":
            raise datasets.exceptions.DatasetNotFoundError("Dataset 'no/body' doesn't exist on the Hub")
        return DatasetDict(train=class_labels(["O", "B-X"]))

    monkeypatch.setattr(hub_source, "why_unreachable", lambda *_, **__: None)
    monkeypatch.setattr(datasets, "load_dataset", _load_dataset)
    monkeypatch.setattr(
        hub_source.HfApi, "list_repo_files", lambda *_, **__: ["one/train/0000.parquet", "two/train/0.parquet"]
    )
    return calls


def test_hub_alias_and_names(hub):
    assert named(load_tagging_dataset("conll2003", task="ner")) == [["O", "B-X"]]
    load_tagging_dataset("some/body", task="ner", config_name="c", revision="v1")
    assert hub == [
        ("eriktks/conll2003", None, "refs/convert/parquet", None),
        ("some/body", "c", "v1", None),
    ]


def test_hub_script_falls_back_to_its_parquet_copy(hub):
    load_tagging_dataset("old/script", task="ner", config_name="two")
    assert hub[-1] == ("old/script", None, "refs/convert/parquet", "two")
    with pytest.raises(DataError, match=r"has the configurations one, two; give one with dataset_config"):
        load_tagging_dataset("old/script", task="ner")


def test_hub_name_that_is_not_there(hub):
    with pytest.raises(DataError, match=r"^dataset 'no/body': Dataset 'no/body' doesn't exist on the Hub\. Without"):
        load_tagging_dataset("no/body", task="ner")


# Real data


@pytest.mark.real
@needs_real
def test_real_conll2003():
    start = time.perf_counter()
    for task, count, first in (("ner", 9, "B-ORG"), ("pos", 45, "NNP")):
        dataset = load_tagging_dataset(REAL / "conll2003", task=task)
        sizes = {
            split: (len(part), sum(map(len, part["tokens"])), len(set(part["document_id"])))
            for split, part in dataset.items()
        }
        assert sizes == {
            "train": (14041, 203621, 946),
            "validation": (3250, 51362, 216),
            "test": (3453, 46435, 231),
        }
        names = dataset["train"].features["tags"].feature.names
        assert len(names) == count
        assert named(dataset)[0][0] == first
    start = time.perf_counter()
    load_tagging_dataset(REAL / "conll2003", task="ner")
    assert time.perf_counter() - start < 1


@pytest.mark.real
@needs_real
def test_real_tweets():
    dataset = load_tagging_dataset(REAL / "twitter_pos" / "pos.txt", task="pos")["train"]
    assert (len(dataset), sum(map(len, dataset["tokens"]))) == (787, 15185)
    assert len(dataset.features["tags"].feature.names) == 49
    at_mentions = load_tagging_dataset(REAL / "twitter_pos" / "pos.txt", task="pos", sentence_start="mention")["train"]
    assert (len(at_mentions), sum(map(len, at_mentions["tokens"]))) == (472, 15185)
    assert all(words[0].startswith("@") for words in at_mentions["tokens"])
    by_flag = load_tagging_dataset(train_file=REAL / "twitter_pos" / "pos.txt", task="pos", sentence_start="mention")
    assert {split: len(part) for split, part in by_flag.items()} == {"train": 472}


def test_raw_text_beside_a_treebank_is_left_out(folder):
    line = "1\ta\ta\tDET\tDT\t_\t_\t_\t_\t_\n"
    corpus = folder({"en-ud-train.conllu": line, "en-ud-train.txt": "A text, not columns.\n"})
    assert load_tagging_dataset(corpus, task="pos")["train"]["tokens"] == [["a"]]


def test_files_in_a_folder_named_data_are_found(folder, tmp_path):
    folder({"train.txt": TRAIN}, "repository/data")
    assert list(load_tagging_dataset(tmp_path / "repository", task="ner")) == ["train"]


def test_a_single_document_is_held_out_by_sentence(folder, caplog):
    corpus = folder({"train.txt": "-DOCSTART- O\n\n" + "a O\n\n" * 10})
    dataset = load_tagging_dataset(corpus, task="ner", validation_share=0.2)
    assert (len(dataset["train"]), len(dataset["validation"])) == (8, 2)
    assert "single document" in caplog.text


def test_comments_behind_a_hash_and_a_tab(tmp_path):
    """GermEval writes the source of each sentence so."""
    path = tmp_path / "train.tsv"
    path.write_text("#\thttp://a.b\t[2010]\n1\tAda\tB-PER\tO\n2\tschläft\tO\tO\n\n#\thttp://c\t[2011]\n1\tsie\tO\tO\n")
    loaded = load_tagging_dataset(path, task="ner", tokens_column=1, tags_column=2)["train"]
    assert loaded["tokens"] == [["Ada", "schläft"], ["sie"]]
