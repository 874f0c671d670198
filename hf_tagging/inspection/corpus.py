"""Words and tags of a dataset as flat arrays, which all checks share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict

from hf_tagging.data.prefixes import UNSCORED_ID
from hf_tagging.data.rows import arrow_batches, row_ranges, row_starts
from hf_tagging.data.schema import PLAIN, TagSchema
from hf_tagging.data.text_lines import shortened
from hf_tagging.tasks import Task

MOST_WORDS = 5_000_000
"""Words of a split that are looked at, so that memory stays bounded; 20 bytes each."""

_EXAMPLES = 3
_MOST_SHOWN = 8  # words of a sentence that is quoted


@dataclass(frozen=True)
class Entities:
    """Entities of a split, in the order of the text.

    Args:
        first: Number of each one's first word in the split. (entities,)
        last: Number of its last word. (entities,)
        types: Index of its type in the schema. (entities,)
    """

    first: np.ndarray
    last: np.ndarray
    types: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class SplitWords:
    """Words and tags of one split.

    Args:
        name: Of the split.
        words: Number of each word in the vocabulary. (words,) int32
        tags: Label ids, negative for a word that is not annotated. (words,)
        offsets: Where each sentence starts, and the end. (sentences + 1,)
        documents: Number of the document of each sentence. (sentences,)
        rows: Sentences of the split; more than here where it has more than `MOST_WORDS` words.
    """

    name: str
    words: np.ndarray
    tags: np.ndarray
    offsets: np.ndarray
    documents: np.ndarray
    rows: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def is_whole(self) -> bool:
        """True if every sentence of the split is here."""
        return len(self) == self.rows

    @cached_property
    def lengths(self) -> np.ndarray:
        """Words of each sentence. (sentences,)"""
        return np.diff(self.offsets)

    @cached_property
    def sentences(self) -> np.ndarray:
        """Hash of the words of each sentence. (sentences,) uint64"""
        return span_hashes(self.words, self.offsets[:-1], self.offsets[1:])


@dataclass(frozen=True)
class Corpus:
    """Words and tags of all splits.

    Args:
        task: The task of the tags.
        schema: Tags and scheme.
        vocabulary: All different words.
        splits: By name.
    """

    task: Task
    schema: TagSchema
    vocabulary: pa.Array
    splits: Mapping[str, SplitWords]

    @classmethod
    def of(cls, dataset: DatasetDict, task: Task) -> Corpus:
        """Return the corpus of a dataset as `load_tagging_dataset` returns it.

        Args:
            dataset: Splits with `tokens`, `tags` and, as far as it is known, `document_id`.
            task: The task of the tags.
        """
        columns = {str(name): _columns(split) for name, split in dataset.items()}
        words = pa.chunked_array(
            [chunk for tokens, *_ in columns.values() for chunk in tokens], pa.large_string()
        ).dictionary_encode()
        encoded = words.unify_dictionaries()
        vocabulary = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.large_string())
        ids = np.concatenate([np.zeros(0, np.int32), *(chunk.indices.to_numpy() for chunk in encoded.chunks)])
        ends = np.cumsum([sum(map(len, tokens)) for tokens, *_ in columns.values()])
        splits = {
            name: SplitWords(name, part, tags, offsets, documents, len(dataset[name]))
            for (name, (_, tags, offsets, documents)), part in zip(
                columns.items(), np.split(ids, ends[:-1]), strict=True
            )
        }
        return cls(task, _schema(dataset, task), vocabulary, splits)

    @cached_property
    def counts(self) -> np.ndarray:
        """Occurrences of each word of the vocabulary in all splits. (vocabulary,)"""
        total = np.zeros(len(self.vocabulary), np.int64)
        for split in self.splits.values():
            total += np.bincount(split.words, minlength=len(total))
        return total

    @cached_property
    def entities(self) -> dict[str, Entities]:
        """Entities of each split; none for a task without entities."""
        return {name: self._entities(split) for name, split in self.splits.items()}

    def _entities(self, split: SplitWords) -> Entities:
        if self.schema.scheme == PLAIN or not len(split.tags):
            return Entities(*(np.zeros(0, np.int64) for _ in range(3)))
        starts, ends, types = self.schema.entity_edges(split.tags, split.offsets)
        first = np.flatnonzero(starts)
        return Entities(first, np.flatnonzero(ends), types[first])

    def where(self, pattern: str) -> np.ndarray:
        """Return which words of the vocabulary a regular expression (RE2) is found in. (vocabulary,) bool"""
        if not len(self.vocabulary):
            return np.zeros(0, bool)
        return pc.match_substring_regex(self.vocabulary, pattern).to_numpy(zero_copy_only=False)

    def quoted(self, words: Iterable[int]) -> list[str]:
        """Return the first few words, quoted; those that are the same are shown once."""
        shown = list(dict.fromkeys(int(word) for word in words))[:_EXAMPLES]
        return [shortened(self.vocabulary[word].as_py()) for word in shown]

    def text(self, split: SplitWords, first: int, end: int) -> str:
        """Return words of a split with blanks between them, cut behind the first few."""
        words = self.vocabulary.take(pa.array(split.words[first : min(end, first + _MOST_SHOWN)])).to_pylist()
        return " ".join(words) + (" …" if end - first > _MOST_SHOWN else "")

    def examples(self, split: SplitWords, sentences: np.ndarray) -> list[str]:
        """Return the beginnings of the first few sentences, quoted."""
        bounds = ((split.offsets[row], split.offsets[row + 1]) for row in sentences[:_EXAMPLES])
        return [repr(self.text(split, int(first), int(end))) for first, end in bounds]

    def entity_examples(self, split: SplitWords, chosen: np.ndarray) -> list[str]:
        """Return the first few of some entities with their types, each once.

        Args:
            split: Of the corpus.
            chosen: Indices in `entities[split.name]`.
        """
        found, types = self.entities[split.name], self.schema.entity_types
        texts = (
            f"{self.text(split, int(found.first[i]), int(found.last[i]) + 1)!r} {types[found.types[i]]}"
            for i in chosen[: 20 * _EXAMPLES]
        )
        return list(dict.fromkeys(texts))[:_EXAMPLES]


def span_hashes(words: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of the words of each span, and of their order.

    Args:
        words: Numbers of words. (words,)
        first: Where each span begins. (spans,)
        end: Where it ends. (spans,)
    """
    span, nth = row_ranges(end - first)
    mixed = _mixed(words[first[span] + nth].astype(np.uint64), nth.astype(np.uint64))
    total = np.zeros(len(mixed) + 1, np.uint64)
    np.cumsum(mixed, out=total[1:])
    bounds = row_starts(end - first)
    return total[bounds[1:]] - total[bounds[:-1]]


