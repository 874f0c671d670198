"""Word vectors from an encoder: each word read alone, so that a small tagger knows the words that the encoder knows.

A word's vector is made of three layers of the encoder, as the mean over its subwords: the embeddings, the middle layer
and the last one. Principal components bring them to a few dimensions, as in Model2Vec (Tulkens and van Dongen 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from hf_tagging.console import track
from hf_tagging.devices import computes_bfloat16, find_device
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.hub import model_errors
from hf_tagging.models.encoder import hub_options, load_tokenizer, quiet, resolve_model
from hf_tagging.models.word_vectors import check_gensim
from hf_tagging.problems import argument

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

_WORDS = 256  # read at once
_LONGEST = 24  # subwords of a word that are read
_DEVIATION = 0.5  # standard deviation of the vectors


def encoder_vectors(
    words: Sequence[str],
    model: str,
    *,
    size: int = 128,
    revision: str | None = None,
    device: str | torch.device | None = None,
) -> KeyedVectors:
    """Return word vectors of an encoder, whatever it was trained for.

    Each word is read alone, with a capital first letter as at the start of a sentence: what it names depends on it.

    Args:
        words: Words, each once. (words,)
        model: Folder or name of an encoder or of a tagger with one; ``minilm`` is packaged.
        size: Dimensions.
        revision: Of a name on the Hub.
        device: Device to run on. Default: the accelerator if there is one, else the CPU.

    Returns:
        gensim's `KeyedVectors`, in the order of the words.

    Raises:
        ConfigError: If gensim is missing, or there are fewer words or dimensions of the encoder than `size`.
        ModelError: If there is no such model, or it is no encoder.
    """
    check_gensim()
    from gensim.models import KeyedVectors

    source, on = resolve_model(model), find_device(device)
    with model_errors(model), quiet():
        hub = hub_options(source, revision, False)
        tokenizer = load_tokenizer(source, hub)
        encoder = AutoModel.from_pretrained(source, dtype=torch.float32, **hub).eval().to(on)
    if not getattr(encoder.config, "num_hidden_layers", None):
        raise ModelError(f"{argument('model', model)}: a {encoder.config.model_type} is no encoder with layers.")
    layers = _read(words, encoder, tokenizer, on)
    most = min(len(words), layers.shape[1])
    if size > most:
        raise ConfigError(f"{argument('size', size)}: {len(words):,} words and this encoder give {most} at most.")
    vectors = KeyedVectors(size, count=0)
    vectors.add_vectors(list(words), _principal(layers, size))
    return vectors


@torch.inference_mode()
def _read(
    words: Sequence[str], encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, device: torch.device
) -> np.ndarray:
    """Return three layers of each word side by side, centered and of length 1 each. (words, 3 * hidden)"""
    ids = tokenizer([word[:1].upper() + word[1:] for word in words], truncation=True, max_length=_LONGEST)["input_ids"]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    batches = [order[i : i + _WORDS] for i in range(0, len(order), _WORDS)]
    special = torch.tensor(tokenizer.all_special_ids, device=device)
    pad, last = tokenizer.pad_token_id or 0, encoder.config.num_hidden_layers
    found: np.ndarray | None = None
    for rows in track(batches, total=len(batches), what="Reading words"):
        lengths = torch.tensor([len(ids[i]) for i in rows], device=device)
        batch = pad_sequence([torch.tensor(ids[i]) for i in rows], batch_first=True, padding_value=pad).to(device)
        mask = torch.arange(batch.shape[1], device=device) < lengths[:, None]
        with torch.autocast(device.type, torch.bfloat16, enabled=computes_bfloat16(device.type == "cpu")):
            states = encoder(input_ids=batch, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        inside = (mask & ~torch.isin(batch, special)).float()[..., None]  # (words, subwords, 1)
        three = torch.stack([states[0], states[last // 2], states[last]]).float()  # (3, words, subwords, hidden)
        mean = (three * inside).sum(2) / inside.sum(1).clamp(min=1)  # (3, words, hidden)
        if found is None:
            found = np.zeros((3, len(words), mean.shape[-1]), np.float32)
        found[:, rows] = mean.cpu().numpy()
    assert found is not None
    found -= found.mean(1, keepdims=True)
    found /= np.linalg.norm(found, axis=2, keepdims=True) + 1e-6
    return np.concatenate(found, axis=1)


def _principal(vectors: np.ndarray, size: int) -> np.ndarray:
    """Return the first principal components of vectors (words, dimensions), scaled. (words, size) float32"""
    vectors = vectors - vectors.mean(0)
    _, axes = np.linalg.eigh(vectors.T @ vectors / len(vectors))  # the largest come last
    components = vectors @ axes[:, ::-1][:, :size]
    scaled: np.ndarray = components * (_DEVIATION / components.std())
    return scaled.astype(np.float32)
