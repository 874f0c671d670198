"""Which checkpoints a run goes on from, and what it says of the others."""

import json
import logging
import os
import re
import shutil
import stat
import time
from types import SimpleNamespace

import pytest
import torch
from recipe_runs import record, run_here, weights
from safetensors.torch import load_file, save_file
from tiny_models import tiny_bert, tiny_nomic_bert
from torch import nn
from transformers import AutoModelForTokenClassification

from hf_tagging.errors import OutputError
from hf_tagging.training import checkpoints
from hf_tagging.training.checkpoints import (
    check_checkpoint,
    damage,
    loading,
    mark_complete,
    misfit,
    newest_checkpoint,
    rotate,
    unusable,
)

FLAGS = ("--dataset", "sample", "--max_train_samples", 60, "--max_eval_samples", 20, "--max_steps", 6, "--seed", 3,
         "--eval_strategy", "steps", "--eval_steps", 2, "--save_strategy", "steps", "--save_steps", 2,
         "--save_total_limit", 5, "--load_best_model_at_end", "false", "--learning_rate", 1e-2, "--use_cpu",
         "--bf16", "false", "--do_predict", "false")  # fmt: skip
NAMES = ("checkpoint-2", "checkpoint-4", "checkpoint-6")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def finished(model, tmp_path_factory):
    """A run with three checkpoints, to be copied."""
    out = tmp_path_factory.mktemp("run") / "ner"
    run_here("ner_bert", "--model", model, "--output_dir", out, *FLAGS)
    return out


@pytest.fixture
def killed(finished, tmp_path):
    """The run as a kill after its last checkpoint leaves it."""
    out = tmp_path / "ner"
    shutil.copytree(finished, out)
    for name in ("model.safetensors", "results.json"):
        (out / name).unlink()
    (out / "run.json").write_text(json.dumps(record(out) | {"status": "running"}))
    return out


def flip(path, at=-64):
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def resume(out, model, *more):
    run_here("ner_bert", "--model", model, "--output_dir", out, *FLAGS, "--resume", *more)


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


DAMAGE = {
    "model": (lambda c: flip(c / "model.safetensors"), r"model\.safetensors is damaged \(its hash differs\)"),
    "dice": (lambda c: flip(c / "rng_state.pth", 300), r"rng_state\.pth is damaged \(its hash differs\)"),
    "zeroed": (lambda c: zero(c / "optimizer.pt"), r"optimizer\.pt is damaged \(its hash differs\)"),
    "short": (lambda c: (c / "trainer_state.json").write_text("{"), r"trainer_state\.json is damaged \(it has 1 bytes"),
    "missing": (lambda c: (c / "scheduler.pt").unlink(), r"scheduler\.pt is missing"),
    "unmarked": (
        lambda c: (c / "complete.json").unlink(),
        r"has no complete\.json: it was not written to its end, or not by",
    ),
}


@pytest.mark.failure_mode("checkpoint-damaged")
@pytest.mark.slow
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_and_named(killed, finished, model, caplog, kind):
    """Without the hashes the first two were gone on from, to other weights; the third was a traceback."""
    spoil, reason = DAMAGE[kind]
    spoil(killed / "checkpoint-6")
    with caplog.at_level(logging.INFO, "hf_tagging"):
        resume(killed, model)
    said = [entry.getMessage() for entry in caplog.records]
    assert record(killed)["resumed_from"] == "checkpoint-4"
    assert any(re.match(rf"checkpoint-6: {reason}.*; it is passed over", line) for line in said)
    assert any(line.startswith("Going on from ") and line.endswith("checkpoint-4") for line in said)
    assert all(torch.equal(weight, weights(finished)[name]) for name, weight in weights(killed).items())
    assert damage(killed / "checkpoint-6") is None  # written anew


