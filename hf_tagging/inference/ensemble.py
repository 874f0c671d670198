"""Several taggers as one: the mean of their probabilities for each word.

The members share only the words: each reads them in subwords and windows of its own, so they may differ in tokenizer,
length and architecture. Their columns are put in one order by the names of the tags.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch

from hf_tagging.data.rows import row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.errors import ConfigError
from hf_tagging.inference.nbest import Paths, joined_paths, paths_of_words
from hf_tagging.inference.odds import EntityOdds
from hf_tagging.inference.results import WordLabels
from hf_tagging.inference.ruling import load_rules
from hf_tagging.inference.sentences import blocks
from hf_tagging.inference.word_tagger import WordTagger, checked_confidence

logger = logging.getLogger(__name__)

_SEVERAL = (
    "This tagger is an ensemble: it has no model, tokenizer or windows of its own; its `members` have. "
    "To get one model, average runs that started from the same weights (hf-tagging soup RUN RUN ... --output_dir DIR), "
    "or train one on the ensemble (recipes/distil.py)."
)


def common_schema(members: Sequence[WordTagger], names: Sequence[str]) -> TagSchema:
    """Return the tags of an ensemble, in the order of its first member.

    Args:
        members: The taggers.
        names: Names of the models, for messages.

    Raises:
        ConfigError: They have different tags, or write entities in different schemes.
    """
    first = members[0].schema
    for member, name in zip(members[1:], names[1:], strict=True):
        other, pair = member.schema, f"model: {names[0]} and {name} cannot be an ensemble"
        if {*other.tags} != {*first.tags}:
            odd = ", ".join(sorted({*first.tags} ^ {*other.tags})[:6])
            raise ConfigError(f"{pair}: only one of them has the tags {odd}. Give taggers with the same tags.")
        if other.scheme != first.scheme:
            raise ConfigError(
                f"{pair}: they write entities in {first.scheme} and {other.scheme}. Give taggers with the same scheme."
            )
    return first


class Ensemble(WordTagger):
    """Tagger whose probabilities are the mean of those of several taggers, word by word.

        tagger = Tagger.from_pretrained(["runs/seed-1", "runs/seed-2", "runs/bert"])

    It takes the time of all of them. Each word gets the tag with the highest mean, as from a linear tag head; a member
    with a CRF gives its posteriors. Members may differ in tokenizer, window length and architecture.

    Args:
        members: Taggers with the same tags, in any order, and the same scheme.
        min_confidence: See `Tagger`.
        rules: See `Tagger`; rules of the members are not heeded.

    Raises:
        ConfigError: There are none, or tags or schemes differ; `min_confidence` is not between 0 and 1.
    """

    def __init__(self, members: Sequence[WordTagger], *, min_confidence: float = 0.0, rules: str | Path | None = None):
        if not members:
            raise ConfigError("model: an ensemble needs models. Give their folders or names.")
        self.members, self.min_confidence = tuple(members), checked_confidence(min_confidence)
        self.schema = common_schema(members, [member.name for member in members])
        self.device, self.tokens_per_batch = members[0].device, members[0].tokens_per_batch
        self.context_subwords = max(member.context_subwords for member in members)
        # The columns of each member, in the order of the schema. (tags,) each
        self._columns = [np.array([one.schema.tags.index(tag) for tag in self.schema.tags]) for one in members]
        self._splitter = members[0].splitter
        self.rules = None if rules is None else load_rules(rules, self.schema, self._splitter)
        if odd := {str(member.splitter) for member in members} - {str(self.splitter)}:
            logger.warning(
                "The models were trained on the words of different splitters: text is cut as by %s, and not as by %s.",
                self.splitter or "script",
                ", ".join(sorted(odd)),
            )

    @property
    def name(self) -> str:
        """Names of the members."""
        return "+".join(member.name for member in self.members)

    def label(
        self,
        sentences: Sequence[Sequence[str]],
        *,
        documents: Sequence[int] | None = None,
        first: int = 0,
        exact: bool = True,
    ) -> list[WordLabels]:
        """Return label ids and scores for a batch of sentences; see `Labeller.label`."""
        entities = exact or self.min_confidence > 0
        table, bounds, odds = self._table(sentences, documents, first, entities=entities)
        ruling = self._ruling(sentences, bounds)
        if ruling is not None:
            ruling.keep(np.arange(len(table)), torch.from_numpy(table), None)
        return self._labels(table.argmax(-1), table.max(-1), bounds, odds, ruling)

    def _table(
        self, sentences: Sequence[Sequence[str]], documents: Sequence[int] | None, first: int, *, entities: bool
    ) -> tuple[np.ndarray, np.ndarray, EntityOdds | None]:
        bounds = row_starts(np.fromiter(map(len, sentences), np.int64, len(sentences)))
        table = np.zeros((int(bounds[-1]), len(self.schema.tags)), np.float32)
        for member, columns in zip(self.members, self._columns, strict=True):
            found = member.probabilities(sentences, documents=documents, first=first)
            table += np.concatenate([table[:0], *(rows[:, columns] for rows in found)])
        table /= len(self.members)
        odds = self._odds(len(table)) if entities else None
        if odds is not None:
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

    def _occlusion(self, words: list[str], position: int, label: int) -> np.ndarray:
        """Return the mean of the members' contributions, which are those to the mean of their probabilities."""
        found = [one._occlusion(words, position, own) for one, own in self._own_labels(label)]
        return np.asarray(np.mean(found, axis=0))

    def _gradients(self, words: list[str], position: int, label: int) -> np.ndarray:
        """Return the mean of the members' contributions; see `_occlusion`."""
        found = [one._gradients(words, position, own) for one, own in self._own_labels(label)]
        return np.asarray(np.mean(found, axis=0))

    def _own_labels(self, label: int) -> list[tuple[WordTagger, int]]:
        """Return each member with its own id of a label."""
        return [(member, member.schema.label2id[self.schema.tags[label]]) for member in self.members]

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
