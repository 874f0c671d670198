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
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from hf_tagging.models.heads import saved_head
from hf_tagging.models.precision import mixes_precision

KEY = "fast_tagging"
SAFETY_FACTOR = 2.0
# A CPU with native bfloat16 needs 0.62 of the time of float32, so reading more windows than this twice does not pay.
MAX_READ_AGAIN = 0.35


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
        """True if fast tagging is faster than exact tagging."""
        return self.read_again <= MAX_READ_AGAIN

    @classmethod
    def of(cls, model: PreTrainedModel, device: torch.device) -> FastTagging | None:
        """Return the margin of a model for a device; None if its config has none for this device and these weights."""
        found = getattr(model.config, KEY, None)
        if not isinstance(found, dict) or not has_margin(model):
            return None
        try:
            measured = cls(**found)
            numbers = (measured.words, measured.largest_difference, measured.margin, measured.read_again)
            valid = all(number >= 0 for number in numbers)
        except TypeError:  # written by another version, or by hand
            return None
        same = (measured.device, measured.dtype, measured.head) == (device.type, "bfloat16", digest_of_head(model))
        return measured if valid and same else None


def has_margin(model: PreTrainedModel) -> bool:
    """Return whether tags depend on single logits: a float32 encoder of Transformers with a linear tag head."""
    own_code = not type(model).__module__.startswith("transformers.models.")
    return not own_code and model.dtype == torch.float32 and mixes_precision(model)


def digest_of_head(model: PreTrainedModel) -> str:
    """Return a digest of the weights of the tag head."""
    digest = hashlib.sha256()
    for _, weight in sorted(saved_head(model).weights.items()):
        digest.update(weight.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
