"""Rules that apply after the model: edits of the entities, or of the tags, that it has found in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hf_tagging.data.schema import TagSchema
from hf_tagging.inference.results import WordLabels
from hf_tagging.rules.effects import Match
from hf_tagging.rules.rules import Matches, Rules


@dataclass(frozen=True)
class _Span:
    first: int
    end: int
    type: str
    score: float
    rule: str = ""  # that has made it, before or after the model


def edited(labels: WordLabels, found: Matches, rules: Rules, outside: np.ndarray | None) -> WordLabels:
    """Return the labels of a sentence as the rules after the model leave them.

    Args:
        labels: What model and earlier rules say; with `rules`.
        found: Matches in the sentence.
        rules: The rules.
        outside: Probabilities of ``O``, for words that are left out; None where scores are not asked for. (words,)
    """
    matches = [match for match in found.chosen if rules.effect(match.rule).when == "after"]
    lists = _lists(rules)
    if not matches and not lists:
        return labels
    if not rules.schema.entity_types:
        return _with_tags(labels, matches, rules)
    before = _spans(labels, rules.schema)
    gone: dict[_Span, str] = {}  # what is left out, by which rule
    for span in before:
        if not span.rule and (rule := _denying(span, found, rules, lists)):
            gone[span] = rule
    spans = [span for span in before if span not in gone]
    for match in matches:
        if rules.effect(match.rule).action == "label":
            spans = _with_label(spans, match, rules, gone)
    return labels if spans == before else _written(labels, spans, gone, rules.schema, outside)


def _with_tags(labels: WordLabels, matches: Sequence[Match], rules: Rules) -> WordLabels:
    """Give the words of matches the tag of their rule, where it may replace what is there."""
    ids, scores, decided = labels.ids.copy(), labels.scores.copy(), labels.rules.copy()
    outside = rules.schema.label2id.get("O", -1)
    for match in matches:
        words = slice(match.first, match.end)
        if rules.effect(match.rule).overwrite or (ids[words] == outside).all():
            ids[words] = rules.mask(match.rule).argmax()
            scores[words] = 1.0
            decided[words] = rules.name(match.rule)
    return replace(labels, ids=ids, scores=scores, rules=decided)


def _spans(labels: WordLabels, schema: TagSchema) -> list[_Span]:
    starts, ends, types = schema.entity_edges(labels.ids, np.array([0, len(labels.ids)]))
    first, last = np.flatnonzero(starts).tolist(), np.flatnonzero(ends).tolist()
    scores = labels.entities.tolist() or [1.0] * len(first)
    names = schema.entity_types
    return [
        _Span(a, b + 1, names[types[a]], score, labels.rules[a])
        for a, b, score in zip(first, last, scores, strict=True)
    ]


def _lists(rules: Rules) -> dict[str, str]:
    """Return the types that are left to the phrases of rules after the model, each with the name of its first rule."""
    kinds = [effect for effect in rules.effects if effect.action == "only" and effect.when == "after"]
    return {label: rules.name(rules.number_of(kind)) for kind in reversed(kinds) for label in kind.labels}


def _denying(span: _Span, found: Matches, rules: Rules, lists: dict[str, str]) -> str:
    """Return the name of the rule that denies an entity of the model, empty if none does."""

    def says(match: Match, action: str) -> bool:
        effect = rules.effect(match.rule)
        here = (match.first, match.end) == (span.first, span.end) and span.type in effect.labels
        return here and (effect.action, effect.when) == (action, "after")

    for match in found.chosen:
        if says(match, "deny"):
            return rules.name(match.rule)
    if span.type in lists and not any(says(match, "only") for match in found.listed):
        return lists[span.type]
    return ""


def _with_label(spans: list[_Span], match: Match, rules: Rules, gone: dict[_Span, str]) -> list[_Span]:
    """Add the entity of a match where the model has none, or in the place of those that it has."""
    effect, rule = rules.effect(match.rule), rules.name(match.rule)
    shared = [span for span in spans if span.first < match.end and match.first < span.end]
    if shared and not effect.overwrite:
        return spans
    gone.update(dict.fromkeys(shared, rule))
    spans = [span for span in spans if span not in shared]
    if effect.labels != ("O",):
        spans.append(_Span(match.first, match.end, effect.labels[0], 1.0, rule))
    return sorted(spans, key=lambda span: span.first)


def _written(
    labels: WordLabels,
    spans: Sequence[_Span],
    gone: dict[_Span, str],
    schema: TagSchema,
    outside: np.ndarray | None,
) -> WordLabels:
    """Return labels with these entities; words of those that are gone get the probability of ``O``."""
    scores, decided = labels.scores.copy(), labels.rules.copy()
    for span, rule in gone.items():
        words = slice(span.first, span.end)
        decided[words] = rule
        if outside is not None:
            scores[words] = outside[words]
    for span in spans:
        words = slice(span.first, span.end)
        if span.rule and (labels.rules[words] != span.rule).any():
            decided[words], scores[words] = span.rule, 1.0
    ids = _ids(spans, len(scores), schema)
    score = np.zeros(len(ids), np.float32)  # of the entity of each word
    for span in spans:
        score[span.first : span.end] = span.score
    starts, _, _ = schema.entity_edges(ids, np.array([0, len(ids)]))  # more than `spans` where a scheme lacks tags
    entities = score[starts]
    return WordLabels(ids, scores, entities, decided)


def _ids(spans: Sequence[_Span], words: int, schema: TagSchema) -> np.ndarray:
    """Write entities as label ids of a scheme. A tag that the model does not have is replaced by one of its type."""
    plain = schema.in_scheme("IOB2")
    tags = ["O"] * words
    for span in spans:
        tags[span.first : span.end] = [f"B-{span.type}", *[f"I-{span.type}"] * (span.end - span.first - 1)]
    ids = np.array([plain.label2id[tag] for tag in tags], np.int64)
    written = plain.rewrite(ids, np.array([0, words]), schema)
    for place in np.flatnonzero(written < 0).tolist():
        kind = schema.entity_types.index(tags[place].partition("-")[2])
        written[place] = int((schema.types == kind).argmax())
    return written
