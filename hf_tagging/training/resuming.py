"""Going on with a run: whether it is the same one, and from which checkpoint."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from torch import nn

from hf_tagging.atomic import json_text
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.problems import argument, switch
from hf_tagging.training.checkpoints import Found, check_checkpoint, newest_checkpoint, unusable
from hf_tagging.training.config import TaggingConfig
from hf_tagging.training.record import RunRecord, SplitRecord

logger = logging.getLogger("hf_tagging")

# Arguments that change how a run is carried out but not what comes out of it: they may differ when it is resumed.
FREE_ARGUMENTS = {
    "resume", "overwrite", "resume_from_checkpoint", "output_dir", "disable_tqdm", "log_level", "log_level_replica",
    "report_to", "run_name", "project", "num_proc", "per_device_eval_batch_size", "dataloader_num_workers",
    "dataloader_pin_memory", "dataloader_persistent_workers", "dataloader_prefetch_factor", "local_rank", "hub_token",
    "push_to_hub", "hub_model_id", "hub_strategy", "hub_always_push", "hub_private_repo", "hub_revision",
    "logging_first_step", "logging_steps", "save_total_limit", "do_eval", "do_predict",
    "also_test",
}  # fmt: skip

# Keys of the record of a folder that no training has written, and what it is.
_NOT_TRAINED = {"trimmed": "a run with a trimmed vocabulary", "soup": "an average of runs"}


def check_same_run(before: RunRecord, now: RunRecord, folder: Path) -> None:
    """Make sure that a run is resumed as it was started; other versions of libraries are warned of.

    Args:
        before: The record in the folder.
        now: The record of the run that is to go on with it.
        folder: Of both.

    Raises:
        ConfigError: If an argument differs that changes the outcome, or the number of processes; or no training has
            written the folder.
    """
    if made := next((words for name, words in _NOT_TRAINED.items() if name in before), None):
        raise ConfigError(
            f"{folder}: is {made}, with no training to go on with. Give {switch('overwrite')} to replace "
            f"it, or another {argument('output_dir')}."
        )
    new = json.loads(json_text(now["arguments"], default=str)) | {"processes": now["hardware"]["processes"]}
    hardware = {name: value for name, value in before.get("hardware", {}).items() if name == "processes"}
    old: dict[str, object] = {**before["arguments"], **hardware}
    free = (
        FREE_ARGUMENTS - {"dataloader_num_workers"} if new.get("streaming") else FREE_ARGUMENTS
    )  # each reads its part
    changed = [name for name in new if name not in free and name in old and old[name] != new[name]]
    if changed:
        lines = [f"{name}: was {old[name]!r}, is {new[name]!r}" for name in sorted(changed)]
        raise ConfigError(
            f"{switch('resume')} goes on with the run in {folder} as it was started, but this differs:\n  "
            + "\n  ".join(lines)
            + f"\nGive the old values, or give {switch('overwrite')} to start again."
        )
    versions_then = {k: v for k, v in before.get("versions", {}).items() if now["versions"].get(k) != v}
    if versions_then:
        logger.warning("The run was started with other versions (%s): its weights may differ", versions_then)


def check_same_teacher(before: RunRecord, now: RunRecord, folder: Path) -> None:
    """Make sure that a run is resumed with the teacher that it was started with, as the teacher was then.

    Args:
        before: The record in the folder.
        now: The record of the run that is to go on with it.
        folder: Of both.

    Raises:
        ConfigError: If the teacher gives other tags to the training words.
    """
    if before.get("teacher", now.get("teacher")) != now.get("teacher", before.get("teacher")):
        raise ConfigError(
            f"{argument('teacher')}: gives other tags to the training words than when the run in {folder} was started. "
            f"Give the teacher as it was then, or give {switch('overwrite')} to start again."
        )


def check_same_data(before: RunRecord, splits: dict[str, SplitRecord], *, name: str, folder: Path) -> None:
    """Make sure that a run is resumed on the words and tags that it was started with.

    Args:
        before: The record in the folder.
        splits: Fingerprints of the data, by split.
        name: What the data is called.
        folder: Of the run.

    Raises:
        DataError: If a split has other words or tags.
    """
    old = before.get("dataset", {}).get("splits", {})
    changed = [split for split, facts in splits.items() if split in old and old[split] != facts]
    if changed:
        raise DataError(
            f"{name}: the words or tags of {', '.join(changed)} are not those that the run in {folder} was started "
            f"with. Give it the old data, or give {switch('overwrite')} to start again."
        )


def find_start(training: TaggingConfig, model: nn.Module, folder: Path) -> Found:
    """Return the checkpoint that training goes on from, if any, and damaged ones, which training will write anew.

    Args:
        training: Says whether to go on, and from which.
        model: The model that is to be trained.
        folder: Of the run.

    Raises:
        OutputError: If there are checkpoints, and none of them is whole and fits.
    """
    with_best = bool(training.load_best_model_at_end)
    if training.resume_from_checkpoint:
        named = Path(training.resume_from_checkpoint)
        check_checkpoint(named, model, with_best=with_best)
        return Found(named, unusable(folder, but=named) if training.resume else [])
    if not training.resume:
        return Found(None, [])
    if training.save_only_model:
        logger.warning("save_only_model: the checkpoints hold no optimizer; the run starts again")
        return Found(None, unusable(folder))
    found = newest_checkpoint(folder, model, with_best=with_best)
    if found.checkpoint:
        logger.info("Going on from %s", found.checkpoint)
    return found
