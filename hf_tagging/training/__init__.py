"""A run: its arguments, its trainer, its folder."""

from hf_tagging.training.arguments import DataConfig, EncoderConfig, TaggingConfig
from hf_tagging.training.parsing import RunConfig, parse_arguments
from hf_tagging.training.run import TaggingRun
from hf_tagging.training.trainer import TaggingTrainer, WordPredictions

__all__ = [
    "DataConfig",
    "EncoderConfig",
    "RunConfig",
    "TaggingConfig",
    "TaggingRun",
    "TaggingTrainer",
    "WordPredictions",
    "parse_arguments",
]
