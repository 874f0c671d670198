"""A run: its arguments, its trainer, its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.training.config import DataConfig, EncoderConfig, RunConfig, ScratchConfig, TaggingConfig
    from hf_tagging.training.parsing import parse_arguments
    from hf_tagging.training.run import TaggingRun
    from hf_tagging.training.scoring import WordPredictions
    from hf_tagging.training.startup import start_run

_WHERE = {
    "config": ("DataConfig", "EncoderConfig", "RunConfig", "ScratchConfig", "TaggingConfig"),
    "parsing": ("parse_arguments",),
    "run": ("TaggingRun",),
    "scoring": ("WordPredictions",),
    "startup": ("start_run",),
}

__all__ = [
    "DataConfig",
    "EncoderConfig",
    "RunConfig",
    "ScratchConfig",
    "TaggingConfig",
    "TaggingRun",
    "WordPredictions",
    "parse_arguments",
    "start_run",
]

_RENAMED = {
    "BaselineArguments": "ScratchConfig",
    "DataArguments": "DataConfig",
    "ModelArguments": "EncoderConfig",
    "RunArguments": "RunConfig",
    "TaggingArguments": "TaggingConfig",
    "TaggingTrainer": "hf_tagging.TaggingTrainer",
}

__getattr__, __dir__ = lazy_names(__name__, _WHERE, renamed=_RENAMED)
