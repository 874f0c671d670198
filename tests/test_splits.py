"""Splits out of one file: shares and folds, by whole documents, drawn by the seed alone."""

import logging

import datasets
import pytest
from run_configs import run_config
from tiny_models import tiny_bert
from transformers import set_seed

from hf_tagging.data import TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.models import load_encoder
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training.config.pretraining import PretrainingConfig


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture
def corpus(tmp_path):
    """A file of documents with the given numbers of sentences; a word says its document and its sentence."""

    def _corpus(*sizes, name="all.txt"):
        documents = (
            "-DOCSTART- O\n\n" + "".join(f"d{document}s{sentence} O\n\n" for sentence in range(size))
            for document, size in enumerate(sizes)
        )
        path = tmp_path / name
        path.write_text("".join(documents))
        return path

    return _corpus


def words(split):
    return [word for sentence in split["tokens"] for word in sentence]


def sizes(dataset):
    return {split: len(part) for split, part in dataset.items()}


def test_a_share_for_test_by_whole_documents(corpus):
    dataset = load_tagging_dataset(corpus(*[4] * 20), task="ner", test_share=0.25, validation_share=0.1, seed=1)
    assert sizes(dataset) == {"train": 52, "validation": 8, "test": 20}
    documents = [set(part["document_id"]) for part in dataset.values()]
    assert [len(part) for part in documents] == [13, 2, 5]
    assert len(set.union(*documents)) == 20
    assert all(words(part) == sorted(words(part), key=lambda w: [int(n) for n in w[1:].split("s")])
               for part in dataset.values())  # fmt: skip


def test_the_seed_decides_and_validation_does_not_change_the_test_split(corpus):
    path = corpus(*[2, 3, 4, 5] * 5)

    def test_words(**options):
        return words(load_tagging_dataset(path, task="ner", **options)["test"])

    alone = test_words(test_share=0.2, seed=3)
    assert alone == test_words(test_share=0.2, seed=3, validation_share=0.3)
    assert alone != test_words(test_share=0.2, seed=4)
    fold = test_words(folds=4, fold=2, seed=3)
    assert fold == test_words(folds=4, fold=2, seed=3, validation_share=0.3)


@pytest.mark.parametrize("validation_share", [None, 0.1])
def test_every_sentence_is_tested_once_over_all_folds(corpus, validation_share):
    path = corpus(*[1, 7, 2, 9, 4, 3, 5, 8, 6, 2] * 4)  # 188 sentences
    options = {"task": "ner", "folds": 5, "seed": 7, "validation_share": validation_share}
    runs = [load_tagging_dataset(path, fold=fold, **options) for fold in range(5)]
    tested = [word for run in runs for word in words(run["test"])]
    assert len(tested) == len(set(tested)) == 188
    for run in runs:
        assert abs(len(run["test"]) - 188 / 5) < 9  # never further off than the largest document
        assert sorted(word for part in run.values() for word in words(part)) == sorted(tested)
        documents = [set(part["document_id"]) for part in run.values()]
        assert sum(map(len, documents)) == len(set.union(*documents)) == 40
    if validation_share:
        held = [frozenset(words(run["validation"])) for run in runs]
        assert len(set(held)) == 5  # another validation split in every fold
        assert all(0.1 * 188 <= len(part) < 0.1 * 188 + 9 for part in held)


def test_folds_of_sentences_where_there_are_no_documents(corpus, tmp_path, caplog):
    path = tmp_path / "plain.txt"
    path.write_text("".join(f"w{number} O\n\n" for number in range(12)))
    assert [len(load_tagging_dataset(path, task="ner", folds=5, fold=i)["test"]) for i in range(5)] == [2, 3, 2, 3, 2]
    with caplog.at_level(logging.INFO):
        single = load_tagging_dataset(corpus(12), task="ner", folds=12, fold=11)
    assert sizes(single) == {"train": 11, "test": 1}
    assert "single document" in caplog.text
    assert "held out 1 of 12 documents of train as test (fold 11 of 12, seed 42)" in caplog.text


def test_one_large_document_leaves_no_fold_empty(corpus):
    path = corpus(1, 1, 40, 1)
    folds = [load_tagging_dataset(path, task="ner", folds=4, fold=fold, seed=5)["test"] for fold in range(4)]
    assert sorted(map(len, folds)) == [1, 1, 1, 40]


def test_a_share_leaves_documents_for_the_other_splits(corpus):
    dataset = load_tagging_dataset(corpus(5, 5, 5), task="ner", test_share=0.8, validation_share=0.1)
    assert sizes(dataset) == {"train": 5, "validation": 5, "test": 5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold": 0}, r"fold: 0 of how many\? Give folds too"),
        ({"folds": 5}, r"folds: 5, and which one is the test split\? Give fold, from 0 to 4"),
        ({"folds": 5, "fold": 5}, r"fold: 5 is not from 0 to 4, with 5 folds"),
        ({"folds": 5, "fold": -1}, r"fold: -1 is not from 0 to 4"),
        ({"folds": 1, "fold": 0}, r"folds: 1 is below 2"),
        ({"folds": 5, "fold": 0, "test_share": 0.1}, r"folds, test_share: give one of the two"),
        ({"test_share": 0.0}, r"test_share=0.0: expected a share between 0 and 1"),
        ({"test_share": 0.5, "validation_share": 0.5}, r"validation_share: 0.5 leaves nothing to train on"),
        ({"folds": 2, "fold": 0, "validation_share": 0.5}, r"validation_share: 0.5 leaves nothing to train on"),
        ({"folds": 4, "fold": 0}, r"folds=4: .*all.txt has 3 documents; expected at least 4"),
    ],
)
def test_what_cannot_be(corpus, options, message):
    path = corpus(2, 2, 2)
    with pytest.raises(DataError, match=message):
        load_tagging_dataset(path, task="ner", **options)


