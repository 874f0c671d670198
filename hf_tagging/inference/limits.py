"""Limits that rules set to the tags of words, before they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hf_tagging.data.rows import row_ranges, row_starts
from hf_tagging.rules.effects import Match
from hf_tagging.rules.rules import Matches, Rules


@dataclass(frozen=True)
class Limits:
    """What tags the words of some sentences may have.

    Args:
        words: Numbers in the block of the words of all sentences with a limit. (words,)
        bounds: Number, among these, of each sentence's first word, and the end. (sentences + 1,)
        allowed: Which tags a word may have. (words, tags) bool
        apart: No entity goes on from the word before into this one. (words,) bool
        joined: The entity of the word before goes on into this one. (words,) bool
        deciding: Number of the rule that has decided the tag of a word, before the model; else -1. (words,)
        limiting: Number of the rule that limits a word; else -1. (words,)
    """

    words: np.ndarray
    bounds: np.ndarray
    allowed: np.ndarray
    apart: np.ndarray
    joined: np.ndarray
    deciding: np.ndarray
    limiting: np.ndarray


def limits_of(rules: Rules, matches: Sequence[Matches], bounds: np.ndarray) -> Limits | None:
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
    limits = Limits(
        words=bounds[limited][row] + nth,
        bounds=row_starts(sizes),
        allowed=np.ones((count, len(rules.schema.tags)), bool),
        apart=np.zeros(count, bool),
        joined=np.zeros(count, bool),
        deciding=np.full(count, -1),
        limiting=np.full(count, -1),
    )
    if listed:
        limits.allowed[:] = ~np.any([rules.mask(rule) for rule in listed], axis=0)
        limits.limiting[:] = listed[0]
    for (start, end), number in zip(pairwise(limits.bounds.tolist()), limited, strict=True):
        for match in matches[number].listed:
            if rules.effect(match.rule).when == "constraint":
                limits.allowed[start + match.first : start + match.end] |= rules.mask(match.rule)
        for match in matches[number].chosen:
            if rules.effect(match.rule).when != "after":
                _set(limits, rules, match, start, end)
    return limits


def _listed(rules: Rules) -> list[int]:
    """Return the first rule of each kind that leaves types to its phrases."""
    kinds = [effect for effect in rules.effects if effect.action == "only" and effect.when == "constraint"]
    return [rules.number_of(effect) for effect in kinds]


def _set(limits: Limits, rules: Rules, match: Match, start: int, end: int) -> None:
    """Set the limits of a match in the sentence whose words are those from `start` to `end`."""
    effect, mask = rules.effect(match.rule), rules.mask(match.rule)
    first, behind = start + match.first, start + match.end
    if effect.action == "deny":
        limits.allowed[first:behind] &= ~mask
    else:
        limits.allowed[first:behind] = mask
    limits.limiting[first:behind] = match.rule
    if effect.when == "before":
        limits.deciding[first:behind] = match.rule
    if effect.when == "before" and rules.schema.entity_types and effect.labels != ("O",):
        limits.joined[first + 1 : behind] = True
        limits.apart[first] = True
        limits.apart[behind : min(behind + 1, end)] = True
