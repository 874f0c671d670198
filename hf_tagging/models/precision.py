"""Mixed precision (matrices in bfloat16 or float16, the rest in float32): which taggers support it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from torch import nn
from transformers import PreTrainedModel

from hf_tagging.errors import ModelError
from hf_tagging.foreign.transformers import without_autocast
from hf_tagging.problems import argument

# It fills what attention may not see with float32's smallest number, which the halves do not have. Looked for in all
# taggers of transformers 5.23 that a small configuration builds.
_FLOAT32_ALONE = frozenset({"deberta"})


def mixes_precision(model: nn.Module) -> bool:
    """Return whether a model runs under ``torch.autocast``.

    Args:
        model: A tagger, adapters included.
    """
    parts = (part for part in model.modules() if isinstance(part, PreTrainedModel))  # an encoder under a CRF is one
    return _FLOAT32_ALONE.isdisjoint(part.config.model_type for part in parts)


def check_mixed_precision(model: nn.Module) -> None:
    """Check that a model can be trained in mixed precision.

    Args:
        model: A tagger, adapters included.

    Raises:
        ModelError: If it cannot.
    """
    if not mixes_precision(model):
        raise ModelError(
            f"{type(model).__name__} computes in float32 alone, and mixed precision was asked for, or is what this "
            f"device does unasked. Give {argument('bf16', False)} (and no {argument('fp16')}, nor "
            "mixed_precision in accelerate's file)."
        )


def exact(model: nn.Module) -> AbstractContextManager[None]:
    """Return a context without accelerate's autocast, in which evaluation tags as the saved model will.

    Args:
        model: Prepared for mixed precision, or not; under FSDP and DeepSpeed, which have their own way, it stays as is.
    """
    return without_autocast(model)
