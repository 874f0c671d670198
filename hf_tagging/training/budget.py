"""Batches of a budget of subwords in the Trainer: their loader, and the largest budget that a device's memory holds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from accelerate.utils.memory import should_reduce_batch_size
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from hf_tagging.data.alignment import window_lengths
from hf_tagging.data.batching import Collate, CountedWindows, TokenBudgetBatches, WindowCollator, WindowRows
from hf_tagging.data.packing import PackedRows, PackingCollator
from hf_tagging.errors import ConfigError
from hf_tagging.memory import out_of_memory
from hf_tagging.models.packing import first_position
from hf_tagging.training.arguments import CPU_TOKENS, PACKED_ROW
from hf_tagging.training.rates import unwrapped

if TYPE_CHECKING:
    from hf_tagging.training.trainer import TaggingTrainer

logger = logging.getLogger(__name__)

_FIRST_TRIED = 1024
_LEAST_STEPS = 100  # of an epoch: what a batch gains in speed beyond that, it loses in steps


def training_loader(trainer: TaggingTrainer, budget: int | None) -> DataLoader:
    """Return the loader of training: steps of `budget` subwords, or of a number of windows, shared over the processes.

    Neither the Trainer nor accelerate has batches of subwords, and both repeat windows where a step is too small for
    all processes (transformers 5.23, accelerate 1.15).

    Args:
        trainer: The trainer; its `train_dataset` has a column `length`. If it packs, its batches are rows of windows.
        budget: Subwords of a step, over all processes and accumulated batches, padding counted; None: windows are
            counted.
    """
    args, features = trainer.args, trainer.train_dataset
    assert isinstance(features, Dataset)
    steps, collator = _steps(trainer, window_lengths(features), budget)
    by_table = isinstance(collator, WindowCollator | PackingCollator)  # others take rows
    taken: Any = trainer.model_columns(features, "Training")
    loader = DataLoader(
        WindowRows(taken) if by_table else WindowRows(taken, None, as_table=False),
        batch_sampler=steps,
        collate_fn=Collate(collator),
        num_workers=args.dataloader_num_workers,
        pin_memory=args.dataloader_pin_memory,
        persistent_workers=args.dataloader_persistent_workers,
        prefetch_factor=args.dataloader_prefetch_factor,
        multiprocessing_context=args.dataloader_multiprocessing_context,
        in_order=args.dataloader_in_order,
    )
    prepared = trainer.accelerator.prepare(loader)
    # Through its wrappers accelerate hands an epoch's number on to `sampler`: without this line a run that is resumed
    # in the middle of an epoch goes on in the order of the first one (accelerate 1.15).
    prepared.set_sampler(steps)
    return prepared


def _steps(trainer: TaggingTrainer, lengths: np.ndarray, budget: int | None) -> tuple[Any, Any]:
    """Return the steps of an epoch, and what makes tensors of the windows of a share.

    Args:
        trainer: The trainer.
        lengths: Subwords of each window. (windows,)
        budget: See `training_loader`.
    """
    args, collator, shares = trainer.args, trainer.data_collator, shares_of_a_step(trainer.args)
    order: dict[str, Any] = {"seed": args.seed if args.data_seed is None else args.data_seed, "shares": shares}
    if budget is None:
        strategy = str(getattr(args.train_sampling_strategy, "value", args.train_sampling_strategy))
        order |= {"order": strategy, "drop_last": args.dataloader_drop_last}
        return CountedWindows(lengths, args.train_batch_size * shares, **order), collator
    if not args.packing:
        return TokenBudgetBatches(lengths, budget, **order), collator
    shape = _rows(int(lengths.max()), budget // shares)
    packed: Any = collator
    first = first_position(unwrapped(trainer.model))
    rows = {"row_length": shape["row_length"], "rows_per_batch": shape["rows_per_batch"] * shares}
    return PackedRows(lengths, **rows, **order), PackingCollator(
        **shape, pad_token_id=packed.pad_token_id, first_position=first
    )


def _rows(longest: int, budget: int) -> dict[str, int]:
    """Shape of the packed rows of a budget: rows that hold the longest window, in steps that kernels like."""
    length = max(PACKED_ROW, -(-longest // 64) * 64)
    return {"row_length": length, "rows_per_batch": max(1, budget // length)}


def shares_of_a_step(args: TrainingArguments) -> int:
    """Return into how many batches a step is cut: for every process those that it accumulates."""
    return args.world_size * args.gradient_accumulation_steps


def find_budget(trainer: TaggingTrainer) -> int:
    """The largest budget, in powers of two, with which a step fits the device's memory, the same on every process.

    The budget is of a step, which all processes share and accumulated batches make up: what has to fit a device is a
    share of it. A CPU is not filled: larger batches are little faster there and make fewer steps, so it is 768
    subwords, or less where a step of so many fails. An accelerator is filled as long as an epoch keeps about a hundred
    steps.

    Args:
        trainer: Before training; nothing of it changes.

    Raises:
        ConfigError: If not even one window fits, or the weights are sharded over devices.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise ConfigError(
            "tokens_per_batch: auto tries steps on one device, and FSDP and DeepSpeed spread a step over several. Give "
            "a number."
        )
    features: Any = trainer.train_dataset
    lengths = window_lengths(features)
    longest_first, longest = np.argsort(-lengths), int(lengths.max())
    shares = shares_of_a_step(trainer.args)

    def fits(budget: int) -> bool:
        # Of all batches of a budget the one of the longest windows takes most memory: attention grows with the square.
        rows = np.resize(longest_first, max(1, -(-(budget // longest) // shares)))
        return _fits(trainer, [features[int(row)] for row in rows])

    on_cpu = trainer.args.device.type == "cpu"
    most = CPU_TOKENS if on_cpu else int(lengths.sum()) // _LEAST_STEPS
    first = CPU_TOKENS if on_cpu else _FIRST_TRIED * shares
    found = largest_budget(fits, first=first, most=most, least=longest) or 0
    budget = int(trainer.accelerator.gather(torch.tensor([found], device=trainer.args.device)).min())
    if not budget:  # on any process: the others would wait for its first step
        raise ConfigError(
            f"tokens_per_batch: not even a single window of {longest} subwords fits the device's memory. Give a "
            "smaller --max_length, --lora true, or a smaller --model."
        )
    logger.info("tokens_per_batch auto: %s subwords per step", f"{budget:,}")
    return budget


def largest_budget(fits: Callable[[int], bool], *, first: int, most: int, least: int) -> int | None:
    """Doubles or halves a budget until it fits and its double does not.

    Args:
        fits: Whether a step of so many subwords fits.
        first: Where to start.
        most: More is not tried.
        least: Less makes no smaller step: the longest window is a batch of its own.

    Returns:
        The budget; None if not even `least` fits.
    """
    budget = first
    if fits(budget):
        while budget * 2 <= most and fits(budget * 2):
            budget *= 2
        return budget
    while budget > least:
        budget //= 2
        if fits(budget):
            return budget
    return None


def _fits(trainer: TaggingTrainer, windows: list[dict[str, Any]]) -> bool:
    """Whether a step on these windows fits beside the optimizer's two moments per weight, and an average."""
    model: Any = trainer.model
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    modes = {module: module.training for module in model.modules()}
    copies = 3 if trainer.args.ema_decay else 2
    kept: list[torch.Tensor] = []
    try:
        # Dropout's generators go back to where they were: a run with `auto` is the run with the number it finds.
        with torch.random.fork_rng(devices=_devices(trainer.args.device)):
            kept += [torch.empty_like(parameter) for parameter in trained for _ in range(copies)]
            model.train()
            inputs = send_to_device(trainer.data_collator(windows), trainer.args.device)
            with trainer.accelerator.autocast():
                loss: Any = trainer.compute_loss(model, inputs, num_items_in_batch=torch.tensor(len(windows)))
            loss.backward()
        return True
    except (RuntimeError, MemoryError) as error:
        if not (out_of_memory(error) or should_reduce_batch_size(error)):
            raise
        return False
    finally:
        kept.clear()
        for parameter in trained:
            parameter.grad = None
        for module, mode in modes.items():
            module.training = mode
        if torch.accelerator.is_available():
            torch.accelerator.empty_cache()


def _devices(device: torch.device) -> list[torch.device]:
    return [] if device.type == "cpu" else [device]
