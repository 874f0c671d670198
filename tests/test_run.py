"""A run's folder: what it leaves, what it refuses, what survives a kill."""

import errno
import json
import os
import re
import signal
import time
from functools import partial

import conlleval
import pytest
import torch
from recipe_runs import record, run_here, run_recipe, start_recipe, weights
from tiny_models import tiny_bert, tiny_roberta
from transformers import pipeline

from hf_tagging import Tagger
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.processes import Terminated
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training.checkpoints import is_complete
from hf_tagging.training.folder import RunFolder

SMALL = ("--dataset", "sample", "--max_train_samples", 80, "--max_eval_samples", 40, "--num_train_epochs", 2,
         "--learning_rate", 1e-2, "--logging_steps", 2, "--use_cpu")  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def ner_run(model, tmp_path_factory):
    """One NER run on the sample, shared by the tests that only look at it."""
    out = tmp_path_factory.mktemp("run") / "ner"
    done = run_recipe("ner_bert", "--model", model, "--output_dir", out, *SMALL, fresh=True)
    return out, done


@pytest.mark.slow
def test_what_a_run_leaves(ner_run):
    out, _ = ner_run
    names = {path.name for path in out.iterdir() if not path.name.startswith("checkpoint-")}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "predictions",
                     "report.html", "results.json", "run.json", "README.md"}  # fmt: skip
    assert {path.name for path in (out / "predictions").iterdir()} == {"validation.conll", "test.conll", "seen.json"}
    config = json.loads((out / "config.json").read_text())
    assert config["id2label"]["0"] == "O"
    assert config["tag_scheme"] == "IOB2"
    run = record(out)
    assert run["status"] == "finished"
    assert run["results"] == json.loads((out / "results.json").read_text())
    assert run["alignment"]["test"]["words"] == run["results"]["test"]["words"]
    assert run["dataset"]["splits"]["train"]["sentences"] == 80
    assert run["scheme"]["source"] == "IOB2"
    assert {"seed", "versions", "hardware", "git_revision", "seconds", "arguments", "parameters"} <= run.keys()
    assert run["model_bytes"] == (out / "model.safetensors").stat().st_size
    assert 10**8 < run["memory"]["process"] < 10**10  # PyTorch alone is more than 100 MB


@pytest.mark.slow
def test_what_a_run_says(ner_run):
    """One line per evaluation, a table at the end, and nothing of the libraries."""
    out, done = ner_run
    evaluations = [line for line in done.stdout.splitlines() if line.startswith("epoch ")]
    assert len(evaluations) == 2
    figures = r"train loss [\d.]+, validation loss [\d.]+, accuracy [\d.]+, precision [\d.]+, recall [\d.]+, f1 [\d.]+"
    assert re.fullmatch(rf"epoch 1/2, step 7: {figures} \(\d+ s\)", evaluations[0])
    assert f"Written to {out}" in done.stdout
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_conlleval_of_the_predictions_is_the_result(ner_run):
    out, _ = ner_run
    for split in ("validation", "test"):
        scored = conlleval.score((out / "predictions" / f"{split}.conll").read_text().split("\n"))
        results = record(out)["results"][split]
        for name in ("precision", "recall", "f1", "accuracy"):
            assert round(scored[name], 4) == round(results[name], 4)


@pytest.mark.slow
def test_pipeline_and_tagger_agree_with_the_predictions(ner_run):
    out, _ = ner_run
    rows = [block.split("\n") for block in (out / "predictions" / "test.conll").read_text().strip().split("\n\n")]
    words = [[line.split(" ")[0] for line in block] for block in rows]
    predicted = [[line.split(" ")[2] for line in block] for block in rows]
    tagger = Tagger.from_pretrained(str(out))
    assert tagger.tag(words) == predicted
    tag = pipeline("token-classification", model=str(out), aggregation_strategy="none", ignore_labels=[])
    short = [i for i, sentence in enumerate(words) if len(" ".join(sentence)) < 50]  # the pipeline cuts longer ones
    assert len(short) > 5
    for sentence, tags in ((words[i], predicted[i]) for i in short):
        found = {item["start"]: item["entity"] for item in tag(" ".join(sentence))}
        starts = [sum(len(word) + 1 for word in sentence[:i]) for i in range(len(sentence))]
        assert [found[start] for start in starts] == tags


