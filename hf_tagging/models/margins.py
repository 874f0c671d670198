"""Fast tagging: matrices in bfloat16, tags of float32. The margin that makes this safe is measured on each model.

Rounding to bfloat16 moves the logits of a word. Let d be the largest amount by which it moves the difference between
the best tag's logit and another's. If the best tag leads in bfloat16 by more than d, it is the best in float32 too.
Words with a smaller lead are read again in float32. d is measured on words that the model was not trained on and
multiplied by `SAFETY_FACTOR`, because other text may move more; the result is kept in the model's `config.json`.

A margin holds for the weights, the device kind and the number format that it was measured with, and for a tag head that
reads each word by itself: the best path through a CRF can change where no two tags are close.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from hf_tagging.atomic import read_json, write_json
from hf_tagging.data.alignment import AlignedSplit, window_lengths
from hf_tagging.devices import computes_bfloat16
from hf_tagging.models.heads import saved_head
from hf_tagging.models.precision import exact, mixes_precision

KEY = "fast_tagging"
SAFETY_FACTOR = 2.0
MAX_WORDS = 20_000
# A CPU with native bfloat16 needs 0.62 of the time of float32, so reading more windows than this twice does not pay.
MAX_READ_AGAIN = 0.35
_BATCH_SUBWORDS = 2048


@dataclass(frozen=True)
class FastTagging:
    """A measured margin, as `config.json` holds it under the key `fast_tagging`.

    Args:
        device: Kind of device that it was measured on: ``cpu``, ``cuda`` ...
        dtype: Number format of the matrices.
        words: Number of words that were compared.
        largest_difference: Largest change of the difference between two logits of a word.
        margin: Lead that the best tag of a word needs: `largest_difference` times `SAFETY_FACTOR`.
        read_again: Share of windows with a word below the margin, which are read again in float32.
        head: Digest of the tag head's weights; a model that was trained further has no margin.
    """

    device: str
    dtype: str
    words: int
    largest_difference: float
    margin: float
    read_again: float
    head: str

    @property
    def pays(self) -> bool:
        """Whether fast tagging is faster than exact tagging."""
        return self.read_again <= MAX_READ_AGAIN

    @classmethod
    def of(cls, model: PreTrainedModel, device: torch.device) -> FastTagging | None:
        """Return the margin of a model for a device; None if its config has none for this device and these weights."""
        found = getattr(model.config, KEY, None)
        if not isinstance(found, dict) or not _has_fixed_margin(model):
            return None
        try:
            measured = cls(**found)
            numbers = (measured.words, measured.largest_difference, measured.margin, measured.read_again)
            valid = all(number >= 0 for number in numbers)
        except TypeError:  # written by another version, or by hand
            return None
        same = (measured.device, measured.dtype, measured.head) == (device.type, "bfloat16", _digest(model))
        return measured if valid and same else None


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
    if not _has_fixed_margin(model) or not computes_bfloat16(model.device.type == "cpu"):
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
    return FastTagging(model.device.type, "bfloat16", words, largest, margin, len(again) / first, _digest(model))


def _lead(logits: Tensor) -> Tensor:
    """Return by how much the best tag leads over the next one; infinite for a single tag. (words, tags) to (words,)."""
    if logits.shape[-1] < 2:
        return logits.new_full((len(logits),), math.inf)
    best, second = logits.topk(2).values.unbind(-1)
    return best - second


def _has_fixed_margin(model: PreTrainedModel) -> bool:
    """Whether rounding is all that can change a tag: an encoder of Transformers in float32 with a linear tag head."""
    own_code = not type(model).__module__.startswith("transformers.models.")
    return not own_code and model.dtype == torch.float32 and mixes_precision(model)


def _digest(model: PreTrainedModel) -> str:
    digest = hashlib.sha256()
    for _, weight in sorted(saved_head(model).weights.items()):
        digest.update(weight.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


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
