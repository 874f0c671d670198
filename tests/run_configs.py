"""Runs from flags, as the recipes read them."""

from collections.abc import Sequence

from hf_tagging.training import EncoderConfig, RunConfig, ScratchConfig

_KINDS = {"encoder": EncoderConfig, "scratch": ScratchConfig}


def run_config(task: str, argv: Sequence[str], *, kind: str = "encoder") -> RunConfig:
    """What the recipe for a task and a kind of model makes of flags."""
    return RunConfig.from_command_line(list(argv), task=task, model=_KINDS[kind])