def gram_hashes(split: SplitWords, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a 64-bit hash of all sequences of `size` words within sentences, and the sentence of each.

    Args:
        split: Its words.
        size: Words of a sequence.

    Returns:
        Hashes (sequences,) uint64 and sentences (sequences,).
    """
    count = max(len(split.words) - size + 1, 0)
    sentence = np.repeat(np.arange(len(split)), split.lengths)
    total = np.zeros(count, np.uint64)
    for nth in range(size):
        total += _mixed(split.words[nth : nth + count].astype(np.uint64), np.uint64(nth))
    inside = sentence[:count] == sentence[size - 1 : size - 1 + count]
    return total[inside], sentence[:count][inside]


def _mixed(words: np.ndarray, places: np.ndarray | np.uint64) -> np.ndarray:
    """Return pseudo-random numbers of pairs of numbers: the finalizer of SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        mixed = (words + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + places * np.uint64(0xD1B54A32D192ED03)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _columns(split: Dataset) -> tuple[list[pa.Array], np.ndarray, np.ndarray, np.ndarray]:
    """Return words, label ids, offsets and document numbers of the first sentences of a split."""
    has_documents = "document_id" in split.column_names
    tokens, tags, lengths, documents = [], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], []
    seen = 0
    for batch in arrow_batches(split, "tokens", "tags", *(["document_id"] if has_documents else [])):
        lists = batch.column("tokens").combine_chunks()
        tokens.append(pc.list_flatten(lists).cast(pa.large_string()))
        ids = pc.list_flatten(batch.column("tags").combine_chunks())
        tags.append(pc.fill_null(ids, UNSCORED_ID).to_numpy(zero_copy_only=False))
        lengths.append(pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64))
        if has_documents:
            documents.append(batch.column("document_id").combine_chunks().cast(pa.large_string()))
        seen += len(tokens[-1])
        if seen >= MOST_WORDS:
            break
    sizes = np.concatenate(lengths)
    numbers = np.arange(len(sizes))
    if documents:
        numbers = pa.concat_arrays(documents).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return tokens, np.concatenate(tags), row_starts(sizes), numbers


def _schema(dataset: DatasetDict, task: Task) -> TagSchema:
    return TagSchema.detect(dataset, task=task)
