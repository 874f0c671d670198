"""Rules of a file, and what they match in a sentence."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hf_tagging.data.schema import TagSchema
from hf_tagging.rules.effects import Action, Effect, Match, When
from hf_tagging.rules.patterns import PatternMatcher
from hf_tagging.rules.phrases import PhraseMatcher

RULES = "rules.jsonl"
"""Name of the file in the folder of a model."""


class Matches(NamedTuple):
    """Matches of rules in a sentence.

    Args:
        chosen: Of labels and denials, those that count.
        listed: Of `only` rules, all of them.
    """

    chosen: list[Match]
    listed: list[Match]


class Rules:
    """Rules of a file for the tags of a model.

    Args:
        path: The file.
        schema: Tags of the model.
    """

    def __init__(self, path: Path, schema: TagSchema):
        self.path, self.schema = path, schema
        self.effects: list[Effect] = []  # the different ones
        self._numbers: dict[Effect, int] = {}
        self._effect, self._line = array("l"), array("l")  # by rule
        self._ids: dict[int, str] = {}
        self._phrases: dict[bool, PhraseMatcher] = {}  # by whether case is ignored
        self.patterns = PatternMatcher()
        self.again: Callable[[], Rules] | None = None  # reads them again, as a pickle does

    def __reduce__(self) -> tuple[Callable[[], Rules], tuple[()]]:
        """Pickle what the file said: automata and regular expressions are built again."""
        assert self.again is not None
        return self.again, ()

    def __len__(self) -> int:
        return len(self._line)

    def add(self, effect: Effect, line: int, name: str = "") -> int:
        """Add a rule; return its number.

        Args:
            effect: What it says of the words that it matches.
            line: Its line in the file.
            name: Its id.
        """
        number = self._numbers.get(effect)
        if number is None:
            number = self._numbers[effect] = len(self.effects)
            self.effects.append(effect)
        self._effect.append(number)
        self._line.append(line)
        if name:
            self._ids[len(self._line) - 1] = name
        return len(self._line) - 1

    def add_phrase(self, words: Sequence[str], rule: int, *, ignore_case: bool) -> None:
        """Add a phrase of a rule."""
        if ignore_case not in self._phrases:
            self._phrases[ignore_case] = PhraseMatcher(ignore_case=ignore_case)
        self._phrases[ignore_case].add(words, rule)

    def finish(self) -> None:
        """Build the automata; to be called once, behind the last rule."""
        for phrases in self._phrases.values():
            phrases.finish()

    def effect(self, rule: int) -> Effect:
        """Return the effect of a rule."""
        return self.effects[self._effect[rule]]

    def name(self, rule: int) -> str:
        """Return the id of a rule, or its line, as ``"line 3"``."""
        return self._ids.get(rule) or f"line {self._line[rule]}"

    def number_of(self, effect: Effect) -> int:
        """Return the number of the first rule with an effect."""
        return self._effect.index(self._numbers[effect])

    def matches(self, words: Sequence[str]) -> Matches:
        """Return the matches in a sentence.

        Of matches with the same `when` that share a word the longest is chosen, of equally long ones the one whose rule
        comes first in the file, of one rule the leftmost. Denials go together, and with labels after the model. `only`
        rules are lists: all their matches count.

        Raises:
            TaggingError: A regular expression takes too long.
        """
        found = {match for phrases in self._phrases.values() for match in phrases.matches(words)}
        found.update(self.patterns.matches(words))
        listed = [match for match in found if self.effect(match.rule).action == "only"]
        chosen: list[Match] = []
        taken: defaultdict[tuple[When, Action], set[int]] = defaultdict(set)
        for match in sorted(found.difference(listed), key=_precedence):
            place, (action, _, when, _) = range(match.first, match.end), self.effect(match.rule)
            rivals: list[Action] = ["label"] if action == "deny" else ["label", "deny"]
            if (when, action) == ("after", "deny"):
                chosen.append(match)
            elif all(taken[when, rival].isdisjoint(place) for rival in rivals):
                taken[when, action].update(place)
                chosen.append(match)
        return Matches(chosen, listed)

    def mask(self, rule: int) -> np.ndarray:
        """Return which tags a rule names, by label id. (tags,) bool"""
        return self._masks[self._effect[rule]]

    @cached_property
    def _masks(self) -> list[np.ndarray]:
        labels = labels_by_tag(self.schema)
        return [np.array([label in effect.labels for label in labels]) for effect in self.effects]


def unwritable(schema: TagSchema, label: str) -> list[int]:
    """Return how many words an entity of a type cannot have for want of tags: 1, 2, 3 (three or more), or none."""
    own = np.array(labels_by_tag(schema)) == label
    steps = schema.goes_on() & own & own[:, None]
    ends, found = own, []  # tags that an entity of so many words can end with
    for words in (1, 2, 3):
        if not ends.any():
            found.append(words)
        ends = (ends[:, None] & steps).any(0)
    return found


def labels_of(schema: TagSchema) -> tuple[str, ...]:
    """Return what a rule can name: the entity types of a model and ``O``, or its tags where it has no entities."""
    return tuple(dict.fromkeys(labels_by_tag(schema)))


def labels_by_tag(schema: TagSchema) -> list[str]:
    """Return the entity type of each tag, by label id; a tag without one is its own name."""
    types = schema.entity_types
    return [types[kind] if kind >= 0 else tag for kind, tag in zip(schema.types, schema.tags, strict=True)]


def _precedence(match: Match) -> tuple[int, int, int]:
    return match.first - match.end, match.rule, match.first
