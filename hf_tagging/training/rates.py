"""Learning rates that differ within a model: by layer, and for the tag head."""

from __future__ import annotations

from typing import TypedDict

from torch import nn
from transformers import PreTrainedModel

from hf_tagging.models.fine_tuning import parameter_depths
from hf_tagging.models.packing import unwrapped
from hf_tagging.training.config import TaggingConfig


class ParameterGroup(TypedDict):
    """Parameters with a learning rate of their own, as an optimizer takes them."""

    params: list[nn.Parameter]
    lr: float
    weight_decay: float


def parameter_groups(model: nn.Module, decayed: set[str], args: TaggingConfig) -> list[ParameterGroup]:
    """Parameter groups with rates of their own.

    The learning rate falls from the tag head down, layer by layer (Howard and Ruder 2018), and `head_learning_rate` is
    that of everything outside the encoder.

    Args:
        model: An encoder with a tag head, adapters included.
        decayed: Names of the parameters with weight decay.
        args: For the learning rates, the factor per layer and the weight decay.
    """
    inner = unwrapped(model)
    rates = _layer_rates(inner, args)
    if args.head_learning_rate is not None:
        encoder = {id(parameter) for parameter in inner.base_model.parameters()}
        rates |= {id(p): args.head_learning_rate for p in inner.parameters() if id(p) not in encoder}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((rates[id(parameter)], name in decayed), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": args.weight_decay if decays else 0.0}
        for (rate, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def _layer_rates(model: PreTrainedModel, args: TaggingConfig) -> dict[int, float]:
    """Return the learning rate of each parameter, by its identity."""
    if args.layerwise_lr_decay == 1:
        return dict.fromkeys(map(id, model.parameters()), args.learning_rate)
    depths = parameter_depths(model)
    top = max(depths.values())
    return {
        id(p): args.learning_rate * args.layerwise_lr_decay ** (top - depths[n]) for n, p in model.named_parameters()
    }
