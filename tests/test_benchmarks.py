"""The benchmarks run to their end at a tiny size, and what they measure and print is what they say."""

import json
import re
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fastapi
import numpy as np
import pytest
import torch
import uvicorn
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from tiny_models import tiny_bert
from transformers import AutoTokenizer

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import alignment  # noqa: E402
import annotate  # noqa: E402
import annotating  # noqa: E402
import common  # noqa: E402
import compact  # noqa: E402
import levers  # noqa: E402
import loading  # noqa: E402
import memory  # noqa: E402
import packing  # noqa: E402
import quality  # noqa: E402
import render  # noqa: E402
import rules  # noqa: E402
import scaling  # noqa: E402
import serving  # noqa: E402
import small  # noqa: E402
import streaming  # noqa: E402
import suspects  # noqa: E402
import tagging  # noqa: E402
import trainers  # noqa: E402
import training  # noqa: E402

from hf_tagging.comparison.page import write_comparison  # noqa: E402
from hf_tagging.comparison.result import Comparison, Cost, Row  # noqa: E402
from hf_tagging.data import TagSchema  # noqa: E402
from hf_tagging.errors import ConfigError, TaggingError  # noqa: E402

TAGS = ("O", "B-PER", "I-PER")
RESULT = {
    "benchmark", "device", "finished", "machine", "versions", "git_revision", "arguments", "data", "lines", "figures",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("model"), max_length=128)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """An encoder: of a tagger, ours would keep the rows of shared tags, and the stock Trainer would not."""
    return tiny_bert(tmp_path_factory.mktemp("encoder"), max_length=128, tags=("LABEL_0", "LABEL_1"))


@pytest.fixture
def corpus():
    """Three sentences and an empty one; 5 words, of a subword each or spelled."""
    features = Features(
        {"tokens": List(Value("string")), "tags": List(ClassLabel(names=TAGS)), "document_id": Value("int64")}
    )
    split = Dataset.from_dict(
        {
            "tokens": [["jordan", "loves"], [], ["maria"], ["the", "xy"]],
            "tags": [[1, 0], [], [1], [0, 0]],
            "document_id": [0, 0, 0, 0],
        },
        features=features,
    )
    return common.Corpus("made", DatasetDict(train=split), TagSchema(TAGS, "IOB2"))


def flags(model, out, *more):
    return ["--data", "sample", "--model", str(model), "--device", "cpu", "--output", str(out), *map(str, more)]


def result(out, name):
    found = json.loads((out / f"{name}-cpu.json").read_text())
    assert found.keys() == RESULT
    assert (found["benchmark"], found["device"]) == (name, "cpu")
    assert found["machine"]["threads"] == torch.get_num_threads()
    assert found["arguments"]["output"] == out.name, "a folder of this machine stands in the result"
    return found


def sides_of(found):
    """What each line says of itself, without its figures."""
    return [(line["what"], line["against"]) for line in found["lines"]]


# Rounds and lines


def test_every_other_round_runs_in_the_opposite_order(capsys):
    ran = []
    sides = {name: lambda name=name: ran.append(name) or {"seconds": float(len(ran))} for name in "abc"}
    figures = common.alternate(sides, 3)
    assert "".join(ran) == "abccbaabc"
    assert common.column(figures["b"], "seconds") == [2.0, 5.0, 8.0]
    assert "round 2 of 3, c: seconds 4" in capsys.readouterr().out


def test_a_ratio_is_taken_within_each_round():
    line = common.row("training", "peer", [20, 30, 100], [10, 10, 40], note="batch 8")
    assert line["ratio"] == {"median": 2.5, "low": 2.0, "high": 3.0}
    assert (line["ours"], line["peer"]) == (30, 10)
    assert common.cells(line) == (
        "training", "peer", "30.0 sentences/s", "10.0 sentences/s (batch 8)", "2.50 x (2.00 to 3.00)",
    )  # fmt: skip


