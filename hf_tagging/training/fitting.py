"""Comparison of a checkpoint with a model: tags, names and shapes of weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

WEIGHTS = ("model*.safetensors", "adapter_model.safetensors")


def other_model(checkpoint: Path, model: nn.Module) -> str | None:
    """Return how a checkpoint differs from a model, the end of a sentence; None where it fits.

    Args:
        checkpoint: A whole one.
        model: Not yet wrapped for several processes. Weights that FSDP or DeepSpeed wrote are not looked at.
    """
    try:
        return _other_tags(checkpoint, model) or next(_other_weights(checkpoint, model), None)
    except (OSError, ValueError, RecursionError, SafetensorError, AttributeError) as error:
        return f"its model cannot be read ({error})"


def _other_tags(checkpoint: Path, model: nn.Module) -> str | None:
    file = checkpoint / "config.json"
    ours = getattr(getattr(model, "config", None), "id2label", None)
    if not file.is_file() or not ours:
        return None
    theirs = json.loads(file.read_text(encoding="utf-8")).get("id2label")
    if theirs is None:
        return None
    theirs = {int(label): tag for label, tag in theirs.items()}  # in whatever order the file has them
    if theirs == {int(label): tag for label, tag in ours.items()}:
        return None
    return f"is of a model for {len(theirs)} other tags ({', '.join(map(str, list(theirs.values())[:6]))}, ...)"


def _other_weights(checkpoint: Path, model: nn.Module) -> Iterator[str]:
    """Give what is wrong with the saved weights, by their names and shapes alone."""
    files = [file for kind in WEIGHTS for file in sorted(checkpoint.glob(kind)) if file.is_file()]
    if not files:
        return
    ours = _saved_weights(model)
    saved: set[int] = set()
    for file in files:
        with safe_open(file, framework="pt") as content:
            for name in content.keys():  # noqa: SIM118  # no mapping, though it has keys
                shape = content.get_slice(name).get_shape()
                if name not in ours or list(ours[name].shape) != shape:
                    yield f"is of another model ({file.name} has {name} {shape})"
                else:
                    saved.add(ours[name].data_ptr())
    for name, weight in ours.items():
        if weight.numel() and weight.data_ptr() not in saved:  # tied weights are saved once
            yield f"is of another model (it has no {name})"


def _saved_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights under the names that they have in a checkpoint."""
    if not hasattr(model, "peft_config"):
        return model.state_dict()
    from peft import get_peft_model_state_dict

    saved: dict[str, Tensor] = get_peft_model_state_dict(model)
    return saved
