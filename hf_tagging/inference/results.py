"""Results of tagging a sentence or a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hf_tagging import console
from hf_tagging.data.schema import TagSchema
from hf_tagging.inference.cutting import CutText
from hf_tagging.inference.spans import Entity, TaggedWord
from hf_tagging.inference.tagged_text import TaggedText

SCORE_DIGITS = 6
"""Digits of a score in a file."""


LEFT_OUT, NO_TAG = -1, "_"
"""Label id and tag of a word whose tag is left out for its low score, in a task without ``O``."""
NO_SCORES = np.zeros(0, np.float32)
NO_RULES = np.zeros(0, object)


@dataclass(frozen=True)
class WordLabels:
    """Labels of one sentence.

    Args:
        ids: (words,) int64; `LEFT_OUT` of a word whose tag is left out.
        scores: Their probabilities. (words,) float32
        entities: Probabilities of its entities, in order; empty where they were not asked for. (entities,) float32
        rules: Name of the rule that has decided or changed each tag, empty for those of the model. (words,) of strings;
            empty of a tagger without rules.
    """

    ids: np.ndarray
    scores: np.ndarray
    entities: np.ndarray = field(default_factory=lambda: NO_SCORES)
    rules: np.ndarray = field(default_factory=lambda: NO_RULES)

    def tags(self, schema: TagSchema) -> list[str]:
        """Return the tags by name."""
        return [NO_TAG if i == LEFT_OUT else schema.tags[i] for i in self.ids.tolist()]


def joined(labels: Sequence[WordLabels]) -> WordLabels:
    """Return the labels of sentences as those of one."""
    ids = [np.zeros(0, np.int64), *(sentence.ids for sentence in labels)]
    scores = [NO_SCORES, *(sentence.scores for sentence in labels)]
    entities = [NO_SCORES, *(sentence.entities for sentence in labels)]
    rules = [NO_RULES, *(sentence.rules for sentence in labels)]
    return WordLabels(*map(np.concatenate, (ids, scores, entities, rules)))


def tagged_text(
    text: str,
    spans: Sequence[tuple[int, int]],
    labels: WordLabels,
    schema: TagSchema,
    *,
    starts: Sequence[int] = (0,),
) -> TaggedText:
    """Join a text and the labels of its words, and read entities by the rule of `TagSchema.entity_edges`.

    Args:
        text: The text.
        spans: Start and end of its words. (words, 2)
        labels: What the model says of these words.
        schema: The model's tags.
        starts: Number of the first word of each sentence: no entity is in two of them.
    """
    scores = labels.scores.tolist()
    rules = labels.rules.tolist() or [""] * len(scores)
    words = [
        TaggedWord(text[start:end], start, end, tag, score, rule)
        for (start, end), tag, score, rule in zip(spans, labels.tags(schema), scores, rules, strict=True)
    ]
    bounds = np.array([*(starts if words else [0]), len(words)])
    first_words, ends, types = schema.entity_edges(labels.ids, bounds)
    entities = []
    edges = (np.flatnonzero(first_words).tolist(), np.flatnonzero(ends).tolist())
    for first, last, score in zip(*edges, labels.entities.tolist(), strict=True):
        start, end = words[first].start, words[last].end
        rule = next(filter(None, rules[first : last + 1]), "")
        kind = schema.entity_types[types[first]]
        entities.append(Entity(kind, text[start:end], start, end, score, first, last + 1, rule))
    return TaggedText(
        text,
        words,
        entities,
        tuple(starts),
        has_rules=len(labels.rules) > 0,
        has_entities=bool(schema.entity_types),
        known_tags=schema.tags,
    )


def tagged_cut(cut: CutText, labels: Sequence[WordLabels], schema: TagSchema) -> TaggedText:
    """Join a text that was cut into sentences of words, and the labels of each sentence; see `tagged_text`."""
    return tagged_text(cut.text, cut.spans, joined(labels), schema, starts=cut.starts)


def text_table(tagged: TaggedText) -> str:
    """Return words with their tags and scores, and below them the entities, as tables for a terminal.

    Args:
        tagged: From `Tagger.tag_text`.

    Returns:
        Lines, each with its end; one line that says so where the text has no words.
    """
    if not tagged.words:
        return "No words.\n"
    table = _columns([("word", "tag", "score"), *((word.text, word.tag, f"{word.score:.3f}") for word in tagged.words)])
    if not tagged.entities:
        return table
    entities = [(entity.text, entity.type, f"{entity.score:.3f}") for entity in tagged.entities]
    return f"{table}\n{_columns([('entity', 'type', 'score'), *entities])}"


def _columns(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out in columns; line breaks and escape sequences in a text do not break the table."""
    cells = [[re.sub(r"[\x00-\x1f\x7f-\x9f]", "\ufffd", " ".join(cell.split())) for cell in row] for row in rows]
    return console.text_table(cells, left=range(len(cells[0]))) + "\n"
