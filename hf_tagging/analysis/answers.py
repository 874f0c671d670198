"""Gold and predicted tags of a split, as lists and as flat arrays; the basis of every part of an analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from hf_tagging.data.prefixes import UNSCORED
from hf_tagging.data.rows import row_ranges, row_starts
from hf_tagging.evaluation.annotated import entity_sides
from hf_tagging.evaluation.metrics import Array, Tags, _check_lengths, get_entities
from hf_tagging.evaluation.statistics import SentenceCounts
from hf_tagging.tasks import Task, get_task


@dataclass(frozen=True)
class Spans:
    """Entities of all sentences, in the order of their places.

    Args:
        sentence: Number of the sentence. (entities,)
        start: Number in the sentence of the first word. (entities,)
        end: Number of the word after the last. (entities,)
        type: Of the entity, as its place in `Answers.names`. (entities,)
    """

    sentence: Array
    start: Array
    end: Array
    type: Array

    def __len__(self) -> int:
        return len(self.sentence)

    @cached_property
    def rows(self) -> Array:
        """Sentence, start, end and type of each. (entities, 4)"""
        return np.stack([self.sentence, self.start, self.end, self.type], axis=1)

    def owners(self, bounds: Array) -> Array:
        """For each word the number of its entity, -1 for none.

        Args:
            bounds: Number of each sentence's first word, and the end. (sentences + 1,)

        Returns:
            (words,)
        """
        owner = np.full(bounds[-1], -1)
        entity, nth = row_ranges(self.end - self.start)
        owner[(bounds[self.sentence] + self.start)[entity] + nth] = entity
        return owner


@dataclass(frozen=True)
class Answers:
    """Words of a split with gold and predicted tags.

    Args:
        task: Name of a task, or a `Task`.
        words: (sentences, words)
        gold: `-100` for a word that is not annotated. (sentences, words)
        predicted: (sentences, words)

    Raises:
        DataError: Where the three differ in length.
    """

    task: Task
    words: Tags
    gold: Tags
    predicted: Tags

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", get_task(self.task))
        _check_lengths("predicted", self.predicted, "gold", self.gold)
        _check_lengths("words", self.words, "gold", self.gold)

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def bounds(self) -> Array:
        """Number of each sentence's first word, and the end. (sentences + 1,)"""
        return row_starts(np.fromiter(map(len, self.words), np.int64, len(self.words)))

    @cached_property
    def sentence(self) -> Array:
        """Number of each word's sentence. (words,)"""
        return np.repeat(np.arange(len(self)), np.diff(self.bounds))

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Every tag in gold or prediction, sorted."""
        return tuple(sorted({*chain.from_iterable(self.gold), *chain.from_iterable(self.predicted)} - {UNSCORED}))

    @cached_property
    def gold_ids(self) -> Array:
        """Gold tags as places in `tags`, -1 of words that are not annotated. (words,)"""
        return self._ids(self.gold)

    @cached_property
    def predicted_ids(self) -> Array:
        """Predicted tags as places in `tags`. (words,)"""
        return self._ids(self.predicted)

    @cached_property
    def right(self) -> Array:
        """Mask of words with their gold tag. (words,) bool"""
        return self.gold_ids == self.predicted_ids

    @cached_property
    def annotated(self) -> Array:
        """Mask of words that have a gold tag. (words,) bool"""
        return self.gold_ids >= 0

    @cached_property
    def wrong(self) -> Array:
        """Mask of annotated words with another tag than their gold one. (words,) bool"""
        return self.annotated & ~self.right

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Scored classes, sorted: tags, or for entities their types, in gold or prediction."""
        if not self.task.has_entities:
            return self.tags
        return tuple(sorted({name for side in self._entities for sentence in side for name, _, _ in sentence}))

    @cached_property
    def gold_spans(self) -> Spans:
        """Gold entities, read as conlleval reads them."""
        return self._spans(self._entities[0])

    @cached_property
    def predicted_spans(self) -> Spans:
        """Predicted entities, read as conlleval reads them."""
        return self._spans(self._entities[1])

    @cached_property
    def found(self) -> Array:
        """Mask of gold entities that are predicted with the same words and type. (gold entities,) bool"""
        gold, predicted = (list(map(tuple, side.rows.tolist())) for side in (self.gold_spans, self.predicted_spans))
        return np.fromiter(map(set(predicted).__contains__, gold), bool, len(gold))

    @cached_property
    def counts(self) -> SentenceCounts:
        """Right, predicted and gold entities of each sentence, or right words and words."""
        if not self.task.has_entities:
            masks = (self.right, self.annotated)
            values = np.stack([self.per_sentence(self.sentence[mask]) for mask in masks], axis=1)
            return SentenceCounts(self.task, values)
        gold, predicted = self.gold_spans, self.predicted_spans
        sides = (gold.sentence[self.found], predicted.sentence, gold.sentence)
        return SentenceCounts(self.task, np.stack([self.per_sentence(side) for side in sides], axis=1))

    def per_sentence(self, sentence: Array) -> Array:
        """Count how often each sentence occurs. (anything,) to (sentences,)"""
        return np.bincount(sentence, minlength=len(self))

    def select(self, numbers: Sequence[int], predicted: Tags) -> Answers:
        """Return some of the sentences, with other predicted tags.

        Args:
            numbers: Indices of the sentences. (n,)
            predicted: (n, words)
        """
        words, gold = ([side[i] for i in numbers] for side in (self.words, self.gold))
        return Answers(self.task, words, gold, predicted)

    @cached_property
    def _entities(self) -> tuple[list[list[tuple[str, int, int]]], ...]:
        pairs = [entity_sides(list(ours), list(theirs)) for ours, theirs in zip(self.predicted, self.gold, strict=True)]
        return tuple([get_entities(pair[side]) for pair in pairs] for side in (1, 0))

    def _ids(self, side: Tags) -> Array:
        ids = {tag: i for i, tag in enumerate(self.tags)} | {UNSCORED: -1}
        return np.fromiter(map(ids.__getitem__, chain.from_iterable(side)), np.int64, self.bounds[-1])

    def _spans(self, side: list[list[tuple[str, int, int]]]) -> Spans:
        ids = {name: i for i, name in enumerate(self.names)}
        rows = [(n, start, end + 1, ids[name]) for n, entities in enumerate(side) for name, start, end in entities]
        return Spans(*np.array(rows, np.int64).reshape(-1, 4).T)
