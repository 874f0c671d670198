"""Rules beside a tagger: found in a block of sentences, set as limits while it is read, applied to what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hf_tagging.data.schema import TagSchema
from hf_tagging.errors import ConfigError
from hf_tagging.inference.constrained import Lattice
from hf_tagging.inference.cutting import TextCutter
from hf_tagging.inference.edits import edited
from hf_tagging.inference.limits import limits_of
from hf_tagging.inference.odds import ChainOfWords, EntityOdds, word_labels
from hf_tagging.inference.results import WordLabels
from hf_tagging.inference.sentences import encodable
from hf_tagging.rules.reading import read_rules
from hf_tagging.rules.rules import Matches, Rules


def load_rules(path: str | Path, schema: TagSchema, splitter: str | None) -> Rules:
    """Read the rules of a tagger; see `read_rules`.

    Args:
        path: The file.
        schema: Tags of the tagger.
        splitter: Name of what cuts its texts; where its package is missing, phrases are cut at blanks alone.
    """
    try:
        _cutter(splitter)
    except ConfigError:  # texts cannot be tagged then, words can
        return read_rules(path, schema)
    return read_rules(path, schema, cut=partial(_cut, splitter))


@cache
def _cutter(splitter: str | None) -> TextCutter:
    return TextCutter(trained=splitter)


def _cut(splitter: str | None, text: str) -> Sequence[tuple[int, int]]:
    return _cutter(splitter).words(text)


class Ruling:
    """Rules in a block of sentences.

    Args:
        rules: The rules.
        sentences: Words of the block.
        bounds: Number of each sentence's first word, and the end. (sentences + 1,)
    """

    def __init__(self, rules: Rules, sentences: Sequence[Sequence[str]], bounds: np.ndarray):
        self._rules, self._bounds = rules, bounds
        self._matches: list[Matches] = [rules.matches(words) for words in encodable(sentences)]
        self._limits = limits_of(rules, self._matches, bounds)
        self._lattice = None if self._limits is None else Lattice(self._limits, rules.schema, int(bounds[-1]))

    @property
    def limited(self) -> np.ndarray:
        """True for words with limits: their windows are read in the dtype of the weights. (words,) bool"""
        found = np.zeros(self._bounds[-1], bool)
        if self._limits is not None:
            found[self._limits.words] = True
        return found

    def keep(self, words: np.ndarray, probabilities: Tensor, chain: ChainOfWords | None) -> None:
        """Collect what the model says of some words; see `EntityOdds.keep`."""
        if self._lattice is not None:
            self._lattice.keep(words, probabilities, chain)

    def labels(
        self, ids: np.ndarray, scores: np.ndarray, bounds: np.ndarray, odds: EntityOdds | None, *, least: float = 0.0
    ) -> list[WordLabels]:
        """Return the labels of each sentence as the rules have them; arguments as of `word_labels`."""
        decided, moved = np.full(len(ids), "", object), np.full(len(ids), "", object)
        self._decode(ids, scores, decided, moved, odds)
        before = ids.copy()
        found = word_labels(ids, scores, bounds, odds, least=least, kept=self._not_outside())
        decided[ids != before] = moved[ids != before] = ""  # words that are left out
        outside = None if odds is None else odds.outside
        return [
            _credited(
                edited(
                    WordLabels(labels.ids, labels.scores, labels.entities, decided[a:b]),
                    matches,
                    self._rules,
                    None if outside is None else outside[a:b],
                ),
                moved[a:b],
            )
            for labels, matches, (a, b) in zip(found, self._matches, pairwise(bounds), strict=True)
        ]

    def _not_outside(self) -> np.ndarray | None:
        """Return which words a rule does not allow to be ``O``. (words,) bool"""
        outside = self._rules.schema.label2id.get("O")
        if self._limits is None or outside is None:
            return None
        found = np.zeros(self._bounds[-1], bool)
        found[self._limits.words] = ~self._limits.allowed[:, outside]
        return found

    def _decode(
        self, ids: np.ndarray, scores: np.ndarray, decided: np.ndarray, moved: np.ndarray, odds: EntityOdds | None
    ) -> None:
        """Decode the sentences with limits, in place.

        Noted is which rule has decided a tag or forbidden that of the model, in `decided`, and in `moved` which one has
        changed a tag because of what it says of another word.
        """
        if self._limits is None or self._lattice is None:
            return
        limits, found = self._limits, self._lattice.decoded()
        words = limits.words
        by = np.where(limits.deciding >= 0, limits.deciding, limits.forbidding[np.arange(len(words)), ids[words]])
        others = limits.nearest(by, (found.ids != ids[words]) & (by < 0))
        for names, rules in ((decided, by), (moved, others)):
            for rule in np.unique(rules[rules >= 0]).tolist():
                names[words[rules == rule]] = self._rules.name(rule)
        ids[words] = found.ids
        scores[words] = found.probabilities[np.arange(len(words)), found.ids]
        if odds is not None:
            odds.keep(words, torch.from_numpy(found.probabilities), found.chain)


def _credited(labels: WordLabels, moved: np.ndarray) -> WordLabels:
    """Name the rules that have changed a tag by what they say of other words, where no rule is named yet."""
    return replace(labels, rules=np.where(labels.rules == "", moved, labels.rules))
