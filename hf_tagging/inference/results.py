"""What a tagger says: of a sentence, and of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_tagging.data.schema import TagSchema


@dataclass(frozen=True)
class TaggedWord:
    """A word of a text.

    Args:
        text: The word, as it stands in the text.
        start: Where it starts in the text, in characters.
        end: Where it ends.
        tag: Its tag.
        score: The tag's probability.
    """

    text: str
    start: int
    end: int
    tag: str
    score: float


@dataclass(frozen=True)
class Entity:
    """An entity of a text.

    Args:
        type: Its type, such as ``PER``.
        text: The text from its first word to its last.
        start: Where it starts in the text, in characters.
        end: Where it ends.
        score: The mean of its words' scores.
        first_word: Number of its first word.
        end_word: Number of the word after its last.
    """

    type: str
    text: str
    start: int
    end: int
    score: float
    first_word: int
    end_word: int


@dataclass(frozen=True)
class TaggedText:
    """A text with its words and, where the tagger knows entities, its entities."""

    text: str
    words: list[TaggedWord]
    entities: list[Entity]


@dataclass(frozen=True)
class WordLabels:
    """What the model says of one sentence: label ids (words,) int64, and their probabilities (words,) float32."""

    ids: np.ndarray
    scores: np.ndarray

    def tags(self, schema: TagSchema) -> list[str]:
        """The tags by name."""
        return [schema.tags[i] for i in self.ids.tolist()]


def tagged_text(text: str, spans: Sequence[tuple[int, int]], labels: WordLabels, schema: TagSchema) -> TaggedText:
    """Joins a text and the labels of its words, and reads entities by the rule of `TagSchema.entity_edges`.

    Args:
        text: The text.
        spans: Start and end of its words. (words, 2)
        labels: What the model says of these words.
        schema: The model's tags.
    """
    scores = labels.scores.tolist()
    words = [
        TaggedWord(text[start:end], start, end, tag, score)
        for (start, end), tag, score in zip(spans, labels.tags(schema), scores, strict=True)
    ]
    starts, ends, types = schema.entity_edges(labels.ids, np.array([0, len(words)]))
    entities = []
    for first, last in zip(np.flatnonzero(starts).tolist(), np.flatnonzero(ends).tolist(), strict=True):
        start, end = words[first].start, words[last].end
        mean = float(labels.scores[first : last + 1].mean())
        entities.append(Entity(schema.entity_types[types[first]], text[start:end], start, end, mean, first, last + 1))
    return TaggedText(text, words, entities)
