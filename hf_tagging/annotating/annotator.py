"""The one way of rows through a tagger, whichever engine moves them: rows in, the same rows annotated out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from hf_tagging.annotating.columns import Tagged, added_columns
from hf_tagging.annotating.rows import Columns, Rejected, Rows, taken
from hf_tagging.data.rows import row_starts
from hf_tagging.data.text_lines import shortened
from hf_tagging.inference.cutting import CutText
from hf_tagging.inference.results import NO_TAG, SCORE_DIGITS, WordLabels, joined
from hf_tagging.inference.word_tagger import WordTagger

_BLOCK = 200_000  # characters that are tagged at once


@dataclass(frozen=True)
class AnnotatedRows:
    """Rows of a batch that were tagged, and those that were set aside.

    Args:
        columns: Their columns, as they came.
        added: The columns of the annotation, in their order.
        rejected: Rows that are not among them.
        words: Number of words.
        entities: Number of entities.
    """

    columns: Columns
    added: pa.Table
    rejected: list[Rejected]
    words: int
    entities: int


@dataclass(frozen=True)
class _Block:
    """Rows as a tagger reads them: sentences of words, and the places of these in their texts."""

    texts: list[str]
    spans: np.ndarray  # of all words (words, 2)
    sentences: list[list[str]]
    per_row: list[int]  # sentences (rows,)


class RowAnnotator:
    """Annotates batches of rows with a tagger; each worker has one.

    Args:
        tagger: The tagger.
        tagged: The column that is tagged.
        splitter: How text is cut into words; see `Tagger.tag_text`.
        split_sentences: See `Tagger.tag_text`.
        max_characters: A longer text is set aside.
    """

    def __init__(
        self,
        tagger: WordTagger,
        tagged: Tagged,
        *,
        splitter: str | None = None,
        split_sentences: bool = True,
        max_characters: int,
    ):
        self.tagger, self.tagged, self.max_characters = tagger, tagged, max_characters
        self._cutter = tagger.cutter(splitter, split_sentences=split_sentences)
        self._schema = added_columns(tagged, entities=bool(tagger.schema.entity_types))
        self._tags = np.array([*tagger.schema.tags, NO_TAG], object)  # the last one for LEFT_OUT, which is -1
        self._types = np.array(tagger.schema.entity_types, object)

    def __call__(self, rows: Rows) -> AnnotatedRows:
        """Annotate a batch of rows."""
        rejected = list(rows.rejected)
        kept: list[int] = []
        cut: list[CutText | list[str]] = []
        for place, cell in enumerate(rows.cells):
            found = self._words(cell)
            if isinstance(found, tuple):
                rejected.append(Rejected(rows.numbers[place], *found))
            else:
                kept.append(place)
                cut.append(found)
        parts = [self._annotated(block) for block in _blocks(cut)]
        added = pa.concat_tables([self._schema.empty_table(), *(table for table, _, _ in parts)])
        return AnnotatedRows(
            taken(rows.columns, kept),
            added,
            rejected,
            sum(words for _, words, _ in parts),
            sum(entities for _, _, entities in parts),
        )

    def _words(self, cell: object) -> CutText | list[str] | tuple[str, str]:
        """Return the words of a cell, or the kind and the reason why it has none that can be tagged."""
        if self.tagged.words:
            return self._checked_words(cell)
        if cell is None:
            return "no text", "no text"
        if isinstance(cell, UnicodeDecodeError):
            return "not UTF-8", f"the text is not UTF-8 ({cell.reason} at byte {cell.start})"
        if not isinstance(cell, str):
            return "no string", f"{shortened(repr(cell))} is no string"
        if len(cell) > self.max_characters:
            return "too long", f"{len(cell):,} characters; the most is {self.max_characters:,}"
        cut = self._cutter(cell)
        return cut if cut.spans else ("no text", "no word in the text")

    def _checked_words(self, cell: object) -> list[str] | tuple[str, str]:
        if not cell:
            return "no words", "no words"
        if not (isinstance(cell, list) and all(isinstance(word, str) for word in cell)):
            return "no words", f"{shortened(repr(cell))} is no list of strings"
        if (size := sum(map(len, cell))) > self.max_characters:
            return "too long", f"{size:,} characters; the most is {self.max_characters:,}"
        return cell

    def _annotated(self, cut: Sequence[CutText | list[str]]) -> tuple[pa.Table, int, int]:
        """Return the added columns of rows, and the numbers of words and entities."""
        block = _block(cut)
        labels = joined(self.tagger.label(block.sentences, documents=block.per_row))
        lengths = np.fromiter(map(len, block.sentences), np.int64, len(block.sentences))
        sentences = row_starts(lengths)
        rows = sentences[row_starts(np.array(block.per_row, np.int64))]
        columns = self._of_words(block, labels, rows)
        entities = 0
        if len(self._types):
            column, entities = self._entities(block, labels, sentences, rows)
            columns.append(column)
        return pa.table(columns, schema=self._schema), len(labels.ids), entities

    def _of_words(self, block: _Block, labels: WordLabels, rows: np.ndarray) -> list[pa.Array]:
        tags = pa.array(self._tags[labels.ids], pa.string())
        scores = _rounded(labels.scores)
        if self.tagged.words:
            return [_lists(rows, tags), _lists(rows, scores)]
        starts, ends = block.spans.T
        words = pa.array(chain.from_iterable(block.sentences), pa.string())
        fields = self._schema.field("words").type.value_type
        found = pa.StructArray.from_arrays([words, _int32(starts), _int32(ends), tags, scores], fields=list(fields))
        return [_lists(rows, found), _lists(rows, tags)]

    def _entities(
        self, block: _Block, labels: WordLabels, sentences: np.ndarray, rows: np.ndarray
    ) -> tuple[pa.Array, int]:
        is_first, is_last, types = self.tagger.schema.entity_edges(labels.ids, sentences)
        first, last = np.flatnonzero(is_first), np.flatnonzero(is_last)
        row = np.searchsorted(rows, first, side="right") - 1
        kinds = pa.array(self._types[types[first]], pa.string())
        words = [first - rows[row], last + 1 - rows[row]]
        if self.tagged.words:
            flat = [*chain.from_iterable(block.sentences)]
            texts = [" ".join(flat[a : b + 1]) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
            arrays = [kinds, pa.array(texts, pa.string())]
        else:
            starts, ends = block.spans[first, 0], block.spans[last, 1]
            places = zip(row.tolist(), starts.tolist(), ends.tolist(), strict=True)
            texts = [block.texts[i][start:end] for i, start, end in places]
            arrays = [kinds, pa.array(texts, pa.string()), _int32(starts), _int32(ends)]
        arrays += [_rounded(labels.entities), *map(_int32, words)]
        fields = self._schema.field("entities").type.value_type
        found = pa.StructArray.from_arrays(arrays, fields=list(fields))
        return _lists(np.searchsorted(first, rows), found), len(first)


def _blocks(cut: Sequence[CutText | list[str]]) -> Iterator[list[CutText | list[str]]]:
    """Group rows until they have about `_BLOCK` characters."""
    block: list[CutText | list[str]] = []
    size = 0
    for item in cut:
        block.append(item)
        size += len(item.text) if isinstance(item, CutText) else sum(map(len, item))
        if size >= _BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _block(cut: Sequence[CutText | list[str]]) -> _Block:
    texts = [item.text for item in cut if isinstance(item, CutText)]
    spans = [*chain.from_iterable(item.spans for item in cut if isinstance(item, CutText))]
    per_row = [item.sentences if isinstance(item, CutText) else [item] for item in cut]
    sentences = [*chain.from_iterable(per_row)]
    return _Block(texts, np.array(spans, np.int64).reshape(-1, 2), sentences, [*map(len, per_row)])


def _rounded(scores: np.ndarray) -> pa.Array:
    return pa.array(np.round(scores.astype(np.float64), SCORE_DIGITS))


def _int32(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers.astype(np.int32))


def _lists(bounds: np.ndarray, values: pa.Array) -> pa.Array:
    """Return values as a list for each row; `bounds`: where each begins, and the end. (rows + 1,)"""
    return pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), values)