MARKS = ["[]", "{}", "null", "1", '"x"', "{", "[" * 9000, '{"a.bin": true}', '{"a.bin": null}', '{"a.bin": "2"}',
         '{"a.bin": [2]}', '{"a.bin": {"bytes": 2}}',
         '{"a.bin": {"sha256": "x"}}', '{"a.bin": {"bytes": 2, "sha256": 3}}',
         '{"../a.bin": 2}', '{"/etc/hostname": 2}', '{"": 2}', '{"a\\u0000": 2}', "\x00", '{"a.bin": NaN}']  # fmt: skip


@pytest.mark.failure_mode("checkpoint-mark")
@pytest.mark.parametrize("text", MARKS, ids=range(len(MARKS)))
def test_a_mark_that_is_none_marks_nothing(tmp_path, text):
    checkpoint = tmp_path / "checkpoint-1"
    checkpoint.mkdir()
    for folder in (tmp_path, checkpoint):
        (folder / "a.bin").write_bytes(b"xx")
    mark_complete(checkpoint)
    assert damage(checkpoint) is None
    (checkpoint / "complete.json").write_text(text)
    assert "complete.json" in damage(checkpoint)


@pytest.mark.failure_mode("checkpoint-without-hashes")
def test_checkpoints_of_earlier_versions_are_checked_by_size_and_by_pytorchs_own_checksums(killed):
    checkpoint = killed / "checkpoint-6"
    files = {p.name: p.stat().st_size for p in checkpoint.iterdir() if p.name != "complete.json"}
    (checkpoint / "complete.json").write_text(json.dumps(files))
    assert damage(checkpoint) is None
    zero(checkpoint / "optimizer.pt")
    assert damage(checkpoint) == "optimizer.pt is damaged (it cannot be read)"


@pytest.mark.failure_mode("no-checkpoint-left")
@pytest.mark.slow
def test_with_no_whole_checkpoint_left_one_line_says_what_to_remove(killed, model):
    before = {name: (killed / name / "model.safetensors").stat().st_mtime_ns for name in NAMES}
    for name in NAMES:
        flip(killed / name / "model.safetensors")
    with pytest.raises(OutputError, match=r"(?s)cannot go on from any of its checkpoints:.*checkpoint-2.*Remove"):
        resume(killed, model)
    assert before.keys() == {path.name for path in killed.glob("checkpoint-*")}  # nothing was removed
    for name in NAMES:
        shutil.rmtree(killed / name)
    resume(killed, model)
    assert record(killed)["resumed_from"] is None


@pytest.mark.failure_mode("checkpoint-other-tags")
@pytest.mark.slow
def test_a_checkpoint_of_another_schema_is_passed_over(killed, model, caplog):
    """Loading it was a traceback of shapes."""
    checkpoint = killed / "checkpoint-6"
    config = json.loads((checkpoint / "config.json").read_text())
    config["id2label"], config["label2id"] = {"0": "O", "1": "B-X"}, {"O": 0, "B-X": 1}
    (checkpoint / "config.json").write_text(json.dumps(config))
    mark_complete(checkpoint)
    other = killed / "checkpoint-4"
    saved = load_file(other / "model.safetensors")
    saved["classifier.weight"] = saved["classifier.weight"][:2].clone()
    save_file(saved, other / "model.safetensors", metadata={"format": "pt"})
    mark_complete(other)
    with caplog.at_level(logging.INFO, "hf_tagging"):
        resume(killed, model)
    said = "\n".join(entry.getMessage() for entry in caplog.records)
    assert "checkpoint-6: is of a model for 2 other tags (O, B-X, ...); it is passed over" in said
    assert "checkpoint-4: is of another model (model.safetensors has classifier.weight [2, 32]); it is passed" in said
    assert record(killed)["resumed_from"] == "checkpoint-2"
    for name in ("checkpoint-4", "checkpoint-6"):
        with pytest.raises(OutputError, match=rf"resume_from_checkpoint=.*{name}: is of .* Give another checkpoint"):
            _named(killed, model, name, spoil=name == "checkpoint-6", config=config)


