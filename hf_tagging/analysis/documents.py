"""Documents of the sentences in predictions files, of a run whose model reads sentences in context."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hf_tagging.atomic import json_text, read_json, whole_file

DOCUMENTS = "predictions/documents.json"


def write_documents(folder: Path, documents: Mapping[str, list[int]]) -> None:
    """Write ``predictions/documents.json``.

    Args:
        folder: Folder of the run.
        documents: Number of sentences of each document, by split.
    """
    with whole_file(folder / DOCUMENTS) as file:
        file.write(json_text(documents, indent=None) + "\n")


def read_documents(folder: Path, split: str, sentences: int) -> list[int] | None:
    """Read what `write_documents` wrote for a split; None if that is missing or does not fit.

    Args:
        folder: Folder of the run.
        split: Name of the split.
        sentences: Number of its sentences.
    """
    splits = read_json(folder / DOCUMENTS)
    found = splits.get(split) if isinstance(splits, dict) else None
    if not isinstance(found, list):
        return None
    sizes = [size for size in found if isinstance(size, int) and size > 0]
    return sizes if sum(sizes) == sentences else None
