"""Windows to batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from hf_tagging.data.alignment import IGNORED


class WindowCollator:
    """Pads windows on the right to the longest of the batch, whatever side the tokenizer would choose.

    The places where words are read (`word_starts`) count from the left, so the padding has to stand on the right.

    Args:
        pad_token_id: The id that fills `input_ids`.
        pad_to_multiple_of: Round the length up to a multiple of this; 8 suits the matrix units of a GPU.
    """

    def __init__(self, pad_token_id: int, *, pad_to_multiple_of: int = 1):
        self.pad_token_id = pad_token_id
        self.pad_to_multiple_of = pad_to_multiple_of

    def __call__(self, windows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Collates rows with `input_ids` and, if present, `labels`, each (subwords,), and `word_features`.

        Args:
            windows: The rows; their `word_features` are flat: for each subword one id per column.

        Returns:
            `input_ids`, `attention_mask` and `labels`, each (batch, subwords), and `word_features`, 0 at padding.
            (batch, subwords, columns)
        """
        lengths = np.array([len(window["input_ids"]) for window in windows])
        step = self.pad_to_multiple_of
        width = -(-int(lengths.max()) // step) * step
        real = np.arange(width) < lengths[:, None]
        batch = {
            "input_ids": self._fill(windows, "input_ids", real, self.pad_token_id),
            "attention_mask": torch.from_numpy(real.astype(np.int64)),
        }
        if "labels" in windows[0]:
            batch["labels"] = self._fill(windows, "labels", real, IGNORED)
        if "word_features" in windows[0]:
            batch["word_features"] = self._features(windows, real)
        return batch

    @staticmethod
    def _fill(windows: Sequence[dict[str, Any]], column: str, real: np.ndarray, padding: int) -> torch.Tensor:
        values = np.full(real.shape, padding, dtype=np.int64)
        values[real] = np.concatenate([window[column] for window in windows])
        return torch.from_numpy(values)

    @staticmethod
    def _features(windows: Sequence[dict[str, Any]], real: np.ndarray) -> torch.Tensor:
        ids = np.concatenate([window["word_features"] for window in windows])
        columns = len(ids) // int(real.sum())
        values = np.zeros((*real.shape, columns), dtype=np.int64)
        values[real] = ids.reshape(-1, columns)
        return torch.from_numpy(values)  # (batch, subwords, columns)
