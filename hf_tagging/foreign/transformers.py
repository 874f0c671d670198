"""Private names of `transformers`, its Trainer aside, and what accelerate leaves on its models.

Seen in transformers 5.23 and accelerate 1.15.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel


def attention_of(config: PreTrainedConfig) -> str | None:
    """Return how attention is computed, such as ``sdpa``; None where no model has been built from the config yet.

    Upstream: `PreTrainedConfig._attn_implementation`. `attn_implementation` is taken by constructors and by
    `set_attn_implementation`, and can be read nowhere.
    """
    return config._attn_implementation


def layer_classes(model: nn.Module) -> set[str]:
    """Return the names of the classes of layers that are not to be split over devices.

    Upstream: `PreTrainedModel._no_split_modules`. accelerate reads it too, where a file names no classes.
    """
    return set(getattr(model, "_no_split_modules", None) or ())


def draw_weights(model: PreTrainedModel, module: nn.Module) -> None:
    """Draw the weights of a module as its model does.

    Upstream: `PreTrainedModel._init_weights`. The public `init_weights` draws those of a whole model.
    """
    model._init_weights(module)


@contextmanager
def without_autocast(model: nn.Module) -> Iterator[None]:
    """Run a model's own forward, in the place of the one that accelerate wraps in autocast.

    Upstream: `_original_forward`, which `Accelerator.prepare_model` sets and `extract_model_from_parallel` reads. The
    latter takes the wrapper off for good, and a training goes on after an evaluation.

    Args:
        model: Prepared for mixed precision, or not; under FSDP and DeepSpeed, which have their own way, it stays as is.
    """
    wrapped, original = model.__dict__.get("forward"), model.__dict__.get("_original_forward")
    if wrapped is None or original is None:
        yield
        return
    model.forward = original
    try:
        yield
    finally:
        model.forward = wrapped


@contextmanager
def under_names_in_memory(model: nn.Module) -> Iterator[None]:
    """Let `save_pretrained` keep the names that weights have in memory.

    Patched: `save_pretrained` of one model. Of some architectures it saves weights under the names of their first
    release unless it gets ``save_original_format=False``, which the Trainer does not hand on; the Trainer loads a
    checkpoint by the names in memory, and would leave such weights as they are.

    Args:
        model: Not wrapped for several processes. One that is none of Transformers' own is saved as ever.
    """
    if not isinstance(model, PreTrainedModel):
        yield
        return
    model.save_pretrained = partial(model.save_pretrained, save_original_format=False)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del model.save_pretrained
