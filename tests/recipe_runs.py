"""Runs recipes as a user does, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

ROOT = Path(__file__).parent.parent


def recipe_command(recipe: str, *flags: object, processes: int = 1) -> list[str]:
    """The command line of a recipe, under torchrun for several processes over gloo."""
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [*start, str(ROOT / "recipes" / f"{recipe}.py"), *map(str, flags)]


def run_recipe(recipe: str, *flags: object, processes: int = 1, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a recipe to its end."""
    command = recipe_command(recipe, *flags, processes=processes)
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=600)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


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
