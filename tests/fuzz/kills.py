"""Runs that are killed at random moments, by random signals, and go on: the same bytes as a run that nothing ended."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from recipe_runs import ROOT, environment, recipe_command
from tiny_models import tiny_bert

_SMALL = (
    "--dataset sample --max_train_samples 80 --max_eval_samples 40 --num_train_epochs 4 --learning_rate 1e-2 --use_cpu"
)
_STEPS = "--eval_strategy steps --eval_steps 7"
_CASES = (
    ("pos_bert", 1, f"--tokens_per_batch 200 --ema_decay 0.9 {_STEPS}"),
    ("ner_bert", 1, f"--head crf --early_stopping_patience 2 --early_stopping_threshold 0.05 {_STEPS}"),
    ("ner_bert", 1, "--lora true --lora_rank 4 --per_device_train_batch_size 8"),
    ("ner_baseline", 1, f"--encoder lstm --characters cnn --head crf --early_stopping_patience 2 {_STEPS}"),
    ("pos_baseline", 1, "--encoder transformer --word_shape true --ema_decay 0.9 --tokens_per_batch 128"),
    ("pos_bert", 2, f"--packing true --tokens_per_batch 256 --load_best_model_at_end false {_STEPS}"),
)
_EXIT_CODES = {signal.SIGKILL: 137, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
_OTHER_EACH_TIME = {"run.json", "results.json", "README.md", "report.html"}  # they hold times and speeds
_SPEEDS = {"runtime", "words_per_second", "samples_per_second", "steps_per_second"}
_DEADLINE = 300  # seconds that a run may take; none takes a minute


@dataclass(frozen=True)
class Case:
    """A run to be killed.

    Args:
        recipe: Its name.
        processes: How many train.
        flags: Its arguments, without the folder.
        by_command: Started by ``hf-tagging train``, which then gets the signals, in the place of Python or torchrun.
    """

    recipe: str
    processes: int
    flags: tuple[str, ...]
    by_command: bool

    def command(self, folder: Path, *more: str) -> list[str]:
        """Return the command line that trains into a folder."""
        flags = [*self.flags, "--output_dir", str(folder), *more]
        if not self.by_command:
            return recipe_command(self.recipe, *flags, processes=self.processes)
        config = folder.parent / "empty.yaml"
        config.write_text("seed: 42\n")
        start = [sys.executable, "-m", "hf_tagging.cli", "train", str(config), "--recipe", self.recipe]
        return [*start, *flags]


def run(count: int, seed: int, work: Path) -> Iterator[str]:
    """Kill `count` runs, resume them, and yield what differs from runs that nothing ended, a line for each.

    Args:
        count: How many kills.
        seed: Seed of the moments, the signals and the order of cases.
        work: Folder for the runs.
    """
    draw = random.Random(seed)
    work.mkdir(parents=True, exist_ok=True)
    model = tiny_bert(work / "tiny")
    killed, unbroken = 0, {}
    while killed < count:
        recipe, processes, flags = _CASES[(seed + killed) % len(_CASES)]
        with_model = () if "baseline" in recipe else ("--model", str(model))
        words = (*with_model, *_SMALL.split(), *flags.split())
        case = Case(recipe, processes, words, by_command=processes == 1 and draw.random() < 0.5)
        if words not in unbroken:
            unbroken[words] = _unbroken(case, work / f"unbroken-{len(unbroken)}")
        folder = work / f"killed-{killed}"
        times = min(draw.randint(1, 3), count - killed)
        found = list(_broken_and_resumed(case, folder, times, draw, *unbroken[words]))
        yield from (f"kill {killed} of seed {seed}, {recipe} {flags}, {case.by_command=}: {line}" for line in found)
        if not found:
            shutil.rmtree(folder)
        killed += times
        print(f"{killed} kills of {count}", file=sys.stderr, flush=True)


def _unbroken(case: Case, folder: Path) -> tuple[Path, float]:
    """Carry a case out; return its folder and the seconds from its first file to its end."""
    process = _start(case, folder)
    _wait_for_record(process, folder)
    began = time.monotonic()
    assert process.wait(_DEADLINE) == 0, f"{case}: fails without a kill"
    return folder, time.monotonic() - began


def _broken_and_resumed(
    case: Case, folder: Path, times: int, draw: random.Random, expected: Path, seconds: float
) -> Iterator[str]:
    """Kill a run so many times, then let it end; yield what is wrong."""
    for attempt in range(times):
        how = draw.choice(list(_EXIT_CODES))
        process = _start(case, folder, *(["--resume"] if attempt else []))
        _wait_for_record(process, folder)
        time.sleep(draw.uniform(0, seconds))
        family = [process.pid, *(child.pid for child in _children(process.pid))]
        if how is signal.SIGINT and process.poll() is None:
            os.killpg(process.pid, how)  # as a terminal does
        else:
            process.send_signal(how)
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            yield f"kill {attempt} by {how.name}: still running after 60 seconds"
            return
        if code < 0:
            code = 128 - code
        # torchrun answers a signal with a traceback and 1, whatever its processes do.
        if code not in (0, _EXIT_CODES[how]) and not (code == 1 and case.processes > 1):
            yield f"kill {attempt} by {how.name}: exit code {code}"
        yield from _orphans(family, how)
    done = subprocess.run(
        case.command(folder, "--resume"), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=_DEADLINE
    )
    if done.returncode:
        yield f"--resume ends with {done.returncode}: {done.stderr[-2000:]}"
        return
    yield from differences(expected, folder)


def differences(expected: Path, found: Path) -> Iterator[str]:
    """Yield in what two finished runs differ, but for times and speeds."""
    ours, theirs = (_files(folder) for folder in (expected, found))
    for name in sorted(ours.keys() ^ theirs.keys()):
        yield f"{name}: {'is missing' if name in ours else 'is left over'}"
    for name in sorted(ours.keys() & theirs.keys()):
        if name not in _OTHER_EACH_TIME and ours[name].read_bytes() != theirs[name].read_bytes():
            yield f"{name}: differs"
        if ours[name].stat().st_mode != theirs[name].stat().st_mode:
            yield f"{name}: mode {theirs[name].stat().st_mode:o} in the place of {ours[name].stat().st_mode:o}"
    for name in ("results.json", "run.json"):
        if _timeless(ours[name]) != _timeless(theirs[name]):
            yield f"{name}: differs"


def _files(folder: Path) -> dict[str, Path]:
    """Return the files of a run by name, but for its checkpoints, in which times are kept."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if not name.startswith("checkpoint-")}


