"""Functions that read a command line, replaced by `RunConfig.from_command_line`; they stay for one release."""

from __future__ import annotations

from collections.abc import Sequence

from hf_tagging.training.config.encoder import EncoderConfig
from hf_tagging.training.config.pretraining import PretrainingConfig
from hf_tagging.training.config.run import RunConfig
from hf_tagging.training.config.scratch import ScratchConfig
from hf_tagging.training.former import warn

__all__ = ["RunConfig", "parse_arguments", "parse_pretraining"]


def parse_arguments(
    task: str, argv: Sequence[str] | None = None, *, family: str = "encoder", description: str | None = None
) -> RunConfig:
    """Read flags and a YAML file; deprecated, use `RunConfig.from_command_line`.

    Args:
        task: Name of the task.
        argv: Flags; None: those of the command line.
        family: ``"encoder"`` or ``"baseline"``.
        description: Printed by ``--help``, which ends the program.
    """
    warn("parse_arguments(task, argv)", "RunConfig.from_command_line(argv, task=task, model=EncoderConfig)")
    model = ScratchConfig if family == "baseline" else EncoderConfig
    return RunConfig.from_command_line(argv, task=task, model=model, description=description)


def parse_pretraining(argv: Sequence[str] | None = None, *, description: str | None = None) -> PretrainingConfig:
    """Read flags and a YAML file; deprecated, use `PretrainingConfig.from_command_line`.

    Args:
        argv: Flags; None: those of the command line.
        description: Printed by ``--help``, which ends the program.
    """
    warn("parse_pretraining(argv)", "PretrainingConfig.from_command_line(argv)")
    return PretrainingConfig.from_command_line(argv, description=description)
