"""Tags that are integers, and their names from a file beside the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets
import pyarrow.compute as pc

from hf_tagging.data.names_files import NUMBER, names_in
from hf_tagging.data.source_columns import item_kind
from hf_tagging.data.sources import RawSplit
from hf_tagging.errors import DataError
from hf_tagging.problems import either_way


def with_integer_tags(
    splits: Mapping[str, datasets.Dataset], *, names: Sequence[str] | None
) -> dict[str, datasets.Dataset]:
    """Return the splits with integer tags where all tags are integers that are written as strings.

    Args:
        splits: After `standard_columns`.
        names: Names of integer tags; where there are none, or numbers among them, nothing is changed.
    """
    if not names or any(NUMBER.fullmatch(name) for name in names) or not all(map(_has_numerals, splits.values())):
        return dict(splits)
    integers = datasets.List(datasets.Value("int64"))
    return {split: dataset.cast_column("tags", integers) for split, dataset in splits.items()}


def tag_names_beside(raw: Mapping[str, RawSplit], splits: Mapping[str, datasets.Dataset]) -> tuple[str, ...] | None:
    """Return the names of integer tags from a file beside the data; None where none are needed, or there are none.

    Args:
        raw: The splits as they were read; the file is noted there.
        splits: After `standard_columns`.

    Raises:
        DataError: Two files name the tags differently, or a file names them but not by all ids from 0.
    """
    needed = [split for split, dataset in splits.items() if split in raw and _needs_names(dataset)]
    if not needed:
        return None
    found: dict[Path, tuple[str, ...]] = {}
    for split in needed:
        for folder in _folders(raw[split].paths):
            own = any(path.parent == folder for path in raw[split].paths)
            for path, names in names_in(folder, _tags_column(raw[split]), config=own):
                found[path] = names
    if not found:
        return None
    paths = list(found)
    for path in paths[1:]:
        if found[path] != found[paths[0]]:
            raise DataError(
                f"{paths[0]} and {path} name the integer tags differently; give the names, in the order of their ids, "
                f"with {either_way('tag_names')}"
            )
    for split in needed:
        for notes in raw[split].notes:
            notes.remark("tag_names", f"names of the integer tags from {paths[0]}: {' '.join(found[paths[0]])}")
    return found[paths[0]]


def _needs_names(dataset: datasets.Dataset) -> bool:
    """Return whether tags are integers, as they are or as strings, that have no names."""
    if item_kind(dataset, "tags") == "id":
        return not isinstance(dataset.features["tags"].feature, datasets.ClassLabel)
    return _has_numerals(dataset)


def _has_numerals(dataset: datasets.Dataset) -> bool:
    """Return whether all tags are integers that are written as strings."""
    if item_kind(dataset, "tags") != "string":
        return False
    tags = pc.unique(pc.list_flatten(dataset.data.column("tags"))).to_pylist()
    return all(tag is None or NUMBER.fullmatch(tag) for tag in tags)


def _tags_column(raw: RawSplit) -> str:
    """Return the name that the column of tags has in its source."""
    names = [column.name for notes in raw.notes for column in notes.columns if column.role == "tags"]
    return names[0] if names else "tags"


def _folders(paths: Sequence[Path]) -> list[Path]:
    """Return the folders of files, each followed by the folder that it is in."""
    found = [folder for path in paths for folder in (path.parent, path.parent.parent)]
    return list(dict.fromkeys(found))
