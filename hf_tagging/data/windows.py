"""Windows of subwords that fit the model, from sentences of words; no word is lost.

The tokenizer runs once over the different words of a batch; everything after it is arithmetic on flat arrays, so that
its cost does not depend on Python. Three things happen that the usual loop over ``word_ids()`` leaves out:

- A word that the tokenizer turns into nothing (control characters, U+200B, an empty string) gets the unknown token.
- A sentence longer than the model becomes several windows, cut between words, that overlap. Each word belongs to the
  window in which the shorter of its two contexts is longest; only there it has a label and is read.
- A single word with more subwords than fit a window keeps the first ones that do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from hf_tagging.data.casing import behind_markers, marker_ids
from hf_tagging.data.pretokenized import (
    prepare_tokenizer,
    separator_token,
    special_tokens,
    uninformative_tokens,
    unknown_token,
)
from hf_tagging.data.rows import row_ranges, row_starts
from hf_tagging.data.window_plans import Plan, plan_documents, plan_sentences
from hf_tagging.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DEFAULT_MAX_LENGTH = 512
_BLOCK = 128  # words that the tokenizer is handed at once: its threads share the blocks


@dataclass(frozen=True)
class Windows:
    """Windows over a batch of sentences, as flat arrays.

    Args:
        input_ids: Subword ids of all windows, special tokens included. (subwords,) int32
        offsets: Where each window starts, and the end. (windows + 1,)
        words: For each subword its word's number in the batch, -1 for special tokens. (subwords,)
        owned: For each subword, whether its word belongs to this window. (subwords,) bool
        heads: For each subword, whether it is the first of its word. (subwords,) bool
        marked: For each subword, whether it follows the case marker that its word begins with. (subwords,) bool
        sentence: Number in the batch of the first sentence of which each window owns words. (windows,)
        first_word: Number in this sentence of the first word that each window owns; it owns consecutive words, with
            context those of several sentences. (windows,)
        vanished: Owned words that became the unknown token, since the tokenizer gave them no subwords. (windows,)
        shortened: Words owned that lost subwords, because they alone exceed a window. (windows,)
        unknown: Owned words that the tokenizer turned into nothing but its unknown token. (windows,)
        first_unknown: Number of the first of them, counted as `first_word`; -1 where there is none. (windows,)
    """

    input_ids: np.ndarray
    offsets: np.ndarray
    words: np.ndarray
    owned: np.ndarray
    heads: np.ndarray
    marked: np.ndarray
    sentence: np.ndarray
    first_word: np.ndarray
    vanished: np.ndarray
    shortened: np.ndarray
    unknown: np.ndarray
    first_unknown: np.ndarray

    def __len__(self) -> int:
        return len(self.sentence)

    def word_starts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions at which to read the words that a window owns.

        Returns:
            Positions in the window of the first subwords of owned words, window after window (words,), and where each
            window's positions start, with the end (windows + 1,).
        """
        at = np.flatnonzero(self.owned & self.heads)
        window = np.searchsorted(self.offsets, at, side="right") - 1
        return at - self.offsets[window], row_starts(np.bincount(window, minlength=len(self)))