def test_less_is_better_turns_the_ratio_round():
    assert common.row("", "", [5], [10], less_is_better=True)["ratio"]["median"] == 2.0


@pytest.mark.parametrize(
    ("show", "ours", "text"), [("share", [55, 50], "52 % (50 to 55)"), ("growth", [103, 103], "+3.0 %")]
)
def test_how_a_ratio_is_written(show, ours, text):
    assert common.cells(common.row("", "", ours, [100, 100], show=show))[-1] == text


def test_what_was_not_measured_says_so():
    assert common.cells(common.missing("tagging", "spaCy", "not installed"))[-1] == "not installed"


def test_sentences_are_drawn_with_a_seed_and_again_where_they_run_out(corpus):
    drawn = corpus.draw("train", 7, seed=1)
    assert len(drawn) == 7
    assert drawn["tokens"] == corpus.draw("train", 7, seed=1)["tokens"]
    assert drawn["tokens"][:3] == drawn["tokens"][3:6]
    assert sorted(drawn["tokens"][:3]) == [["jordan", "loves"], ["maria"], ["the", "xy"]]  # none is empty
    assert drawn.features == corpus.dataset["train"].features


def test_a_matrix_product_has_a_rate():
    assert 1e8 < common.matmul_rate("cpu") < 1e15


def test_parameters_that_are_looked_up_do_not_count():
    module = torch.nn.Sequential(torch.nn.Embedding(100, 3), torch.nn.Linear(3, 2))
    assert common.parameters_of_matrices(module) == 3 * 2 + 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(model, tmp_path):
    with pytest.raises(ConfigError, match="--device cuda: PyTorch finds no GPU here"):
        tagging.main(["--data", "sample", "--device", "cuda"])


# The two sides


def test_both_sides_start_from_the_same_weights_and_count_the_same_words(corpus, encoder, tmp_path):
    options = {"model": str(encoder), "device": "cpu", "seed": 3, "folder": str(tmp_path)}
    dataset = DatasetDict(train=corpus.draw("train", 6, seed=0))
    ours = trainers.our_trainer(dataset, corpus.schema, flags=(*trainers.ONE_EPOCH, "--casing", "none"), **options)
    stock = trainers.stock_trainer(dataset, corpus.schema, num_train_epochs=1, **options)
    theirs = stock.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.model.state_dict().items())
    counts = []
    for trainer in (ours, stock):
        speed = trainer.train_timed(0)
        counts.append(torch.stack(trainer._counted).sum(0).tolist())
        assert speed["subwords_per_second"] / speed["sentences_per_second"] == pytest.approx(counts[-1][1] / 6)
    assert counts[0] == counts[1] == [6, sum(map(len, stock.features["train"]["input_ids"]))]


def test_the_usual_loop_labels_first_subwords(corpus, model):
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = trainers.usual_features(corpus.dataset["train"].select([3]), tokenizer)
    assert tokenizer.convert_ids_to_tokens(rows[0]["input_ids"]) == ["[CLS]", "the", "x", "##y", "[SEP]"]
    assert rows[0]["labels"] == [-100, 0, 0, -100, -100]


def test_too_few_sentences_for_the_steps_that_do_not_count(corpus, model, tmp_path):
    options = {"model": str(model), "device": "cpu", "seed": 3, "folder": str(tmp_path)}
    trainer = trainers.stock_trainer(corpus.dataset, corpus.schema, num_train_epochs=1, **options)
    with pytest.raises(ConfigError, match="they make 1 steps, and the first 3 do not count"):
        trainer.train_timed(3)


def test_words_that_truncation_drops_count_as_o(model):
    tokenizer = AutoTokenizer.from_pretrained(model, model_max_length=5)
    words = Dataset.from_dict({"tokens": [["the", "\u200b", "xy", "the"], ["a"]]})
    labels = np.array([[0, 1, 2, 1, 0], [0, 2, 0, 0, 0]])  # [CLS] the x ##y [SEP], and [CLS] a [SEP]
    read = quality.read_first_subwords(words, labels, tokenizer, TAGS)
    assert read == [["B-PER", "O", "I-PER", "O"], ["I-PER"]]


