"""Words and entities with their places in a text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaggedWord:
    """A word of a text, with its tag.

    Args:
        text: The word as written.
        start: Offset of its first character in the text.
        end: Offset behind its last character.
        tag: Predicted tag.
        score: Probability of the tag; of one that a rule has decided, 1.
        rule: Id of the rule that has decided or changed the tag, or its line; empty for a tag of the model.
    """

    text: str
    start: int
    end: int
    tag: str
    score: float
    rule: str = ""

    @property
    def source(self) -> str:
        """``"rule"`` or ``"model"``."""
        return "rule" if self.rule else "model"


@dataclass(frozen=True)
class Entity:
    """An entity of a text.

    Args:
        type: Entity type, such as ``PER``.
        text: The text from its first word to its last.
        start: Offset of its first character in the text.
        end: Offset behind its last character.
        score: Probability of the whole entity: that its words have the tags that they have, and that it ends there. Of
            a CRF it comes from the constrained forward algorithm, else it is a product over words.
        first_word: Index of its first word.
        end_word: Index behind its last word.
        rule: Id of the first rule that has decided or changed one of its tags, or its line; else empty.
    """

    type: str
    text: str
    start: int
    end: int
    score: float
    first_word: int
    end_word: int
    rule: str = ""

    @property
    def source(self) -> str:
        """``"rule"`` or ``"model"``."""
        return "rule" if self.rule else "model"
