"""Measuring how far bfloat16 moves the logits of a model, for fast tagging; see `hf_tagging.models.margins`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from hf_tagging.atomic import read_json, write_json
from hf_tagging.data.aligned import AlignedSplit, window_lengths
from hf_tagging.devices import computes_bfloat16
from hf_tagging.models.margins import KEY, SAFETY_FACTOR, FastTagging, digest_of_head, has_margin
from hf_tagging.models.precision import exact

MAX_WORDS = 10_000
_BATCH_SUBWORDS = 2048


def keep_margin(folder: Path, model: PreTrainedModel | None, split: AlignedSplit | None, *, pad_token_id: int) -> None:
    """Measure the margin of a model that was just saved, and write it into the `config.json` in its folder.

    Args:
        folder: Folder that the model was saved in.
        model: The same model; None if what loads it changes its weights, as adapters do.
        split: Aligned words that it was not trained on; None if there are none. Without a model or a split an earlier
            margin is removed.
        pad_token_id: Padding of `input_ids`.
    """
    measured = None if model is None or split is None else measure_margin(model, split, pad_token_id=pad_token_id)
    file = folder / "config.json"
    content = read_json(file)
    if not isinstance(content, dict) or (measured is None and KEY not in content):
        return
    content.pop(KEY, None)
    if measured is not None:
        content[KEY] = asdict(measured)
    write_json(file, content, default=None)


def measure_margin(model: PreTrainedModel, split: AlignedSplit, *, pad_token_id: int) -> FastTagging | None:
    """Compare the logits of a model in bfloat16 and in float32, on its device.

    Args:
        model: The tagger.
        split: Aligned words that it was not trained on. About `MAX_WORDS` of them are read, spread over the split.
        pad_token_id: Padding of `input_ids`.

    Returns:
        The margin. None for models without one (CRF, own code, other weights than float32), on devices without native
        bfloat16, and where the logits are not finite.
    """
    if not has_margin(model) or not computes_bfloat16(model.device.type == "cpu"):
        return None
    moved, leads, windows = [], [], []  # (words,) tensors, one per batch
    first = 0
    with _evaluating(model):
        for ids, mask, rows, places in _batches(split, pad_token_id, model.device):
            with torch.autocast(model.device.type, torch.bfloat16):
                fast = model(input_ids=ids, attention_mask=mask).logits[rows, places].float()  # (words, tags)
            change = fast - model(input_ids=ids, attention_mask=mask).logits[rows, places]
            moved.append((change - change.gather(-1, fast.argmax(-1, keepdim=True))).abs().amax(-1))
            leads.append(_lead(fast))
            windows.append(rows + first)
            first += len(ids)
    largest = float(torch.cat(moved).max()) if any(map(len, moved)) else 0.0
    words = sum(map(len, moved))
    if not words or not math.isfinite(largest):
        return None
    margin = SAFETY_FACTOR * largest
    again = torch.cat(windows)[torch.cat(leads) < margin].unique()
    return FastTagging(model.device.type, "bfloat16", words, largest, margin, len(again) / first, digest_of_head(model))


def _lead(logits: Tensor) -> Tensor:
    """Return by how much the best tag leads over the next one; infinite for a single tag. (words, tags) to (words,)."""
    if logits.shape[-1] < 2:
        return logits.new_full((len(logits),), math.inf)
    best, second = logits.topk(2).values.unbind(-1)
    return best - second


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Run a model as tagging does: in evaluation mode, without accelerate's autocast."""
    training = model.training
    model.eval()
    try:
        with exact(model), torch.inference_mode():
            yield
    finally:
        model.train(training)


def _batches(
    split: AlignedSplit, pad_token_id: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yield batches of windows of like length, spread over a split.

    Yields:
        `input_ids` and `attention_mask`, (windows, subwords) each; row and position of every word, (words,) each.
    """
    lengths = window_lengths(split.features)
    step = max(1, math.ceil(int(split.sentence_starts[-1]) / MAX_WORDS))
    chosen = np.argsort(-lengths, kind="stable")[::step]
    while len(chosen):
        size = max(1, _BATCH_SUBWORDS // int(lengths[chosen[0]]))
        batch = split.features.select_columns(["input_ids", "word_starts"])[chosen[:size].tolist()]
        chosen = chosen[size:]
        ids = pad_sequence([torch.tensor(x) for x in batch["input_ids"]], batch_first=True, padding_value=pad_token_id)
        mask = pad_sequence([torch.ones(len(x), dtype=torch.long) for x in batch["input_ids"]], batch_first=True)
        rows = torch.repeat_interleave(torch.tensor([len(x) for x in batch["word_starts"]]))
        places = torch.tensor([place for x in batch["word_starts"] for place in x], dtype=torch.long)
        yield ids.to(device), mask.to(device), rows.to(device), places.to(device)