def test_a_target_is_reached_at_an_evaluation_and_never_between_two():
    curve = {"curve": [{"seconds": 10, "f1": 0.5}, {"seconds": 20, "f1": 0.9}, {"seconds": 30, "f1": 0.8}]}
    assert [quality.seconds_until(curve, f1) for f1 in (0.5, 0.7, 0.9, 0.95)] == [10, 20, 20, None]


# Every script


@pytest.mark.slow
def test_training(model, tmp_path):
    training.main(flags(model, tmp_path, "--sentences", 40, "--rounds", 2, "--warm_up", 1, "--stock_batch", 8,
                        "--ours", "tokens_per_batch=256"))  # fmt: skip
    found = result(tmp_path, "training")
    assert sides_of(found)[0] == ("training", "stock Trainer, batch 8")
    assert ("training, stock Trainer, batch 8", "the machine's float32 matrix-multiply rate") in sides_of(found)
    assert ("training, without case markers", "stock Trainer, batch 8") in sides_of(found)
    sides = {"training", "training, without case markers", "stock Trainer, batch 8", "matrix multiplication"}
    assert set(found["figures"]) == sides
    assert [len(rounds) for rounds in found["figures"].values()] == [2, 2, 2, 2]
    assert found["data"]["sentences"] == 40


def test_a_flag_of_our_side_that_there_is_not(model, tmp_path):
    with pytest.raises(ConfigError, match="did you mean --tokens_per_batch"):
        training.main(flags(model, tmp_path, "--sentences", 8, "--ours", "tokens_per_bach=256"))
    with pytest.raises(ConfigError, match="--ours bf16: expected name=value"):
        training.main(flags(model, tmp_path, "--ours", "bf16"))


def test_tagging(model, tmp_path):
    tagging.main(flags(model, tmp_path, "--sentences", 20, "--rounds", 1, "--batches", 4, "--exported", model))
    found = result(tmp_path, "tagging")
    expected = [
        ("tagging", "pipeline at its default"),
        ("tagging", "pipeline at its best batch size"),
        ("tagging, float32", "pipeline at its default"),
        ("tagging, float32", "pipeline at its best batch size"),
        ("tagging, exported model", "pipeline at its default"),
        ("tagging, exported model", "pipeline at its best batch size"),
        ("tagging", "spaCy, default tagger"),
        ("tagging", "Flair, default LSTM-CRF"),
        ("tagging: tags of float32", "tagging, float32"),
        ("tagging: F1", "tagging, float32"),
        ("tagging, exported model: tags of float32", "tagging, float32"),
        ("tagging, exported model: F1", "tagging, float32"),
        ("tagging, float32", "the machine's float32 matrix-multiply rate"),
    ]
    assert sides_of(found) == expected
    assert [line["ratio"]["median"] for line in found["lines"] if line.get("show") == "agreement"] == [1.0, 1.0]
    assert all("missing" not in line for line in found["lines"][:6])


def test_tagging_without_an_exported_model():
    speed = {"ours": [60.0, 80.0], "pipeline at its default": [10.0, 10.0], "pipeline, batch 8": [20.0, 20.0]}
    lines = tagging.compare(speed)
    assert [line.get("missing", line.get("note")) for line in lines] == [
        "", "batch 8", *["not measured"] * 4, "not installed", "not installed",
    ]  # fmt: skip
    assert [lines[0]["ratio"]["median"], lines[1]["ratio"]["median"]] == [7.0, 3.5]


