"""Fine-tuning for token classification with Transformers, Datasets and Accelerate: the public names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.comparison.compare import compare_runs
    from hf_tagging.data import AlignedSplit, Aligner, TagSchema, align_dataset, convert_tags, load_tagging_dataset
    from hf_tagging.errors import ConfigError, DataError, ModelError, OutputError, TaggingError
    from hf_tagging.evaluation import EntityMetric, WordMetric
    from hf_tagging.inference import Tagger, evaluate_tagger, suggest_texts
    from hf_tagging.inspection import Inspection, inspect_dataset
    from hf_tagging.models import load_encoder
    from hf_tagging.publishing import publish_run, push_folder, write_report
    from hf_tagging.soup import average_runs
    from hf_tagging.tasks import NER, POS, Task, register_task
    from hf_tagging.trainer import TaggingTrainer
    from hf_tagging.training import (
        DataConfig,
        EncoderConfig,
        RunConfig,
        ScratchConfig,
        TaggingConfig,
        TaggingRun,
        parse_arguments,
    )
    from hf_tagging.trim import trim_vocabulary

_WHERE = {
    "comparison.compare": ("compare_runs",),
    "data": ("AlignedSplit", "Aligner", "TagSchema", "align_dataset", "convert_tags", "load_tagging_dataset"),
    "errors": ("ConfigError", "DataError", "ModelError", "OutputError", "TaggingError"),
    "evaluation": ("EntityMetric", "WordMetric"),
    "inference": ("Tagger", "evaluate_tagger", "suggest_texts"),
    "inspection": ("Inspection", "inspect_dataset"),
    "models": ("load_encoder",),
    "publishing": ("publish_run", "push_folder", "write_report"),
    "soup": ("average_runs",),
    "tasks": ("NER", "POS", "Task", "register_task"),
    "trainer": ("TaggingTrainer",),
    "training": (
        "DataConfig",
        "EncoderConfig",
        "RunConfig",
        "ScratchConfig",
        "TaggingConfig",
        "TaggingRun",
        "parse_arguments",
    ),
    "trim": ("trim_vocabulary",),
}

__all__ = [
    "NER",
    "POS",
    "AlignedSplit",
    "Aligner",
    "ConfigError",
    "DataConfig",
    "DataError",
    "EncoderConfig",
    "EntityMetric",
    "Inspection",
    "ModelError",
    "OutputError",
    "RunConfig",
    "ScratchConfig",
    "TagSchema",
    "Tagger",
    "TaggingConfig",
    "TaggingError",
    "TaggingRun",
    "TaggingTrainer",
    "Task",
    "WordMetric",
    "align_dataset",
    "average_runs",
    "compare_runs",
    "convert_tags",
    "evaluate_tagger",
    "inspect_dataset",
    "load_encoder",
    "load_tagging_dataset",
    "parse_arguments",
    "publish_run",
    "push_folder",
    "register_task",
    "suggest_texts",
    "trim_vocabulary",
    "write_report",
]

_RENAMED = {
    "BaselineArguments": "ScratchConfig",
    "DataArguments": "DataConfig",
    "ModelArguments": "EncoderConfig",
    "RunArguments": "RunConfig",
    "TaggingArguments": "TaggingConfig",
}

__getattr__, __dir__ = lazy_names(__name__, _WHERE, renamed=_RENAMED)
