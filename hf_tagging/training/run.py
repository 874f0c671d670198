"""One run and its folder: nothing lost that was there, nothing half-written, everything traced in `run.json`."""

from __future__ import annotations

import copy
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import datasets
import torch
import transformers
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import DatasetDict
from torch import nn
from transformers import set_seed

from hf_tagging.atomic import json_text, remove, whole_file
from hf_tagging.console import log_to_terminal
from hf_tagging.data.alignment import AlignedSplit
from hf_tagging.data.loading import unseen_tags
from hf_tagging.data.schema import Conversion
from hf_tagging.disk import refusal
from hf_tagging.errors import ConfigError, DataError, OutputError, TaggingError, printable
from hf_tagging.evaluation.figures import Figures, Results
from hf_tagging.hub import first_line
from hf_tagging.locks import FolderLock
from hf_tagging.memory import EVALUATING, TRAINING, enough_memory
from hf_tagging.models.baseline import parts_of
from hf_tagging.models.configuration_baseline import BaselineConfig
from hf_tagging.models.hmm import HmmConfig
from hf_tagging.processes import put_off
from hf_tagging.secrets import masked
from hf_tagging.training.callbacks import EndWhenAsked, stopped_early
from hf_tagging.training.checkpoints import Found, check_checkpoint, newest_checkpoint, unusable
from hf_tagging.training.energy import EnergyMeter
from hf_tagging.training.environment import (
    describe_split,
    git_revision,
    give_back_memory,
    hardware,
    keep_freed_memory,
    peak_memory,
    use_cores,
    versions,
)
from hf_tagging.training.folder import RunFolder
from hf_tagging.training.parsing import RunConfig
from hf_tagging.training.pushing import prepare_repository
from hf_tagging.training.record import (
    RECORD,
    AlignmentRecord,
    ArgumentsRecord,
    History,
    RunRecord,
    SchemeRecord,
)
from hf_tagging.training.trainer import TaggingTrainer
from hf_tagging.training.word_trainer import WordTrainer

logger = logging.getLogger("hf_tagging")

# Arguments that change how a run is carried out but not what comes out of it: they may differ when it is resumed.
FREE_ARGUMENTS = {
    "resume", "overwrite", "resume_from_checkpoint", "output_dir", "disable_tqdm", "log_level", "log_level_replica",
    "report_to", "run_name", "project", "num_proc", "per_device_eval_batch_size", "dataloader_num_workers",
    "dataloader_pin_memory", "dataloader_persistent_workers", "dataloader_prefetch_factor", "local_rank", "hub_token",
    "push_to_hub", "hub_model_id", "hub_strategy", "hub_always_push", "hub_private_repo", "hub_revision",
    "logging_first_step", "logging_steps", "save_total_limit", "do_eval", "do_predict",
}  # fmt: skip