class Aligner:
    """Converts sentences of words to windows of subwords for one tokenizer.

    Args:
        tokenizer: A fast tokenizer. Made right for words that are already split (`prepare_tokenizer`).
        max_length: Subwords per window, special tokens included. Default: what the tokenizer says, at most 512.
        overlap: Subwords by which neighbouring windows overlap at least. Default: a quarter of a window.
        context: Subwords of its document that a sentence has on each side at least, where there are as many and they
            fit. 0: a window holds words of one sentence only.

    Raises:
        ModelError: If the tokenizer is not a fast one, or has no token to put between sentences of a window.
        ConfigError: If `max_length` leaves no room for words, `overlap` exceeds half a window, or `context` a quarter.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int | None = None,
        overlap: int | None = None,
        context: int = 0,
    ):
        self.tokenizer, self._lead = prepare_tokenizer(tokenizer)
        self.max_length = max_length or min(tokenizer.model_max_length, DEFAULT_MAX_LENGTH)
        self._before, self._after = special_tokens(tokenizer)
        self.capacity = self.max_length - len(self._before) - len(self._after)
        self.overlap = self.capacity // 4 if overlap is None else overlap
        self.context = context
        self._separator = separator_token(tokenizer) if context else -1
        self._unknown = unknown_token(tokenizer)
        self._markers = marker_ids(tokenizer)
        self._says_nothing = uninformative_tokens(tokenizer)
        if self.capacity < 1:
            raise ConfigError(f"max_length: {max_length} leaves no room for words beside the special tokens.")
        if not 0 <= self.overlap <= self.capacity // 2:
            raise ConfigError(f"window_overlap: {overlap} is not between 0 and half a window ({self.capacity // 2}).")
        if not 0 <= context <= self.capacity // 4:
            raise ConfigError(
                f"context_subwords: {context} is not between 0 and a quarter of a window ({self.capacity // 4})."
            )

    def windows(self, sentences: Sequence[Sequence[str]], documents: np.ndarray | None = None) -> Windows:
        """Cut a batch of sentences into windows.

        Args:
            sentences: Words. (sentences, words)
            documents: Number of each document's first sentence, and the end; without context it is not read.
                None: each sentence stands alone. (documents + 1,)
        """
        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        ids, sizes, vanished, unknown = self._subwords(sentences)
        ids, sizes, shortened = _shorten(ids, sizes, self.capacity)
        starts, sentence_starts = row_starts(sizes), row_starts(lengths)
        if documents is None or not self.context:
            plan = plan_sentences(sizes, sentence_starts, self.capacity, self.overlap)
            return self._lay_out(plan, ids, starts, sentence_starts, vanished, shortened, unknown)
        plan = plan_documents(sizes, sentence_starts, documents, self.capacity, self.overlap, self.context)
        windows = self._lay_out(plan, ids, starts, sentence_starts, vanished, shortened, unknown)
        return self._separated(windows, plan, starts, sentence_starts)

    def measured(self, words: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the subwords of each word, 0 where it vanishes, and which words are nothing but the unknown token.

        Args:
            words: Different ones. (words,)
        """
        ids, sizes = self.encode(words)
        return sizes, self._are_unknown(ids, sizes)

    def _subwords(self, sentences: Sequence[Sequence[str]]) -> tuple[np.ndarray, ...]:
        """Return subword ids (subwords,), subwords per word, which words vanished and which are unknown, (words,) each.

        The tokenizer sees each word alone, whatever its neighbours; so repeated words are tokenized once.
        """
        words = list(chain.from_iterable(sentences))
        numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
        which = np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
        ids, sizes = self.encode(list(numbers))
        unknown = self._are_unknown(ids, sizes)
        vanished = sizes == 0
        if vanished.any():
            ids = np.insert(ids, row_starts(sizes)[:-1][vanished], self._unknown)
            sizes[vanished] = 1
        word, nth = row_ranges(sizes[which])
        return ids[row_starts(sizes)[which][word] + nth], sizes[which], vanished[which], unknown[which]

    def _are_unknown(self, ids: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Return which words consist of the unknown token alone, the mark of a space apart. (words,)"""
        if self.tokenizer.unk_token_id is None:
            return np.zeros(len(sizes), bool)
        is_unknown = ids == self.tokenizer.unk_token_id
        if not is_unknown.any():
            return np.zeros(len(sizes), bool)
        total, empty = row_starts(is_unknown), row_starts(np.isin(ids, self._says_nothing))
        starts = row_starts(sizes)
        return (np.diff(total[starts]) > 0) & (np.diff(empty[starts]) == sizes)

    def encode(self, words: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return subword ids (subwords,) and subwords per word (words,), 0 for a word that the tokenizer drops.

        Args:
            words: Each is cut alone, as in any sentence. (words,)
        """
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        words = [self._lead + word for word in words] if self._lead else words
        blocks = [words[i : i + _BLOCK] for i in range(0, len(words), _BLOCK)]
        encodings = backend.encode_batch(blocks, is_pretokenized=True, add_special_tokens=False)
        counts = np.fromiter((len(e) for e in encodings), np.int64, len(encodings))
        total = int(counts.sum())
        ids = np.fromiter(chain.from_iterable(e.ids for e in encodings), np.int32, total)
        numbers = np.fromiter(chain.from_iterable(e.word_ids for e in encodings), np.int64, total)
        numbers += np.repeat(np.arange(len(blocks)) * _BLOCK, counts)
        return ids, np.bincount(numbers, minlength=len(words))

    def _lay_out(
        self,
        plan: Plan,
        ids: np.ndarray,
        starts: np.ndarray,
        sentence_starts: np.ndarray,
        vanished: np.ndarray,
        shortened: np.ndarray,
        unknown: np.ndarray,
    ) -> Windows:
        """Copy each window's subwords between the special tokens."""
        before, after = len(self._before), len(self._after)
        offsets = row_starts(starts[plan.end] - starts[plan.first] + before + after)
        window, within = row_ranges(np.diff(offsets))
        source = within - before + starts[plan.first][window]  # a subword's number in the batch
        special = (source < starts[plan.first][window]) | (source >= starts[plan.end][window])
        word_of = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        input_ids = np.empty(len(window), np.int32)
        input_ids[~special] = ids[source[~special]]
        input_ids[special] = np.tile(np.array([*self._before, *self._after], np.int32), len(plan.first))
        words = np.full(len(window), -1)
        words[~special] = word_of[source[~special]]
        owned = ~special & (words >= plan.own_first[window]) & (words < plan.own_end[window])
        heads = np.zeros(len(window), bool)
        heads[~special] = source[~special] == starts[words[~special]]
        marked = behind_markers(input_ids, self._markers)
        marked[1:] &= heads[:-1] & (words[1:] == words[:-1])  # not in the middle of a word, as in U.S.
        return Windows(
            input_ids,
            offsets,
            words,
            owned,
            heads,
            marked,
            plan.sentence,
            plan.own_first - sentence_starts[plan.sentence],
            _sums(vanished, plan.own_first, plan.own_end),
            _sums(shortened, plan.own_first, plan.own_end),
            _sums(unknown, plan.own_first, plan.own_end),
            _firsts(unknown, plan.own_first, plan.own_end, sentence_starts[plan.sentence]),
        )

    def _separated(self, windows: Windows, plan: Plan, starts: np.ndarray, sentence_starts: np.ndarray) -> Windows:
        """Put the separator between the sentences of each window."""
        borders = np.unique(sentence_starts)
        first, end = np.searchsorted(borders, plan.first, "right"), np.searchsorted(borders, plan.end)
        window, nth = row_ranges(end - first)
        begin = windows.offsets[window] + len(self._before) - starts[plan.first[window]]
        at = begin + starts[borders[first[window] + nth]]
        return replace(
            windows,
            input_ids=np.insert(windows.input_ids, at, self._separator),
            offsets=windows.offsets + np.searchsorted(at, windows.offsets),
            words=np.insert(windows.words, at, -1),
            owned=np.insert(windows.owned, at, False),
            heads=np.insert(windows.heads, at, False),
            marked=np.insert(windows.marked, at, False),
        )


def _shorten(ids: np.ndarray, sizes: np.ndarray, capacity: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the first `capacity` subwords of each word; return which words lost some."""
    shortened = sizes > capacity
    if shortened.any():
        _, nth = row_ranges(sizes)
        ids, sizes = ids[nth < capacity], np.minimum(sizes, capacity)
    return ids, sizes, shortened


def _sums(flags: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the number of flags set in each range of words."""
    total = row_starts(flags)
    return total[end] - total[first]


def _firsts(flags: np.ndarray, first: np.ndarray, end: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return the first flag set in each range of words, counted from its origin; -1 where none is."""
    at = np.append(np.flatnonzero(flags), len(flags))
    found = at[np.searchsorted(at, first)]
    return np.where(found < end, found - origin, -1)
