"""Checkpoints with damage of every kind: a run goes on from the newest whole one, or ends in one message."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import torch
from recipe_runs import record, run_here, weights
from tiny_models import tiny_bert

from hf_tagging.errors import TaggingError
from hf_tagging.training.checkpoints import mark_complete

_FLAGS = (
    "--dataset", "sample", "--max_train_samples", 24, "--max_eval_samples", 8, "--num_train_epochs", 3,
    "--tokens_per_batch", 200, "--learning_rate", 1e-2, "--ema_decay", 0.9, "--use_cpu", "--save_total_limit", 3,
    "--do_predict", "false",
)  # fmt: skip
_SECONDS = 60  # that a resumed run may take; it takes about one


def run(count: int, seed: int, work: Path) -> Iterator[str]:
    """Damage checkpoints of a killed run so many times, resume it each time, and yield what goes wrong, a line each.

    Args:
        count: How many damaged runs.
        seed: Seed of the damage.
        work: Folder for the runs.
    """
    work.mkdir(parents=True, exist_ok=True)
    model = tiny_bert(work / "tiny")
    _train(model, work / "unbroken")
    cases = [(seed * 1_000_003 + number, work) for number in range(count)]
    for start in range(0, count, 20):  # a few at a time: a crash of the interpreter then names its neighbours
        some = cases[start : start + 20]
        with ProcessPoolExecutor(2, get_context("spawn"), _alone) as pool:
            try:
                yield from (line for found in pool.map(_resume_damaged, *zip(*some, strict=True)) for line in found)
            except BrokenProcessPool:
                yield f"one of cases {some[0][0]} to {some[-1][0]}: the interpreter crashed"
        print(f"{min(start + 20, count)} damaged checkpoints of {count}", file=sys.stderr, flush=True)


def _alone() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, signal.default_int_handler)


def _train(model: Path, folder: Path, *more: str) -> None:
    run_here("pos_bert", "--model", model, "--output_dir", folder, *_FLAGS, *more)


def _resume_damaged(case: int, work: Path) -> list[str]:
    """Resume a run of which one case's damage is done; return what is wrong with the outcome."""
    draw = random.Random(case)
    folder = work / f"damaged-{case}"
    shutil.copytree(work / "unbroken", folder)
    _as_if_killed(folder)
    sealed = draw.random() < 0.3  # the list of hashes is written again: only reading can tell
    for checkpoint in draw.sample(sorted(folder.glob("checkpoint-*")), draw.randint(1, 3)):
        draw.choice(_DAMAGE)(checkpoint, draw)
        mark = checkpoint / "complete.json"
        if sealed and checkpoint.is_dir() and (mark.is_file() or not mark.exists()):
            mark_complete(checkpoint)
    said = io.StringIO()
    signal.alarm(_SECONDS)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            _train(work / "tiny", folder, "--resume")
    except TaggingError as error:
        wrong = [] if str(error).strip() else ["an error without a message"]
    except KeyboardInterrupt:
        wrong = [f"hangs for more than {_SECONDS} seconds"]
    except BaseException:
        wrong = [traceback.format_exc()]
    else:
        wrong = [] if sealed else _other_than_unbroken(work / "unbroken", folder)
    finally:
        signal.alarm(0)
    if not wrong:
        shutil.rmtree(folder)
    return [f"case {case}: {line}" for line in wrong]


def _as_if_killed(folder: Path) -> None:
    """Take away from a finished run what is written after its last checkpoint."""
    (folder / "model.safetensors").unlink()
    (folder / "results.json").unlink()
    (folder / "run.json").write_text(json.dumps(record(folder) | {"status": "running"}))


def _other_than_unbroken(expected: Path, found: Path) -> list[str]:
    ours, theirs = weights(expected), weights(found)
    alike = ours.keys() == theirs.keys() and all(torch.equal(weight, theirs[name]) for name, weight in ours.items())
    same = (expected / "config.json").read_bytes() == (found / "config.json").read_bytes()
    return ([] if alike else ["other weights"]) + ([] if same else ["another config.json"])


def _file(checkpoint: Path, draw: random.Random) -> Path:
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    return draw.choice(files) if files else checkpoint / "model.safetensors"


def _flip(checkpoint: Path, draw: random.Random) -> None:
    file = _file(checkpoint, draw)
    content = bytearray(file.read_bytes()) if file.exists() else bytearray()
    for place in [draw.randrange(len(content)) for _ in range(64)] if content else []:
        content[place] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def _cut(checkpoint: Path, draw: random.Random) -> None:
    file = _file(checkpoint, draw)
    if file.exists():
        os.truncate(file, draw.randint(0, file.stat().st_size))


def _zero(checkpoint: Path, draw: random.Random) -> None:
    file = _file(checkpoint, draw)
    if file.exists():
        file.write_bytes(bytes(file.stat().st_size))


def _remove(checkpoint: Path, draw: random.Random) -> None:
    _file(checkpoint, draw).unlink(missing_ok=True)


def _pipe(checkpoint: Path, draw: random.Random) -> None:
    file = _file(checkpoint, draw)
    file.unlink(missing_ok=True)
    os.mkfifo(file)


def _folder(checkpoint: Path, draw: random.Random) -> None:
    file = _file(checkpoint, draw)
    file.unlink(missing_ok=True)
    file.mkdir()


def _other_json(checkpoint: Path, draw: random.Random) -> None:
    files = [*sorted(checkpoint.glob("*.json")), checkpoint / "complete.json"]
    contents = ["[]", "{}", "null", "1", '"x"', "[" * 600, '{"../../x": 1}', '{"files": 3}', '{"global_step": "x"}', ""]
    draw.choice(files).write_text(draw.choice(contents))


def _other_tags(checkpoint: Path, draw: random.Random) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    config["id2label"] = {str(i): f"X{i}" for i in range(draw.choice([3, len(config["id2label"])]))}
    config["label2id"] = {tag: int(i) for i, tag in config["id2label"].items()}
    (checkpoint / "config.json").write_text(json.dumps(config))


def _a_file(checkpoint: Path, draw: random.Random) -> None:
    shutil.rmtree(checkpoint)
    checkpoint.write_bytes(draw.randbytes(10))


_DAMAGE: tuple[Callable[[Path, random.Random], None], ...] = (
    _flip, _flip, _cut, _zero, _remove, _pipe, _folder, _other_json, _other_tags, _a_file,
)  # fmt: skip