class TaggingRun:
    """The folder of a run, from the first check to the last file.

    Until `release`, or until it is no longer used, no other process can write into the folder.

    Args:
        arguments: The run's arguments. Seeds every generator and quiets the libraries.

    Raises:
        OutputError: If another process is writing into `output_dir`, or it holds a run and neither `resume` nor
            `overwrite` is set.
        ConfigError: If the run to be resumed had other arguments.
    """

    def __init__(self, arguments: RunConfig):
        self.arguments = arguments
        self.folder = RunFolder(str(arguments.training.output_dir))
        self._before: RunRecord = {}  # the record of the run that is resumed
        self.state = PartialState()
        self.record: RunRecord = {
            "task": arguments.task,
            "status": "running",
            "started": _now(),
            "command": [Path(sys.argv[0]).name, *masked(sys.argv[1:])],
            "arguments": cast(ArgumentsRecord, arguments.as_dict()),
            "given": sorted(arguments.given),
            "seed": arguments.training.seed,
            "versions": versions(),
            "hardware": hardware(self.state.num_processes),
            "git_revision": git_revision(),
        }
        self._began = time.monotonic()
        use_cores(arguments.training.use_cpu)
        keep_freed_memory()
        self.record["hardware"]["threads"] = torch.get_num_threads()
        _quiet_libraries(self.state.is_main_process)
        self._lock = self._take_lock()
        try:
            self._check_folder()
            if arguments.training.push_to_hub and self.state.is_main_process:
                prepare_repository(arguments.training)
        except BaseException:
            self.release()
            raise
        set_seed(arguments.training.seed)

    def _take_lock(self) -> FolderLock | None:
        """Lock the folder for all processes of the run: the first one holds the lock, and tells the others of it."""
        lock, refusal = None, None
        if self.state.is_main_process:
            try:
                lock = FolderLock(self.folder.path, advice="choose another --output_dir")
            except OutputError as error:
                refusal = error
        told: list[OutputError | None] = broadcast_object_list([refusal])
        if told[0] is not None:
            raise told[0]
        return lock

    def release(self) -> None:
        """Let other processes write into the folder again; the end of the program does so too."""
        if self._lock is not None:
            self._lock.release()

    def _check_folder(self) -> None:
        training = self.arguments.training
        named = Path(training.resume_from_checkpoint or "/").resolve()
        if training.overwrite and self.folder.path.resolve() in named.parents:
            raise ConfigError(
                f"resume_from_checkpoint: {training.resume_from_checkpoint} lies in the folder that --overwrite "
                "empties. Give another --output_dir."
            )
        self.folder.check(resume=training.resume, overwrite=training.overwrite)
        before = self.folder.record()
        if not (training.resume and before):
            return
        self._before = before
        now = json.loads(json_text(self.record["arguments"], default=str))
        old = before["arguments"] | {k: v for k, v in before.get("hardware", {}).items() if k == "processes"}
        now["processes"] = self.record["hardware"]["processes"]
        changed = [name for name in now if name not in FREE_ARGUMENTS and name in old and old[name] != now[name]]
        if changed:
            lines = [f"{name}: was {old[name]!r}, is {now[name]!r}" for name in sorted(changed)]
            raise ConfigError(
                f"--resume goes on with the run in {self.folder.path} as it was started, but this differs:\n  "
                + "\n  ".join(lines)
                + "\nGive the old values, or type --overwrite to start again."
            )
        versions_then = {k: v for k, v in before.get("versions", {}).items() if self.record["versions"].get(k) != v}
        if versions_then:
            logger.warning("The run was started with other versions (%s): its weights may differ", versions_then)

    def select(self, dataset: DatasetDict) -> DatasetDict:
        """Keeps the first `max_train_samples` and `max_eval_samples` sentences, and notes what there is.

        Raises:
            DataError: If there is nothing to train on, or the run to be resumed had other data.
        """
        data = self.arguments.data
        limits = {"train": data.max_train_samples, "validation": data.max_eval_samples, "test": data.max_eval_samples}
        kept = DatasetDict()
        for name, split in dataset.items():
            limit = limits.get(name)
            kept[name] = split if limit is None else split.select(range(min(limit, len(split))))
        name = self.arguments.dataset_name
        if self.arguments.training.do_train and "train" not in kept:
            raise DataError(f"{name}: has no training split (there is {', '.join(kept)}); give --train_file.")
        self.record["dataset"] = {"name": name, "splits": {n: describe_split(split) for n, split in kept.items()}}
        before = self._before.get("dataset", {}).get("splits", {})
        changed = [n for n, facts in self.record["dataset"]["splits"].items() if n in before and before[n] != facts]
        if changed:
            raise DataError(
                f"{name}: the words or tags of {', '.join(changed)} are not those that the run in {self.folder.path} "
                "was started with. Give it the old data, or type --overwrite to start again."
            )
        return kept

    def main_process_first(self) -> AbstractContextManager[None]:
        """Lets the first process of each machine fill the caches that the others there then read."""
        return self.state.local_main_process_first()

    def note_conversion(self, conversion: Conversion) -> None:
        """Logs and notes which scheme the data had, and how many tags were repaired."""
        changed = "kept" if conversion.source == conversion.target else f"written as {conversion.target}"
        repaired = f"; {conversion.repaired:,} of {conversion.words:,} tags were invalid and are repaired"
        logger.info("Entities are in %s, %s%s", conversion.source, changed, repaired if conversion.repaired else "")
        self.record["scheme"] = cast(SchemeRecord, asdict(conversion))

    def note_alignment(self, splits: dict[str, AlignedSplit]) -> dict[str, AlignedSplit]:
        """Logs and notes what alignment did; gives the splits back.

        Raises:
            DataError: If a split has no words at all.
        """
        counts = {name: split.counts() for name, split in splits.items()}
        for name, count in counts.items():
            if not count.windows:
                what = "learn from" if name == "train" else "evaluate on"
                raise DataError(
                    f"{name}: none of its sentences ({count.sentences:,}) has a word, so there is nothing to {what}. "
                    "Look at the file, and at --max_train_samples and --max_eval_samples, which take the first ones."
                )
            if changes := count.describe():
                logger.info("%s: %s", name, changes)
        self.record["alignment"] = {name: cast(AlignmentRecord, asdict(count)) for name, count in counts.items()}
        # Counted here and not when it was loaded: by now every split is in one scheme.
        self.record["dataset"]["unseen_tags"] = unseen_tags(DatasetDict({n: s.words for n, s in splits.items()}))
        return splits

    def evaluate(
        self, trainer: TaggingTrainer, splits: dict[str, AlignedSplit], write_predictions: Callable[..., None]
    ) -> Results:
        """Tags and scores validation and test, as `do_eval` and `do_predict` ask, and keeps the predictions.

        Args:
            trainer: After training.
            splits: Those that exist.
            write_predictions: Writes (path, words, gold, predicted), the last three (sentences, words).

        Returns:
            Per split, every figure.
        """
        training = self.arguments.training
        results: Results = {}
        for name, wanted in {"validation": training.do_eval, "test": training.do_predict}.items():
            if wanted and name in splits:
                with self._noted_if_it_ends(), enough_memory(f"tagging {name}", advice=EVALUATING):
                    outcome = trainer.predict_words(splits[name], name)
                results[name] = cast(Figures, outcome.metrics)
                if self.state.is_main_process:
                    path = self.folder.path / "predictions" / f"{name}.conll"
                    write_predictions(path, splits[name].words["tokens"], outcome.gold, outcome.predicted)
        return results

    def say(self, text: str) -> None:
        """Prints once, whatever the number of processes."""
        if self.state.is_main_process:
            print(printable(f"\n{text}\n\nWritten to {self.folder.path}", line_ends=True), flush=True)

    def train(self, trainer: WordTrainer) -> None:
        """Trains, from the last complete checkpoint where the run is resumed, and saves the model.

        Raises:
            ConfigError: If an argument asks for a package that is not installed, or for LoRA on sharded weights.
        """
        assert trainer.model is not None
        if self.arguments.model.lora and (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
            raise ConfigError(
                "lora: adapters on weights that FSDP or DeepSpeed has sharded cannot be merged or saved here. "
                "Train them with accelerate_configs/multi_gpu.yaml, or leave --lora out."
            )
        parameters = list(trainer.model.parameters())
        self.record["parameters"] = {
            "all": sum(p.numel() for p in parameters),
            "trained": sum(p.numel() for p in parameters if p.requires_grad),
        }
        if self.arguments.training.do_train:
            self.record["tokens_per_batch"] = trainer.choose_budget(self._before.get("tokens_per_batch"))
        if parts := self._parts(trainer):
            self.record["parts"] = parts
        found = self._checkpoint(trainer.model) if self.arguments.training.do_train else Found(None, [])
        self.state.wait_for_everyone()  # every process looks, and none may change anything before
        with self.state.main_process_first():
            if self.state.is_main_process:
                self._begin(found.damaged)
        give_back_memory()  # of reading and aligning
        with self._noted_if_it_ends():
            self._train_and_save(trainer, found)

    @contextmanager
    def _noted_if_it_ends(self) -> Iterator[None]:
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

    def _note_end(self, end: dict[str, str]) -> None:
        if self.state.is_main_process:
            with suppress(OSError, OutputError):  # of a full disk; what ends the run is to be told, and not this
                self.folder.write(RECORD, self.record | end)

    def _train_and_save(self, trainer: WordTrainer, found: Found) -> None:
        if self.arguments.training.do_train:
            checkpoint = str(found.checkpoint) if found.checkpoint else None
            self.record["resumed_from"] = checkpoint and Path(checkpoint).name
            named = self.arguments.training.resume_from_checkpoint
            if checkpoint and not named and stopped_early(Path(checkpoint)):
                trainer.restore_finished(checkpoint)  # killed after its last step: there is nothing left to train
            else:
                self._train(trainer, checkpoint)
            self.record["history"] = _history(trainer.state.log_history)
        self._save_model(trainer)  # before anything is evaluated: bf16_full_eval casts the weights in place

    def _parts(self, trainer: WordTrainer) -> dict[str, object]:
        """What a tagger from scratch is made of; some of it a file of word vectors or the folder of --model decides."""
        config = getattr(trainer.model, "config", None)
        if not isinstance(config, BaselineConfig | HmmConfig):
            return {}
        return {name: value for name, value in parts_of(config).items() if name in asdict(self.arguments.model)}

    def _train(self, trainer: WordTrainer, checkpoint: str | None) -> None:
        try:
            trainer.add_callback(EndWhenAsked())
            with (
                enough_memory("training", advice=TRAINING),
                EnergyMeter(gpus=not self.arguments.training.use_cpu) as meter,
                put_off(),
            ):
                output = trainer.train(resume_from_checkpoint=checkpoint)
        except ImportError as error:
            raise ConfigError(f"A package is missing for what was asked: {error}") from error
        self.record["seconds"] = {"training": round(output.metrics["train_runtime"], 1)}
        if counted := meter.record():
            self.record["energy"] = counted

    def _begin(self, damaged: Sequence[Path]) -> None:
        """Makes the folder ready; only now, with everything loaded, is an old run removed.

        Args:
            damaged: Checkpoints of the run that are not whole. They go too: training will write them anew.
        """
        if self.arguments.training.overwrite:
            self.folder.remove_run()
        for checkpoint in damaged:
            remove(checkpoint)
        self.folder.remove_left_behind()
        self.record["files"] = self._before.get("files", [])
        self.folder.write(RECORD, self.record)

    def _checkpoint(self, model: nn.Module) -> Found:
        """Where training goes on, if anywhere.

        Raises:
            OutputError: If there are checkpoints, and none of them is whole and fits.
        """
        training = self.arguments.training
        with_best = bool(training.load_best_model_at_end)
        if training.resume_from_checkpoint:
            named = Path(training.resume_from_checkpoint)
            check_checkpoint(named, model, with_best=with_best)
            return Found(named, unusable(self.folder.path, but=named) if training.resume else [])
        if not training.resume:
            return Found(None, [])
        if training.save_only_model:
            logger.warning("save_only_model: the checkpoints hold no optimizer; the run starts again")
            return Found(None, unusable(self.folder.path))
        found = newest_checkpoint(self.folder.path, model, with_best=with_best)
        if found.checkpoint:
            logger.info("Going on from %s", found.checkpoint)
        return found

    def save(self, results: Results, card: str) -> None:
        """Writes `results.json`, the card and, last, `run.json` with status finished.

        Args:
            results: Per split, every figure.
            card: Text of `README.md`.
        """
        self.record |= {"status": "finished", "finished": _now(), "results": results}
        self.record.setdefault("seconds", {})["all"] = round(time.monotonic() - self._began, 1)
        self.record["memory"] = peak_memory()
        if self.state.is_main_process:
            self.folder.write("results.json", results)
            with whole_file(self.folder.path / "README.md") as file:
                file.write(card)
            self.folder.write(RECORD, self.record)
        self.state.wait_for_everyone()

    def _save_model(self, trainer: WordTrainer) -> None:
        """Writes model and tokenizer beside the folder's other files, each file whole.

        A LoRA model is merged first, so that the result is an ordinary one. With ``--lora_merge false`` the adapter
        stands in files of its own beside the encoder that it belongs to: the folder loads without the Hub, and the
        adapter can be taken out of it.
        """
        staging = self.folder.path / ".model"
        if self.state.is_main_process:
            remove(staging)  # of a run that was killed
        self.state.wait_for_everyone()
        trainer.save_model(str(staging))  # every process takes part where weights are sharded
        model: Any = trainer.accelerator.unwrap_model(trainer.model)
        if self.state.is_main_process:
            if hasattr(model, "merge_and_unload"):
                model = self._save_lora(model, staging)
            trainer.keep_margin(staging, model)
            for leftover in ("training_args.bin", "README.md"):  # a pickle, and peft's own empty card
                (staging / leftover).unlink(missing_ok=True)
            files = sorted(staging.iterdir())
            self.record["own_code"] = any(file.suffix == ".py" for file in files)
            self.record["model_bytes"] = sum(f.stat().st_size for f in files if f.suffix == ".safetensors")
            written = [f.name for f in files] + ["results.json", "README.md", "report.html", "predictions/seen.json"]
            written += [f"predictions/{name}.conll" for name in ("validation", "test")]
            self.record["files"] = sorted({*self.record["files"], *written})
            self.folder.write(RECORD, self.record)  # said before it is done: a killed run still knows its own files
            self.folder.take(files)
            remove(staging)
        self.state.wait_for_everyone()

    def _save_lora(self, model: Any, staging: Path) -> Any:
        """Save a model with adapters; return the merged model, None where the adapter stays in files of its own."""
        if not self.arguments.model.lora_merge:
            copy.deepcopy(model).unload().save_pretrained(staging)
            return None
        merged = model.merge_and_unload()
        merged.save_pretrained(staging)
        for adapter in staging.glob("adapter_*"):
            adapter.unlink()
        return merged


def _history(log: Sequence[dict[str, float]]) -> History:
    return [{key.removeprefix("eval_"): value for key, value in entry.items()} for entry in log if "eval_loss" in entry]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _quiet_libraries(main_process: bool) -> None:
    """Leaves our own lines and the bar; the libraries speak up for errors only."""
    log_to_terminal()
    logging.getLogger("hf_tagging").setLevel(logging.INFO if main_process else logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)  # of the libraries among themselves
    transformers.logging.set_verbosity_error()
    datasets.logging.set_verbosity(logging.CRITICAL)  # what it logs before it raises, our messages say with the place
    transformers.logging.disable_progress_bar()  # of loading and saving weights; training has its own
    if not (main_process and sys.stderr.isatty()):
        datasets.disable_progress_bars()
