"""Sentences with errors, as a page shows them: in their order, thinned out evenly where they are too many."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_tagging.analysis.answers import Answers, Spans
from hf_tagging.analysis.error_kinds import RIGHT, Pairs

BUDGET = 2_000_000  # bytes of JSON
_ESCAPED = "<>&"  # a page spells each of them with six bytes

Sentence = dict[str, Any]


def wrong_sentences(answers: Answers, pairs: Pairs | None = None, *, budget: int = BUDGET) -> dict[str, Any]:
    """Collects the sentences with errors.

    Args:
        answers: Words with gold and predicted tags.
        pairs: Of the entities; None for plain tags.
        budget: Bytes that the sentences may take as JSON.

    Returns:
        ``sentences``, each with its ``number`` in the split from 1, ``words``, ``gold`` and ``predicted`` spans
        ``[start, end, name]`` and ``errors`` (``kind, gold, predicted``; each side one of the spans, or None for no
        entity); and ``left_out``, how many did not fit. Of plain tags, the spans are the wrong words alone.
    """
    found = _wrong_words(answers) if pairs is None else _wrong_entities(answers, pairs)
    kept = [found[place] for place in fitting(list(map(_size, found)), budget)]
    return {"sentences": kept, "left_out": len(found) - len(kept)}


def fitting(sizes: Sequence[int], budget: int) -> list[int]:
    """Which of many items to keep so that they fit: all, or as many as fit, evenly spread.

    Args:
        sizes: Of the items, in order.
        budget: Most of all sizes together. One item never takes more than a tenth of it, unless all fit.

    Returns:
        Places of the items kept, ascending.
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


def _wrong_words(answers: Answers) -> list[Sentence]:
    wrong = defaultdict(list)
    for word in np.flatnonzero(~answers.right).tolist():
        wrong[int(answers.sentence[word])].append(word - int(answers.bounds[answers.sentence[word]]))
    found = []
    for number, places in wrong.items():
        gold, predicted = ([[i, i + 1, side[number][i]] for i in places] for side in (answers.gold, answers.predicted))
        errors = [{"kind": "tag", "gold": g, "predicted": p} for g, p in zip(gold, predicted, strict=True)]
        found.append(_sentence(answers, number, gold, predicted, errors))
    return found


def _wrong_entities(answers: Answers, pairs: Pairs) -> list[Sentence]:
    sides = [_spans_of(answers, spans) for spans in (answers.gold_spans, answers.predicted_spans)]
    by_sentence = [_by_sentence(*side) for side in sides]
    (gold_in, gold), (predicted_in, predicted) = sides
    errors = defaultdict(list)
    wrong = pairs.kind != RIGHT
    for one, other, kind in zip(*(x[wrong].tolist() for x in (pairs.gold, pairs.predicted, pairs.kind)), strict=True):
        error = {
            "kind": kind,
            "gold": None if one < 0 else gold[one],
            "predicted": None if other < 0 else predicted[other],
        }
        errors[gold_in[one] if one >= 0 else predicted_in[other]].append(error)
    return [_sentence(answers, n, by_sentence[0][n], by_sentence[1][n], errors[n]) for n in sorted(errors)]


def _spans_of(answers: Answers, spans: Spans) -> tuple[list[int], list[list[Any]]]:
    """Return the sentence of each entity, and the entity as ``[start, end, type]``."""
    return spans.sentence.tolist(), [[start, end, answers.names[name]] for _, start, end, name in spans.rows.tolist()]


def _by_sentence(sentences: list[int], spans: list[list[Any]]) -> dict[int, list[list[Any]]]:
    found = defaultdict(list)
    for sentence, span in zip(sentences, spans, strict=True):
        found[sentence].append(span)
    return found


def _sentence(answers: Answers, number: int, gold: Any, predicted: Any, errors: Any) -> Sentence:
    words = list(answers.words[number])
    return {"number": number + 1, "words": words, "gold": gold, "predicted": predicted, "errors": errors}


def _size(sentence: Sentence) -> int:
    text = json.dumps(sentence, ensure_ascii=False)
    return len(text.encode(errors="replace")) + 5 * sum(map(text.count, _ESCAPED))