def _timeless(file: Path) -> Any:
    """Return figures and history of a JSON file without times and speeds."""
    content = json.loads(file.read_text())
    if file.name == "run.json":
        content = {name: content.get(name) for name in ("status", "task", "seed", "dataset", "history", "files")}
    return _without(content)


def _without(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without(value) for key, value in content.items() if key not in _SPEEDS}
    return [_without(item) for item in content] if isinstance(content, list) else content


def _start(case: Case, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    log = open(folder.parent / f"{folder.name}.log", "ab")  # noqa: SIM115  # the process keeps it
    return subprocess.Popen(
        case.command(folder, *more), cwd=ROOT, env=environment(), start_new_session=True, stdout=log, stderr=log
    )


def _wait_for_record(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until a run has begun to write, or has ended."""
    before = _written(folder)
    deadline = time.monotonic() + _DEADLINE
    while process.poll() is None and _written(folder) == before and time.monotonic() < deadline:
        time.sleep(0.01)


def _written(folder: Path) -> int | None:
    record = folder / "run.json"
    return record.stat().st_mtime_ns if record.exists() else None


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _orphans(family: list[int], how: signal.Signals) -> Iterator[str]:
    """Yield those of a family that live ten seconds after its head has ended, and end them."""
    deadline = time.monotonic() + 10
    while (alive := [pid for pid in family if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in alive:
        yield f"{how.name}: process {pid} lives on: {' '.join(psutil.Process(pid).cmdline())[:200]}"
        os.kill(pid, signal.SIGKILL)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
