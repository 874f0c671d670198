"""A training that comes to no numbers, or to the end of the memory, says so and leaves what was good."""

import json
import math
import re
import subprocess
from types import SimpleNamespace

import pytest
import torch
from recipe_runs import ROOT, environment, recipe_command, record, run_here
from tiny_models import tiny_bert
from transformers import AutoTokenizer, TrainerControl, TrainerState, TrainingArguments

from hf_tagging.errors import ModelError
from hf_tagging.hub import model_errors
from hf_tagging.memory import out_of_memory
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training.checkpoints import damage, mark_complete
from hf_tagging.training.finite import FiniteTraining

FLAGS = ("--dataset", "sample", "--max_train_samples", 40, "--max_eval_samples", 20, "--num_train_epochs", 2,
         "--use_cpu", "--bf16", "false", "--warmup_steps", 0)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


def strict(path):
    def refuse(constant):
        raise AssertionError(f"{constant} in {path}")

    return json.loads(path.read_text(), parse_constant=refuse)


def check_failed(out, reason):
    said = strict(out / "run.json")
    assert said["status"] == "failed"
    assert said["reason"].startswith(reason)
    assert not [name for name in ("model.safetensors", "README.md", "results.json") if (out / name).exists()]
    assert not list(out.glob("checkpoint-*/.*"))


@pytest.mark.failure_mode("not-a-number")
@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--logging_strategy", "no", "--eval_strategy", "no", "--save_strategy", "no",
                                        "--load_best_model_at_end", "false")], ids=["logged", "silent"])  # fmt: skip
def test_a_rate_of_a_thousand_million_fails(model, tmp_path, flags):
    """It was exit code 0, "finished", and a model of NaN with NaN in its card."""
    command = recipe_command(
        "pos_bert", "--model", model, "--output_dir", tmp_path, *FLAGS, "--learning_rate", 1e30, *flags
    )
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=300)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(r"The loss is nan at step \d+ \(learning rate [\d.]+e\+\d\d; its batch begins with '", done.stderr)
    assert "there was no checkpoint yet, no model was written. Type a lower --learning_rate" in done.stderr
    check_failed(tmp_path, "The loss is ")


@pytest.mark.failure_mode("not-a-number")
@pytest.mark.slow
def test_the_step_the_rate_and_the_sentences_are_named_and_the_last_good_checkpoint_stays(model, tmp_path, monkeypatch):
    original = TaggingTrainer.compute_loss

    def breaks_at_step_5(self, model, inputs, *args, **options):
        loss = original(self, model, inputs, *args, **options)
        return loss * math.nan if model.training and self.state.global_step == 4 else loss

    monkeypatch.setattr(TaggingTrainer, "compute_loss", breaks_at_step_5)
    flags = (*FLAGS, "--eval_strategy", "steps", "--eval_steps", 2, "--save_strategy", "steps", "--save_steps", 2,
             "--logging_steps", 50, "--learning_rate", 1e-3, "--lr_scheduler_type", "constant",
             "--tokens_per_batch", 128)  # fmt: skip
    with pytest.raises(ModelError) as raised:
        run_here("pos_bert", "--model", model, "--output_dir", tmp_path, *flags)
    said = str(raised.value)
    assert "The loss is nan at step 5 (learning rate 0.001; its batch begins with '" in said
    assert f"the last good checkpoint, {tmp_path / 'checkpoint-4'}, is kept" in said
    assert [path.name for path in sorted(tmp_path.glob("checkpoint-*"))] == ["checkpoint-2", "checkpoint-4"]
    assert damage(tmp_path / "checkpoint-4") is None
    check_failed(tmp_path, "The loss is nan at step 5")
    monkeypatch.undo()
    run_here("pos_bert", "--model", model, "--output_dir", tmp_path, *flags, "--resume")
    assert record(tmp_path)["status"] == "finished"
    assert "reason" not in record(tmp_path)


@pytest.mark.failure_mode("not-a-number")
@pytest.mark.slow
def test_weights_that_are_no_numbers_stop_a_training_whose_loss_is_one(model, tmp_path, monkeypatch):
    original = torch.optim.AdamW.step

    def spoils(self, *args, **options):
        original(self, *args, **options)
        with torch.no_grad():
            self.param_groups[0]["params"][0].view(-1)[-1] = math.inf  # of a row that no sentence reads

    monkeypatch.setattr(torch.optim.AdamW, "step", spoils)
    with pytest.raises(ModelError, match=r"The weights are no numbers any more at step 1 \(learning rate"):
        run_here("pos_bert", "--model", model, "--output_dir", tmp_path, *FLAGS, "--logging_steps", 1)
    check_failed(tmp_path, "The weights are no numbers")


