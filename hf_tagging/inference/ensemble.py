"""Several taggers as one: the mean of what they say of each word.

What the members share is the word: each reads it in subwords and windows of its own, so they may differ in tokenizer,
length and architecture. Their columns are put in one order by the names of the tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NoReturn, Protocol

import numpy as np
import torch

from hf_tagging.data.rows import row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.errors import ConfigError
from hf_tagging.inference.nbest import Paths, joined_paths, paths_of_words
from hf_tagging.inference.odds import EntityOdds, word_labels
from hf_tagging.inference.results import NO_SCORES, WordLabels
from hf_tagging.inference.sentences import blocks

_SEVERAL = (
    "This tagger is an ensemble: it has no model, tokenizer or windows to be saved or asked for; its `members` have. "
    "One model comes of runs that started from the same weights (hf-tagging soup RUN RUN ... --output_dir DIR), or "
    "learns from all of them (recipes/distil.py)."
)


class Member(Protocol):
    """A tagger, as an ensemble asks it."""

    @property
    def schema(self) -> TagSchema:
        """Tags of the model."""

    def probabilities(
        self, sentences: Sequence[Sequence[str]], *, documents: Sequence[int] | None = None, first: int = 0
    ) -> list[np.ndarray]:
        """Return the probability of every tag. (words, tags) float32 each"""


def common_schema(members: Sequence[Member], names: Sequence[str]) -> TagSchema:
    """Return the tags of an ensemble, in the order of its first member.

    Args:
        members: The taggers.
        names: Names of the models, for messages.

    Raises:
        ConfigError: They have different tags, or write entities in different schemes.
    """
    first = members[0].schema
    for member, name in zip(members[1:], names[1:], strict=True):
        other, pair = member.schema, f"model: {names[0]} and {name} are no ensemble"
        if {*other.tags} != {*first.tags}:
            odd = ", ".join(sorted({*first.tags} ^ {*other.tags})[:6])
            raise ConfigError(f"{pair}: not both have the tags {odd}. Give taggers with one set of tags.")
        if other.scheme != first.scheme:
            raise ConfigError(f"{pair}: entities are written in {first.scheme} and {other.scheme}. Give one scheme.")
    return first


class Averaging:
    """What an ensemble does otherwise than a tagger of one model; see `hf_tagging.inference.tagger.Ensemble`.

    Args:
        members: The taggers.
        schema: Their tags.
    """

    schema: TagSchema
    min_confidence: float

    def _average(self, members: Sequence[Member], schema: TagSchema) -> None:
        self._members, self.schema = members, schema
        # The columns of each member, in the order of the schema. (tags,) each
        self._columns = [np.array([one.schema.tags.index(tag) for tag in schema.tags]) for one in members]

    def probabilities(
        self, sentences: Sequence[Sequence[str]], *, documents: Sequence[int] | None = None, first: int = 0
    ) -> list[np.ndarray]:
        """Return the mean probability of every tag for a batch of sentences; see `Tagger.probabilities`."""
        means: list[np.ndarray] = []
        for member, columns in zip(self._members, self._columns, strict=True):
            found = member.probabilities(sentences, documents=documents, first=first)
            tables = [table[:, columns] for table in found]
            means = [mean + table for mean, table in zip(means, tables, strict=True)] if means else tables
        return [mean / len(self._members) for mean in means]

    def label(
        self,
        sentences: Sequence[Sequence[str]],
        *,
        documents: Sequence[int] | None = None,
        first: int = 0,
        exact: bool = True,
    ) -> list[WordLabels]:
        """Return label ids and scores for a batch of sentences; see `Tagger.label`."""
        table, bounds, odds = self._read(sentences, documents, first, exact=exact or self.min_confidence > 0)
        return word_labels(table.argmax(-1), table.max(-1), bounds, odds, least=self.min_confidence)

    def all_probabilities(
        self, sentences: Sequence[Sequence[str]], *, documents: Sequence[int] | None = None, first: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean probabilities and those of entities; see `Tagger.all_probabilities`."""
        table, bounds, odds = self._read(sentences, documents, first, exact=True)
        entities = [] if odds is None else odds.of_sentences(table.argmax(-1), bounds)
        return table, np.concatenate([NO_SCORES, *entities])

    def _read(
        self, sentences: Sequence[Sequence[str]], documents: Sequence[int] | None, first: int, *, exact: bool
    ) -> tuple[np.ndarray, np.ndarray, EntityOdds | None]:
        """Return probabilities (words, tags), bounds of the sentences, and the probabilities of entities."""
        tables = self.probabilities(sentences, documents=documents, first=first)
        bounds = row_starts(np.fromiter(map(len, sentences), np.int64, len(sentences)))
        table = np.concatenate([np.zeros((0, len(self.schema.tags)), np.float32), *tables])
        if not exact or not self.schema.entity_types:
            return table, bounds, None
        odds = EntityOdds(self.schema, len(table))
        odds.keep(np.arange(len(table)), torch.from_numpy(table), None)
        return table, bounds, odds

    def _label_parts(
        self, parts: Iterable[Sequence[Sequence[str]]], block: int, *, exact: bool
    ) -> Iterator[WordLabels]:
        first = 0
        for together in blocks(parts, block):
            sentences = [*chain.from_iterable(together)]
            yield from self.label(sentences, documents=[*map(len, together)], first=first, exact=exact)
            first += len(sentences)

    def _paths(self, sentences: Sequence[Sequence[str]], n: int) -> list[Paths]:
        tables = map(torch.from_numpy, self.probabilities(sentences))
        return [joined_paths(paths_of_words(table, n), n) for table in tables]

    def save_pretrained(self, *args: object, **options: object) -> NoReturn:
        """Refuse: there is no single model to save.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(_SEVERAL)

    @property
    def model(self) -> NoReturn:
        """Refused; see `save_pretrained`."""
        raise ConfigError(_SEVERAL)

    tokenizer = max_length = windows = model