def test_alignment(model, tmp_path):
    given = flags(model, tmp_path, "--sentences", 60, "--rounds", 1, "--batch", 8)
    alignment.main([flag for flag in given if flag not in ("--device", "cpu")])
    whats = [what for what, _ in sides_of(result(tmp_path, "alignment"))]
    assert whats == ["alignment", "collation", "words to batch tensors"]


def test_quality_goes_on_where_it_was(encoder, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text("task: ner\nnum_train_epochs: 1\n")
    given = flags(encoder, tmp_path, "--seeds", 1, 2, "--config", config, "--sentences", 16, "--evaluations", 2)
    given += ["--target", "0.0001", "--work", str(tmp_path / "work")]
    quality.main(given)
    found = result(tmp_path, "quality")
    assert [(what, line["missing"]) for what, line in zip(sides_of(found), found["lines"], strict=True)
            if "missing" in line] == []  # fmt: skip
    assert sides_of(found)[:2] == [
        ("NER, validation F1, 2 seeds", "stock Trainer"),
        ("NER, test F1, 2 seeds", "stock Trainer"),
    ]
    epochs = {side: [point["epoch"] for point in runs[0]["curve"]] for side, runs in found["figures"].items()}
    assert epochs == {"ours": [0.5, 1.0], "stock Trainer": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]}
    assert capsys.readouterr().out.count("finished before") == 0
    for side in ("ours", "stock"):
        kept = json.loads((tmp_path / "work" / f"{side}-seed-1.json").read_text())
        assert kept["counts"]["validation"] != kept["counts"]["test"], side  # each split's own entities

    (tmp_path / "work" / "stock-seed-2.json").unlink()
    quality.main(given)
    assert capsys.readouterr().out.count("finished before") == 3
    assert result(tmp_path, "quality")["lines"][:2] == found["lines"][:2]  # the same seed, the same weights

    for other in (("--evaluations", "1"), ("--epochs", "1")):
        with pytest.raises(ConfigError, match=r"ours-seed-1\.json: was asked"):
            quality.main([*given, *other])


@pytest.mark.slow
def test_loading(tmp_path):
    given = ["--data", "sample", "--output", tmp_path, "--rounds", 1, "--megabytes", 1, 2, "--before", sys.executable]
    loading.main([str(flag) for flag in given])
    found = result(tmp_path, "loading")
    assert sides_of(found)[:2] == [("reading, column file", loading.USUAL), ("reading, column file", loading.BEFORE)]
    assert ("reading, file of 2 MB", "file of 1 MB") in sides_of(found)
    words = [figures[0]["words"] for figures in found["figures"].values()]
    assert words[:3] == [words[0]] * 3
    assert words[4] == pytest.approx(2 * words[3], rel=0.1)


def test_suspects(model, tmp_path):
    words = [["Maria", "waved", "to", "Two", "Old", "Ships"]] * 40
    gold = [["B-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC"]] * 40
    spoiled = suspects.spoil(words, gold, 0.3, seed=1)
    changed = sum(suspects.differences(*pair) for pair in zip(spoiled, gold, strict=True))
    assert 0.3 <= changed / 240 < 0.33
    assert all(tag == "O" or tag[:2] in ("B-", "I-") for tags in spoiled for tag in tags)
    wrong = np.array([True, False, True, False] * 10)
    assert suspects.measure(wrong.astype(float), wrong) == {"average_precision": 1.0, "first": 0.2}

    suspects.main(["--data", "sample", "--run", str(model), "--seeds", "1", "--output", str(tmp_path)])
    assert sides_of(result(tmp_path, "suspects")) == [
        ("annotation errors, average precision", suspects.PEER),
        ("annotation errors, found in the first 10%", suspects.PEER),
    ]


