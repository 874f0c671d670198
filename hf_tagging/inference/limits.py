"""Limits that rules set to the tags of words, before they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from hf_tagging.data.rows import row_ranges, row_starts
from hf_tagging.rules.effects import Match
from hf_tagging.rules.rules import Matches, Rules


@dataclass(frozen=True)
class TagLimits:
    """Tags that the words of some sentences may have.

    Args:
        words: Numbers in the block of the words of all sentences with a limit. (words,)
        bounds: Number, among these, of each sentence's first word, and the end. (sentences + 1,)
        forbidding: Number of the rule that forbids a word each tag; -1: it may have the tag. (words, tags)
        apart: No entity goes on from the word before into this one. (words,) bool
        joined: The entity of the word before goes on into this one. (words,) bool
        deciding: Number of the rule that has decided the tag of a word, before the model; else -1. (words,)
    """

    words: np.ndarray
    bounds: np.ndarray
    forbidding: np.ndarray
    apart: np.ndarray
    joined: np.ndarray
    deciding: np.ndarray

    @cached_property
    def allowed(self) -> np.ndarray:
        """True where a word may have a tag. (words, tags) bool"""
        allowed: np.ndarray = self.forbidding < 0
        return allowed

    def nearest(self, rules: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Return, for the words that are asked for, the rule of the nearest word of their sentence that has one.

        Args:
            rules: Number of the rule of each word; else -1. Of a sentence without any, the rules that forbid it tags.
            asked: (words,) bool

        Returns:
            Numbers of rules, -1 of other words. (words,)
        """
        found = np.full(len(rules), -1)
        limiting = self.forbidding.max(1)
        for start, end in pairwise(self.bounds.tolist()):
            words = start + np.flatnonzero(asked[start:end])
            if not len(words):
                continue
            of = rules if (rules[start:end] >= 0).any() else limiting
            known = start + np.flatnonzero(of[start:end] >= 0)
            if len(known):
                found[words] = of[known[np.abs(words[:, None] - known).argmin(1)]]
        return found


def limits_of(rules: Rules, matches: Sequence[Matches], bounds: np.ndarray) -> TagLimits | None:
    """Return the limits that matches set; None without any.

    Args:
        rules: The rules.
        matches: Of each sentence of a block.
        bounds: Number of each sentence's first word, and the end. (sentences + 1,)
    """
    listed = _listed(rules)
    limited = [
        number
        for number, found in enumerate(matches)
        if bounds[number + 1] > bounds[number]
        and (listed or any(rules.effect(match.rule).when != "after" for match in found.chosen))
    ]
    if not limited:
        return None
    sizes = np.diff(bounds)[limited]
    row, nth = row_ranges(sizes)
    count = len(row)
    limits = TagLimits(
        words=bounds[limited][row] + nth,
        bounds=row_starts(sizes),
        forbidding=np.full((count, len(rules.schema.tags)), -1),
        apart=np.zeros(count, bool),
        joined=np.zeros(count, bool),
        deciding=np.full(count, -1),
    )
    for rule in sorted(listed, reverse=True):
        limits.forbidding[:, rules.mask(rule)] = rule
    for (start, end), number in zip(pairwise(limits.bounds.tolist()), limited, strict=True):
        for match in matches[number].listed:
            if rules.effect(match.rule).when == "constraint":
                limits.forbidding[start + match.first : start + match.end, rules.mask(match.rule)] = -1
        for when in ("constraint", "before"):  # which decides where both say something
            for match in matches[number].chosen:
                if rules.effect(match.rule).when == when:
                    _set(limits, rules, match, start, end)
    return limits


def _listed(rules: Rules) -> list[int]:
    """Return the first rule of each kind that leaves types to its phrases."""
    kinds = [effect for effect in rules.effects if effect.action == "only" and effect.when == "constraint"]
    return [rules.number_of(effect) for effect in kinds]


def _set(limits: TagLimits, rules: Rules, match: Match, start: int, end: int) -> None:
    """Set the limits of a match in the sentence whose words are those from `start` to `end`."""
    effect, mask = rules.effect(match.rule), rules.mask(match.rule)
    first, behind = start + match.first, start + match.end
    if effect.action == "deny":
        limits.forbidding[first:behind, mask] = match.rule
    else:
        limits.forbidding[first:behind] = np.where(mask, -1, match.rule)
    if effect.when == "before":
        limits.deciding[first:behind] = match.rule
    if effect.when == "before" and rules.schema.entity_types and effect.labels != ("O",):
        limits.joined[first + 1 : behind] = True
        limits.apart[first] = True
        limits.apart[behind : min(behind + 1, end)] = True
