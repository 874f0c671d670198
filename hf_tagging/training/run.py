"""One run and its folder: nothing lost that was there, nothing half-written, everything traced in `run.json`."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from accelerate import PartialState
from datasets import DatasetDict
from huggingface_hub import HfApi
from transformers import set_seed

from hf_tagging.atomic import whole_file
from hf_tagging.data.alignment import AlignedSplit
from hf_tagging.data.loading import unseen_tags
from hf_tagging.data.schema import Conversion
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.training.callbacks import is_complete, last_complete_checkpoint
from hf_tagging.training.environment import describe_split, git_revision, hardware, use_cores, versions
from hf_tagging.training.parsing import RunArguments
from hf_tagging.training.trainer import TaggingTrainer

logger = logging.getLogger("hf_tagging")

RECORD = "run.json"
_OWN = (
    RECORD,
    "results.json",
    "README.md",
    "predictions",
    "config.json",
    "adapter_config.json",
)  # what marks a run
_MODEL_FILES = (
    "*.safetensors*",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "adapter_*",
    "runs",
)
# Arguments that change how a run is carried out but not what comes out of it: they may differ when it is resumed.
_FREE = {
    "resume", "overwrite", "resume_from_checkpoint", "output_dir", "disable_tqdm", "log_level", "log_level_replica",
    "report_to", "run_name", "project", "num_proc", "per_device_eval_batch_size", "dataloader_num_workers",
    "dataloader_pin_memory", "dataloader_persistent_workers", "dataloader_prefetch_factor", "local_rank", "hub_token",
    "push_to_hub", "hub_model_id", "hub_strategy", "hub_private_repo", "logging_first_step", "do_eval", "do_predict",
}  # fmt: skip


class TaggingRun:
    """The folder of a run, from the first check to the last file.

    Args:
        arguments: The run's arguments. Seeds every generator and quiets the libraries.

    Raises:
        OutputError: If `output_dir` holds a run and neither `resume` nor `overwrite` is set.
        ConfigError: If the run to be resumed had other arguments.
    """

    def __init__(self, arguments: RunArguments):
        self.arguments = arguments
        self.folder = Path(arguments.training.output_dir or "runs")
        self.state = PartialState()
        self.record: dict[str, Any] = {
            "task": arguments.task,
            "status": "running",
            "started": _now(),
            "command": [Path(sys.argv[0]).name, *_masked(sys.argv[1:])],
            "arguments": _masked_values(arguments.as_dict()),
            "seed": arguments.training.seed,
            "versions": versions(),
            "hardware": hardware(self.state.num_processes),
            "git_revision": git_revision(),
        }
        self._began = time.monotonic()
        use_cores(arguments.training.use_cpu)
        self.record["hardware"]["threads"] = torch.get_num_threads()
        _quiet_libraries(self.state.is_main_process)
        self._check_folder()
        set_seed(arguments.training.seed)

    def _check_folder(self) -> None:
        found = [name for name in _OWN if (self.folder / name).exists()]
        found += sorted(path.name for path in self.folder.glob("checkpoint-*"))
        training = self.arguments.training
        if found and not (training.resume or training.overwrite):
            raise OutputError(
                f"{self.folder}: holds a run already ({', '.join(found[:4])}). Nothing was changed. "
                "Type --resume to go on with it, --overwrite to replace it, or choose another --output_dir."
            )
        if training.resume and found:
            self._check_arguments()

    def _check_arguments(self) -> None:
        try:
            before = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))["arguments"]
        except (OSError, ValueError, KeyError):
            raise OutputError(
                f"{self.folder / RECORD}: cannot be read, so it is not known how the run was started. "
                "Type --overwrite to start again."
            ) from None
        now = json.loads(json.dumps(self.record["arguments"], default=str))
        changed = [k for k in now if k not in _FREE and k in before and before[k] != now[k]]
        if changed:
            lines = [f"{k}: was {before[k]!r}, is {now[k]!r}" for k in sorted(changed)]
            raise ConfigError(
                f"--resume goes on with the run in {self.folder} as it was started, but its arguments differ:\n  "
                + "\n  ".join(lines)
                + "\nGive the old values, or type --overwrite to start again."
            )

    def select(self, dataset: DatasetDict) -> DatasetDict:
        """Keeps the first `max_train_samples` and `max_eval_samples` sentences, and notes what there is."""
        data = self.arguments.data
        limits = {
            "train": data.max_train_samples,
            "validation": data.max_eval_samples,
            "test": data.max_eval_samples,
        }
        kept = DatasetDict()
        for name, split in dataset.items():
            limit = limits.get(name)
            kept[name] = split if limit is None else split.select(range(min(limit, len(split))))
        if self.arguments.training.do_train and "train" not in kept:
            raise DataError(f"{data.dataset}: has no training split (there is {', '.join(kept)}); give --train_file.")
        self.record["dataset"] = {
            "name": data.dataset,
            "splits": {name: describe_split(split) for name, split in kept.items()},
            "unseen_tags": unseen_tags(kept),
        }
        return kept

    def main_process_first(self) -> AbstractContextManager[None]:
        """Lets the first process fill the caches that the others then read."""
        return self.state.main_process_first()

    def note_conversion(self, conversion: Conversion) -> None:
        """Logs and notes which scheme the data had, and how many tags were repaired."""
        changed = "kept" if conversion.source == conversion.target else f"written as {conversion.target}"
        repaired = f"; {conversion.repaired:,} of {conversion.words:,} tags were invalid and are repaired"
        logger.info("Entities are in %s, %s%s", conversion.source, changed, repaired if conversion.repaired else "")
        self.record["scheme"] = asdict(conversion)

    def note_alignment(self, splits: dict[str, AlignedSplit]) -> dict[str, AlignedSplit]:
        """Logs and notes what alignment did; gives the splits back."""
        counts = {name: split.counts() for name, split in splits.items()}
        for name, count in counts.items():
            if changes := count.describe():
                logger.info("%s: %s", name, changes)
        self.record["alignment"] = {name: asdict(count) for name, count in counts.items()}
        return splits

    def evaluated(self, splits: dict[str, AlignedSplit]) -> list[str]:
        """The splits that the arguments ask figures of (`do_eval`, `do_predict`) and that exist."""
        training = self.arguments.training
        wanted = {"validation": training.do_eval, "test": training.do_predict}
        return [name for name, wish in wanted.items() if wish and name in splits]

    def write(self, name: str, writer: Callable[..., None], *content: Any) -> None:
        """Calls `writer(path, *content)` for a file in the folder, on the first process alone."""
        if self.state.is_main_process:
            writer(self.folder / name, *content)

    def say(self, text: str) -> None:
        """Prints once, whatever the number of processes."""
        if self.state.is_main_process:
            print(f"\n{text}\n\nWritten to {self.folder}", flush=True)

    def train(self, trainer: TaggingTrainer) -> None:
        """Trains, from the last complete checkpoint where the run is resumed."""
        assert trainer.model is not None
        parameters = list(trainer.model.parameters())
        self.record["parameters"] = {
            "all": sum(p.numel() for p in parameters),
            "trained": sum(p.numel() for p in parameters if p.requires_grad),
        }
        with self.state.main_process_first():
            if self.state.is_main_process:
                self._begin()
        if not self.arguments.training.do_train:
            return
        given = self.arguments.training.resume_from_checkpoint
        checkpoint = given or (last_complete_checkpoint(self.folder) if self.arguments.training.resume else None)
        if checkpoint:
            logger.info("Going on from %s", checkpoint)
        output = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        self.record["seconds"] = {"training": round(output.metrics["train_runtime"], 1)}
        self.record["history"] = _history(trainer.state.log_history)

    def _begin(self) -> None:
        """Makes the folder ready; only now, with everything loaded, is an old run removed."""
        if self.arguments.training.overwrite:
            _remove_run(self.folder)
        for checkpoint in self.folder.glob("checkpoint-*"):
            if not is_complete(checkpoint):
                shutil.rmtree(checkpoint)
        self._write(RECORD, self.record)

    def save(self, trainer: TaggingTrainer, results: dict[str, dict[str, Any]], card: str = "") -> None:
        """Writes the model, the tokenizer, `results.json`, the card and, last, `run.json` with status finished.

        Args:
            trainer: After training.
            results: Per split, every figure.
            card: Text of `README.md`.
        """
        self.save_model(trainer)
        self.record |= {"status": "finished", "finished": _now(), "results": results}
        self.record.setdefault("seconds", {})["all"] = round(time.monotonic() - self._began, 1)
        if self.state.is_main_process:
            self._write("results.json", results)
            with whole_file(self.folder / "README.md") as file:
                file.write(card)
            self._write(RECORD, self.record)
            if self.arguments.training.push_to_hub:
                self._push(trainer)
        self.state.wait_for_everyone()

    def _push(self, trainer: TaggingTrainer) -> None:
        """Uploads the folder as it stands; `Trainer.push_to_hub` would save again and write a card of its own."""
        training = self.arguments.training
        url = HfApi(token=training.hub_token).upload_folder(
            repo_id=str(trainer.hub_model_id),
            folder_path=self.folder,
            revision=training.hub_revision,
            ignore_patterns=["checkpoint-*", ".*"],
            commit_message=f"{self.arguments.task} tagger, {self.record['finished']}",
        )
        logger.info("Pushed to %s", url)

    def save_model(self, trainer: TaggingTrainer) -> None:
        """Writes model and tokenizer beside the folder's other files, each file whole.

        A LoRA model is merged first, so that the result is an ordinary one. With ``--lora_merge false`` the adapter
        stands in files of its own beside the encoder that it belongs to: the folder loads without the Hub, and the
        adapter can be taken out of it.
        """
        staging = self.folder / ".model"
        if self.state.is_main_process:
            shutil.rmtree(staging, ignore_errors=True)
        self.state.wait_for_everyone()
        trainer.save_model(str(staging))  # every process takes part where the weights are sharded
        model: Any = trainer.accelerator.unwrap_model(trainer.model)
        if self.state.is_main_process:
            if hasattr(model, "merge_and_unload"):
                merge = self.arguments.model.lora_merge
                (model.merge_and_unload() if merge else model.unload()).save_pretrained(staging)
                for adapter in staging.glob("adapter_*") if merge else ():
                    adapter.unlink()
            for file in sorted(staging.iterdir()):
                if file.name not in ("training_args.bin", "README.md"):  # a pickle, and peft's own empty card
                    os.replace(file, self.folder / file.name)
            shutil.rmtree(staging)
        self.state.wait_for_everyone()

    def _write(self, name: str, content: Any) -> None:
        with whole_file(self.folder / name) as file:
            json.dump(content, file, indent=2, ensure_ascii=False, default=str)
            file.write("\n")


def _remove_run(folder: Path) -> None:
    """Removes what a run writes, and nothing else that a person may have put there."""
    for pattern in (*_OWN, *_MODEL_FILES, "checkpoint-*", ".model"):
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _history(log: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key.removeprefix("eval_"): value for key, value in entry.items()} for entry in log if "eval_loss" in entry]


def _masked(argv: Sequence[str]) -> list[str]:
    """A command line without the value of a token."""
    return [
        "***" if i and "token" in argv[i - 1] and argv[i - 1].startswith("--hub") else a for i, a in enumerate(argv)
    ]


def _masked_values(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: ("***" if k.endswith("_token") and v else v) for k, v in arguments.items()}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _quiet_libraries(main_process: bool) -> None:
    """Leaves our own lines and the bar; the libraries speak up for errors only."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("hf_tagging").setLevel(logging.INFO if main_process else logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)  # of the libraries among themselves
    transformers.logging.set_verbosity_error()
    datasets.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()  # of loading and saving weights; training has its own
    if not (main_process and sys.stderr.isatty()):
        datasets.disable_progress_bars()
