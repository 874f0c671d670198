"""Targets of language models: masked words, or the neighbours of each word.

Transformers' own collator either hides whole words or replaces some of them at random, not both (transformers 5.23,
`DataCollatorForLanguageModeling`), and it does not know which words a window owns, so that a word in the overlap of two
windows would count twice. Here one rule serves every model, a word at a time.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from datasets import Dataset

from hf_tagging.data.aligned import IGNORED
from hf_tagging.data.batching import Window
from hf_tagging.data.pretokenized import OUTSIDE, STARTS

Objective = Literal["masked", "bidirectional"]
Example = dict[str, np.ndarray]
MASKED_SHARE = 0.15  # of the words (Devlin et al. 2019)
_MASKED, _RANDOM = 0.8, 0.1  # of the words to predict; the rest stays as it is
_ROWS = 1000


@dataclass(frozen=True)
class Predictable:
    """Ids of a tokenizer that a language model may predict.

    Args:
        kinds: Kind of each id, see `subword_kinds`. (ids,)
        targets: The label of each id, -100 where it is never predicted. (ids,)
        pad_id: Fills batches.
        mask_id: Hides words; None where none is hidden.
        whole: A word is predicted by one label, that of its first subword, and where it is hidden it becomes a single
            mask. Else each of its subwords is hidden and predicted.
        spells: A word of several subwords is none of the vocabulary, so it is not predicted.
    """

    kinds: np.ndarray
    targets: np.ndarray
    pad_id: int
    mask_id: int | None = None
    whole: bool = False
    spells: bool = False


@dataclass(frozen=True)
class _Words:
    """Words of several windows in one array.

    Args:
        places: Of the subwords that belong to words. (subwords,)
        of: The word of each. (subwords,)
        first: Subwords that are the first of their word. (subwords,) bool
        known: Which words may be predicted. (words,) bool
    """

    places: np.ndarray
    of: np.ndarray
    first: np.ndarray
    known: np.ndarray

    def subwords(self, words: np.ndarray, *, first: bool | None = None) -> np.ndarray:
        """Return the positions of the subwords of chosen words, (words,) bool: all, the first, or the others."""
        which = words[self.of]
        return self.places[which if first is None else which & (self.first == first)]


class LanguageModelCollator:
    """Collator that turns windows into batches for a language model.

    Rows that have `targets` already (from `fixed`) are only padded. Which words are hidden follows from seed, epoch and
    the batch itself: loaders fetch batches ahead, so that what is drawn from a generator that runs on would differ
    in a run that was killed and resumed.

    Args:
        objective: ``"masked"``: some words are hidden and predicted. ``"bidirectional"``: each word is predicted from
            the words before it and, if `directions` is 2, from the words after it.
        predictable: Of tokenizer and model.
        directions: Of ``"bidirectional"``.
        share: Of the words that are predicted, for ``"masked"``.
        seed: Of the choice of these words.
    """

    def __init__(
        self,
        objective: Objective,
        predictable: Predictable,
        *,
        directions: int = 2,
        share: float = MASKED_SHARE,
        seed: int = 42,
    ):
        self.objective, self.predictable = objective, predictable
        self.directions, self.share, self.seed = directions, share, seed
        self.epoch = 0  # whoever trains counts it up, so that each epoch hides other words
        stands_in = predictable.targets != IGNORED
        # At random in the place of a word: a word, or, subword by subword, any.
        self._pool = np.flatnonzero(stands_in & (predictable.kinds == STARTS) if predictable.whole else stands_in)

    def __call__(self, windows: Sequence[Window]) -> dict[str, torch.Tensor]:
        """Collate a batch.

        Args:
            windows: With `input_ids` (subwords,) and `labels`, -100 outside the words that the window owns (subwords,).

        Returns:
            `input_ids`, `attention_mask` (batch, subwords) and `labels`: (batch, subwords, predictions) where words are
            predicted whole, else (batch, subwords).
        """
        rows = windows if "targets" in windows[0] else self.examples(windows, self._chance(windows))
        lengths = np.array([len(row["input_ids"]) for row in rows])
        real = np.arange(lengths.max()) < lengths[:, None]  # (batch, subwords)
        ids = np.full(real.shape, self.predictable.pad_id, np.int64)
        ids[real] = np.concatenate([row["input_ids"] for row in rows])
        targets = np.concatenate([row["targets"] for row in rows])
        labels = np.full((*real.shape, *targets.shape[1:]), IGNORED, np.int64)
        labels[real] = targets
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(real.astype(np.int64)),
            "labels": torch.from_numpy(labels),
        }

    def _chance(self, windows: Sequence[Window]) -> np.random.Generator:
        content = 0
        for window in windows:
            content = zlib.crc32(np.asarray(window["input_ids"], np.int64).tobytes(), content)
        return np.random.default_rng([self.seed, self.epoch, content])

    def fixed(self, windows: Dataset) -> list[Example]:
        """Return examples that are the same on every read and in any batches, for evaluation.

        Args:
            windows: Rows as `__call__` takes them.
        """
        chance = np.random.default_rng(self.seed)
        rows = windows.select_columns(["input_ids", "labels"]).with_format("numpy")
        found: list[Example] = []
        for start in range(0, len(rows), _ROWS):
            batch = rows[start : start + _ROWS]
            columns = zip(batch["input_ids"], batch["labels"], strict=True)
            found += self.examples([{"input_ids": ids, "labels": labels} for ids, labels in columns], chance)
        return found

    def examples(self, windows: Sequence[Window], chance: np.random.Generator) -> list[Example]:
        """Return the inputs `input_ids` (subwords,) and the targets `targets` of each window."""
        ids = np.concatenate([window["input_ids"] for window in windows]).astype(np.int64)
        owned = np.concatenate([window["labels"] for window in windows]) != IGNORED
        window = np.repeat(np.arange(len(windows)), [len(window["input_ids"]) for window in windows])
        words = self._words(ids, owned, window)
        if self.objective == "masked":
            ids, targets, window = self._hide(ids, window, words, chance)
        else:
            targets = self._neighbours(ids, window, words)
        cuts = np.flatnonzero(np.diff(window)) + 1
        parts = zip(np.split(ids, cuts), np.split(targets, cuts), strict=True)
        return [{"input_ids": seen, "targets": wanted} for seen, wanted in parts]

    def _words(self, ids: np.ndarray, owned: np.ndarray, window: np.ndarray) -> _Words:
        """Find the words in the way that the model does."""
        kinds = self.predictable.kinds[ids]
        places = np.flatnonzero(kinds != OUTSIDE)
        new_window = np.diff(window[places], prepend=-1) > 0
        first = (kinds[places] == STARTS) | new_window
        starts, of = places[first], np.cumsum(first) - 1
        known = owned[starts] & (self.predictable.targets[ids[starts]] != IGNORED)
        if self.predictable.spells:
            known &= np.bincount(of, minlength=len(starts)) == 1
        return _Words(places, of, first, known)

    def _neighbours(self, ids: np.ndarray, window: np.ndarray, words: _Words) -> np.ndarray:
        """Return for each word the next word, then the previous one. (subwords, directions)"""
        starts = words.places[words.first]
        row = np.where(words.known, self.predictable.targets[ids[starts]], IGNORED)
        together = window[starts[1:]] == window[starts[:-1]]
        targets = np.full((len(ids), self.directions), IGNORED, np.int64)
        targets[starts[:-1][together], 0] = row[1:][together]
        if self.directions == 2:
            targets[starts[1:][together], 1] = row[:-1][together]
        return targets

    def _hide(
        self, ids: np.ndarray, window: np.ndarray, words: _Words, chance: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mask words; return ids, targets (subwords,) or (subwords, 1), and the windows of the remaining subwords."""
        whole = self.predictable.whole
        first = True if whole else None  # where a hidden word is seen and predicted
        chosen = words.known & (chance.random(len(words.known)) < self.share)
        fate = chance.random(len(chosen))
        masked = chosen & (fate < _MASKED)
        random = chosen & ~masked & (fate < _MASKED + _RANDOM)
        seen, targets = ids.copy(), np.full(len(ids), IGNORED, np.int64)
        at = words.subwords(chosen, first=first)
        targets[at] = self.predictable.targets[ids[at]]
        seen[words.subwords(masked, first=first)] = self.predictable.mask_id
        at = words.subwords(random, first=first)
        seen[at] = chance.choice(self._pool, len(at))
        if not whole:
            return seen, targets, window
        left = np.ones(len(ids), bool)
        left[words.subwords(masked | random, first=False)] = False
        return seen[left], targets[left, None], window[left]
