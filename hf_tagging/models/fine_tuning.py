"""Weights of an encoder that are trained: its layers, freezing, dropout of the tag head, LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TypedDict

from torch import nn
from transformers import PreTrainedModel

from hf_tagging.errors import ConfigError, ModelError

_READ_BY_ALL_LAYERS = ("encoder.rel_embeddings.", "encoder.LayerNorm.")  # DeBERTa's relative positions, and their norm


class LoraOptions(TypedDict, total=False):
    """Options of `add_lora`."""

    rank: int
    alpha: int
    dropout: float
    target_modules: list[str] | None


def set_head_dropout(model: PreTrainedModel, dropout: float) -> None:
    """Set the dropout before the tag head, whatever the model's config calls it.

    Raises:
        ConfigError: If there is no dropout beside the encoder.
    """
    found = [x for n, x in model.named_children() if n != model.base_model_prefix and isinstance(x, nn.Dropout)]
    if not found:
        raise ConfigError(f"head_dropout: {type(model).__name__} has no dropout before its tag head; leave it out.")
    for module in found:
        module.p = dropout
    if hasattr(model.config, "classifier_dropout"):  # of BERT-like models: the saved config says the same
        model.config.classifier_dropout = dropout


def encoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return an encoder's layers, the lowest first.

    Raises:
        ModelError: If the model has no such list (ALBERT shares one layer).
    """
    count = getattr(model.base_model.config, "num_hidden_layers", None)
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(f"{type(model).__name__} has no list of {count} layers: leave layer-wise settings out.")


def freeze(model: PreTrainedModel, layers: int) -> None:
    """Freeze the embeddings and the first layers; -1 freezes the whole encoder, so that only the head is trained.

    Raises:
        ConfigError: If the model has fewer layers.
    """
    if layers < 0:
        model.base_model.requires_grad_(False)
        return
    count = len(encoder_layers(model))
    if layers > count:
        raise ConfigError(f"freeze_layers: {layers} is more than the {count} layers of this model; -1 means all.")
    depths = parameter_depths(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = depths[name] > layers


def parameter_depths(model: PreTrainedModel) -> dict[str, int]:
    """Return the depth of each parameter: 0 for embeddings, i for layer i (from 1), layers + 1 above them.

    What an encoder has before its first layer, such as ELECTRA's projection of the embeddings, counts as embeddings.
    """
    layers = encoder_layers(model)
    of_layer = {id(p): i for i, layer in enumerate(layers, start=1) for p in layer.parameters()}
    embeddings = getattr(model.base_model, "embeddings", None) or model.get_input_embeddings()
    below = {id(p) for p in embeddings.parameters()}
    below |= {id(p) for p in takewhile(lambda p: id(p) not in of_layer, model.base_model.parameters())}
    below |= {id(p) for name, p in model.base_model.named_parameters() if name.startswith(_READ_BY_ALL_LAYERS)}
    return {name: of_layer.get(id(p), 0 if id(p) in below else len(layers) + 1) for name, p in model.named_parameters()}


def add_lora(
    model: PreTrainedModel,
    *,
    rank: int = 16,
    alpha: int = 32,
    dropout: float = 0.05,
    target_modules: list[str] | None = None,
    new_tokens: Sequence[int] = (),
) -> nn.Module:
    """Add low-rank adapters (Hu et al. 2021) to the encoder's linear layers; the tag head is trained in full.

    Args:
        model: From `load_encoder`.
        rank: Rank of the update.
        alpha: The update is scaled by alpha / rank.
        dropout: On the adapters' input.
        target_modules: Names of the linear maps that get one; None: all within the encoder.
        new_tokens: Ids whose embeddings are trained in full, since the encoder has never learned them.

    Returns:
        A `peft.PeftModel`.

    Raises:
        ConfigError: If `target_modules` names none of the model's.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    prefix = f"{model.base_model_prefix}."
    linear = {
        n.rsplit(".", 1)[-1] for n, m in model.named_modules() if n.startswith(prefix) and isinstance(m, nn.Linear)
    }
    missing = sorted(set(target_modules or ()) - linear)
    if missing:
        raise ConfigError(
            f"lora_target_modules: {', '.join(missing)} not in this model; it has {', '.join(sorted(linear))}."
        )
    wanted = "|".join(sorted(target_modules or linear))
    heads = [n for n, child in model.named_children() if n != model.base_model_prefix and list(child.parameters())]
    config = LoraConfig(
        task_type=TaskType.TOKEN_CLS,
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=rf"{model.base_model_prefix}\..*\.({wanted})",
        modules_to_save=heads,
        trainable_token_indices=list(new_tokens) or None,
    )
    return get_peft_model(model, config)
