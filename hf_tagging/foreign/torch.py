"""Parts of `torch` that this package replaces. Seen in torch 2.13."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

stock_dropout = torch.nn.functional.dropout


@contextmanager
def own_dropout(dropout: Callable[..., Tensor]) -> Iterator[None]:
    """Run a block with another dropout than PyTorch's.

    Patched: `torch.nn.functional.dropout`, which `nn.Dropout` and the eager attention of Transformers look up at each
    call. There is no public way to draw its masks otherwise; a `TorchFunctionMode` would slow every operation down.

    Args:
        dropout: With the arguments of PyTorch's.
    """
    torch.nn.functional.dropout = dropout
    try:
        yield
    finally:
        torch.nn.functional.dropout = stock_dropout
