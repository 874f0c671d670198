"""One trial: a run that is trained, scored on the validation split after each epoch, and stopped early if asked to."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_tagging.atomic import remove
from hf_tagging.errors import DataError
from hf_tagging.problems import argument
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training.config import RunConfig
from hf_tagging.training.folder import RunFolder
from hf_tagging.training.record import RECORD
from hf_tagging.training.startup import start_run

Report = Callable[[float, float], str]
"""Takes the epoch and the figure of an evaluation; returns why the trial is stopped, empty to go on."""


@dataclass(frozen=True)
class Outcome:
    """End of a trial.

    Args:
        value: Figure on the validation split: of the best evaluation if the best checkpoint is kept, else of the last.
        epoch: When that was.
        stopped: Why it was stopped early; empty if it was not.
    """

    value: float
    epoch: float
    stopped: str = ""


class _Reports(TrainerCallback):
    """Hand on each evaluation, and end the training cleanly where the answer is a reason to."""

    def __init__(self, metric: str, report: Report):
        self.stopped = ""
        self._metric, self._report = f"eval_{metric}", report

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Report; a training whose last evaluation this is has nothing left to be spared."""
        value = (metrics or {}).get(self._metric, math.nan)
        stopped = self._report(float(state.epoch or 0), value) if math.isfinite(value) else ""
        if stopped and state.global_step < state.max_steps:
            self.stopped = stopped
            control.should_training_stop, control.should_save = True, False
            args.load_best_model_at_end = False  # its figure is known


def load_splits(config: RunConfig) -> dict[str, Dataset]:
    """Load the data of all trials, without the test split.

    Args:
        config: Of any trial.

    Raises:
        DataError: If there is nothing to validate on.
    """
    dataset = config.load_dataset()
    if "validation" not in dataset:
        raise DataError(
            f"{config.dataset_name}: has no validation split, on which trials are scored. Give "
            f"{argument('validation_share', 0.1)} or {argument('validation_file')}."
        )
    return {name: split for name, split in dataset.items() if name != "test"}


def train_trial(config: RunConfig, splits: Mapping[str, Dataset], report: Report) -> Outcome:
    """Train the run of a trial, or go on with it, and note in its record how it ended.

    Args:
        config: From `Search.trial`.
        splits: From `load_splits`.
        report: Hears of each evaluation of this process.

    Raises:
        TaggingError: If it cannot be trained.
    """
    metric = config.task.headline
    folder = RunFolder(str(config.training.output_dir))
    with _printing_to(folder.path.with_name(f"{folder.path.name}.log")):
        run = start_run(config)
        try:
            trainer = TaggingTrainer.of_run(run, splits)
            trainer.args.calibrate = False  # which changes no tag
            reports = _Reports(metric, report)
            trainer.add_callback(reports)
            trainer.train()
        finally:
            run.release()
    best = config.training.load_best_model_at_end and not reports.stopped
    value, epoch = _figure(run.record.get("history", []), metric, best=best)
    status = "stopped early" if reports.stopped else "finished"
    folder.write(RECORD, {**run.record, "status": status, **({"reason": reports.stopped} if reports.stopped else {})})
    del trainer
    _free_memory()
    return Outcome(value, epoch, reports.stopped)


def _figure(history: list[dict[str, float]], metric: str, *, best: bool) -> tuple[float, float]:
    """Return the best or the last figure of a training, and its epoch."""
    figures = [(entry[metric], entry["epoch"]) for entry in history if math.isfinite(entry.get(metric, math.nan))]
    if not figures:
        raise DataError(f"{metric}: no evaluation gave one; is the validation split empty?")
    return max(figures, key=lambda figure: figure[0]) if best else figures[-1]


def remove_weights(folder: Path) -> None:
    """Remove the checkpoints of a trial that has ended: its record is all that is read again.

    Args:
        folder: Of the run.
    """
    for checkpoint in RunFolder(folder).checkpoints():
        remove(checkpoint)


def _free_memory() -> None:
    gc.collect()  # trainer, model and optimizer refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Write what a run prints and logs into a file: the terminal has a line per trial."""
    package = logging.getLogger("hf_tagging")
    with open(log, "a", encoding="utf-8") as file, redirect_stdout(file):
        handler = logging.StreamHandler(file)
        propagate, package.propagate = package.propagate, False
        package.addHandler(handler)
        try:
            yield
        finally:
            package.removeHandler(handler)
            package.propagate = propagate
