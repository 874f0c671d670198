"""Largest token budget with which a step fits a device's memory."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size
from torch import nn

from hf_tagging.memory import out_of_memory
from hf_tagging.training.config.tagging import CPU_TOKENS

logger = logging.getLogger(__name__)

_FIRST_TRIED = 1024
_LEAST_STEPS = 100  # of an epoch: what a batch gains in speed beyond that, it loses in steps


def find_budget(
    lengths: np.ndarray, try_step: Callable[[np.ndarray], bool], *, shares: int, on_cpu: bool
) -> int | None:
    """Return the largest budget, in powers of two, with which a step fits the device's memory; None: no window fits.

    The budget is of a step, which all processes share and accumulated batches make up: what has to fit a device is a
    share of it. A CPU is not filled: larger batches are little faster there and make fewer steps, so it is 768
    subwords, or less where a step of so many fails. An accelerator is filled as long as an epoch keeps about a hundred
    steps.

    Args:
        lengths: Subwords of each window. (windows,)
        try_step: Whether a step on the windows of these numbers fits. (windows of a step,)
        shares: Into how many batches a step is cut.
        on_cpu: Whether the device is a CPU.
    """
    longest_first, longest = np.argsort(-lengths), int(lengths.max())

    def fits(budget: int) -> bool:
        # Of all batches of a budget the one of the longest windows takes most memory: attention grows with the square.
        return try_step(np.resize(longest_first, max(1, -(-(budget // longest) // shares))))

    most = CPU_TOKENS if on_cpu else int(lengths.sum()) // _LEAST_STEPS
    first = CPU_TOKENS if on_cpu else _FIRST_TRIED * shares
    return largest_budget(fits, first=first, most=most, least=longest)


def largest_budget(fits: Callable[[int], bool], *, first: int, most: int, least: int) -> int | None:
    """Double or halve a budget until it fits and its double does not.

    Args:
        fits: Whether a step of a budget fits.
        first: Budget to begin with.
        most: Budget that is not exceeded, unless `first` does.
        least: Budget below which nothing is tried.

    Returns:
        The largest that fits, or None if not even `least` fits.
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


def step_fits(model: nn.Module, loss: Callable[[], torch.Tensor], *, copies: int, device: torch.device) -> bool:
    """Return whether a step fits beside what the optimizer keeps; the model and the random state stay as they were.

    Args:
        model: The tagger.
        loss: Computes the loss of the step. ()
        copies: Further tensors per trained weight: the optimizer's two moments, and an average.
        device: Where the model is.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    modes = {module: module.training for module in model.modules()}
    kept: list[torch.Tensor] = []
    try:
        # Dropout's generators go back to where they were: a run with `auto` is the run with the number it finds.
        with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device]):
            kept += [torch.empty_like(parameter) for parameter in trained for _ in range(copies)]
            model.train()
            loss().backward()
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
