"""Words that are not annotated, whose gold tag is `-100`: no figure counts them.

Words are compared where they are annotated. A gold entity that goes on behind such words has them among its words, and
what is predicted at them does not matter. Elsewhere a gold entity ends before such a word, and a predicted entity that
has one among its words is neither right nor wrong: it is left out. All else that is predicted counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

from seqeval.metrics.sequence_labeling import get_entities

from hf_tagging.data.prefixes import UNSCORED

Tags = list[list[str]]  # (sentences, words)


def is_annotated(gold: Sequence[str]) -> list[bool]:
    """Return which words of a sentence have a gold tag. (words,)"""
    return [tag != UNSCORED for tag in gold]


def all_annotated(gold: Sequence[Sequence[str]]) -> bool:
    """Return whether all words have a gold tag. (sentences, words)"""
    return not any(UNSCORED in sentence for sentence in gold)


def annotated_words(gold: Tags, *sides: Sequence[Sequence[str]]) -> list[Tags]:
    """Return gold tags, and whatever is beside them, of annotated words alone.

    Args:
        gold: (sentences, words)
        sides: Predicted tags, words. (sentences, words) each
    """
    if all_annotated(gold):
        return [gold, *(list(map(list, side)) for side in sides)]
    masks = list(map(is_annotated, gold))
    return [[list(compress(*pair)) for pair in zip(side, masks, strict=True)] for side in (gold, *sides)]


def entity_sides(predicted: list[str], gold: list[str]) -> tuple[list[str], list[str]]:
    """Return the tags of a sentence of which all entities are scored; see the head of this module.

    Args:
        predicted: (words,)
        gold: (words,)

    Returns:
        Predicted and gold tags, with ``O`` for what is left out. (words,) each
    """
    if UNSCORED not in gold:
        return predicted, gold
    predicted, gold = _over_gaps(predicted, gold)
    known = is_annotated(gold)
    kept = known.copy()
    for _, first, last in get_entities(predicted):
        if not all(known[first : last + 1]):
            kept[first : last + 1] = [False] * (last + 1 - first)
    sides = ((predicted, kept), (gold, known))
    ours, theirs = ([tag if keep else "O" for tag, keep in zip(tags, keeps, strict=True)] for tags, keeps in sides)
    return ours, theirs


def _over_gaps(predicted: list[str], gold: list[str]) -> tuple[list[str], list[str]]:
    """Give words that are not annotated, but inside a gold entity, the tags that the annotated words around them have.

    Args:
        predicted: (words,)
        gold: (words,)

    Returns:
        Predicted and gold tags. At such words an entity goes on that is on both sides of them; else they have ``O``.
    """
    places = [place for place, tag in enumerate(gold) if tag != UNSCORED]
    gaps = {
        left: range(places[left] + 1, places[left + 1])
        for _, first, last in get_entities([gold[place] for place in places])
        for left in range(first, last)
    }
    filled = predicted.copy(), gold.copy()
    for side in filled:
        types = {
            left: kind
            for kind, first, last in get_entities([side[place] for place in places])
            for left in range(first, last)
        }
        for left, gap in gaps.items():
            for place in gap:
                side[place] = f"I-{types[left]}" if left in types else "O"
    return filled
