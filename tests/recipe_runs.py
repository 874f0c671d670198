"""Runs recipes as a user does, in processes of their own, and reads what they leave."""

import json
import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import pytest
import torch
from fork_server import Forked, fork
from safetensors.torch import load_file

ROOT = Path(__file__).parent.parent
_PIPELINE = """
import json, sys
if sys.argv[1] == "without":
    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "hf_tagging":
                raise ImportError(name)
    sys.meta_path.insert(0, Refuse())
else:
    import hf_tagging.models
from transformers import pipeline
said = {}
for folder in sys.argv[3:]:
    options = {"trust_remote_code": True} if sys.argv[1] == "without" else {}
    tag = pipeline("token-classification", model=folder, ignore_labels=[], **options)
    texts = json.loads(sys.argv[2])
    said[folder] = [[[x["start"], x["entity"], round(float(x["score"]), 4)] for x in tag(text)] for text in texts]
print("SAID" + json.dumps(said))
"""


def recipe_command(recipe: str, *flags: object, processes: int = 1) -> list[str]:
    """The command line of a recipe, under torchrun for several processes over gloo."""
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [*start, str(ROOT / "recipes" / f"{recipe}.py"), *map(str, flags)]


def run_recipe(
    recipe: str, *flags: object, processes: int = 1, check: bool = True, fresh: bool = False
) -> subprocess.CompletedProcess[str]:
    """Runs a recipe to its end, in processes that are forked (see `fork_server`) or, if `fresh`, as users start it."""
    command = recipe_command(recipe, *flags, processes=processes)
    if fresh:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=600)
    else:
        done = subprocess.CompletedProcess(command, *start_recipe(recipe, *flags, processes=processes).communicate(600))
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def start_recipe(recipe: str, *flags: object, processes: int = 1) -> Forked:
    """Begins a recipe in forked processes, without a launcher."""
    script = ROOT / "recipes" / f"{recipe}.py"
    return fork(script, *flags, processes=processes, env=environment(), cwd=ROOT)


def run_here(recipe: str, *flags: object) -> None:
    """Runs a recipe in this process, which need not import PyTorch again."""
    path = ROOT / "recipes" / f"{recipe}.py"
    with mock.patch("sys.argv", [path.name, *map(str, flags)]):
        try:
            runpy.run_path(str(path), run_name="recipe")["main"]()
        finally:
            logging.getLogger("hf_tagging").setLevel(logging.NOTSET)


def environment(**changes: str) -> dict[str, str]:
    """The tests' own environment, one thread per process: two test processes share two cores."""
    return os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | changes


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def weights(folder: Path) -> dict:
    return load_file(folder / "model.safetensors")


def training_log(folder: Path) -> list[dict]:
    last = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    return json.loads((last / "trainer_state.json").read_text())["log_history"]


def without_dropout(folder: Path) -> Path:
    """Turns a tiny model's dropout off, so that runs that split batches differently can be compared."""
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def pipeline_says(
    folders: Iterable[Path], *texts: str, package: bool, scratch: Path
) -> dict[Path, list[list[tuple[int, str, float]]]]:
    """What `pipeline` says in a fresh process of each text, per subword: where it starts, its tag, the tag's score.

    Args:
        folders: Of saved taggers.
        texts: For them to tag.
        package: Whether this package can be imported there; without it, the folders' own code is trusted.
        scratch: A folder for that code.
    """
    folders = list(folders)
    command = [sys.executable, "-c", _PIPELINE, "with" if package else "without", json.dumps(texts), *map(str, folders)]
    env = environment(HF_MODULES_CACHE=str(scratch / "modules"))
    done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, env=env, timeout=300)
    assert "SAID" in done.stdout, done.stdout + done.stderr
    said = json.loads(done.stdout.partition("SAID")[2])
    return {folder: [list(map(tuple, subwords)) for subwords in said[str(folder)]] for folder in folders}


def check_batches_of_8(recipe: str, folder: Path, *flags: object) -> None:
    """Batches of 8 are 2 times 4 are 2 processes of 4: in loss, gradient norm, figures and weights.

    Args:
        recipe: Its name.
        folder: The runs go below it.
        flags: Of every run.
    """
    ways = {
        "eight": (1, ["--per_device_train_batch_size", 8]),
        "accumulated": (1, ["--per_device_train_batch_size", 4, "--gradient_accumulation_steps", 2]),
        "processes": (2, ["--per_device_train_batch_size", 4, "--per_device_eval_batch_size", 3]),
    }
    for name, (processes, batches) in ways.items():
        run_recipe(recipe, "--output_dir", folder / name, *flags, *batches, processes=processes)
        assert record(folder / name)["hardware"]["processes"] == processes, name
    for other in ("accumulated", "processes"):
        check_alike(folder / "eight", folder / other)


def check_alike(run: Path, other: Path) -> None:
    """The same training, as exactly as sums in another order let it be; the same tags."""
    names = {"loss", "grad_norm", "eval_loss", "eval_accuracy", "eval_macro_f1", "eval_f1"}
    for entry, same in zip(training_log(run), training_log(other), strict=True):
        for key in names & entry.keys():
            assert same[key] == pytest.approx(entry[key], abs=1e-5, rel=1e-5), (other, key)
    ours = weights(run)
    for name, weight in weights(other).items():
        if not name.endswith("key.bias"):  # softmax cancels it: its gradient is rounding, which Adam blows up
            torch.testing.assert_close(weight, ours[name], atol=1e-5, rtol=1e-4)
    scores, theirs = (record(folder)["results"]["test"] for folder in (run, other))
    kind = "per_type" if "per_type" in scores else "per_tag"
    assert theirs[kind] == scores[kind], other