def _named(out, model, name, *, spoil, config):
    checkpoint = out / name
    if spoil:
        (checkpoint / "config.json").write_text(json.dumps(config))
    else:
        saved = load_file(checkpoint / "model.safetensors")
        saved["more"] = torch.zeros(2)
        save_file(saved, checkpoint / "model.safetensors", metadata={"format": "pt"})
    mark_complete(checkpoint)
    run_here("ner_bert", "--model", model, "--output_dir", out.parent / "new", *FLAGS, "--resume_from_checkpoint",
             checkpoint)  # fmt: skip


@pytest.mark.failure_mode("named-checkpoint-damaged")
@pytest.mark.slow
def test_a_damaged_checkpoint_that_was_asked_for_by_name_is_refused(killed, model, tmp_path):
    flip(killed / "checkpoint-4" / "optimizer.pt", 300)
    flags = ("--model", model, "--output_dir", tmp_path / "new", *FLAGS)
    with pytest.raises(OutputError, match=r"resume_from_checkpoint=.*checkpoint-4: optimizer\.pt is damaged"):
        run_here("ner_bert", *flags, "--resume_from_checkpoint", killed / "checkpoint-4")
    assert not list((tmp_path / "new").glob("*"))


@pytest.mark.failure_mode("no-checkpoint-left")
@pytest.mark.slow
def test_a_run_that_ends_with_its_best_checkpoint_needs_that_one_whole(model, tmp_path):
    out = tmp_path / "run"
    flags = ("--model", model, "--output_dir", out, *FLAGS, "--load_best_model_at_end", "true",
             "--metric_for_best_model", "loss", "--greater_is_better", "true")  # fmt: skip
    run_here("ner_bert", *flags)
    best = json.loads((out / "checkpoint-6" / "trainer_state.json").read_text())["best_model_checkpoint"]
    assert best.endswith("checkpoint-2")
    flip(out / "checkpoint-2" / "model.safetensors")
    with pytest.raises(OutputError, match=r"checkpoint-6: refers to the best one, checkpoint-2: model\.safetensors is"):
        run_here("ner_bert", *flags, "--resume")


@pytest.mark.slow
def test_a_resumed_run_may_log_and_keep_otherwise(killed, model):
    shutil.rmtree(killed / "checkpoint-6")
    resume(killed, model, "--logging_steps", 1, "--save_total_limit", 1)
    assert {path.name for path in killed.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-6"}  # best and last
    log = json.loads((killed / "checkpoint-6" / "trainer_state.json").read_text())["log_history"]
    assert [entry["step"] for entry in log if "loss" in entry] == [5, 6]  # logged at every step since


@pytest.mark.failure_mode("half-written-files")
@pytest.mark.slow
def test_files_can_be_read_as_the_umask_says_and_what_a_kill_left_is_removed(killed, model):
    names = (".run.json", ".model-00001-of-00002.safetensors", ".modeling_baseline.py", "predictions/.test.conll")
    left = [killed / f"{name}.0a1b2c3d4e5f.partial" for name in names]
    mine = killed / ".notes.txt.1.partial"
    for path in (*left, mine):
        path.write_text("half")
    resume(killed, model)
    assert mine.exists()
    assert not any(path.exists() for path in left)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in killed.rglob("*") if path.is_file()}
    umask = os.umask(0)
    os.umask(umask)
    assert set(modes.values()) == {0o666 & ~umask}, modes


