"""Checks of the arguments of training by themselves, whatever the task and the model."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from hf_tagging.errors import Problem
from hf_tagging.training.config.checks import did_you_mean, near_path, out_of_range

if TYPE_CHECKING:
    from hf_tagging.training.config.tagging import TaggingConfig

# Subwords per batch. A CPU gains little by more (1,536 train a tenth faster in bfloat16, at half as many steps); an
# accelerator wants more to do.
CPU_TOKENS, ACCELERATOR_TOKENS = 768, 2048
PACKED_ROW = 128
# Arguments of Transformers that say when to push during training.
IN_BETWEEN = ("hub_strategy", "hub_always_push")


def training_problems(config: TaggingConfig, given: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with arguments of training.

    Args:
        config: Before `TrainingArguments` has looked at it.
        given: Names of the arguments that were given.
    """
    yield from out_of_range(config)
    yield from _backend_problems(config.torch_compile_backend)
    for name in IN_BETWEEN:
        if name in given:
            yield Problem(name, getattr(config, name), "a run is pushed once, when it is finished", "leave it out")
    if config.ema_decay and "schedule_free" in str(_plain(config.optim)):
        reason = "a schedule-free optimizer averages by itself"
        yield Problem("ema_decay, optim", config.ema_decay, reason, "give ema_decay 0 with it")
    if config.enable_jit_checkpoint:
        reason = "SIGTERM and SIGHUP save a checkpoint in any case"
        yield Problem("enable_jit_checkpoint", True, reason, "leave it out")
    if config.early_stopping_patience is not None and _plain(config.eval_strategy) == "no":
        reason = "needs evaluations; eval_strategy is no"
        yield Problem("early_stopping_patience", config.early_stopping_patience, reason)
    yield from _folder_problems(config)
    yield from _length_problems(config)
    yield from _batching_problems(config)
    yield from _tracker_problems(config.report_to)


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _folder_problems(config: TaggingConfig) -> Iterator[Problem]:
    if config.resume and config.overwrite:
        yield Problem("resume, overwrite", True, "give one of the two")
    folder = config.output_dir
    if folder is not None and not folder.strip():
        yield Problem("output_dir", folder, "is empty", "give a folder, or leave it out")
    elif folder and Path(folder).expanduser().is_file():
        yield Problem("output_dir", folder, f"{folder} is a file", "give a folder")
    if config.resume_from_checkpoint:
        checkpoint = Path(config.resume_from_checkpoint).expanduser()
        name, value = "resume_from_checkpoint", config.resume_from_checkpoint
        if not checkpoint.exists():
            yield Problem(name, value, f"{value} is not there{near_path(checkpoint)}")
        elif not (checkpoint / "trainer_state.json").is_file():
            yield Problem(name, value, f"{checkpoint} is no checkpoint, it has no trainer_state.json")


def _length_problems(config: TaggingConfig) -> Iterator[Problem]:
    epochs = config.num_train_epochs
    if config.max_steps <= 0 and not epochs > 0:
        yield Problem("num_train_epochs", epochs, f"{epochs} is not above 0")
    if epochs == math.inf:
        yield Problem("num_train_epochs", epochs, "inf is not finite")


def _batching_problems(config: TaggingConfig) -> Iterator[Problem]:
    """Yield what is wrong with the arguments that say how windows become batches."""
    asked, windows = config.tokens_per_batch, config.per_device_train_batch_size
    number = int(asked) if isinstance(asked, str) and asked.isdecimal() else asked
    if number is not None and number != "auto" and not (isinstance(number, int) and number >= 1):
        reason = f"{number!r} is neither a number of subwords, such as {CPU_TOKENS}, nor auto"
        yield Problem("tokens_per_batch", asked, reason)
    if windows < 0:
        yield Problem("per_device_train_batch_size", windows, f"{windows} is below 1")
    if windows and asked is not None:
        reason = "give one of the two, subwords or windows per batch"
        yield Problem("tokens_per_batch, per_device_train_batch_size", asked, reason)
    if config.packing and (windows or asked == "auto"):
        reason = "its rows hold tokens_per_batch subwords"
        yield Problem("packing", True, reason, "give that as a number, or leave it out")
    if windows:
        return
    instead = "give per_device_train_batch_size with it, or leave it out"
    if _plain(config.train_sampling_strategy) != "random":
        reason = "batches of tokens_per_batch have windows of like length already"
        yield Problem("train_sampling_strategy", config.train_sampling_strategy, reason, instead)
    if config.dataloader_drop_last:
        yield Problem(
            "dataloader_drop_last", True, "batches of tokens_per_batch have no short one at their end", instead
        )
    if config.auto_find_batch_size:
        reason = "give tokens_per_batch auto instead, or per_device_train_batch_size with it"
        yield Problem("auto_find_batch_size", True, reason)


def _backend_problems(backend: str | None) -> Iterator[Problem]:
    """Yield a backend of `torch.compile` that torch does not know; it would say so in the first step."""
    if backend is None:
        return
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        reason = f"{backend!r} is not one of {', '.join(known)}{did_you_mean(backend, known)}"
        yield Problem("torch_compile_backend", backend, reason)


def _tracker_problems(report_to: str | list[str] | None) -> Iterator[Problem]:
    """Yield trackers that Transformers does not know or that are not installed, before anything is loaded."""
    for name in [report_to] if isinstance(report_to, str) else report_to or []:
        if name in ("all", "none"):
            continue
        if name not in INTEGRATION_TO_CALLBACK:
            known = ("all", "none", *INTEGRATION_TO_CALLBACK)
            near = did_you_mean(name, INTEGRATION_TO_CALLBACK)
            yield Problem("report_to", name, f"{name!r} is not one of {', '.join(known)}{near}")
            continue
        try:
            INTEGRATION_TO_CALLBACK[name]()  # only they know what they need
        except (RuntimeError, ImportError, ValueError) as error:
            yield Problem("report_to", name, " ".join(str(error).split()))