def test_small(model, tmp_path):
    small.main(flags(model, tmp_path, "--teacher", model, "--rounds", 1))
    found = result(tmp_path, "small")
    threads = f"{torch.get_num_threads()} threads"
    assert [what for what, _ in sides_of(found)] == [
        "small tagger: NER, test F1",
        f"small tagger: tagging, {threads}",
        "small tagger: tagging, of processor time",
    ]
    assert found["lines"][0]["ratio"]["median"] == 0  # one model is its own teacher
    assert all(line["ours"] > 0 for line in found["lines"][1:])
    with pytest.raises(ConfigError, match="--teacher minilm: is no trained tagger"):
        small.main(flags(model, tmp_path, "--teacher", "minilm"))


@pytest.mark.slow
def test_memory(model, tmp_path):
    given = ["--sentences", 16, "--corpus", 20, "--steps", 2, "--rounds", 1, "--copies", 1, 2, "--tags", 9, 30]
    memory.main(flags(model, tmp_path, *given))
    found = result(tmp_path, "memory")
    assert sides_of(found) == [
        ("memory, training, corpus x 2", "corpus x 1"),
        ("memory, training, corpus x 2, without files", "corpus x 1"),
        ("memory, evaluation, 30 tags", "9 tags"),
        ("memory, evaluation by stock Trainer, 30 tags", "9 tags"),
        ("memory, evaluation, 30 tags", "stock Trainer"),
    ]
    assert all(100 < line["ours"] < 10_000 for line in found["lines"])


@pytest.mark.slow
def test_annotating(encoder, tmp_path, capsys):
    given = ["--sentences", 40, "--start", 6, "--add", 4, "--rounds", 2, "--tested", 8, "--steps", 2, "--epochs", 1]
    given += ["--freeze_layers", 1, "--seeds", 1, 2, "--work", tmp_path / "work"]
    annotate.main(flags(encoder, tmp_path, *given))
    found = result(tmp_path, "annotate")
    assert sides_of(found) == [
        ("6 sentences by uncertainty, test F1, 2 seeds", "random"),
        ("10 sentences by uncertainty, test F1, 2 seeds", "random"),
        ("14 sentences by uncertainty, test F1, 2 seeds", "random"),
    ]
    chance, ours = (found["figures"][side] for side in ("random", "uncertainty"))
    assert [point["sentences"] for point in ours[1]] == [6, 10, 14]
    assert ours[0][0] == chance[0][0], "both begin with the same sentences and the same tagger"
    assert render.render_annotating(found).count("\n") == 4
    capsys.readouterr()
    annotate.main(flags(encoder, tmp_path, *given))
    assert capsys.readouterr().out.count("finished before") == 2
    with pytest.raises(ConfigError, match=r"seed-1\.json: was asked for with"):
        annotate.main(flags(encoder, tmp_path, *given, "--steps", 3))


@pytest.mark.slow
def test_annotating_a_corpus(model, tmp_path):
    annotating.main(flags(model, tmp_path, "--sentences", 300, "--rounds", 1, "--growth", 200, 400))
    found = result(tmp_path, "annotating")
    assert sides_of(found) == [
        ("annotating by 2 workers", "twice 1 worker"),
        ("annotating by 1 worker", "a loop over pipeline"),
        ("annotating by 1 worker", "datasets.map over pipeline"),
        ("annotating by 2 workers", "a loop over pipeline"),
        ("annotating by 2 workers", "datasets.map over pipeline"),
        ("annotating 400 sentences", "200 sentences"),
        ("memory of a worker, 400 sentences", "200 sentences"),
        ("memory of the process that hands out shards, 400 sentences", "200 sentences"),
    ]
    assert found["figures"]["400 sentences"]["worker_memory"] > 2**26


def test_rounds_of_annotation_are_a_table():
    def rounds(*scores):
        return [{"sentences": 50 * n, "words": 600 * n, "f1": f1} for n, f1 in enumerate(scores, 1)]

    figures = {"random": [rounds(0.5, 0.6), rounds(0.5, 0.5)], "uncertainty": [rounds(0.5, 0.7), rounds(0.5, 0.5)]}
    lines = render.render_annotating({"figures": figures}).splitlines()
    assert lines[0] == "| sentences | F1, random | words | F1, by uncertainty | words | difference | by seed |"
    expected = "| 100 | 0.550 ± 0.071 | 1,200 | 0.600 ± 0.141 | 1,200 | +0.050 | +0.100, +0.000 |"
    assert re.sub(r" +", " ", lines[3]) == expected


