"""Which words each window of a batch holds and owns: sentences one by one, or whole documents.

A sentence longer than a window is cut between words into windows that overlap.

With context, a window holds neighbours of a sentence from its document too. What costs least is to read the neighbours
for their own sake in the same window: whole consecutive sentences, with a separator between them, and around them the
context that the first and the last one need. With s subwords a sentence and n of context on each side, a window per
sentence computes (s + 2n) / s subwords for each that it owns, 2.6 times as many for s = 20 and n = 16; a window of c
subwords computes c / (c - 2n), and a document that fits one window is read once. Longer windows repeat less, and their
attention costs more: its time grows with the square of c. So a window has 8n subwords, of which at most a quarter is
repeated, whatever fits the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hf_tagging.data.rows import row_starts

# Words after which a document goes on as another one, so that no document has to be in memory as a whole. At most one
# sentence in some hundreds loses context by it.
PART_WORDS = 20_000
DEFAULT_CONTEXT = 16  # subwords on each side
# Length of a window in contexts of one side. Forward and backward passes of MiniLM over an epoch of CoNLL-2003, on one
# core: 201 s without context (windows of 23 subwords on average), 288, 303, 325 and 425 s with contexts of 8, 16, 32
# and 64 subwords in windows of up to eight times as many.
_LENGTH = 8


@dataclass(frozen=True)
class Plan:
    """Windows as ranges of the batch's words: what they hold, and what they own. Each (windows,)."""

    sentence: np.ndarray
    first: np.ndarray
    end: np.ndarray
    own_first: np.ndarray
    own_end: np.ndarray


def parts_of(document: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Yield the sentences of a document in parts of about `PART_WORDS` words, cut where `document_bounds` cuts."""
    part: list[Sequence[str]] = []
    words = 0
    for sentence in document:
        if part and words // PART_WORDS > (words - len(part[-1])) // PART_WORDS:
            yield part
            part = []
        part.append(sentence)
        words += len(sentence)
    if part:
        yield part


def plan_sentences(sizes: np.ndarray, sentence_starts: np.ndarray, capacity: int, overlap: int) -> Plan:
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
    return Plan(*plan[:, np.lexsort((plan[3], plan[0]))])


def plan_documents(
    sizes: np.ndarray,
    sentence_starts: np.ndarray,
    documents: np.ndarray,
    capacity: int,
    overlap: int,
    context: int,
) -> Plan:
    """Return the windows of documents one by one; a sentence that is longer than a window has windows of its own."""
    rows = [np.zeros((5, 0), np.int64)]
    for first, end in pairwise(documents.tolist()):
        filled = first + np.flatnonzero(np.diff(sentence_starts[first : end + 1]))
        if len(filled):
            begin, behind = sentence_starts[filled[0]], sentence_starts[filled[-1] + 1]
            bounds = np.append(sentence_starts[filled], behind) - begin
            sentence, *spans = _group(sizes[begin:behind], bounds, capacity, overlap, context)
            rows.append(np.stack([filled[sentence], *(span + begin for span in spans)]))
    return Plan(*np.concatenate(rows, axis=1))


def _group(sizes: np.ndarray, bounds: np.ndarray, capacity: int, overlap: int, context: int) -> np.ndarray:
    """Give each window as many whole sentences of a document as fit with their context, from first to last.

    Args:
        sizes: Subwords of each word. (words,)
        bounds: Number of each sentence's first word, and the end; no sentence is empty. (sentences + 1,)
        capacity: Subwords of the longest window.
        overlap: See `Aligner`.
        context: See `Aligner`.

    Returns:
        Rows sentence, first, end, own_first, own_end; a column per window. (5, windows)
    """
    nth = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))  # one separator before each sentence but the first
    left, right = row_starts(sizes)[:-1] + nth, row_starts(sizes)[1:] + nth  # edges of words. (words,)
    behind = np.minimum(np.searchsorted(right, right[bounds[1:] - 1] + context), len(sizes) - 1) + 1
    reach = right[behind - 1]  # right edge of the context that each sentence is to have. (sentences,)
    length = min(capacity, _LENGTH * context)
    columns, sentence = [], 0
    while sentence < len(bounds) - 1:
        own, following = int(bounds[sentence]), sentence + 1
        room = capacity - int(right[bounds[following] - 1] - left[own])
        first = max(0, int(np.searchsorted(left, left[own] - context, "right")) - 1)
        fitting = int(np.searchsorted(reach, left[first] + length, "right"))
        if fitting > sentence or reach[sentence] <= left[first] + capacity:
            following = max(fitting, following)
            end = int(behind[following - 1])
            columns.append(np.array([[sentence, first, end, own, bounds[following]]]).T)
        elif room >= 0:
            first, end = _around(left, right, own, int(bounds[following]), room)
            columns.append(np.array([[sentence, first, end, own, bounds[following]]]).T)
        else:
            cut = _cut(sizes[own : bounds[following]], capacity, overlap) + own
            columns.append(np.concatenate([np.full((1, cut.shape[1]), sentence), cut]))
        sentence = following
    return np.concatenate(columns, axis=1)


def _around(left: np.ndarray, right: np.ndarray, own: int, end: int, room: int) -> tuple[int, int]:
    """Return the first word and the end of a window around a sentence that leaves less room than its context takes."""
    before, after = int(left[own] - left[0]), int(right[-1] - right[end - 1])
    before = min(before, max(room // 2, room - after))
    first = int(np.searchsorted(left, left[own] - before))
    after = room - int(left[own] - left[first])
    return first, int(np.searchsorted(right, right[end - 1] + after, "right"))


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
