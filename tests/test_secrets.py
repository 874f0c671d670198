"""A token that was given is in no file, in no log and on no command line of another process."""

import json

import psutil
import pytest
import torch
from recipe_runs import run_here
from run_configs import run_config
from tiny_models import tiny_bert

from hf_tagging.cli import main
from hf_tagging.comparison.plan import read_plan
from hf_tagging.comparison.runner import carry_out, describe_plan
from hf_tagging.errors import ConfigError
from hf_tagging.secrets import by_environment, masked

SECRET = "hf_thesecretofthistestthesecret"
# Notes what it was started with, and what its parents were.
RECIPE = """
import json, os, sys
import psutil
me = psutil.Process()
words = [word for process in (me, *me.parents()) for word in (process.cmdline() if process.pid != {pid} else [])]
told = {{"argv": sys.argv, "words": words, "token": os.environ.get("HF_TOKEN")}}
with open({told!r}, "w") as file:
    json.dump(told, file)
"""


@pytest.fixture
def recipe(tmp_path):
    """A recipe that says what it sees; gives its path and what it has said."""
    told = tmp_path / "told.json"
    path = tmp_path / "pos_baseline.py"
    path.write_text(RECIPE.format(pid=psutil.Process().pid, told=str(told)))
    return path, lambda: json.loads(told.read_text())


@pytest.mark.failure_mode("token-pickled")
def test_no_file_of_a_run_holds_it(tmp_path):
    folder = tmp_path / "run"
    few = ("--dataset", "sample", "--max_train_samples", 8, "--max_eval_samples", 4, "--num_train_epochs", 1)
    model = tiny_bert(tmp_path)
    run_here("pos_bert", "--model", model, "--output_dir", folder, *few, "--use_cpu", "--hub_token", SECRET)
    files = [path for path in folder.rglob("*") if path.is_file()]
    pickled = [path for path in files if path.name == "training_args.bin"]
    assert pickled  # of the checkpoint
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    kept = torch.load(pickled[0], weights_only=False)
    assert (kept.hub_token, kept.num_train_epochs) == (None, 1)


@pytest.mark.failure_mode("token-in-ps")
def test_a_comparison_hands_it_on_by_the_environment(recipe, tmp_path, capfd):
    path, told = recipe
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"output_dir: {tmp_path / 'out'}\n"
        f"arguments: {{task: pos, model: scratch, dataset: sample, hub_token: {SECRET}}}\n"
        f"runs:\n  a: {{recipe: {path}}}\n"
    )
    read = read_plan(plan)
    assert SECRET not in describe_plan(read) + repr(read)
    carry_out(read)
    said = told()
    assert said["token"] == SECRET
    assert SECRET not in " ".join([*said["argv"], *said["words"]])
    assert "--hub_token=" in said["argv"]
    assert SECRET not in (tmp_path / "out" / "a" / "seed-1.log").read_text() + "".join(capfd.readouterr())


@pytest.mark.failure_mode("token-in-ps")
def test_train_hands_it_on_by_the_environment(recipe, tmp_path, capfd, monkeypatch):
    path, told = recipe
    monkeypatch.setenv("HF_TOKEN", "of the environment")  # put back afterwards
    config = tmp_path / "mine.yaml"
    config.write_text("dataset: sample\nhub_token: of_the_file\n")
    words = ["train", str(config), "--recipe", str(path), "--hub_token", SECRET]
    main([*words, "--dry_run"])
    assert "--hub_token '***'" in (said := capfd.readouterr().out)
    assert SECRET not in said
    with pytest.raises(SystemExit, match="0"):
        main(words)
    said = told()
    assert said["token"] == SECRET
    assert SECRET not in " ".join([*said["argv"], *said["words"]])
    # Read as the recipe would read it: the environment's counts, not that of the file.
    arguments = run_config("pos", said["argv"][1:], kind="scratch")
    assert arguments.training.hub_token is None


def test_a_command_that_has_no_such_flag_does_not_print_it(capsys):
    with pytest.raises(SystemExit):
        main(["push", "folder", "name", "--hub_token", SECRET])
    assert "unrecognized arguments: --hub_token ***" in (said := capsys.readouterr().err)
    assert SECRET not in said


@pytest.mark.failure_mode("forgotten-token")
def test_a_value_that_was_forgotten_is_told():
    words, variables = by_environment(["--dataset", "sample", "--hub_token", "--model", "m", "--output_dir", "out"])
    assert variables == {}
    with pytest.raises(ConfigError, match="--hub_token: expected one value, got none"):
        run_config("pos", words)


def test_command_lines():
    assert by_environment(["--a", "b"]) == (["--a", "b"], {})
    for words in (["--hub_token", "x"], ["--hub-token", "x"], ["--hub_token=x"], ["--hub-token=x"]):
        assert by_environment([*words, "--seed", "1"]) == (["--hub_token=", "--seed", "1"], {"HF_TOKEN": "x"})
        assert "x" not in masked(words)
    assert by_environment(["--hub_token", "--seed", "1"]) == (["--hub_token", "--seed", "1"], {})  # refused