def test_compact(model, tmp_path):
    small = ("--rounds", 1, "--steps", 1, "--large_steps", 1, "--rows", 2000, "--layers", 1)
    compact.main(flags(model, tmp_path, *small))
    found = result(tmp_path, "compact")
    names = (model.name, compact.LARGE)
    assert sides_of(found) == [
        (f"{what}, {name}", "all rows")
        for name in names
        for what in ("step of training", "memory of gradients and optimizer", "peak memory")
    ]
    line = next(
        line for line in found["lines"] if line["what"] == f"memory of gradients and optimizer, {compact.LARGE}"
    )
    left_out = (line["peer"] - line["ours"]) * 1e6 / (3 * 4 * 768)  # a gradient and two moments of 4 bytes a weight
    tokenizer = AutoTokenizer.from_pretrained(model)
    assert 2000 - len(tokenizer) <= left_out <= 2000 - 50


def test_rules(model, tmp_path):
    rules.main(flags(model, tmp_path, "--rounds", 1, "--sentences", 5, "--phrases", 50))
    found = result(tmp_path, "rules")
    alone = "tagging by the model alone"
    assert sides_of(found) == [
        ("matching 50 phrases", alone),
        ("tagging with 50 phrases, after the model", alone),
        ("tagging with 50 phrases, before the model", alone),
    ]
    assert set(found["figures"]) == {"matching", "tagging", "before", "after", "loading", "matched"}
    (loading,) = found["figures"]["loading"]
    assert loading["seconds"] > 0


def test_levers(model, tmp_path):
    levers.main(flags(model, tmp_path, "--rounds", 3, "--words", 9))
    found = result(tmp_path, "levers")
    assert sides_of(found) == [
        (f"step of training{where}", part) for where in ("", ", sentences of 9 words") for part in levers.CHANGES
    ]
    assert [len(seconds) for seconds in found["figures"]["all"].values()] == [3] * 6


def test_words_cut_anew_are_the_same_words(corpus):
    cut = levers.pieces(corpus.dataset["train"], 2)
    assert list(cut["tokens"]) == [["jordan", "loves"], ["maria", "the"]]
    assert list(cut["tags"]) == [[1, 0], [1, 0]]
    with pytest.raises(ConfigError, match="--words 6: the data has 5 words"):
        levers.pieces(corpus.dataset["train"], 6)


def test_packing(model, tmp_path):
    packing.main(flags(model, tmp_path, "--sentences", 40, "--rounds", 1, "--rows", 128, 256))
    found = result(tmp_path, "packing")
    assert [against for _, against in sides_of(found)] == [packing.BY_LENGTH] * 2
    assert [what.partition(" (")[0] for what, _ in sides_of(found)] == ["packing, rows of 128", "packing, rows of 256"]


def test_made_up_tags_stand_behind_those_of_the_data():
    schema = TagSchema(TAGS, "IOB2")
    assert memory.with_tags(schema, 6).tags == (*TAGS, "B-TYPE000", "I-TYPE000", "B-TYPE001")
    with pytest.raises(ConfigError, match="--tags 2: the data has 3 tags already"):
        memory.with_tags(schema, 2)


def test_a_point_that_fails_says_why(tmp_path):
    with pytest.raises(TaggingError, match="the data has 9 tags already"):
        memory.command(memory.__file__, "--data", "sample", "--evaluate", "ours", "--tags", 3, folder=tmp_path)


