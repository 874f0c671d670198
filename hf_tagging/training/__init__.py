"""A run: its arguments, its trainer, its folder."""

from hf_tagging.training.arguments import DataArguments, ModelArguments, TaggingArguments
from hf_tagging.training.parsing import RunArguments, parse_arguments
from hf_tagging.training.run import TaggingRun
from hf_tagging.training.trainer import TaggingTrainer, WordPredictions

__all__ = [
    "DataArguments",
    "ModelArguments",
    "RunArguments",
    "TaggingArguments",
    "TaggingRun",
    "TaggingTrainer",
    "WordPredictions",
    "parse_arguments",
]