def test_a_fold_that_leaves_nothing_to_validate_on(corpus):
    path = corpus(30, 1, 1)
    options = {"task": "ner", "folds": 2, "validation_share": 0.1}
    outcomes = []
    for fold in range(2):
        try:
            outcomes.append(sizes(load_tagging_dataset(path, fold=fold, **options)))
        except DataError as error:
            outcomes.append(str(error).split(": ")[1])
    told = "beside the test split one document is left; expected one to train on and one to validate on"
    assert {"train": 1, "validation": 1, "test": 30} in outcomes
    assert told in outcomes


def test_splits_that_are_there_or_are_not(corpus):
    train, test = corpus(2, 2, name="train.txt"), corpus(2, 2, name="test.txt")
    for options in ({"test_share": 0.5}, {"folds": 2, "fold": 0}):
        with pytest.raises(DataError, match="has a test split of its own; leave one of them out"):
            load_tagging_dataset(task="ner", train_file=train, test_file=test, **options)
        with pytest.raises(DataError, match="has no train split"):
            load_tagging_dataset(task="ner", validation_file=test, **options)
    with pytest.raises(DataError, match=r"validation_share=0.2 test_share=0.2: .* has 2 documents; expected .* 3"):
        load_tagging_dataset(train, task="ner", validation_share=0.2, test_share=0.2)


def test_flags_reach_the_loader(corpus):
    path = corpus(*[3] * 10)
    argv = ["--dataset", str(path), "--folds", "5", "--fold", "1", "--validation_share", "0.1", "--use_cpu"]
    by_seed = [run_config("ner", [*argv, "--seed", seed]).load_dataset() for seed in ("1", "2")]
    assert words(by_seed[0]["test"]) != words(by_seed[1]["test"])
    by_split_seed = [
        run_config("ner", [*argv, "--split_seed", "9", "--seed", seed]).load_dataset() for seed in ("1", "2")
    ]
    assert words(by_split_seed[0]["test"]) == words(by_split_seed[1]["test"])
    assert sizes(by_split_seed[0]) == {"train": 21, "validation": 3, "test": 6}
    mentions = run_config("ner", ["--dataset", str(path), "--sentence_start", "mention", "--use_cpu"])
    assert sizes(mentions.load_dataset())["train"] < 30  # the corpus has blank lines and no mention


@pytest.mark.parametrize(
    ("flags", "seed"),
    [
        ("", 42),
        ("--seed 1", 1),
        ("--seed 1 --data_seed 2", 2),
        ("--seed 1 --data_seed 2 --split_seed 3", 3),
        ("--seed 1 --split_seed 0", 0),
    ],
)
def test_which_seed_draws_the_splits(flags, seed):
    common = ["--validation_share", "0.1", "--use_cpu", *flags.split()]
    assert run_config("ner", ["--dataset", "sample", *common]).split_seed == seed
    text = PretrainingConfig.from_command_line(["--text_file", __file__, *common])
    assert text.split_seed == seed


def test_the_seed_of_the_splits_leaves_the_order_of_batches_to_the_seed(corpus, tmp_path):
    path, folder = corpus(*[3] * 30), tiny_bert(tmp_path / "model")

    def held_out_and_first_batch(*flags):
        argv = ["--dataset", str(path), "--test_share", "0.2", "--output_dir", str(tmp_path / "run"), "--use_cpu"]
        args = run_config("ner", [*argv, *flags])
        set_seed(args.training.seed)
        dataset = args.load_dataset()
        schema = TagSchema.detect(dataset, task="ner")
        model, tokenizer = load_encoder(str(folder), schema)
        splits = align_dataset(dataset, tokenizer, schema)
        trainer = TaggingTrainer(
            model=model, args=args.training, train_dataset=splits["train"], processing_class=tokenizer
        )
        return words(dataset["test"]), next(iter(trainer.get_train_dataloader()))["input_ids"].tolist()

    (test, first), (same_test, other) = (
        held_out_and_first_batch("--split_seed", "9", "--seed", seed) for seed in ("1", "2")
    )
    assert test == same_test
    assert first != other
    assert held_out_and_first_batch("--split_seed", "9", "--seed", "1") == (test, first)


def test_mistakes_in_flags_are_told_together():
    argv = ["--folds", "5", "--fold", "7", "--test_share", "2", "--sentence_start", "blanc", "--use_cpu"]
    with pytest.raises(ConfigError) as told:
        run_config("pos", argv)
    for line in (
        "test_share: 2.0 is not between 0 and 1",
        "--folds, --test_share: give one of the two",
        "--sentence_start: 'blanc' is not one of blank, mention; did you mean blank?",
    ):
        assert line in str(told.value)
    with pytest.raises(ConfigError, match="fold: 7 is not from 0 to 4, with 5 folds"):
        run_config("pos", ["--folds", "5", "--fold", "7", "--use_cpu"])
    with pytest.raises(ConfigError, match="split_seed: nothing is drawn with it; give one of folds, test_share, valid"):
        run_config("pos", ["--split_seed", "7", "--use_cpu"])
    with pytest.raises(ConfigError, match="split_seed: -1 is below 0"):
        run_config("pos", ["--split_seed", "-1", "--test_share", "0.1", "--use_cpu"])