@pytest.mark.slow
def test_scaling(model, tmp_path):
    scaling.main(flags(model, tmp_path, "--sentences", 120, "--rounds", 1, "--warm_up", 1, "--threads", 2))
    found = result(tmp_path, "scaling")
    assert sides_of(found) == [("training, 2 processes", "1 process")]
    assert set(found["figures"]) == {"1 process", "2 processes"}


@pytest.mark.slow
def test_streaming(model, tmp_path):
    streaming.main(flags(model, tmp_path, "--gigabytes", 0.0002, "--shard", 0.1, "--steps", 2))
    ((run,),) = result(tmp_path, "streaming")["figures"].values()
    assert run["files"] >= 2
    assert 0 < run["training_seconds"] < run["seconds"]


# Servers


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: apt-get install wrk")
def test_a_server_is_asked_and_its_refusals_are_counted(tmp_path):
    app, seen = fastapi.FastAPI(), []

    @app.post("/tag")
    async def tag(body: dict, response: fastapi.Response) -> dict:
        seen.append(body["text"])
        response.status_code = 429 if body["text"] == "no" else 200
        return body

    (tmp_path / "bodies.jsonl").write_text('{"text": "a b"}\n{"text": "no"}\n')
    one = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        running = thread.submit(one.run, [listener])
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        found = serving.asked(address, tmp_path / "bodies.jsonl", words=2, clients=4, seconds=1)
        one.should_exit = True
        running.result()
    assert {*seen} == {"a b", "no"}
    assert found["refused"] == pytest.approx(len(seen) / 2, abs=8)
    assert found["words_per_second"] == pytest.approx(len(seen), rel=0.5)
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    assert found["failed"] == 0


def test_servers_are_compared_for_each_number_of_clients():
    def rounds(words, milliseconds):
        return [
            {"words_per_second": words, "p50_ms": milliseconds, "p99_ms": 2 * milliseconds, "refused": 1, "failed": 0}
        ]

    figures = {f"{serving.OURS}, {n}": rounds(60 * n, 1) for n in serving.CLIENTS}
    figures |= {f"{serving.PLAIN}, {n}": rounds(10 * n, 3) for n in serving.CLIENTS}
    lines = serving.compare(figures, [serving.OURS])
    assert [line["what"] for line in lines[:3]] == [
        "serving, 1 client",
        "serving, 1 client: p50",
        "serving, 1 client: p99",
    ]
    assert [line["ratio"]["median"] for line in lines] == [6, 3, 3] * 3
    table = render.render_serving(a_result(lines) | {"figures": figures | {"memory": {}}}).splitlines()
    assert table[4] == "| serving | 64 | 3,840 | 1.0 ms | 2.0 ms | 1 | 0 |"
    assert len(table) == 8
    grown = serving.line_of_memory([90, 90, *[100] * 16, 101, 101], 10)
    assert (grown["ours"], grown["peer"], grown["what"]) == (101, 100, "memory after 10 min, 64 clients")


# The table


def a_result(lines, device="cpu"):
    machine = {"processor": "Fast One", "threads": 2, "gpus": ["Big GPU"]}
    versions = {"torch": "2.13.0", "transformers": "5.23.0"}
    data = {"name": "conll2003", "sentences": 1000}
    return {
        "benchmark": "training", "device": device, "machine": machine, "versions": versions, "data": data,
        "arguments": {"rounds": 3}, "lines": lines,
    }  # fmt: skip


