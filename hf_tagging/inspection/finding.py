"""The task that fits data, where it is not said: parts of speech or entities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DatasetDict

from hf_tagging.data.loading import load_tagging_dataset
from hf_tagging.data.notes import Remark
from hf_tagging.data.prefixes import are_entities
from hf_tagging.data.tag_columns import tag_counts
from hf_tagging.errors import DataError
from hf_tagging.problems import argument
from hf_tagging.tasks import NER, POS, Task, get_task

_MOST_SHOWN = 4
_OF_ENTITIES = re.compile(r"(?<!\w)[BI]-\w")  # in a tag that the task of entities may have refused for something else
_LEAST_OUTSIDE = 0.4  # share of the words of data whose entities have no prefixes; a part of speech may be called O


def load_for_a_task(
    name_or_path: str | Path | None, *, task: str | Task | None = None, **options: Any
) -> tuple[DatasetDict, Task, list[Remark]]:
    """Load a dataset for a task; where none is given, for the one that its tags fit.

    Args:
        name_or_path: See `load_tagging_dataset`.
        task: Name of a task; None: entities or parts of speech.
        options: Of `load_tagging_dataset`.

    Returns:
        The dataset, the task, and what to say about how that was found.

    Raises:
        DataError: If the data can be read for neither.
    """
    if task is not None:
        known = get_task(task)
        return load_tagging_dataset(name_or_path, task=known, **options), known, []
    read: dict[str, DatasetDict] = {}
    errors: list[DataError] = []
    for each in (NER, POS):
        try:
            read[each.name] = load_tagging_dataset(name_or_path, task=each, **options)
        except DataError as error:
            errors.append(error)
    if not read or (NER.name not in read and any(map(_OF_ENTITIES.search, _names(read[POS.name])))):
        raise errors[0]
    found = _fitting(read)
    return read[found.name], found, [_said(found, read)]


def _fitting(read: dict[str, DatasetDict]) -> Task:
    """Return the task whose tags look as they should; entities, where both do."""
    if NER.name not in read:
        return POS
    if POS.name not in read:
        return NER
    names = _names(read[NER.name])
    if are_entities(names):
        return NER
    counts = _counts(read[NER.name])
    return NER if counts.get("O", 0) > _LEAST_OUTSIDE * sum(counts.values()) else POS


def _said(found: Task, read: dict[str, DatasetDict]) -> Remark:
    other = next((name for name in read if name != found.name), None)
    text = f"the tags ({_frequent(read[found.name])}) are read for the task {found.name}"
    if other and set(_names(read[other])) != set(_names(read[found.name])):
        text += f"; there are tags for {other} too ({_frequent(read[other])}): {argument('task', other)}"
    return Remark("task", text)


def _frequent(dataset: DatasetDict) -> str:
    """Return the most frequent tags."""
    counts = _counts(dataset)
    names = sorted(counts, key=lambda name: -counts[name])
    return ", ".join(names[:_MOST_SHOWN]) + (", ..." if len(names) > _MOST_SHOWN else "")


def _counts(dataset: DatasetDict) -> dict[str, int]:
    """Return the words of each tag."""
    total = np.sum([tag_counts(split) for split in dataset.values()], axis=0)
    return dict(zip(_names(dataset), total.tolist(), strict=True))


def _names(dataset: DatasetDict) -> Sequence[str]:
    names: Sequence[str] = next(iter(dataset.values())).features["tags"].feature.names
    return names
