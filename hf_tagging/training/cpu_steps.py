"""Cheaper steps of training on a CPU: masks of dropout from random bits, and attention chosen by length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hf_tagging.foreign.torch import own_dropout, stock_dropout
from hf_tagging.foreign.transformers import attention_of
from hf_tagging.models.packing import unwrapped

EAGER_UP_TO = 512
"""Subwords of a window up to which attention is computed eagerly on a CPU.

`benchmarks/levers.py --words 60 120 200 350` measured it as faster than SDPA at every length up to here. Beyond, its
matrix of pairs takes memory that SDPA may not need.
"""

_STEPS = 2**16  # of a probability, as each element gets 16 bits


def drop(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Apply dropout with a mask of random bits, where one number of 64 bits decides on four elements.

    PyTorch's `bernoulli_` draws a number for each element, on one thread. These numbers come from the same generator,
    so a run is resumed exactly.

    Args:
        values: Any shape and float type.
        p: The probability of a zero, rounded to 1 / 65,536.
        training: Whether to drop at all.
        inplace: Left to PyTorch.

    Returns:
        The values, each zero with probability p, else divided by 1 - p.
    """
    if not training or inplace or not 1 / _STEPS <= p <= 1 - 1 / _STEPS:
        return stock_dropout(values, p, training, inplace)
    zeros = round(p * _STEPS)
    drawn = torch.empty(-(-values.numel() // 4), dtype=torch.int64, device=values.device).random_(-(2**63), None)
    bits = drawn.view(torch.int16)[: values.numel()].view(values.shape)
    return values * (bits >= zeros - _STEPS // 2).to(values.dtype).mul_(1 / (1 - zeros / _STEPS))


class CpuSteps:
    """Context of a step of training on a CPU.

    Within it, `torch.nn.functional.dropout` draws its masks by `drop`, and a model with scaled-dot-product attention
    computes it eagerly for windows of up to `EAGER_UP_TO` subwords. Both give what they give outside, up to the masks
    that are drawn and rounding.

    Args:
        model: To be trained, adapters included.
        keep_attention: Whether attention is left as the model has it.
    """

    def __init__(self, model: nn.Module, *, keep_attention: bool):
        inner = unwrapped(model)
        self.dropout: Callable[..., Tensor] = drop
        self.eager_up_to = EAGER_UP_TO
        self._switched: PreTrainedModel | None = None
        if isinstance(inner, PreTrainedModel) and not keep_attention and attention_of(inner.config) == "sdpa":
            self._switched = inner

    @contextmanager
    def step(self, subwords: int) -> Iterator[None]:
        """Run a step within the block.

        Args:
            subwords: Length of its windows, padding included.
        """
        model = self._switched if subwords <= self.eager_up_to else None
        if model is not None:
            model.set_attn_implementation("eager")
        try:
            with own_dropout(self.dropout):
                yield
        finally:
            if model is not None:
                model.set_attn_implementation("sdpa")