def test_hashing_a_checkpoint_of_90_megabytes_takes_a_fraction_of_a_second(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(os.urandom(90 * 2**20))
    began = time.process_time()  # of a machine that does other things too
    mark_complete(tmp_path)
    marked = time.process_time()
    assert damage(tmp_path) is None
    assert time.process_time() - marked < 0.8
    assert marked - began < 0.8


@pytest.mark.failure_mode("killed-after-early-stopping")
@pytest.mark.slow
def test_a_run_that_was_stopped_early_and_is_taken_up_saves_the_same_config(model, tmp_path):
    """pad_token_id was in one config.json and not in the other."""
    out = tmp_path / "run"
    flags = ("--model", model, "--output_dir", out, *FLAGS, "--max_steps", 40, "--early_stopping_patience", 1,
             "--early_stopping_threshold", 9, "--load_best_model_at_end", "true", "--head", "crf")  # fmt: skip
    run_here("ner_bert", *flags)
    before = {name: (out / name).read_bytes() for name in ("config.json", "model.safetensors")}
    assert record(out)["history"][-1]["step"] < 40
    for name in before:
        (out / name).unlink()
    run_here("ner_bert", *flags, "--resume")
    assert {name: (out / name).read_bytes() for name in before} == before


@pytest.mark.failure_mode("moved-run", "killed-after-early-stopping")
@pytest.mark.slow
def test_a_run_that_was_moved_ends_as_if_it_had_not_been(model, tmp_path):
    """Taken up, it was freshly drawn weights; gone on with, its best checkpoint was forgotten and deleted."""
    out, moved = tmp_path / "old", tmp_path / "new"
    flags = ("--model", model, *FLAGS, "--load_best_model_at_end", "true")
    stopping = (*flags, "--max_steps", 40, "--early_stopping_patience", 1, "--early_stopping_threshold", 9)
    best_is_first = (*flags, "--metric_for_best_model", "loss", "--greater_is_better", "true")
    for more, removed in ((stopping, ()), (best_is_first, ("checkpoint-6",))):
        run_here("ner_bert", "--output_dir", out, *more)
        before = (out / "model.safetensors").read_bytes()
        (out / "model.safetensors").unlink()
        for name in removed:
            shutil.rmtree(out / name)
        out.rename(moved)
        run_here("ner_bert", "--output_dir", moved, *more, "--resume", "--save_total_limit", 1)
        assert (moved / "model.safetensors").read_bytes() == before
        shutil.rmtree(moved)


@pytest.mark.slow
def test_weights_that_are_saved_under_other_names_are_loaded_from_checkpoints(tmp_path):
    """Transformers renames those of some encoders: none was resumed, and of the best one most weights stayed behind."""
    model, out = tiny_nomic_bert(tmp_path), tmp_path / "run"
    flags = ("--model", model, "--output_dir", out, *FLAGS, "--load_best_model_at_end", "true",
             "--metric_for_best_model", "loss", "--greater_is_better", "true",
             "--calibrate", "false")  # fmt: skip
    run_here("ner_bert", *flags)
    before = weights(out)
    ours = AutoModelForTokenClassification.from_pretrained(out).state_dict()
    best = weights(out / "checkpoint-2")
    assert ours.keys() == best.keys()
    assert all(torch.equal(weight, best[name]) for name, weight in ours.items())
    assert before.keys() != best.keys()  # the model itself is saved as its first release was
    shutil.rmtree(out / "checkpoint-6")
    (out / "model.safetensors").unlink()
    run_here("ner_bert", *flags, "--resume")
    assert record(out)["resumed_from"] == "checkpoint-4"
    assert all(torch.equal(weight, before[name]) for name, weight in weights(out).items())


def _bare(folder, *steps, marked=True):
    """Checkpoints that hold no more than their state and a file of weights."""
    for step in steps:
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir()
        state = {"global_step": step, "log_history": []}
        (checkpoint / "trainer_state.json").write_text(json.dumps(state))
        save_file({"weight": torch.zeros(1, 1)}, checkpoint / "model.safetensors")
        if marked:
            mark_complete(checkpoint)
    return sorted(folder.iterdir())


def test_what_was_just_written_is_not_deleted_for_an_older_run_with_more_steps(tmp_path):
    _bare(tmp_path, 10, 20, 40, 300)
    rotate(tmp_path / "checkpoint-40", 2, str(tmp_path / "checkpoint-20"))
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-20", "checkpoint-40", "checkpoint-300"}
    rotate(tmp_path / "checkpoint-40", None, None)
    rotate(tmp_path / "checkpoint-40", 1, None)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-40", "checkpoint-300"}


@pytest.mark.failure_mode("marks-lost", "no-checkpoint-left")
def test_checkpoints_whose_marks_were_lost_are_not_deleted(tmp_path, caplog):
    first, second = _bare(tmp_path, 2, 4, marked=False)
    for look in (lambda: newest_checkpoint(tmp_path, nn.Linear(1, 1), with_best=False), lambda: unusable(tmp_path)):
        with pytest.raises(OutputError, match=r"checkpoint-2, checkpoint-4 hold weights and state, but no complete\.j"):
            look()
    (second / "model.safetensors").unlink()  # as a kill leaves them
    found = newest_checkpoint(tmp_path, nn.Linear(1, 1), with_best=False)
    assert (found.checkpoint, found.damaged) == (None, [first, second])
    assert "checkpoint-2: has no complete.json: it was not written to its end, or not by hf-tagging; training starts " \
        "from the first step" in caplog.messages  # fmt: skip
    assert unusable(tmp_path, but=second) == [first]


@pytest.mark.failure_mode("named-checkpoint-damaged")
def test_a_checkpoint_that_was_asked_for_by_name_holds_all_that_training_needs(tmp_path):
    """Without the optimizer's state training went on, from another state, and nothing was said."""
    (checkpoint,) = _bare(tmp_path, 2)
    with pytest.raises(OutputError, match="has no optimizer and no learning rate schedule and no random state"):
        check_checkpoint(checkpoint, nn.Linear(1, 1, bias=False), with_best=False)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save({}, checkpoint / name)
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    (checkpoint / "trainer_state.json").write_text(json.dumps(state | {"best_model_checkpoint": "x/checkpoint-1"}))
    mark_complete(checkpoint)
    check_checkpoint(checkpoint, nn.Linear(1, 1, bias=False), with_best=False)
    with pytest.raises(OutputError, match="refers to the best one, checkpoint-1: has no complete"):
        check_checkpoint(checkpoint, nn.Linear(1, 1, bias=False), with_best=True)


def test_tags_go_by_their_ids_whatever_the_order_of_the_file(tmp_path):
    (checkpoint,) = _bare(tmp_path, 2)
    tags = {i: f"T{i}" for i in range(12)}
    model = nn.Linear(1, 1, bias=False)
    model.config = SimpleNamespace(id2label=tags)
    (checkpoint / "config.json").write_text(json.dumps({"id2label": {str(i): tags[i] for i in sorted(tags, key=str)}}))
    assert misfit(checkpoint, model) is None
    (checkpoint / "config.json").write_text(json.dumps({"id2label": {str(11 - i): tag for i, tag in tags.items()}}))
    assert misfit(checkpoint, model).startswith("is of a model for 12 other tags (T0, T1, T2")


def test_want_of_memory_is_no_fault_of_a_checkpoint():
    with pytest.raises(RuntimeError, match="allocate"), loading("checkpoint-2"):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


def test_the_folder_that_lists_a_checkpoint_is_on_disk_too(tmp_path, monkeypatch):
    synced = []
    real = checkpoints.sync
    monkeypatch.setattr(checkpoints, "sync", lambda path: (synced.append(path), real(path)))
    _bare(tmp_path, 2)
    assert tmp_path in synced


@pytest.mark.failure_mode("checkpoint-pickle")
def test_a_pickle_among_the_files_of_training_is_named_without_torchs_advice(tmp_path):
    """It said that `weights_only` set to False "will likely succeed", which would run what is in the file."""
    file = tmp_path / "optimizer.pt"
    torch.save({"state": tmp_path}, file)
    with pytest.raises(OutputError, match=r"was not written by training: .* could run code") as told, loading(tmp_path):
        torch.load(file, weights_only=True)
    assert "weights_only" not in str(told.value)
