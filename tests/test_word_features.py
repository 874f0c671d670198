"""Further columns: kept beside words and tags, and laid out beside the subwords of a batch."""

import json

import datasets
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from tiny_models import tiny_bert
from transformers import AutoTokenizer, BertForTokenClassification

from hf_tagging.data import (
    Aligner,
    TagSchema,
    WindowCollator,
    align_dataset,
    align_split,
    feature_values,
    load_tagging_dataset,
)
from hf_tagging.errors import DataError
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training.config import TaggingConfig

FOUR = "Ada NNP B-NP I-PER\nsleeps VBZ B-VP O\n\nRome NNP B-NP I-LOC\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture
def file(tmp_path):
    def _file(content, name="train.txt"):
        path = tmp_path / name
        path.write_text(content)
        return path

    return _file


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("bert"))


def columns(dataset, *names, split="train"):
    return [list(dataset[split][name]) for name in names]


# Loading


def test_columns_of_a_file_by_name_and_by_position(file):
    path = file(FOUR)
    dataset = load_tagging_dataset(path, task="ner", word_features=["chunk", "1"])
    assert columns(dataset, "chunk", "1") == [[["B-NP", "B-VP"], ["B-NP"]], [["NNP", "VBZ"], ["NNP"]]]
    strings = List(Value("string"))
    assert dataset["train"].features == Features(
        {"tokens": strings, "tags": List(ClassLabel(names=["O", "I-LOC", "I-PER"])), "document_id": Value("string"),
         "chunk": strings, "1": strings}
    )  # fmt: skip
    assert columns(load_tagging_dataset(path, task="ner", word_features=["pos_tags"]), "pos_tags") == [
        [["NNP", "VBZ"], ["NNP"]]
    ]
    assert load_tagging_dataset(path, task="ner")["train"].column_names == ["tokens", "tags", "document_id"]


def test_columns_of_conllu_and_of_a_header(file):
    conllu = file(
        "1\tvamos\tir\tVERB\tVV\tMood=Imp\t0\troot\t_\t_\n2\tmar\tmar\tNOUN\tNN\t_\t1\tobl\t_\t_\n", "a.conllu"
    )
    dataset = load_tagging_dataset(conllu, task="pos", word_features=["feats", "xpos"])
    assert columns(dataset, "feats", "xpos") == [[["Mood=Imp", "_"]], [["VV", "NN"]]]
    named = file("word\tsegmentation\tpos\nAda\tB\tNNP\nsleeps\t\tVBZ\n", "named.tsv")
    dataset = load_tagging_dataset(named, task="pos", word_features=["segmentation"])
    assert columns(dataset, "tokens", "segmentation") == [[["Ada", "sleeps"]], [["B", ""]]]


def test_columns_of_json_lines(file):
    row = {
        "words": ["Ada", "ran"],
        "ner": ["B-PER", "O"],
        "pos_tags": ["N", "V"],
        "group": [3, 12],
        "upper": [True, False],
    }
    path = file(json.dumps(row) + "\n", "train.jsonl")
    dataset = load_tagging_dataset(path, task="ner", word_features=["upper", "pos", "group"])
    assert columns(dataset, "upper", "pos", "group") == [[["true", "false"]], [["N", "V"]], [["3", "12"]]]
    assert load_tagging_dataset(path, task="ner", word_features=["2"])["train"]["2"][0] == ["N", "V"]


def test_class_labels_become_their_names_in_every_split(tmp_path):
    features = Features(
        {"tokens": List(Value("string")), "pos_tags": List(ClassLabel(names=["N", "V"])),
         "ner_tags": List(ClassLabel(names=["O", "B-PER"]))}
    )  # fmt: skip
    rows = {"tokens": [["Ada", "ran"], ["Bob"]], "pos_tags": [[0, 1], [0]], "ner_tags": [[1, 0], [1]]}
    saved = Dataset.from_dict(rows, features=features)
    DatasetDict(train=saved, test=saved.select([1])).save_to_disk(tmp_path / "saved")
    saved.to_parquet(tmp_path / "train.parquet")
    for source in (tmp_path / "saved", tmp_path / "train.parquet"):
        dataset = load_tagging_dataset(source, task="ner", word_features=["pos_tags"])
        assert columns(dataset, "pos_tags") == [[["N", "V"], ["N"]]]
    dataset = load_tagging_dataset(tmp_path / "saved", task="ner", word_features=["pos_tags"])
    assert columns(dataset, "pos_tags", split="test") == [[["N"]]]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["tags"], r"word_features=tags: every dataset has a column 'tags' of its own; give the position"),
        (["document_id"], r"has a column 'document_id' of its own"),
        (["pos", "pos"], r"word_features=\['pos', 'pos'\]: 'pos' occurs twice"),
        ("pos", r"'pos' is a string; expected a list of names"),
        (["poss"], r"row.jsonl: word_features=poss: no such column, found .*; did you mean 'pos'\?"),
        (["9"], r"word_features=9: no such column"),
        (["ner"], r"word_features=ner: this is the column of the tags, and a feature would give away the answer"),
        (["words"], r"word_features=words: this is the column of the words"),
        (["pos", "pos_tags"], r"word_features=\['pos', 'pos_tags'\]: both are the column 'pos'"),
        (["short"], r"row 1: 2 in 'words' but 1 in 'short'; expected one value per word"),
        (["null"], r"row 1: a null in the list 'null'; expected one value per word"),
        (["plain"], r"row 1: 'NN' in the column 'plain' .*; expected a list with one value per word"),
        (["weight"], r"row 1: '\[0.5, 1.5\]' in the column 'weight' .*expected a list with one value per word"),
    ],
)
def test_columns_that_cannot_be(file, asked, message):
    row = {"words": ["Ada", "ran"], "ner": ["B-PER", "O"], "pos": ["N", "V"], "short": ["N"], "null": ["N", None],
           "plain": "NN", "weight": [0.5, 1.5]}  # fmt: skip
    with pytest.raises(DataError, match=message):
        load_tagging_dataset(file(json.dumps(row) + "\n", "row.jsonl"), task="ner", word_features=asked)


