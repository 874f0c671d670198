"""Origin of a dataset, kept with its splits: its task for a trainer, its source for the record of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset, DatasetDict

_KEY = "hf_tagging"


@dataclass(frozen=True)
class Origin:
    """Task of a dataset, and the arguments that it was loaded with.

    Args:
        task: Name of the task.
        arguments: Those that were given, under the names of `DataConfig`.
    """

    task: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def with_origin(dataset: DatasetDict, origin: Origin) -> DatasetDict:
    """Keep the origin in the description of each split, which selecting and mapping hand on; return the dataset."""
    text = json.dumps({_KEY: {"task": origin.task, "arguments": dict(origin.arguments)}}, default=str)
    for split in dataset.values():
        split.info.description = text
    return dataset


def origin_of(split: Dataset) -> Origin | None:
    """Return the origin of a split; None where it was not loaded by `load_tagging_dataset`."""
    try:
        kept = json.loads(split.info.description)[_KEY]
        return Origin(kept["task"], kept["arguments"])
    except (ValueError, TypeError, KeyError):
        return None
