"""Drawing weights with a seed, without seeding the program that asks for them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from transformers import set_seed


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Put the generators of Python, NumPy and PyTorch back to where they were before the block."""
    python, numpy, devices = random.getstate(), np.random.get_state(), list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from seeded generators within the block, and leave those of the program as they were.

    Args:
        seed: Of the run.
    """
    with preserved_random_state():
        set_seed(seed)
        yield