@pytest.mark.slow
def test_a_folder_with_a_run_is_refused_and_nothing_is_touched(ner_run, model):
    out, _ = ner_run
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    done = run_recipe("ner_bert", "--model", model, "--output_dir", out, *SMALL, check=False)
    assert done.returncode == 1
    assert "holds a run already" in done.stderr
    assert "--resume" in done.stderr
    assert "--overwrite" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.slow
def test_resume_insists_on_the_same_arguments(ner_run, model):
    out, _ = ner_run
    with pytest.raises(ConfigError, match=r"learning_rate: was 0\.01, is 0\.001"):
        run_here("ner_bert", "--model", model, "--output_dir", out, *SMALL, "--learning_rate", 1e-3, "--resume")


@pytest.mark.slow
def test_overwrite_replaces_the_run_and_leaves_other_files(model, tmp_path):
    out = tmp_path / "run"
    few = (*SMALL, "--max_steps", 2, "--save_strategy", "no", "--eval_strategy", "no")
    run_here("pos_bert", "--model", model, "--output_dir", out, *few)
    (out / "notes.txt").write_text("mine")
    (out / "predictions" / "mine.conll").write_text("mine too")
    (out / "runs").mkdir()
    (out / "tokenizer_notes.txt").write_text("mine as well")
    run_here("pos_bert", "--model", model, "--output_dir", out, *few, "--overwrite", "--seed", 1)
    assert record(out)["seed"] == 1
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "predictions" / "mine.conll").exists()
    assert (out / "runs").is_dir()
    assert (out / "tokenizer_notes.txt").exists()


def test_files_of_others_are_not_written_over(tmp_path):
    """Not even with --overwrite: that is for runs."""
    (tmp_path / "README.md").write_text("mine")
    for resume, overwrite in [(False, False), (True, False), (False, True)]:
        with pytest.raises(OutputError, match=r"holds README\.md, which a run would write over and no run has written"):
            RunFolder(tmp_path).check(resume=resume, overwrite=overwrite)
    (tmp_path / "README.md").unlink()
    (tmp_path / "notes.txt").write_text("harmless")
    RunFolder(tmp_path).check(resume=False, overwrite=False)


@pytest.mark.slow
def test_resume_insists_on_the_same_data(model, tmp_path):
    corpus = tmp_path / "train.tsv"
    corpus.write_text("the\tDT\nhouse\tNN\n\n" * 20)
    flags = ("--model", model, "--train_file", corpus, "--max_steps", 2, "--output_dir", tmp_path / "run", "--use_cpu")
    run_here("pos_bert", *flags)
    corpus.write_text("the\tNN\nhouse\tDT\n\n" * 20)
    with pytest.raises(DataError, match="the words or tags of train are not those"):
        run_here("pos_bert", *flags, "--resume")


@pytest.mark.slow
@pytest.mark.parametrize("when", [(), ("--eval_strategy", "steps", "--eval_steps", 4)], ids=["epoch", "steps"])
def test_early_stopping_is_remembered_by_a_resumed_run(model, tmp_path, when):
    """A kill after training, before the model is written: the resumed run must not train on."""
    out = tmp_path / "run"
    flags = ("--model", model, *SMALL, "--num_train_epochs", 9, "--early_stopping_patience", 1, "--output_dir", out,
             "--early_stopping_threshold", 2.0, *when)  # fmt: skip
    run_here("pos_bert", *flags)
    steps, expected = record(out)["history"][-1]["step"], weights(out)
    (out / "model.safetensors").unlink()
    run_here("pos_bert", *flags, "--resume")
    assert record(out)["history"][-1]["step"] == steps
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(out).items())


