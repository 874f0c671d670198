"""Fine-tuning for token classification with Transformers, Datasets and Accelerate: the public names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.data import AlignedSplit, Aligner, TagSchema, align_dataset, convert_tags, load_tagging_dataset
    from hf_tagging.errors import ConfigError, DataError, ModelError, OutputError, TaggingError
    from hf_tagging.evaluation import EntityMetric, WordMetric
    from hf_tagging.inference import Tagger
    from hf_tagging.models import load_encoder
    from hf_tagging.tasks import Task, register_task
    from hf_tagging.trainer import TaggingTrainer
    from hf_tagging.training import TaggingConfig, TaggingRun, parse_arguments

_WHERE = {
    "data": ("AlignedSplit", "Aligner", "TagSchema", "align_dataset", "convert_tags", "load_tagging_dataset"),
    "errors": ("ConfigError", "DataError", "ModelError", "OutputError", "TaggingError"),
    "evaluation": ("EntityMetric", "WordMetric"),
    "inference": ("Tagger",),
    "models": ("load_encoder",),
    "tasks": ("Task", "register_task"),
    "trainer": ("TaggingTrainer",),
    "training": ("TaggingConfig", "TaggingRun", "parse_arguments"),
}

__all__ = [
    "AlignedSplit",
    "Aligner",
    "ConfigError",
    "DataError",
    "EntityMetric",
    "ModelError",
    "OutputError",
    "TagSchema",
    "Tagger",
    "TaggingConfig",
    "TaggingError",
    "TaggingRun",
    "TaggingTrainer",
    "Task",
    "WordMetric",
    "align_dataset",
    "convert_tags",
    "load_encoder",
    "load_tagging_dataset",
    "parse_arguments",
    "register_task",
]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
