"""Origin of a dataset, kept with its splits: its task for a trainer, its source for the record of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from hf_tagging.tasks import Task

_KEY = "hf_tagging"
_LISTS = ("train_file", "validation_file", "test_file")  # one file is given as such
_TEXTS = ("tokens_column", "tags_column")  # a position is given as a number
Argument = str | Path | int | float


@dataclass(frozen=True)
class Origin:
    """Task of a dataset, and the arguments that it was loaded with.

    Args:
        task: Name of the task.
        arguments: Those that were given, under the names of `DataConfig`.
        reading: How it was read, as `ReadingReport.as_dict` writes it.
    """

    task: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, task: Task, **arguments: Argument | Sequence[Argument] | None) -> Origin:
        """Return an origin of the arguments that were given, as a config holds them.

        Args:
            task: The task.
            arguments: Under the names of `DataConfig`; None: not given.
        """
        given: dict[str, str | int | float | list[str]] = {}
        for name, value in arguments.items():
            if isinstance(value, str | Path) and name in _LISTS:
                given[name] = [str(value)]
            elif isinstance(value, Path) or (name in _TEXTS and isinstance(value, int)):
                given[name] = str(value)
            elif value is not None:
                given[name] = value if isinstance(value, str | int | float) else [str(item) for item in value]
        return cls(task.name, given)


def with_origin(dataset: DatasetDict, origin: Origin) -> DatasetDict:
    """Keep the origin in the description of each split, which selecting and mapping hand on; return the dataset."""
    text = json.dumps({_KEY: asdict(origin)}, default=str)
    for split in dataset.values():
        split.info.description = text
    return dataset


def origin_of(split: Dataset) -> Origin | None:
    """Return the origin of a split; None where it was not loaded by `load_tagging_dataset`."""
    try:
        kept = json.loads(split.info.description)[_KEY]
        return Origin(kept["task"], kept["arguments"], kept.get("reading", {}))
    except (ValueError, TypeError, KeyError):
        return None
