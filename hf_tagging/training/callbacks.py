"""Callbacks of training: complete checkpoints, the end on a signal."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import distributed
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_tagging.atomic import write_json
from hf_tagging.processes import ASKING, Terminated, asked
from hf_tagging.training.checkpoints import loading, mark_complete, read_state, rotate

logger = logging.getLogger("hf_tagging")


class CompleteCheckpoints(TrainerCallback):
    """Marks each checkpoint as complete, last of all, and only then deletes older ones.

    The Trainer writes a checkpoint file by file and would delete old ones the same way before that; a killed run can
    leave either half done. Only a checkpoint that holds what its mark lists is resumed.

    Args:
        keep: Checkpoints to keep, the best and the last among them; None: all.
    """

    def __init__(self, keep: int | None):
        self.keep = keep

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Lets a resumed run log in steps of now: the Trainer keeps those of the checkpoint (transformers 5.23)."""
        state.compute_steps(args, state.max_steps)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Runs after the Trainer has written everything, on every process."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            written = checkpoint / "trainer_state.json"
            write_json(written, json.loads(written.read_text(encoding="utf-8")))  # the Trainer's own may hold NaN
            mark_complete(checkpoint)
            rotate(checkpoint, self.keep, state.best_model_checkpoint)


class EndWhenAsked(TrainerCallback):
    """Save a checkpoint and end the training when SIGTERM or SIGHUP has come, on all processes after the same step.

    At the end of an epoch only after its evaluation: a run that goes on from the checkpoint has had it. To be added
    after `CompleteCheckpoints`, and to train within `put_off`.

    Raises:
        Terminated: Once the checkpoint is complete: nothing that follows on a training's end is done.
    """

    def __init__(self) -> None:
        self._number = 0
        self._group: distributed.ProcessGroup | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        train_dataloader: DataLoader | None = None,
        **kwargs: object,
    ) -> None:
        """Join the processes in a group on the CPU: asking there does not wait for what a GPU still computes.

        Schedulers send signals to all processes, those that feed the training among them: these are to go on.
        """
        if train_dataloader is not None and train_dataloader.num_workers:
            train_dataloader.worker_init_fn = partial(_undeterred, first=train_dataloader.worker_init_fn)
        if args.world_size > 1 and distributed.is_initialized():
            self._group = distributed.new_group(backend="gloo")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Ask for a checkpoint, if the epoch goes on."""
        ends = control.should_training_stop or control.should_epoch_stop or float(state.epoch or 0).is_integer()
        if self._agreed() and not ends:
            control.should_save = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Ask for a checkpoint, whatever `save_strategy` says."""
        if self._agreed():
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """End the training."""
        if self._agreed():
            logger.info("checkpoint-%d is saved", state.global_step)
            raise Terminated(self._number)

    def _agreed(self) -> int:
        """Return the signal that any of the processes has noted, or 0."""
        if self._group is None:
            self._number = asked()
        else:
            noted = torch.tensor([asked()])
            distributed.all_reduce(noted, op=distributed.ReduceOp.MAX, group=self._group)
            self._number = int(noted)
        return self._number


def _undeterred(worker: int, *, first: Callable[[int], None] | None) -> None:
    """Begin a worker of a `DataLoader` that only the end of its loader or of its parent ends."""
    if first is not None:
        first(worker)
    for number in ASKING:
        signal.signal(number, signal.SIG_IGN)


def stopped_early(checkpoint: Path) -> bool:
    """Return whether early stopping had ended the run that wrote this checkpoint.

    The Trainer restores how long the callback has been patient, but not that its patience had run out: resumed, it
    would train on until the next evaluation.
    """
    with loading(checkpoint):
        kept: Any = read_state(checkpoint).stateful_callbacks
        stopping = kept.get("EarlyStoppingCallback")
        if not stopping:
            return False
        waited: int = stopping["attributes"]["early_stopping_patience_counter"]
        return waited >= stopping["args"]["early_stopping_patience"]
