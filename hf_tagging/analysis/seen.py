"""Words and entities of a split that occur in training, recorded at the end of a run for later reports.

Only words and entities of the split itself are recorded, which its predictions show anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset

from hf_tagging.atomic import json_text, read_json, whole_file
from hf_tagging.data.alignment import vocabulary
from hf_tagging.data.rows import arrow_batches, flat_lists
from hf_tagging.data.schema import TagSchema

SEEN = "predictions/seen.json"
_BATCH = 10_000  # sentences


@dataclass(frozen=True)
class Seen:
    """Words and entities of a split that occur in training.

    Args:
        words: The words.
        entities: Words of the entities, joined by spaces, of any type.
    """

    words: frozenset[str]
    entities: frozenset[str]


def seen_in(train: Dataset, split: Dataset, schema: TagSchema) -> dict[str, list[str]]:
    """Return the words and gold entities of a split that occur in the training split.

    Args:
        train: Training split with `tokens` and `tags`.
        split: Split with the same columns.
        schema: Schema of both.

    Returns:
        ``words`` and ``entities``, sorted.
    """
    words = [set(vocabulary(side) or ()) for side in (train, split)]
    entities = [_entities(side, schema) for side in (train, split)]
    return {"words": sorted(words[0] & words[1]), "entities": sorted(entities[0] & entities[1])}


def write_seen(folder: Path, seen: dict[str, dict[str, list[str]]]) -> None:
    """Write ``predictions/seen.json``.

    Args:
        folder: Folder of the run.
        seen: Results of `seen_in` by split.
    """
    with whole_file(folder / SEEN) as file:
        file.write(json_text(seen, indent=0) + "\n")


def read_seen(folder: Path, split: str) -> Seen | None:
    """Read what `write_seen` wrote for a split; None if that is missing or damaged.

    Args:
        folder: Folder of the run.
        split: Name of the split.
    """
    splits = read_json(folder / SEEN)
    found = splits.get(split) if isinstance(splits, dict) else None
    if not isinstance(found, dict):
        return None
    words, entities = found.get("words"), found.get("entities")
    if not isinstance(words, list) or not isinstance(entities, list):
        return None
    return Seen(frozenset(map(str, words)), frozenset(map(str, entities)))


def _entities(split: Dataset, schema: TagSchema) -> set[str]:
    found: set[str] = set()
    for batch in arrow_batches(split, "tokens", "tags", size=_BATCH):
        words = batch.column("tokens").combine_chunks().flatten().to_pylist()
        starts, ends, _ = schema.entity_edges(*flat_lists(batch.column("tags")))
        edges = zip(np.flatnonzero(starts).tolist(), np.flatnonzero(ends).tolist(), strict=True)
        found |= {" ".join(words[first : last + 1]) for first, last in edges}
    return found
