"""Training sentences without their casing, so that a tagger also learns to do without it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from datasets import Dataset

from hf_tagging.data.rows import reopened

_SPELLING: tuple[Callable[[str], str], ...] = (str, str.lower, str.upper)  # kept, lowercased, uppercased


def drop_case(split: Dataset, share: float, *, seed: int) -> Dataset:
    """Return a split with a share of its sentences changed, half of them to lower case and half to upper case.

    Headlines are often all capitals, and much of what people type has none; a model that has only seen edited text
    fails on both.

    Args:
        split: `tokens`, and other columns that stay as they are.
        share: Share of the sentences to change, from 0 to 1; one half is lowercased and the other uppercased.
        seed: Seed that draws them.
    """
    draws = np.random.default_rng(seed).random(len(split))
    change = np.select([draws < share / 2, draws < share], [1, 2], 0)  # places in _SPELLING
    return (
        reopened(split)
        .with_format("arrow")
        .map(_changed, batched=True, with_indices=True, fn_kwargs={"change": change}, desc="Dropping case")
        .with_format(None)
    )


def _changed(table: pa.Table, indices: list[int], change: np.ndarray) -> pa.Table:
    at, column = table.schema.get_field_index("tokens"), table.column("tokens")
    sentences = [
        [_SPELLING[kind](word) for word in words]
        for words, kind in zip(column.to_pylist(), change[indices].tolist(), strict=True)
    ]
    return table.set_column(at, "tokens", pa.array(sentences, column.type))