def test_every_split_has_the_column(file):
    train, test = file(FOUR), file("Ada I-PER\n", "test.txt")
    with pytest.raises(DataError, match=r"test.txt: word_features=pos: .*this is the column of the tags"):
        load_tagging_dataset(train_file=train, test_file=test, task="ner", word_features=["pos"])


def test_sentences_start_at_mentions_in_column_files_alone(file, tmp_path):
    path = file(json.dumps({"tokens": ["@a"], "tags": ["X"]}) + "\n", "train.jsonl")
    load_tagging_dataset(path, task="pos")["train"].save_to_disk(tmp_path / "saved")
    for source in (path, tmp_path / "saved"):
        with pytest.raises(DataError, match="sentence_start=mention is for column files"):
            load_tagging_dataset(source, task="pos", sentence_start="mention")
    with pytest.raises(DataError, match="sentence_start=empty: expected blank or mention"):
        load_tagging_dataset(path, task="pos", sentence_start="empty")


def test_sentence_start_is_part_of_the_cache(file):
    path = file("a X\n@b X\n\nc X\n")
    assert len(load_tagging_dataset(path, task="pos")["train"]) == 2
    assert columns(load_tagging_dataset(path, task="pos", sentence_start="mention"), "tokens") == [[["a"], ["@b", "c"]]]


def test_columns_survive_what_is_done_to_the_tags(file):
    path = file("".join(f"w{i} N{i} B-NP I-PER\n\n" for i in range(10)))
    dataset = load_tagging_dataset(path, task="ner", word_features=["pos"], validation_share=0.2, test_share=0.2)
    assert {split: len(part) for split, part in dataset.items()} == {"train": 6, "validation": 2, "test": 2}
    schema = TagSchema.detect(dataset, task="ner")
    dataset, schema, _ = schema.convert(dataset, to="BIOES")
    dataset, schema = schema.adopt(dataset, TagSchema(("O", "S-PER", "B-PER", "I-PER", "E-PER", "S-X"), "BIOES"))
    assert schema.tags[1] == "S-PER"
    for part in dataset.values():
        chosen = part.select(range(2))
        assert [row[0].replace("w", "N") for row in chosen["tokens"]] == [row[0] for row in chosen["pos"]]


# Values and ids


def test_values_by_frequency_then_by_alphabet():
    train = Dataset.from_dict({"tokens": [["a"] * 3, ["b"] * 4], "pos": [["V", "N", "J"], ["N", "V", "N", "A"]]})
    assert feature_values(train, ["pos"]) == {"pos": ["N", "V", "A", "J"]}
    assert feature_values(train.select([0]), ["pos"]) == {"pos": ["J", "N", "V"]}
    with pytest.raises(DataError, match=r"no column 'poss', it has tokens, pos; did you mean 'pos'\?"):
        feature_values(train, ["poss"])


def test_a_column_of_too_many_values_is_no_category():
    train = Dataset.from_dict({"tokens": [["a"] * 10_001], "id": [[str(i) for i in range(10_001)]]})
    with pytest.raises(DataError, match=r"word_features=id: 10,001 different values in training; .* 10,000 at most"):
        feature_values(train, ["id"])
    assert len(feature_values(Dataset.from_dict({"id": [[str(i) for i in range(10_000)]]}), ["id"])["id"]) == 10_000


