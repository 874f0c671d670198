"""Sentences with errors, in their order; evenly thinned out if there are too many."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import cast

import numpy as np

from hf_tagging.analysis.answers import Answers, Spans
from hf_tagging.analysis.error_kinds import RIGHT, Pairs
from hf_tagging.analysis.shape import Error, Examples, Span, WrongSentence

BUDGET = 2_000_000  # bytes of JSON
_ESCAPED = "<>&"  # a page spells each of them with six bytes


def wrong_sentences(answers: Answers, pairs: Pairs | None = None, *, budget: int = BUDGET) -> Examples:
    """Collect the sentences with errors.

    Args:
        answers: Words with gold and predicted tags.
        pairs: Pairs of entities; None for plain tags.
        budget: Maximum size of the sentences as JSON, in bytes.

    Returns:
        The sentences with their spans and errors. For plain tags the spans are only the wrong words.
    """
    found = _wrong_words(answers) if pairs is None else _wrong_entities(answers, pairs)
    kept = [found[place] for place in fitting(list(map(_size, found)), budget)]
    return {"sentences": kept, "left_out": len(found) - len(kept)}


def fitting(sizes: Sequence[int], budget: int) -> list[int]:
    """Choose the items that fit into a budget: all of them, or evenly spread ones.

    Args:
        sizes: Sizes of the items, in order.
        budget: Maximum of all sizes together. One item takes at most a tenth of it, unless all fit.

    Returns:
        Indices of the chosen items, ascending.
    """
    kept = list(range(len(sizes)))
    if sum(sizes) <= budget:
        return kept
    small = [i for i in kept if sizes[i] <= budget / 10]
    share = min(1.0, budget / max(1, sum(sizes[i] for i in small)))
    while sum(sizes[i] for i in kept) > budget or len(kept) > len(small):
        kept = [small[i] for i in range(len(small)) if int((i + 1) * share) > int(i * share)]
        share *= 0.95
    return kept


def _wrong_words(answers: Answers) -> list[WrongSentence]:
    wrong = defaultdict(list)
    for word in np.flatnonzero(answers.wrong).tolist():
        wrong[int(answers.sentence[word])].append(word - int(answers.bounds[answers.sentence[word]]))
    found = []
    for number, places in wrong.items():
        gold: list[Span]
        predicted: list[Span]
        gold, predicted = (
            [_span(i, i + 1, side[number][i]) for i in places] for side in (answers.gold, answers.predicted)
        )
        errors: list[Error] = [{"kind": "tag", "gold": g, "predicted": p} for g, p in zip(gold, predicted, strict=True)]
        found.append(_sentence(answers, number, gold, predicted, errors))
    return found


def _wrong_entities(answers: Answers, pairs: Pairs) -> list[WrongSentence]:
    sides = [_spans_of(answers, spans) for spans in (answers.gold_spans, answers.predicted_spans)]
    by_sentence = [_by_sentence(*side) for side in sides]
    (gold_in, gold), (predicted_in, predicted) = sides
    errors: defaultdict[int, list[Error]] = defaultdict(list)
    wrong = pairs.kind != RIGHT
    for one, other, kind in zip(*(x[wrong].tolist() for x in (pairs.gold, pairs.predicted, pairs.kind)), strict=True):
        error: Error = {
            "kind": kind,
            "gold": None if one < 0 else gold[one],
            "predicted": None if other < 0 else predicted[other],
        }
        errors[gold_in[one] if one >= 0 else predicted_in[other]].append(error)
    return [_sentence(answers, n, by_sentence[0][n], by_sentence[1][n], errors[n]) for n in sorted(errors)]


def _span(start: int, end: int, tag: str) -> Span:
    return cast(Span, [start, end, tag])  # a list, as JSON gives it back


def _spans_of(answers: Answers, spans: Spans) -> tuple[list[int], list[Span]]:
    """Return the sentence of each entity, and the entity as ``[start, end, type]``."""
    return spans.sentence.tolist(), [
        _span(start, end, answers.names[name]) for _, start, end, name in spans.rows.tolist()
    ]


def _by_sentence(sentences: list[int], spans: list[Span]) -> dict[int, list[Span]]:
    found = defaultdict(list)
    for sentence, span in zip(sentences, spans, strict=True):
        found[sentence].append(span)
    return found


def _sentence(
    answers: Answers, number: int, gold: list[Span], predicted: list[Span], errors: list[Error]
) -> WrongSentence:
    words = list(answers.words[number])
    return {"number": number + 1, "words": words, "gold": gold, "predicted": predicted, "errors": errors}


def _size(sentence: WrongSentence) -> int:
    text = json.dumps(sentence, ensure_ascii=False)
    return len(text.encode(errors="replace")) + 5 * sum(map(text.count, _ESCAPED))
