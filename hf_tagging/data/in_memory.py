"""Data that is there already: a Dataset, a DatasetDict, or a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Protocol, TypeAlias

from datasets import Dataset, IterableDataset

from hf_tagging.data.sources import named_splits
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

PLACE = "the given data"


class Frame(Protocol):
    """A pandas DataFrame, which need not be installed."""

    @property
    def columns(self) -> Iterable[object]:
        """Names of the columns."""


InMemory: TypeAlias = Dataset | Frame | Mapping[str, Dataset | Frame]
"""A `Dataset`, a pandas DataFrame, or several by the name of their split."""


def is_in_memory(data: object) -> bool:
    """Return whether this is data, and not the name of some."""
    return data is not None and not isinstance(data, str | PathLike)


def read_in_memory(data: object) -> dict[str, Dataset]:
    """Return the splits of data by name; a single one is train unless it says which split it is.

    Args:
        data: A Dataset or DataFrame, or several by the name of their split.

    Raises:
        DataError: If it is something else, or the splits have names that say nothing.
    """
    if isinstance(data, Mapping):
        return named_splits({str(name): _dataset(split) for name, split in data.items()}, place=PLACE)
    dataset = _dataset(data)
    return named_splits({str(dataset.split or "train"): dataset}, place=PLACE)


def _dataset(data: object) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if _is_frame(data):
        return Dataset.from_pandas(data, preserve_index=False)
    if isinstance(data, IterableDataset):
        streamed = argument("streaming", True)
        raise DataError(
            f"{PLACE}: is an IterableDataset; give its files, or its name on the Hub, with {streamed}, or load it whole"
        )
    advice = "Dataset.from_list(rows) and Dataset.from_dict(columns) make one"
    if isinstance(data, Mapping):
        advice = f"give one of its splits, such as data[{next(iter(data), 'train')!r}]"
    elif isinstance(data, str | PathLike):
        advice = "load it first, with load_tagging_dataset"
    raise DataError(
        f"{PLACE}: expected a Dataset or a pandas DataFrame with a sentence per row, found {type(data).__name__}; "
        f"{advice}"
    )


def _is_frame(data: object) -> bool:
    """Return whether this is a pandas DataFrame, which need not be installed."""
    kind = type(data)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas"