@pytest.mark.failure_mode("killed")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "batches"),
    [
        (1, "--tokens_per_batch 200 --ema_decay 0.9"),
        (2, "--tokens_per_batch 100"),
        (1, "--per_device_train_batch_size 8"),
        (2, "--packing true --tokens_per_batch 128 --ema_decay 0.9 --load_best_model_at_end false"),
    ],
)
def test_killed_and_resumed_is_bit_for_bit_unbroken(model, tmp_path, processes, batches):
    """The checkpoint that it goes on from stands in the middle of an epoch."""
    flags = ("--model", model, *SMALL, "--num_train_epochs", 4, *batches.split(), "--eval_strategy", "steps",
             "--eval_steps", 7)  # fmt: skip
    run = partial(run_recipe, processes=processes) if processes > 1 else run_here
    run("pos_bert", *flags, "--output_dir", tmp_path / "unbroken")
    out = tmp_path / "killed"
    process = start_recipe("pos_bert", *flags, "--output_dir", out, processes=processes)
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoint-14")) and time.monotonic() < deadline:
        time.sleep(0.002)  # the moment its second checkpoint begins to appear: in the middle of writing it
    process.kill()
    assert record(out)["status"] == "running"
    assert not (out / "model.safetensors").exists()
    run("pos_bert", *flags, "--output_dir", out, "--resume")
    expected = weights(tmp_path / "unbroken")
    assert weights(out).keys() == expected.keys()
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(out).items())
    assert record(out)["results"]["test"]["per_tag"] == record(tmp_path / "unbroken")["results"]["test"]["per_tag"]


def test_only_complete_checkpoints_count(tmp_path):
    (tmp_path / "checkpoint-best").mkdir()  # somebody's own: neither counted nor removed
    for step, sizes in {3: {"a.bin": 2}, 20: {"a.bin": 3}, 100: None}.items():
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "a.bin").write_bytes(b"xx")
        if sizes is not None:
            (folder / "complete.json").write_text(json.dumps(sizes))
    assert RunFolder(tmp_path).last_checkpoint() == tmp_path / "checkpoint-3"
    (tmp_path / "checkpoint-20" / "a.bin").write_bytes(b"xxx")
    assert RunFolder(tmp_path).last_checkpoint() == tmp_path / "checkpoint-20"
    (tmp_path / "checkpoint-20" / "a.bin").unlink()
    assert not is_complete(tmp_path / "checkpoint-20")
    assert RunFolder(tmp_path / "nowhere").last_checkpoint() is None


RECORD = {"task": "ner", "status": "running", "arguments": {}, "files": []}


@pytest.mark.parametrize("part", [{"hardware": {"processes": "1"}}, {"hardware": 1}, {"versions": []}, {"dataset": []},
                                  {"dataset": {"splits": 1}}, {"tokens_per_batch": "9"}])  # fmt: skip
def test_a_record_with_a_part_of_another_kind_is_damaged(tmp_path, part):
    (tmp_path / "run.json").write_text(json.dumps(RECORD))
    assert RunFolder(tmp_path).damage() == ""
    (tmp_path / "run.json").write_text(json.dumps(RECORD | part))
    assert RunFolder(tmp_path).damage() == "is damaged, or of another version"


def test_a_record_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(OutputError, match=r"run\.json: is not a file, so it is not known"):
        RunFolder(tmp_path).check(resume=True, overwrite=False)


@pytest.mark.slow
def test_a_record_without_versions_and_hardware_is_resumed(model, tmp_path):
    flags = ("--model", model, "--output_dir", tmp_path, *SMALL, "--max_steps", 2, "--do_predict", "false")
    run_here("pos_bert", *flags)
    kept = {name: value for name, value in record(tmp_path).items() if name not in ("versions", "hardware", "dataset")}
    (tmp_path / "run.json").write_text(json.dumps(kept))
    run_here("pos_bert", *flags, "--resume")
    assert record(tmp_path)["status"] == "finished"


@pytest.mark.slow
def test_whatever_ends_a_run_is_noted_and_told_as_it_is(model, tmp_path, monkeypatch):
    """A full disk left "running" behind, and a signal on a full disk another exit code."""
    flags = ("--model", model, *SMALL, "--do_predict", "false")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "x"))

    monkeypatch.setattr(TaggingTrainer, "training_step", full)
    with pytest.raises(OSError, match="No space"):
        run_here("pos_bert", *flags, "--output_dir", tmp_path / "full")
    assert record(tmp_path / "full")["status"] == "failed"
    assert record(tmp_path / "full")["reason"].startswith("The disk is full; ")

    def asked(*_, **__):
        (tmp_path / "asked" / "run.json").unlink()
        (tmp_path / "asked" / "run.json").mkdir()
        raise Terminated(signal.SIGTERM)

    monkeypatch.setattr(TaggingTrainer, "training_step", asked)
    with pytest.raises(Terminated):
        run_here("pos_bert", *flags, "--output_dir", tmp_path / "asked")


