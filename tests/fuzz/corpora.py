"""Corpora of random words and entities: the right result, before any format has written it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

# Words of many scripts, and those that some format gives a meaning of its own.
_WORDS = (
    "Lisbon", "is", "the", "May", "Jordan", "table", "well-known", "AT&T", "O'Neill", "1,000.50", "10:30", "2024",
    "Müller", "naïve", "Łódź", "Åse", "Ελλάδα", "Москва", "كتاب", "नमस्ते", "שלום", "e\u0301tude", "Zürich",
    "books", "chef", "loves", "in", "of", "a", "an", "to", "and", "Inc.", "U.S.", "don't", "$5", "50%", "3rd", "A/B",
    "www.example.org", "me@example.org", "@user", "#tag", "C++", "x_y", "ﬁn", "İstanbul", "ß", "🍺", "👩‍🍳", "😀",
)  # fmt: skip
_MARKS = (".", ",", "!", "?", "(", ")", '"', "'", ";", ":", "-", "--", "...", "“", "”", "/", "%", "&", "=", "+", "*")
_ODD = ("#", "_", "O", "|", "null", "nan", "NA", "-", "\\", "`", "~", "^", "@", "B-PER", "0", "1", "\u200b.", "«")
_TYPES = ("PER", "LOC", "ORG", "MISC", "GENE", "Person", "creative-work", "DATE", "person-actor", "Chemical")
_POS = ("NN", "VB", "DT", "IN", "JJ", "NNP", "CD", "RB", "CC", "PRP")

Entity = tuple[int, int, str]


@dataclass
class Sentence:
    """Words, their parts of speech, and entities by first word, word behind the last, and type."""

    words: list[str]
    pos: list[str]
    entities: list[Entity]

    def tags(self, scheme: str = "IOB2") -> list[str]:
        """Return the entities as tags of a scheme."""
        tags = ["O"] * len(self.words)
        before: tuple[int, str] = (-1, "")  # end and type of the entity before
        for start, end, kind in self.entities:
            for index in range(start, end):
                tags[index] = f"{_prefix(scheme, index, start, end, before == (start, kind))}-{kind}"
            before = (end, kind)
        return tags


def _prefix(scheme: str, index: int, start: int, end: int, touches: bool) -> str:
    if scheme == "IOB1":
        return "B" if index == start and touches else "I"
    if scheme == "IOB2":
        return "B" if index == start else "I"
    begin, inside, last, single = {"BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES"}[scheme]
    if end - start == 1:
        return single
    return begin if index == start else last if index == end - 1 else inside


@dataclass
class Corpus:
    """Documents of sentences."""

    documents: list[list[Sentence]]

    @property
    def sentences(self) -> list[Sentence]:
        """All sentences, in order."""
        return [sentence for document in self.documents for sentence in document]

    @property
    def types(self) -> list[str]:
        """Types of all entities, in order."""
        return list(dict.fromkeys(kind for sentence in self.sentences for _, _, kind in sentence.entities))


def corpus(draw: random.Random, *, odd: bool = True, least: int = 1) -> Corpus:
    """Return a corpus.

    Args:
        draw: Generator of random numbers.
        odd: Some words may be what a format gives a meaning of its own.
        least: Number of sentences.
    """
    types = draw.sample(_TYPES, draw.randint(1, 4))
    words = _WORDS + _MARKS + (_ODD if odd and draw.random() < 0.3 else ())
    if draw.random() < 0.3:
        words = tuple(word for word in words if word.isascii())
    count = max(least, draw.choice([1, 2, 5, 12, 30]))
    sentences = [_sentence(draw, words, types) for _ in range(count)]
    documents: list[list[Sentence]] = []
    while sentences:
        size = draw.randint(1, 4)
        documents.append(sentences[:size])
        sentences = sentences[size:]
    return Corpus(documents)


def _sentence(draw: random.Random, words: Sequence[str], types: Sequence[str]) -> Sentence:
    count = draw.choice([1, 3, 6, 9, 12, 20])
    entities: list[Entity] = []
    at = draw.randint(0, 2)
    while at < count:
        end = min(count, at + draw.choice([1, 1, 2, 3]))
        entities.append((at, end, draw.choice(types)))
        at = end + draw.choice([0, 1, 2, 4, 8])
    return Sentence([draw.choice(words) for _ in range(count)], [draw.choice(_POS) for _ in range(count)], entities)


@dataclass
class Text:
    """A document as text: its sentences joined by line breaks, words by blanks; entities by character."""

    text: str
    spans: list[tuple[int, int, str]]
    words: list[tuple[int, int]]
    sentences: list[tuple[int, int]]


def text_of(document: Sequence[Sentence]) -> Text:
    """Return a document as text with the places of its words, sentences and entities."""
    text, spans, words, sentences = "", [], [], []
    for sentence in document:
        text += "\n" if text else ""
        places = []
        for index, word in enumerate(sentence.words):
            text += " " if index else ""
            places.append((len(text), len(text) + len(word)))
            text += word
        spans += [(places[start][0], places[end - 1][1], kind) for start, end, kind in sentence.entities]
        words += places
        sentences.append((places[0][0], places[-1][1]))
    return Text(text, spans, words, sentences)