@pytest.mark.failure_mode("not-a-number")
@pytest.mark.slow
def test_both_of_two_processes_stop_where_one_has_no_number(model, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from accelerate import PartialState\nfrom recipe_runs import run_here\n"
        "from hf_tagging.console import plain_errors\nfrom hf_tagging import TaggingTrainer\n"
        "original = TaggingTrainer.compute_loss\n"
        "def broken(self, model, inputs, *args, **options):\n"
        "    loss = original(self, model, inputs, *args, **options)\n"
        "    bad = PartialState().process_index == 1 and self.state.global_step == 2\n"
        "    return loss * float('nan') if bad else loss\n"
        "TaggingTrainer.compute_loss = broken\n"
        "with plain_errors():\n    run_here('pos_bert', *sys.argv[1:])\n"
    )
    command = recipe_command("pos_bert", "--model", model, "--output_dir", tmp_path / "out", *FLAGS, processes=2)
    command[command.index(str(ROOT / "recipes" / "pos_bert.py"))] = str(script)
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=120)
    assert done.returncode == 1
    assert done.stderr.count("The loss is nan at step 3 (") == 1
    check_failed(tmp_path / "out", "The loss is nan at step 3")


def test_a_validation_loss_that_is_no_number_names_rate_and_sentences(model, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(model)
    callback = FiniteTraining(tokenizer)
    args, state = TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState(global_step=3)
    callback.note(3, 0.5, torch.tensor(1.0), torch.tensor([tokenizer("the house")["input_ids"]]))
    callback.look(args, state, torch.nn.Linear(1, 1))
    begins = repr(tokenizer.decode(tokenizer("the house")["input_ids"], skip_special_tokens=True))
    with pytest.raises(ModelError) as raised:
        callback.on_evaluate(args, state, TrainerControl(), metrics={"eval_loss": math.nan})
    assert str(raised.value).startswith(
        f"The loss of the validation split is nan after step 3 (learning rate 0.5; its batch begins with {begins}). "
        "Training has stopped: there was no checkpoint yet, "
    )


@pytest.mark.slow
def test_a_gradient_that_overflows_leaves_strict_json(model, tmp_path, monkeypatch):
    """In half precision it does at times, and the step is skipped."""
    monkeypatch.setattr(TaggingTrainer, "_get_grad_norm", lambda *_, **__: math.inf)
    run_here("pos_bert", "--model", model, "--output_dir", tmp_path, *FLAGS, "--logging_steps", 1, "--max_steps", 2)
    files = [*tmp_path.glob("*.json"), *tmp_path.glob("checkpoint-*/*.json")]
    assert len(files) > 8
    log = [strict(file).get("log_history") for file in files if file.name == "trainer_state.json"]
    assert log[0][0]["grad_norm"] is None


@pytest.mark.failure_mode("memory-training")
@pytest.mark.slow
def test_want_of_memory_in_a_training_is_called_that(model, tmp_path, monkeypatch):
    def runs_out(self, *args, **options):
        torch.empty(2**50)

    monkeypatch.setattr(TaggingTrainer, "compute_loss", runs_out)
    with pytest.raises(ModelError, match=r"Out of memory while training \(.*allocate.*\)\. Give a smaller tokens_per"):
        run_here("pos_bert", "--model", model, "--output_dir", tmp_path, *FLAGS)
    check_failed(tmp_path, "Out of memory while training")


@pytest.mark.failure_mode("memory-loading")
def test_want_of_memory_is_no_broken_file():
    for error in (torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), OSError(12, "Cannot allocate memory")):
        said = r"^m: out of memory while it was loaded \(.*\)\. Free some memory"
        with pytest.raises(ModelError, match=said), model_errors("m"):
            raise error
    with pytest.raises(ModelError, match=r"cannot be loaded \(size mismatch\)"), model_errors("m"):
        raise RuntimeError("size mismatch")
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**50)
    assert out_of_memory(raised.value)
    assert out_of_memory(ValueError("broken")) is None


@pytest.mark.failure_mode("not-a-number")
def test_the_last_good_checkpoint_is_a_whole_one(tmp_path):
    for step in (2, 4):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    mark_complete(tmp_path / "checkpoint-2")
    args, state = SimpleNamespace(output_dir=tmp_path), SimpleNamespace(global_step=6)
    with pytest.raises(ModelError, match=r"the last good checkpoint, .*checkpoint-2, is kept"):
        FiniteTraining(None).on_evaluate(args, state, None, {"eval_loss": math.nan})
