"""Scores of predicted entities (or words): how true they are, and what a threshold on them keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.calibration import UNDEFINED, calibration
from hf_tagging.analysis.shape import Confidence, ThresholdRow, Uncalibrated
from hf_tagging.data.schema import TagSchema
from hf_tagging.evaluation.metrics import Array

THRESHOLDS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True)
class Scored:
    """Predicted items with their scores.

    Args:
        scores: Probabilities. (items,)
        right: Whether an item is one of the gold ones. (items,) bool
        gold: Number of gold items.
    """

    scores: Array
    right: Array
    gold: int

    @property
    def ece(self) -> float | None:
        """Expected calibration error; None where a score is not a number."""
        return calibration(self.scores, self.right).get("ece")


def scored_words(answers: Answers, scores: Array, right: Array) -> Scored:
    """Return the annotated words of a split as items.

    Args:
        answers: The split.
        scores: Probability of each word's tag. (words,)
        right: Whether that is its gold tag. (words,) bool
    """
    annotated = answers.annotated
    return Scored(scores[annotated], right[annotated], int(annotated.sum()))


def scored_entities(answers: Answers, schema: TagSchema, ids: Array, scores: Array) -> Scored:
    """Return the predicted entities of a split; those with a word that is not annotated are left out.

    Args:
        answers: The split.
        schema: Tags of the model.
        ids: Label ids. (words,)
        scores: Probabilities of the entities that they make, in order. (entities,)
    """
    starts, ends, types = schema.entity_edges(ids, answers.bounds)
    first, last = np.flatnonzero(starts), np.flatnonzero(ends)
    gold, origin = answers.gold_spans, answers.bounds
    known = {
        (int(origin[sentence] + start), int(origin[sentence] + end - 1), answers.names[kind])
        for sentence, start, end, kind in gold.rows.tolist()
    }
    found = zip(first.tolist(), last.tolist(), types[first].tolist(), strict=True)
    right = np.fromiter(((a, b, schema.entity_types[kind]) in known for a, b, kind in found), bool, len(first))
    unknown = np.cumsum(np.append(0, ~answers.annotated))
    annotated = unknown[last + 1] == unknown[first]
    return Scored(scores[annotated], right[annotated], len(gold))


def confidence(items: Scored, name: str, before: Uncalibrated | None) -> Confidence:
    """Return the calibration of scores, and coverage, precision and recall at thresholds.

    Args:
        items: The predicted items.
        name: What they are called, such as "entities".
        before: Errors without the model's temperature, if it has one.
    """
    if not np.isfinite(items.scores).all():
        return {"missing": UNDEFINED}
    if not len(items.scores):
        return {"missing": f"No {name} were predicted."}
    return {
        "items": name,
        "count": len(items.scores),
        "ece": items.ece or 0.0,
        "before": before,
        "rows": [_row(items, threshold) for threshold in THRESHOLDS],
    }


def _row(items: Scored, threshold: float) -> ThresholdRow:
    kept = items.scores >= threshold
    count, right = int(kept.sum()), int(items.right[kept].sum())
    return {
        "threshold": threshold,
        "kept": count,
        "coverage": count / len(kept),
        "precision": right / count if count else None,
        "recall": right / items.gold if items.gold else None,
    }
