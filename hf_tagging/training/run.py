"""One run and its folder: nothing lost that was there, nothing half-written, everything traced in `run.json`."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn

from hf_tagging.atomic import remove, whole_file
from hf_tagging.disk import refusal
from hf_tagging.errors import ConfigError, OutputError, TaggingError, printable
from hf_tagging.evaluation.figures import Results
from hf_tagging.evaluation.metrics import Tags
from hf_tagging.evaluation.predictions import write_predictions
from hf_tagging.hub import first_line
from hf_tagging.locks import FolderLock
from hf_tagging.models.baseline import parts_of
from hf_tagging.models.configuration_baseline import BaselineConfig
from hf_tagging.models.hmm import HmmConfig
from hf_tagging.models.packing import unwrapped
from hf_tagging.problems import argument, switch
from hf_tagging.secrets import masked
from hf_tagging.training.checkpoints import Found
from hf_tagging.training.config import RunConfig
from hf_tagging.training.data_notes import DataNotes
from hf_tagging.training.environment import (
    git_revision,
    give_back_memory,
    hardware,
    peak_memory,
    versions,
)
from hf_tagging.training.former import FormerRun
from hf_tagging.training.record import (
    RECORD,
    ArgumentsRecord,
    History,
    RunRecord,
)
from hf_tagging.training.resuming import check_same_data, check_same_run, check_same_teacher, find_start

logger = logging.getLogger("hf_tagging")

_AT_THE_END = (
    "results.json", "README.md", "report.html", "predictions/seen.json", "predictions/documents.json",
    "predictions/validation.conll", "predictions/test.conll", "predictions/also_test.conll",
)  # fmt: skip


class TaggingRun(DataNotes, FormerRun):
    """Folder of a run, and its record. Making one touches nothing: `open` is the first to look at the folder.

    Args:
        arguments: All arguments of the run.
        resumable: Whoever starts it has a flag to go on with it.
    """

    def __init__(self, arguments: RunConfig, *, resumable: bool = True):
        self.state, self._began = PartialState(), time.monotonic()
        record: RunRecord = {
            "task": arguments.task.name,
            "status": "running",
            "started": _now(),
            "command": [Path(sys.argv[0]).name, *masked(sys.argv[1:])],
            "arguments": cast(ArgumentsRecord, arguments.as_dict()),
            "given": sorted(arguments.given),
            "seed": arguments.training.seed,
            "versions": versions(),
            "hardware": hardware(self.state.num_processes),
            "git_revision": git_revision(),
            "files": [],
        }
        super().__init__(arguments, record)
        self.task = None if arguments.task.name == "pretraining" else arguments.task
        self.is_saved = False
        self._lock: FolderLock | None = None
        self._resumable = resumable
        self._is_open = self._is_checked = self._has_begun = False

    # The folder

    def open(self) -> None:
        """Lock the folder for this run until `release`, and make sure that it may write there.

        Raises:
            OutputError: If another process is writing into `output_dir`, or it holds a run and neither `resume` nor
                `overwrite` is set.
            ConfigError: If the run to be resumed had other arguments.
            DataError: If it had other data.
        """
        if not self._is_open:
            self._lock = self._take_lock()
            self._is_open = True
        self.record["hardware"]["threads"] = torch.get_num_threads()
        try:
            if not self._is_checked:
                self._check_folder()
        except BaseException:
            self.release()
            raise
        self._is_checked = True

    def release(self) -> None:
        """Let other processes write into the folder again; the end of the program does so too."""
        if self._lock is not None:
            self._lock.release()
        self._lock, self._is_open = None, False

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep the folder for this run within the block, see `open`; a run that is open already stays so."""
        was_open = self._is_open
        self.open()
        try:
            yield
        finally:
            if not was_open:
                self.release()

    def _take_lock(self) -> FolderLock | None:
        """Lock the folder for all processes of the run: the first one holds the lock, and tells the others of it."""
        lock, refused = None, None
        if self.state.is_main_process:
            try:
                lock = FolderLock(self.folder.path, advice=f"choose another {argument('output_dir')}")
            except OutputError as error:
                refused = error
        told: list[OutputError | None] = broadcast_object_list([refused])
        if told[0] is not None:
            raise told[0]
        return lock

    def _check_folder(self) -> None:
        training = self.arguments.training
        named = Path(training.resume_from_checkpoint or "/").resolve()
        if training.overwrite and self.folder.path.resolve() in named.parents:
            raise ConfigError(
                f"resume_from_checkpoint: {training.resume_from_checkpoint} lies in the folder that "
                f"{switch('overwrite')} "
                f"empties. Give another {argument('output_dir')}."
            )
        self.folder.check(resume=training.resume, overwrite=training.overwrite, resumable=self._resumable)
        before = self.folder.record()
        if training.resume and before:
            self._before = before
            check_same_run(before, self.record, self.folder.path)
            noted = self.record.get("dataset", {}).get("splits", {})  # in Python, before the folder is looked at
            check_same_data(before, noted, name=self.arguments.dataset_name, folder=self.folder.path)
            check_same_teacher(before, self.record, self.folder.path)  # likewise

    # Training

    def resume(self, checkpoint: str | bool) -> None:
        """Go on with the run in the folder, as `Trainer.train(resume_from_checkpoint=...)` is asked to.

        Args:
            checkpoint: Folder of a checkpoint, or True: the last complete one.

        Raises:
            ConfigError: If `overwrite` is to remove the checkpoints first.
        """
        training = self.arguments.training
        if training.overwrite and not self._has_begun and checkpoint is True:
            raise ConfigError(
                f"resume_from_checkpoint: {switch('overwrite')} removes the run in {self.folder.path} and its "
                "checkpoints. Give one of the two."
            )
        training.resume_from_checkpoint = checkpoint if isinstance(checkpoint, str) else None
        training.resume = self.folder.record() is not None and (self._has_begun or not training.overwrite)

    @property
    def earlier_budget(self) -> int | None:
        """Number that ``tokens_per_batch auto`` came to in the run that is resumed."""
        return self._before.get("tokens_per_batch")

    def begin(self, model: nn.Module, *, budget: int | None = None, again: bool = False) -> Found:
        """Make the folder ready, and return where training goes on from; only now is an old run removed.

        Args:
            model: The model that is to be trained.
            budget: Subwords of a step.
            again: Look for a checkpoint though the run has begun: it was interrupted, and the program has not ended.

        Raises:
            OutputError: If there are checkpoints, and none of them is whole and fits.
        """
        is_new = not self._has_begun
        if not (is_new or again):
            return Found(None, [])
        self._has_begun = True
        parameters = list(model.parameters())
        self.record["parameters"] = {
            "all": sum(p.numel() for p in parameters),
            "trained": sum(p.numel() for p in parameters if p.requires_grad),
        }
        if context := getattr(getattr(unwrapped(model), "config", None), "context_subwords", None):
            self.record["context_subwords"] = context
        training = self.arguments.training
        if training.do_train:
            self.record["tokens_per_batch"] = budget
        if parts := self._parts(model):
            self.record["parts"] = parts
        found = find_start(training, model, self.folder.path) if training.do_train else Found(None, [])
        self.state.wait_for_everyone()  # every process looks, and none may change anything before
        with self.state.main_process_first():
            if self.state.is_main_process:
                if training.overwrite and is_new:
                    self.folder.remove_run()
                for checkpoint in found.damaged:
                    remove(checkpoint)
                self.folder.remove_left_behind()
                if is_new:
                    self.record["files"] = self._before.get("files", [])
                self.folder.write(RECORD, self.record)
        give_back_memory()  # of reading and aligning
        return found

    def _parts(self, model: nn.Module) -> dict[str, object]:
        """Return the parts of a tagger from scratch, as its word vectors or the folder it starts from decide them."""
        config = getattr(model, "config", None)
        if not isinstance(config, BaselineConfig | HmmConfig):
            return {}
        asked = vars(self.arguments.model)
        return {name: value for name, value in parts_of(config).items() if name in asked}

    @contextmanager
    def noted_if_it_ends(self) -> Iterator[None]:
        """Say in the record that the run was interrupted, or why it has failed; a killed run stays "running"."""
        try:
            yield
        except KeyboardInterrupt:
            self._note_end({"status": "interrupted"})
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, TaggingError) else refusal(error) or first_line(error)
            self._note_end({"status": "failed", "reason": reason})
            raise

    def _note_end(self, end: RunRecord) -> None:
        if self.state.is_main_process and self._has_begun:
            with suppress(OSError, OutputError):  # of a full disk; what ends the run is to be told, and not this
                self.folder.write(RECORD, {**self.record, **end})

    def note_history(self, log: Sequence[dict[str, float]]) -> None:
        """Note the evaluations while training.

        Args:
            log: The Trainer's `log_history`.
        """
        self.record["history"] = _history(log)

    # The end

    @property
    def merges(self) -> bool:
        """True if adapters are merged into the model that is saved."""
        return bool(getattr(self.arguments.model, "lora_merge", True))

    def take_model(self, files: Sequence[Path]) -> None:
        """Move the files of a trained model into the folder, each whole; by the main process.

        Args:
            files: Of the model and its tokenizer.
        """
        self.record["own_code"] = any(file.suffix == ".py" for file in files)
        self.record["model_bytes"] = sum(f.stat().st_size for f in files if f.suffix == ".safetensors")
        self.record["files"] = sorted({*self.record["files"], *(f.name for f in files), *_AT_THE_END})
        self.folder.write(RECORD, self.record)  # said before it is done: a killed run still knows its own files
        self.folder.take(files)

    def note_teacher(self, fingerprint: str) -> None:
        """Note what a teacher says of the training words.

        Args:
            fingerprint: From `SoftTags.fingerprint`.

        Raises:
            ConfigError: If the run to be resumed had another teacher.
        """
        self.record["teacher"] = fingerprint
        check_same_teacher(self._before, self.record, self.folder.path)

    def write_predictions(self, name: str, words: Sequence[Sequence[str]], gold: Tags, predicted: Tags) -> None:
        """Write the predictions of a split; by the main process.

        Args:
            name: Of the split.
            words: (sentences, words)
            gold: (sentences, words)
            predicted: (sentences, words)
        """
        if self.state.is_main_process:
            write_predictions(self.folder.path / "predictions" / f"{name}.conll", words, gold, predicted)

    def finish(self, results: Results, card: str) -> None:
        """Write `results.json`, the card and, last, `run.json` with status finished.

        Args:
            results: Per split, every figure.
            card: Text of `README.md`.
        """
        self.record.update({"status": "finished", "finished": _now(), "results": results})
        self.record.setdefault("seconds", {})["all"] = round(time.monotonic() - self._began, 1)
        self.record["memory"] = peak_memory()
        if self.state.is_main_process:
            self.folder.write("results.json", results)
            with whole_file(self.folder.path / "README.md") as file:
                file.write(card)
            self.folder.write(RECORD, self.record)
        self.state.wait_for_everyone()

    def main_process_first(self) -> AbstractContextManager[None]:
        """Let the first process of each machine fill the caches that the others there then read."""
        return self.state.local_main_process_first()

    def say(self, text: str) -> None:
        """Print once, whatever the number of processes."""
        if self.state.is_main_process:
            print(printable(f"\n{text}\n\nWritten to {self.folder.path}", line_ends=True), flush=True)


def _history(log: Sequence[dict[str, float]]) -> History:
    return [{key.removeprefix("eval_"): value for key, value in entry.items()} for entry in log if "eval_loss" in entry]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