def test_the_table_in_the_page(tmp_path):
    page, results = tmp_path / "page.md", tmp_path / "results"
    results.mkdir()
    page.write_text("before\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nafter\n")
    line = common.row("training", "stock Trainer, batch 8", [30, 30, 31], [10, 10, 10])
    (results / "training-cpu.json").write_text(json.dumps(a_result([line])))
    arguments = ["--page", str(page), "--results", str(results)]
    render.main(arguments)
    text = page.read_text()
    lines = text.split("\n")
    assert lines[0] == "before"
    assert lines[-2:] == ["after", ""]
    shown = "| training | CPU | stock Trainer, batch 8 | 30.0 sentences/s | 10.0 sentences/s | 3.00 x (3.00 to 3.10) |"
    assert lines[4] == shown
    assert lines[5] == "| training | GPU |  |  |  | not measured |"
    assert "| alignment | CPU |  |  |  | not measured |" in lines
    assert not any(line.startswith("| alignment | GPU") for line in lines)
    known = "- CPU: Fast One, 2 threads; torch 2.13.0, transformers 5.23.0: training (3 rounds of 1,000 sentences of"
    assert f"{known} conll2003)." in lines
    assert "old" not in text

    render.main(arguments)
    assert page.read_text() == text, "a second call changed the page"

    (results / "training-cuda.json").write_text(json.dumps(a_result([line], "cuda")))
    render.main(arguments)
    assert "- GPU: Big GPU; torch 2.13.0" in page.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing here\n", "expected at least one table between <!-- NAME -->"),
        ("<!-- benchmarks -->\n", "expected <!-- benchmarks --> once and <!-- /benchmarks --> once below it"),
        ("<!-- /benchmarks -->\n<!-- benchmarks -->\n", "expected <!-- benchmarks --> once and"),
    ],
)
def test_a_page_without_its_place_is_left_alone(text, message, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ConfigError, match=message):
        render.main(["--page", str(page), "--results", str(tmp_path)])
    assert page.read_text() == text


@pytest.mark.parametrize("name", ["training-cpu.json", "comparisons/runs.json", "comparisons/mine.json"])
def test_a_file_that_is_no_result_is_named(name, tmp_path):
    (tmp_path / "comparisons").mkdir()
    (tmp_path / name).write_text('{"metric": "accuracy"}')
    with pytest.raises(ConfigError, match=rf"{name}: is not a"):
        render.render_all(tmp_path)


def test_a_comparison_as_the_recipe_writes_it_becomes_a_table(tmp_path):
    cost = Cost(parameters=1_070_000, training_seconds=1.25, words_per_second=54829.2)
    first = Row("hmm", score=0.94224, interval=(0.93971, 0.94449), cost=cost)
    second = Row("mlp", score=0.9414, deviation=0.0004, interval=(0.9391, 0.9436), difference=-0.0008, p_value=0.4096)
    write_comparison(Comparison("pos", "test", "hmm", (first, second)), tmp_path)
    rows = render.render_comparison(json.loads((tmp_path / "comparison.json").read_text())).splitlines()
    assert rows[2] == "| hmm | 0.9422 | 0.9397 to 0.9445 |  |  | 1.07 M | 1.25 s | 54,829 |"
    assert rows[3] == "| mlp | 0.9414 ± 0.0004 | 0.9391 to 0.9436 | -0.0008 | 0.41 |  |  |  |"


def test_the_tables_of_the_pages_are_those_of_the_results(tmp_path):
    copies = [tmp_path / page.name for page in render.PAGES]
    for page, copy in zip(render.PAGES, copies, strict=True):
        copy.write_text(page.read_text())
    render.main(["--page", *map(str, copies)])
    for page, copy in zip(render.PAGES, copies, strict=True):
        assert copy.read_text() == page.read_text(), f"{page.name}; type: python benchmarks/render.py"
    placed = {name for page in render.PAGES for name in re.findall(r"<!-- /(\w+) -->", page.read_text())}
    assert placed == set(render.render_all(render.RESULTS))
    assert (ROOT / "docs/benchmarks.md").read_text().count("\n| ") >= 50
    assert (ROOT / "docs/results.md").read_text().count("\n| ") >= 30


def test_published_comparisons_say_where_they_come_from():
    found = [json.loads(path.read_text()) for path in (ROOT / "benchmarks/results/comparisons").glob("*.json")]
    assert len(found) >= 6
    for comparison in found:
        assert comparison["command"]
        assert re.search(r"README\.md|run\.json|export\.json", comparison["source"])
