"""Refusals of runs that cannot be sharded by FSDP or DeepSpeed, with the file to use in their place."""

from __future__ import annotations

import os
from collections.abc import Mapping

from accelerate import Accelerator
from torch import nn

from hf_tagging.errors import ConfigError
from hf_tagging.foreign.transformers import layer_classes
from hf_tagging.models.packing import unwrapped
from hf_tagging.problems import argument
from hf_tagging.training.config.models import facts_of

_ASKED = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}
_INSTEAD = "accelerate_configs/multi_gpu.yaml"


def check_sharding(
    model: nn.Module, accelerator: Accelerator, *, sharded: bool, environment: Mapping[str, str] = os.environ
) -> None:
    """Refuse models whose weights cannot be spread over devices, and devices that they cannot be spread over.

    Args:
        model: What is to be trained.
        accelerator: Of the Trainer.
        sharded: FSDP or DeepSpeed keeps the weights.
        environment: Variables that `accelerate launch` sets for what its file asks for.

    Raises:
        ConfigError: Naming the file to use instead.
    """
    asked = [name for variable, name in _ASKED.items() if environment.get(variable, "").lower() == "true"]
    if asked and not sharded and accelerator.num_processes > 1 and accelerator.device.type == "cpu":
        raise ConfigError(
            f"use_cpu: accelerate does not spread weights over CPUs, and would leave {asked[0]} out in silence. Use "
            "accelerate_configs/multi_node_cpu.yaml or torchrun, where each process has all weights."
        )
    if not sharded:
        return
    facts = facts_of(model)
    if facts.lora:
        raise ConfigError(
            "lora: adapters on weights that FSDP or DeepSpeed has sharded cannot be merged or saved here. "
            f"Train them with {_INSTEAD}, or leave {argument('lora')} out."
        )
    if facts.scratch:
        raise ConfigError(
            "encoder: a tagger from scratch is small, and FSDP and DeepSpeed know no layers of it to spread over "
            f"devices. Train it with {_INSTEAD}."
        )
    wanted = getattr(getattr(accelerator.state, "fsdp_plugin", None), "transformer_cls_names_to_wrap", None) or []
    there = {type(module).__name__.removeprefix("FSDP") for module in model.modules()}
    if missing := [name for name in wanted if name not in there]:
        known = sorted(there & layer_classes(unwrapped(model)))
        hint = f", such as {' or '.join(known)}" if known else ""
        raise ConfigError(
            f"fsdp_transformer_layer_cls_to_wrap: the model has no layer of the class {missing[0]}. Name the class of "
            f"its layers in accelerate_configs/fsdp2.yaml{hint}, or train with {_INSTEAD}."
        )
