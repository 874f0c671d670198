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
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from hf_tagging.data.casing import marker_ids
from hf_tagging.data.pretokenized import prepare_tokenizer, special_tokens, uninformative_tokens, unknown_token
from hf_tagging.data.rows import row_ranges, row_starts
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
        sentence: Number of each window's sentence in the batch. (windows,)
        first_word: Number in its sentence of the first word that each window owns. (windows,)
        vanished: Owned words that became the unknown token, since the tokenizer gave them no subwords. (windows,)
        shortened: Words owned that lost subwords, because they alone exceed a window. (windows,)
        unknown: Owned words that the tokenizer turned into nothing but its unknown token. (windows,)
        first_unknown: Number in its sentence of the first of them; -1 where there is none. (windows,)
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

    Raises:
        ModelError: If the tokenizer is not a fast one.
        ConfigError: If `max_length` leaves no room for words, or `overlap` exceeds half a window.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, max_length: int | None = None, overlap: int | None = None
    ):
        self.tokenizer, self._lead = prepare_tokenizer(tokenizer)
        self.max_length = max_length or min(tokenizer.model_max_length, DEFAULT_MAX_LENGTH)
        self._before, self._after = special_tokens(tokenizer)
        self.capacity = self.max_length - len(self._before) - len(self._after)
        self.overlap = self.capacity // 4 if overlap is None else overlap
        self._unknown = unknown_token(tokenizer)
        self._markers = marker_ids(tokenizer)
        self._says_nothing = uninformative_tokens(tokenizer)
        if self.capacity < 1:
            raise ConfigError(f"max_length: {max_length} leaves no room for words beside the special tokens.")
        if not 0 <= self.overlap <= self.capacity // 2:
            raise ConfigError(f"window_overlap: {overlap} is not between 0 and half a window ({self.capacity // 2}).")

    def windows(self, sentences: Sequence[Sequence[str]]) -> Windows:
        """Cut a batch of sentences into windows.

        Args:
            sentences: Words. (sentences, words)
        """
        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        ids, sizes, vanished, unknown = self._subwords(sentences)
        ids, sizes, shortened = _shorten(ids, sizes, self.capacity)
        plan = _plan(sizes, row_starts(lengths), self.capacity, self.overlap)
        return self._lay_out(plan, ids, row_starts(sizes), row_starts(lengths), vanished, shortened, unknown)

    def measured(self, words: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the subwords of each word, 0 where it vanishes, and which words are nothing but the unknown token.

        Args:
            words: Different ones. (words,)
        """
        ids, sizes = self._encode(words)
        return sizes, self._are_unknown(ids, sizes)

    def _subwords(self, sentences: Sequence[Sequence[str]]) -> tuple[np.ndarray, ...]:
        """Return subword ids (subwords,), subwords per word, which words vanished and which are unknown, (words,) each.

        The tokenizer sees each word alone, whatever its neighbours; so repeated words are tokenized once.
        """
        words = list(chain.from_iterable(sentences))
        numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
        which = np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
        ids, sizes = self._encode(list(numbers))
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

    def _encode(self, words: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return subword ids (subwords,) and subwords per word (words,), 0 for a word that the tokenizer drops."""
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
        plan: _Plan,
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
        marked = np.zeros(len(window), bool)
        marked[1:] = heads[:-1] & np.isin(input_ids[:-1], self._markers) & (words[1:] == words[:-1])
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


@dataclass(frozen=True)
class _Plan:
    """Windows as ranges of the batch's words: what they hold, and what they own. Each (windows,)."""

    sentence: np.ndarray
    first: np.ndarray
    end: np.ndarray
    own_first: np.ndarray
    own_end: np.ndarray


def _plan(sizes: np.ndarray, sentence_starts: np.ndarray, capacity: int, overlap: int) -> _Plan:
    """Return one window per sentence that fits, several per sentence that does not, none without words."""
    starts = row_starts(sizes)
    subwords = starts[sentence_starts[1:]] - starts[sentence_starts[:-1]]
    filled = np.diff(sentence_starts) > 0
    short = np.flatnonzero(filled & (subwords <= capacity))
    rows = [np.stack([short, sentence_starts[short], sentence_starts[short + 1]] * 2)[[0, 1, 2, 4, 5]]]
    for sentence in np.flatnonzero(subwords > capacity):
        begin, end = sentence_starts[sentence], sentence_starts[sentence + 1]
        cut = _cut(sizes[begin:end], capacity, overlap) + begin
        rows.append(np.concatenate([np.full((1, cut.shape[1]), sentence), cut]))
    plan = np.concatenate(rows, axis=1)
    return _Plan(*plan[:, np.lexsort((plan[3], plan[0]))])


def _cut(sizes: np.ndarray, capacity: int, overlap: int) -> np.ndarray:
    """Cut one long sentence between words.

    Returns:
        Rows first, end, own_first, own_end; a column per window. (4, windows)
    """
    starts = row_starts(sizes)
    first, spans = 0, []
    while True:
        end = int(np.searchsorted(starts, starts[first] + capacity, side="right")) - 1
        if end == len(sizes):
            break
        spans.append((first, end))
        # The next window goes back by the overlap, or less where the next word needs the room.
        first = int(np.searchsorted(starts, max(starts[end] - overlap, starts[end + 1] - capacity)))
    spans.append((int(np.searchsorted(starts, starts[-1] - capacity)), len(sizes)))  # as much left context as fits
    owner = _owners(starts, spans)
    columns = [(*span, *np.searchsorted(owner, [i, i + 1])) for i, span in enumerate(spans)]
    return np.array([column for column in columns if column[2] < column[3]]).T


def _owners(starts: np.ndarray, spans: list[tuple[int, int]]) -> np.ndarray:
    """Return for each word the window with most context on its shorter side; a sentence's edge is enough. (words,)"""
    words = len(starts) - 1
    best, owner = np.full(words, -1), np.zeros(words, int)
    for i, (first, end) in enumerate(spans):
        left = starts[first:end] - starts[first] if first else np.full(end - first, starts[-1])
        right = starts[end] - starts[first + 1 : end + 1] if end < words else np.full(end - first, starts[-1])
        context = np.minimum(left, right)
        better = context > best[first:end]
        best[first:end][better] = context[better]
        owner[first:end][better] = i
    return owner


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
