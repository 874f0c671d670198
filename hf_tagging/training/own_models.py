"""Models that a caller brings as objects: their config in the record, the tags that they know, adapters on them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_tagging.data.schema import PLAIN, TagSchema
from hf_tagging.errors import ConfigError
from hf_tagging.models.heads import is_tagger, set_schema
from hf_tagging.models.packing import unwrapped
from hf_tagging.training.config import EncoderConfig, ScratchConfig
from hf_tagging.training.config.models import facts_of
from hf_tagging.training.config.reading import ModelConfig

if TYPE_CHECKING:
    from peft import PeftConfig


class _Known(TypedDict, total=False):
    """Arguments of a config that a model tells about itself."""

    model: str
    head: Literal["crf"]
    lora: bool


def model_config(model: str | nn.Module | ModelConfig, peft_config: PeftConfig | None = None) -> ModelConfig:
    """Return the config of a model, as a run records it.

    Args:
        model: A name, a folder, a config, or a model.
        peft_config: Adapters to be trained.
    """
    if isinstance(model, nn.Module):
        plain, facts = unwrapped(model), facts_of(model)
        if facts.scratch:
            return ScratchConfig(encoder=plain.config.encoder)
        given: _Known = {"model": getattr(plain, "name_or_path", "") or type(plain).__name__}
        if facts.new_crf:
            given["head"] = "crf"
        if facts.lora:
            given["lora"] = True
        config: ModelConfig = EncoderConfig(**given)
    else:
        config = EncoderConfig(model=model) if isinstance(model, str) else model
    if peft_config is None:
        return config
    if isinstance(config, ScratchConfig) or config.lora:
        raise ConfigError("peft_config: adapters go with a pretrained encoder, and once; leave it out.")
    names = {"r": "lora_rank", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout"}
    found = {ours: getattr(peft_config, theirs) for theirs, ours in names.items() if hasattr(peft_config, theirs)}
    return replace(config, lora=True, **found)


def with_adapters(model: nn.Module, peft_config: PeftConfig) -> nn.Module:
    """Put adapters on a model; its tag head is trained in full, unless the config names other modules.

    Args:
        model: A tagger.
        peft_config: As of PEFT.
    """
    from peft import PeftModel, get_peft_model

    if isinstance(model, PeftModel):
        raise ConfigError("peft_config: the model has adapters already; leave it out.")
    config: Any = copy.deepcopy(peft_config)
    if (kind := getattr(config, "task_type", None)) not in (None, "TOKEN_CLS"):
        raise ConfigError(f'peft_config: task_type is {kind}; give "TOKEN_CLS", or leave it out.')
    config.task_type = "TOKEN_CLS"
    if not getattr(config, "modules_to_save", None):
        prefix = getattr(model, "base_model_prefix", "")
        config.modules_to_save = [n for n, m in model.named_children() if n != prefix and list(m.parameters())]
    try:
        return get_peft_model(model, config)
    except ValueError as error:  # such as target_modules that the model does not have
        raise ConfigError(f"peft_config: {' '.join(str(error).split())}") from error


def schema_of(model: nn.Module) -> TagSchema | None:
    """Return the tags that a model knows; None if it is no tagger."""
    config = unwrapped(model).config
    return TagSchema.from_config(config) if is_tagger(config) else None


def as_it_is(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase | None, schema: TagSchema
) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """Return a model of the caller's own and its tokenizer, once it is sure that it knows these tags.

    Args:
        model: A tagger.
        tokenizer: Of the model.
        schema: The tags of the data, in the scheme that is learned.

    Raises:
        ConfigError: If it has other tags, or comes without a tokenizer.
    """
    plain = unwrapped(model)
    if tokenizer is None:
        raise ConfigError("processing_class: a model that is given as an object needs its tokenizer; give it.")
    if isinstance(plain, PreTrainedModel) and "labels" not in signature(plain.forward).parameters:
        raise ConfigError(
            f"model: a {type(plain).__name__} has no tag head; load it with "
            "AutoModelForTokenClassification.from_pretrained, or give its name in the place of the object."
        )
    known = schema_of(plain)
    if known is None and plain.config.num_labels == len(schema.tags):
        set_schema(plain.config, schema)  # LABEL_0, LABEL_1 ...: a head for as many tags that have no names yet
    elif known is None or known.tags != schema.tags:
        ours = (plain.config.id2label or {}).values()
        raise ConfigError(
            f"model: its head is for {plain.config.num_labels} tags ({_few(ours)}), and the "
            f"data has {len(schema.tags)} in {schema.scheme} ({_few(schema.tags)}). Load it with id2label and label2id "
            "of these, or give its name in the place of the object."
        )
    elif schema.scheme != PLAIN and getattr(plain.config, "tag_scheme", None) is None:
        plain.config.tag_scheme = schema.scheme
    return model, tokenizer


def _few(tags: Iterable[str]) -> str:
    shown = list(map(str, tags))
    return ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")
