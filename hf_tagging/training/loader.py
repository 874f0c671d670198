"""Training data loader: steps of a token budget, or of a number of windows, each window once an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from hf_tagging.data.batching import Collate, Collator, CountedWindows, TokenBudgetBatches, WindowCollator, WindowRows
from hf_tagging.data.packing import PackedRows, PackingCollator
from hf_tagging.models.packing import first_position, unwrapped
from hf_tagging.training.config import TaggingConfig
from hf_tagging.training.config.tagging import PACKED_ROW

ORDERS = ("random", "sequential", "group_by_length")
"""Values of `train_sampling_strategy` that steps of windows are drawn in."""

Steps = CountedWindows | TokenBudgetBatches | PackedRows


@dataclass(frozen=True)
class StepPlan:
    """Steps of an epoch, and how a share of a step becomes tensors.

    Args:
        steps: A batch sampler, the same on every process.
        collator: Makes tensors of windows.
    """

    steps: Steps
    collator: Collator

    def loader(self, windows: Dataset, args: TrainingArguments) -> DataLoader:
        """Return a loader of these steps, still to be prepared by accelerate.

        Args:
            windows: Those columns that the collator takes.
            args: For the processes that load.
        """
        by_table = isinstance(self.collator, WindowCollator | PackingCollator)  # others take rows
        return DataLoader(
            WindowRows(windows) if by_table else WindowRows(windows, None, as_table=False),
            batch_sampler=self.steps,
            collate_fn=Collate(self.collator),
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            multiprocessing_context=args.dataloader_multiprocessing_context,
            in_order=args.dataloader_in_order,
        )


def plan_steps(
    lengths: np.ndarray,
    budget: int | None,
    *,
    args: TaggingConfig,
    collator: Collator,
    model: nn.Module,
) -> StepPlan:
    """Plan the steps of an epoch, shared by all processes and accumulated batches.

    Neither the Trainer nor accelerate has batches of subwords, and both repeat windows where a step is too small for
    all processes (transformers 5.23, accelerate 1.15).

    Args:
        lengths: Subwords of each window. (windows,)
        budget: Subwords of a step, padding counted; None: windows are counted.
        args: The Trainer's arguments and ours. With `packing`, batches are rows of several windows.
        collator: Makes tensors of windows.
        model: The tagger, which says where its positions begin.
    """
    shares = shares_of_a_step(args)
    order: dict[str, Any] = {"seed": args.seed if args.data_seed is None else args.data_seed, "shares": shares}
    if budget is None:
        strategy = str(getattr(args.train_sampling_strategy, "value", args.train_sampling_strategy))
        order |= {"order": strategy, "drop_last": args.dataloader_drop_last}
        return StepPlan(CountedWindows(lengths, args.train_batch_size * shares, **order), collator)
    if not args.packing:
        return StepPlan(TokenBudgetBatches(lengths, budget, **order), collator)
    assert isinstance(collator, WindowCollator)
    length, rows = _rows(int(lengths.max()), budget // shares)
    return StepPlan(
        PackedRows(lengths, row_length=length, rows_per_batch=rows * shares, **order),
        PackingCollator(
            row_length=length,
            rows_per_batch=rows,
            pad_token_id=collator.pad_token_id,
            first_position=first_position(unwrapped(model)),
        ),
    )


def _rows(longest: int, budget: int) -> tuple[int, int]:
    """Return length and count of packed rows of a budget: they hold any window, in lengths that kernels like."""
    length = max(PACKED_ROW, -(-longest // 64) * 64)
    return length, max(1, budget // length)


def shares_of_a_step(args: TrainingArguments) -> int:
    """Return into how many batches a step is cut: for every process those that it accumulates."""
    return args.world_size * args.gradient_accumulation_steps