@pytest.mark.parametrize(
    ("recipe", "flags"),
    [("ner_bert", ()), ("ner_bert", ("--lora", "true")), ("ner_bert", ("--head", "crf")), ("ner_baseline", ())],
    ids=["linear", "lora", "crf", "baseline"],
)
def test_a_run_measures_the_margin_for_fast_tagging(model, tmp_path, monkeypatch, recipe, flags):
    monkeypatch.setattr("hf_tagging.evaluation.fast_tagging.computes_bfloat16", lambda on_cpu: True)
    own = ("--model", model, *flags) if recipe == "ner_bert" else ("--encoder", "mlp")
    run_here(recipe, *own, *SMALL, "--learning_rate", 0.01, "--max_steps", 20, "--output_dir", tmp_path)
    measured = json.loads((tmp_path / "config.json").read_text()).get("fast_tagging")
    if recipe == "ner_baseline" or "crf" in flags:  # a path, or code of our own, has none, and is tagged exactly
        assert measured is None
        with pytest.raises(ConfigError, match="no margin for fast tagging"):
            Tagger.from_pretrained(tmp_path, device="cpu", precision="fast")
        return
    exact, fast = (Tagger.from_pretrained(tmp_path, device="cpu", precision=name) for name in ("exact", "fast"))
    words = [[line.split()[0] for line in block.splitlines()] for block in validation(tmp_path).split("\n\n")]
    assert (measured["device"], measured["dtype"]) == ("cpu", "bfloat16")
    assert measured["words"] == sum(map(len, words)) > 500
    assert fast.tag(words) == exact.tag(words)


def validation(folder):
    return (folder / "predictions" / "validation.conll").read_text().strip()


@pytest.mark.slow
def test_lora_is_merged_or_kept_with_its_tags(model, tmp_path):
    flags = ("--model", model, *SMALL, "--lora", "true", "--lora_rank", 4, "--max_steps", 6)
    for name, merge in {"merged": "true", "adapter": "false"}.items():
        run_here("ner_bert", *flags, "--lora_merge", merge, "--output_dir", tmp_path / name)
        run = record(tmp_path / name)
        assert run["parameters"]["trained"] < run["parameters"]["all"]
    assert not list((tmp_path / "merged").glob("adapter*"))
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    words = [["Jordan", "sailed", "past", "Porto"], ["Maria", "will", "book", "a", "table"]]
    merged, adapter = (Tagger.from_pretrained(str(tmp_path / name)) for name in ("merged", "adapter"))
    assert merged.tag(words) == adapter.tag(words)
    tag = pipeline("token-classification", model=str(tmp_path / "adapter"), ignore_labels=[])
    assert [item["entity"] for item in tag("a")] == adapter.tag(["a"])


@pytest.mark.slow
def test_without_validation_or_test(tmp_path):
    corpus = tmp_path / "mine.tsv"
    corpus.write_text("\n".join(["the\tDT", "house\tNN", "", "a\tDT", "book\tNN", ""] * 6))
    out = tmp_path / "run"
    model = tiny_roberta(tmp_path)
    done = run_recipe("pos_bert", "--model", model, "--train_file", corpus, "--output_dir", out, "--max_steps", 2)
    assert "no validation and no test" in done.stderr
    assert record(out)["results"] == {}
    assert (out / "model.safetensors").exists()


@pytest.mark.slow
def test_evaluation_without_training_keeps_the_label_ids(ner_run, tmp_path):
    out, _ = ner_run
    again = tmp_path / "again"
    run_recipe("ner_bert", "--model", out, "--do_train", "false", "--output_dir", again, *SMALL)
    assert record(again)["results"]["test"]["per_type"] == record(out)["results"]["test"]["per_type"]
    assert all(torch.equal(weight, weights(out)[name]) for name, weight in weights(again).items())


@pytest.mark.slow
def test_an_encoder_cannot_be_evaluated_without_training(model, tmp_path):
    done = run_recipe(
        "pos_bert", "--model", model, "--do_train", "false", "--output_dir", tmp_path / "x", *SMALL, check=False
    )
    assert done.returncode == 1
    assert "its tag head is not one for the tags of this dataset" in done.stderr
    assert not (tmp_path / "x").exists()
