"""Vectors of texts: the mean of what the encoder makes of their subwords or words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hf_tagging.errors import ConfigError
from hf_tagging.inference.onnx_model import OnnxModel
from hf_tagging.inference.reading import batches_of, padded

if TYPE_CHECKING:
    from hf_tagging.inference.tagger import Tagger


def check_vectors(tagger: Tagger) -> None:
    """Check that a model has an encoder whose vectors can be read.

    Raises:
        ConfigError: It is an exported graph, or has no encoder of its own.
    """
    if isinstance(tagger.model, OnnxModel):
        raise ConfigError("An exported model gives probabilities and no vectors. Give the folder that it came from.")
    if tagger.model.base_model is tagger.model:
        raise ConfigError(f"{type(tagger.model).__name__} has no encoder of its own, so it gives no vectors of texts.")


@torch.inference_mode()
def text_vectors(tagger: Tagger, sentences: Sequence[Sequence[str]]) -> np.ndarray:
    """Return a vector for each sentence: the mean over its subwords, for models of words over its words.

    Args:
        tagger: A tagger whose model passes `check_vectors`.
        sentences: Words. (sentences, words)

    Returns:
        (sentences, size) float32; zeros for a sentence without words.
    """
    windows = tagger.windows(sentences)
    sums: np.ndarray | None = None
    counts = np.zeros(len(sentences), np.int64)
    for batch in batches_of(np.diff(windows.offsets), tagger.tokens_per_batch):
        arrays = padded(windows, batch, tagger.tokenizer.pad_token_id or 0)
        ids, mask = (torch.from_numpy(x).to(tagger.device) for x in arrays)
        vectors, inside = _encoded(tagger.model, ids, mask)
        total = (vectors.float() * inside[..., None]).sum(1).cpu().numpy()  # (batch, size)
        sums = np.zeros((len(sentences), total.shape[1]), np.float32) if sums is None else sums
        np.add.at(sums, windows.sentence[batch], total)
        np.add.at(counts, windows.sentence[batch], inside.sum(1).cpu().numpy())
    if sums is None:
        return np.zeros((len(sentences), 1), np.float32)
    return sums / np.maximum(counts, 1)[:, None].astype(np.float32)


def _encoded(model: Any, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the encoder's vectors (batch, places, size), and the places that count. (batch, places) bool"""
    output = model.base_model(input_ids=ids, attention_mask=mask)
    if isinstance(output, tuple) and hasattr(output[1], "mask"):  # a baseline's encoder reads words
        return output[0], output[1].mask
    return output[0], mask.bool()
