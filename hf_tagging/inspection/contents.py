"""Contents of splits, and sentences to be shown: what an inspection holds besides its remarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from hf_tagging.data.inventory import SplitInventory
from hf_tagging.inspection.corpus import Corpus, SplitWords


@dataclass(frozen=True)
class SplitContents(SplitInventory):
    """Contents of a split, with what depends on its rows.

    Args:
        documents: How many; None where the data marks none.
        longest: Words of the longest sentence.
    """

    documents: int | None = None
    longest: int = 0

    def frequent(self, most: int) -> str:
        """Return the most frequent types with their numbers, separated by commas."""
        shown = ", ".join(f"{name} {count:,}" for name, count in islice(self.types.items(), most))
        rest = len(self.types) - most
        return shown + (f" and {rest:,} more" if rest > 0 else "")


@dataclass(frozen=True)
class ShownSentence:
    """A sentence to be shown.

    Args:
        split: Where it is from.
        words: Its words.
        tags: A tag for each of them; None where it is not annotated.
        entities: First word, word behind the last and type of each entity.
    """

    split: str
    words: list[str]
    tags: list[str | None]
    entities: list[tuple[int, int, str]] = field(default_factory=list)


def contents(split: SplitWords, counted: SplitInventory) -> SplitContents:
    """Return what a split holds.

    Args:
        split: Its words.
        counted: What was counted in it.
    """
    documents = len(np.unique(split.documents))
    return SplitContents(
        **vars(counted),
        documents=documents if documents < len(split) else None,
        longest=int(split.lengths.max(initial=0)),
    )


def first_sentences(corpus: Corpus, split: SplitWords, number: int) -> list[ShownSentence]:
    """Return the first sentences of a split; those with entities, where the task has them and there are enough."""
    found = corpus.entities[split.name]
    rows = np.arange(min(number, len(split)))
    if len(found):
        with_entities = np.unique(np.searchsorted(split.offsets, found.first, side="right") - 1)
        if len(with_entities) >= number:
            rows = with_entities[:number]
    tags, types = corpus.schema.tags, corpus.schema.entity_types
    shown = []
    for row in rows:
        first, end = int(split.offsets[row]), int(split.offsets[row + 1])
        inside = np.flatnonzero((found.first >= first) & (found.first < end))
        shown.append(
            ShownSentence(
                split.name,
                [corpus.vocabulary[word].as_py() for word in split.words[first:end]],
                [tags[tag] if tag >= 0 else None for tag in split.tags[first:end]],
                [(int(found.first[i]) - first, int(found.last[i]) + 1 - first, types[found.types[i]]) for i in inside],
            )
        )
    return shown
