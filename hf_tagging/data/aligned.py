"""Aligned splits: the windows that a model reads of a split, and the way back from subwords to words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from hf_tagging.data.casing import behind_markers
from hf_tagging.data.prefixes import UNSCORED_ID
from hf_tagging.data.rows import arrow_batches, flat_lists, row_ranges, row_starts

IGNORED = UNSCORED_ID  # the label that PyTorch's cross-entropy and the Trainer leave out
_EXAMPLES = 3


@dataclass(frozen=True)
class AlignmentCounts:
    """Counts of everything that alignment changed in a split."""

    sentences: int
    words: int
    windows: int
    windowed_sentences: int
    vanished_words: int
    shortened_words: int
    unknown_words: int = 0
    unknown_examples: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return one line for the log; empty if every sentence fits a window and every word has its subwords."""
        parts = []
        if self.windowed_sentences:
            parts.append(
                f"{self.windowed_sentences:,} sentences longer than a window ({self.windows:,} windows in all)"
            )
        if self.vanished_words:
            parts.append(f"{self.vanished_words:,} words without subwords become the unknown token")
        if self.shortened_words:
            parts.append(f"{self.shortened_words:,} words longer than a window keep their beginning")
        if self.unknown_words:
            share, examples = f"{self.unknown_share:.1%}", ", ".join(map(repr, self.unknown_examples))
            parts.append(f"{self.unknown_words:,} words ({share}) are nothing but the unknown token ({examples})")
        return "; ".join(parts)

    @property
    def unknown_share(self) -> float:
        """Share of the words that are nothing but the unknown token."""
        return self.unknown_words / self.words if self.words else 0.0


@dataclass(frozen=True)
class AlignedSplit:
    """A split of a dataset with the windows that a model reads.

    Args:
        words: The source: `tokens`, `tags`, `document_id`, a row per sentence.
        features: A row per window: `input_ids`, `labels`; for reading the result `sentence` (row in `words` of the
            first one), `first_word`, `word_starts` (positions of the words that this window owns, with context of
            several sentences); `length`; for the counts `vanished`, `shortened`, `unknown` and `first_unknown`; with
            further columns `word_features`, their ids subword after subword, for each subword one per column.
        sentence_starts: Number of each sentence's first word in the split, and the end. (sentences + 1,)
    """

    words: Dataset
    features: Dataset
    sentence_starts: np.ndarray

    def counts(self) -> AlignmentCounts:
        """Return the counts of what alignment changed."""
        windows = np.zeros(len(self.words), np.int64)
        vanished = shortened = 0
        unknown = 0
        for batch in arrow_batches(self.features, "sentence", "vanished", "shortened", "unknown"):
            np.add.at(windows, batch.column("sentence").to_numpy(), 1)
            unknown += int(batch.column("unknown").to_numpy().sum())
            vanished += int(batch.column("vanished").to_numpy().sum())
            shortened += int(batch.column("shortened").to_numpy().sum())
        return AlignmentCounts(
            sentences=len(self.words),
            words=int(self.sentence_starts[-1]),
            windows=len(self.features),
            windowed_sentences=int(np.count_nonzero(windows > 1)),
            vanished_words=vanished,
            shortened_words=shortened,
            unknown_words=unknown,
            unknown_examples=self._unknown_examples() if unknown else (),
        )

    def _unknown_examples(self) -> tuple[str, ...]:
        """Return the first different words that are nothing but the unknown token."""
        found: dict[str, None] = {}
        for batch in arrow_batches(self.features, "sentence", "first_unknown"):
            sentence, word = (batch.column(name).to_numpy() for name in ("sentence", "first_unknown"))
            for window in np.flatnonzero(word >= 0).tolist():
                place = self.sentence_starts[sentence[window]] + word[window]
                row = int(np.searchsorted(self.sentence_starts, place, "right")) - 1  # of several with context
                found[self.words[row]["tokens"][int(place - self.sentence_starts[row])]] = None
                if len(found) == _EXAMPLES:
                    return tuple(found)
        return tuple(found)

    def longest_first(self) -> AlignedSplit:
        """Return the same split with its windows sorted by length, longest first, for batches with little padding."""
        order = np.argsort(-window_lengths(self.features), kind="stable")
        return AlignedSplit(self.words, self.features.select(order), self.sentence_starts)

    def read(self, windows: Sequence[np.ndarray], fill: int = IGNORED) -> np.ndarray:
        """Return one value per word from values per subword of the windows.

        Args:
            windows: For each row of `features` its values. (windows, at least that window's subwords)
            fill: The value of a word that no window owns; there is none unless `features` is a selection.

        Returns:
            Values, word after word, sentence after sentence. (words,)
        """
        result = np.full(self.sentence_starts[-1], fill, dtype=np.int64)
        begin = 0
        for batch, row, starts, words in self.owned_words():
            block = windows[begin : begin + batch.num_rows]
            widths = np.fromiter(map(len, block), np.int64, len(block))
            result[words] = np.concatenate(block)[row_starts(widths)[row] + starts]
            begin += batch.num_rows
        return result

    def owned_words(self, *columns: str) -> Iterator[tuple[pa.Table, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield the windows in tables, with the words that they own.

        Args:
            columns: Further columns of the tables.

        Yields:
            Windows; and for each word its window in the table, the position of its first subword there, and its number
            in the split. (words,) each
        """
        for batch in arrow_batches(self.features, "sentence", "first_word", "word_starts", *columns):
            starts, bounds = flat_lists(batch.column("word_starts"))
            row, nth = row_ranges(np.diff(bounds))
            first = self.sentence_starts[batch["sentence"].to_numpy()] + batch["first_word"].to_numpy()
            yield batch, row, starts, first[row] + nth

    def per_sentence(self, values: Sequence[Any] | np.ndarray) -> list[list[Any]]:
        """Split values of words (words,) into a list per sentence."""
        bounds = self.sentence_starts
        return [list(values[a:b]) for a, b in pairwise(bounds)]


def window_lengths(features: Dataset) -> np.ndarray:
    """Return the number of subwords of each window of a split. (windows,)"""
    lengths = (batch.column("length").to_numpy() for batch in arrow_batches(features, "length"))
    return np.concatenate([np.zeros(0, np.int32), *lengths])


def without_marked_labels(split: AlignedSplit, markers: np.ndarray) -> AlignedSplit:
    """Return a split in which no subword behind a case marker has a label, for a model of chains of words.

    Args:
        split: Aligned words.
        markers: Ids of the case markers. (markers,)
    """
    if not len(markers):
        return split
    features = split.features.with_format("arrow")
    changed = features.map(_unlabel_marked, batched=True, fn_kwargs={"markers": markers}, desc="Labels of words")
    return replace(split, features=changed.with_format(None))


def _unlabel_marked(table: pa.Table, markers: np.ndarray) -> pa.Table:
    ids, bounds = flat_lists(table.column("input_ids"))
    column = table.column("labels")
    labels = flat_lists(column)[0].copy()
    labels[behind_markers(ids, markers)] = IGNORED
    lists = pa.LargeListArray if pa.types.is_large_list(column.type) else pa.ListArray
    at = table.schema.get_field_index("labels")
    return table.set_column(at, "labels", lists.from_arrays(bounds, pa.array(labels, column.type.value_type)))
