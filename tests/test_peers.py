"""Other libraries are measured on the data of ours, and what their scripts print becomes the lines of the result."""

import json
import sys
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from tiny_models import tiny_bert

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS / "peers")]

import common  # noqa: E402
import peers  # noqa: E402
import use_ours  # noqa: E402
import work  # noqa: E402

from hf_tagging.data import TagSchema, load_tagging_dataset  # noqa: E402
from hf_tagging.errors import ConfigError  # noqa: E402

TAGS = ("O", "B-PER", "I-PER", "B-LOC")
WORDS = [["maria", "#", "loves", '"'], ["jordan"]]
GOLD = [["B-PER", "I-PER", "O", "O"], ["B-LOC"]]


@pytest.fixture
def corpus():
    features = Features(
        {"tokens": List(Value("string")), "tags": List(ClassLabel(names=TAGS)), "document_id": Value("int64")}
    )
    rows = {"tokens": WORDS, "tags": [[TAGS.index(tag) for tag in tags] for tags in GOLD], "document_id": [0, 0]}
    splits = dict.fromkeys(("train", "validation", "test"), Dataset.from_dict(rows, features=features))
    return common.Corpus("made", DatasetDict(splits), TagSchema(TAGS, "IOB2"))


@pytest.fixture
def file(corpus, tmp_path):
    return peers.write_data(corpus, corpus.dataset["train"], tmp_path / "train.jsonl")


def test_all_sides_read_the_same_sentences(corpus, file):
    assert work.read(file) == (WORDS, GOLD)
    for name in (file, file.with_suffix(".txt")):
        found = load_tagging_dataset(task="ner", train_file=str(name))["train"]
        assert list(found["tokens"]) == WORDS
        assert [[found.features["tags"].feature.int2str(i) for i in tags] for tags in found["tags"]] == GOLD


def test_entities_become_a_tag_for_each_word():
    assert work.tags_of(4, [(0, 2, "PER")]) == GOLD[0]
    assert work.tags_of(3, [(0, 1, "PER"), (1, 3, "PER")]) == ["B-PER", "B-PER", "I-PER"]
    assert work.tags_of(2, []) == ["O", "O"]


def test_tags_of_a_peer_are_scored_by_our_metric(corpus):
    assert peers.score(corpus, "test", GOLD).score == 1.0
    assert peers.score(corpus, "test", [["B-PER", "O", "O", "O"], ["B-LOC"]]).score == 0.5  # one of two, one too short


def test_our_side_trains_and_tags(file, tmp_path, capsys):
    model = str(tiny_bert(tmp_path / "encoder", max_length=128, tags=("LABEL_0", "LABEL_1")))
    flags = ["fit", "--train", file, "--folder", tmp_path / "out", "--epochs", 2, "--model", model]
    work.main(use_ours.fit, use_ours.load, [*map(str, flags), "--config", str(peers.CONFIG)])
    trained = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert trained["sentences_per_second"] == pytest.approx(2 * 2 / trained["seconds"])

    predicted = tmp_path / "predicted.json"
    flags = ["tag", "--file", file, "--folder", tmp_path / "out", "--predicted", predicted]
    work.main(use_ours.fit, use_ours.load, list(map(str, flags)))
    tagged = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert tagged["words_per_second"] == pytest.approx(tagged["sentences_per_second"] * 5 / 2)
    assert tagged["loading_seconds"] > 0
    found = json.loads(predicted.read_text())
    assert [len(tags) for tags in found] == [4, 1]
    assert {tag for tags in found for tag in tags} <= {*TAGS, "I-LOC"}


def test_what_is_finished_is_kept(tmp_path, capsys):
    path, made = tmp_path / "flair.json", []
    for _ in range(2):
        figures = peers.kept(path, {"epochs": 3}, lambda: made.append(1) or {"seconds": 7.5})
        assert figures == {"seconds": 7.5}
    assert made == [1]
    assert "flair: finished before" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"flair\.json: was asked \{'epochs': 3\}, and now \{'epochs': 1\}"):
        peers.kept(path, {"epochs": 1}, dict)


def test_lines_of_the_result(corpus):
    def figures(training, tagging):
        return [{"sentences_per_second": training}] * 2, [{"words_per_second": tagging}] * 2

    measured = {"ours": figures(50, 2000), "spacy": figures(400, 8000), "flair": figures(10, 1000)}
    fits, tags = ({name: pair[i] for name, pair in measured.items()} for i in (0, 1))
    whole = {}
    for name, seconds, predicted in (("ours", 60, GOLD), ("spacy", 90, [GOLD[0], ["O"]])):
        counts = {split: peers.score(corpus, split, predicted) for split in peers.SPLITS}
        scores = {split: c.score for split, c in counts.items()}
        values = {split: c.values.tolist() for split, c in counts.items()}
        whole[name] = {"seconds": seconds, "f1": scores, "counts": values}
    lines = [common.cells(line) for line in peers.compare({"spacy": "spaCy 3.8", "flair": "Flair"}, fits, tags, whole)]
    assert lines[:2] == [
        ("training, one thread", "spaCy 3.8", "50.0 sentences/s", "400 sentences/s", "0.12 x"),
        ("tagging, one thread", "spaCy 3.8", "2,000 words/s", "8,000 words/s", "0.25 x"),
    ]
    assert [line[2:4] for line in lines[2:4]] == [("1.0", "0.6667")] * 2
    assert lines[4][2:] == ("60.0 s", "90.0 s", "1.50 x")
    assert [line[-1] for line in lines[5:]] == ["5.00 x", "2.00 x", "not measured", "not measured"]


def test_a_whole_training_of_a_side_that_does_not_run():
    with pytest.raises(ConfigError, match="--whole flair: is not among --peers spacy"):
        peers.read_flags(["--peers", "spacy", "--whole", "flair"])