SENTENCES = {
    "tokens": [["a", "unaffable", "b"], ["b"], ["a", "\u200b"]],
    "tags": [[0, 0, 0], [0], [0, 0]],
    "pos": [["D", "J", "N"], ["N"], ["X", "J"]],
    "case": [["low", "low", "low"], ["low"], ["up", "low"]],
}
VALUES = {"pos": ["N", "J", "D"], "case": ["low", "up"]}


def test_every_subword_has_its_words_ids(bert):
    aligned = align_split(
        Dataset.from_dict(SENTENCES),
        Aligner(AutoTokenizer.from_pretrained(bert)),
        TagSchema(("T",)),
        word_features=VALUES,
    )
    rows = aligned.features
    middle = [[2, 1]] * (rows[0]["length"] - 4)
    assert len(middle) > 1  # a word of several subwords
    ids = [torch.tensor(row["word_features"]).reshape(-1, 2).tolist() for row in rows]
    assert ids == [
        [[0, 0], [3, 1], *middle, [1, 1], [0, 0]],
        [[0, 0], [1, 1], [0, 0]],
        [[0, 0], [0, 2], [2, 1], [0, 0]],  # X is not among the values; what vanished keeps its values
    ]
    batch = WindowCollator(0)([rows[i] for i in (1, 2)])
    assert batch["word_features"].dtype == torch.int64
    assert batch["word_features"].tolist() == [[*ids[1], [0, 0]], ids[2]]
    assert batch["input_ids"].shape == (2, 4)


def test_windows_of_a_long_sentence_have_the_ids_of_their_words(bert):
    letters = list("abcdefghij")
    dataset = Dataset.from_dict({"tokens": [letters], "letter": [letters]})
    tokenizer = AutoTokenizer.from_pretrained(bert)
    aligner = Aligner(tokenizer, max_length=8, overlap=3)
    rows = align_split(dataset, aligner, TagSchema(("T",)), word_features={"letter": letters}).features
    assert len(rows) == 3
    for row in rows:
        seen = [letters[i - 1] if i else None for i in row["word_features"]]
        assert seen[1:-1] == tokenizer.convert_ids_to_tokens(row["input_ids"])[1:-1]
        assert seen[0] is seen[-1] is None


def test_features_without_further_columns_are_as_ever(bert):
    tokenizer, schema = AutoTokenizer.from_pretrained(bert), TagSchema(("T",))
    dataset = DatasetDict(train=Dataset.from_dict(SENTENCES))

    def aligned(values):
        return align_dataset(dataset, tokenizer, schema, word_features=values)["train"].features

    plain = aligned(None)
    assert "word_features" not in plain.column_names
    assert "word_features" not in WindowCollator(0)([plain[0]])
    assert plain._fingerprint == aligned({})._fingerprint
    other_orders = [VALUES, dict(reversed(VALUES.items())), {**VALUES, "pos": ["J", "N", "D"]}]
    assert len({aligned(values)._fingerprint for values in (None, *other_orders)}) == 4


def test_columns_that_the_data_lacks(bert):
    tokenizer, schema = AutoTokenizer.from_pretrained(bert), TagSchema(("T",))
    for dataset, message in [
        ({"tokens": [["a"]]}, r"no column 'pos', it has tokens\. .*on request: word_features=pos"),
        ({"tokens": [["a"]], "pos": [["N", "N"]]}, r"the column 'pos' .* has not one string per word"),
        ({"tokens": [["a"]], "pos": [[1]]}, r"the column 'pos' .* has not one string per word"),
    ]:
        with pytest.raises(DataError, match=message):
            align_split(Dataset.from_dict(dataset), Aligner(tokenizer), schema, word_features={"pos": ["N"]})


class ReadsFeatures(BertForTokenClassification):
    def forward(self, input_ids=None, attention_mask=None, word_features=None, labels=None):
        assert word_features.shape == (*input_ids.shape, 2)
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, labels=labels)


@pytest.mark.parametrize("kind", [ReadsFeatures, BertForTokenClassification])
def test_the_trainer_gives_them_to_a_model_that_takes_them(bert, tmp_path, kind):
    tokenizer, schema = AutoTokenizer.from_pretrained(bert), TagSchema(("A", "B", "C", "D", "E"))
    dataset = DatasetDict(train=Dataset.from_dict(SENTENCES), validation=Dataset.from_dict(SENTENCES))
    splits = align_dataset(dataset, tokenizer, schema, word_features=VALUES)
    trainer = TaggingTrainer(
        model=kind.from_pretrained(bert, id2label=schema.id2label, label2id=schema.label2id),
        args=TaggingConfig(output_dir=str(tmp_path / "run"), use_cpu=True),
        processing_class=tokenizer,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
    )
    assert ("word_features" in next(iter(trainer.get_train_dataloader()))) == (kind is ReadsFeatures)
    assert len(trainer.predict_words(splits["validation"], "validation").predicted) == 3
