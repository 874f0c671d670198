"""Types of evaluation results, as `results.json` and `run.json` hold them."""

from __future__ import annotations

from typing import TypedDict


class TagFigures(TypedDict, total=False):
    """Scores of one tag or entity type."""

    precision: float
    recall: float
    f1: float
    support: int


class Figures(TypedDict, total=False):
    """Everything measured on one split: the metric's figures, the loss and the speed."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    strict_precision: float
    strict_recall: float
    strict_f1: float
    sentence_accuracy: float
    mean_sentence_accuracy: float
    sentence_f1: float
    seen_accuracy: float
    unseen_accuracy: float
    unseen_words: int
    support: int
    words: int
    sentences: int
    per_tag: dict[str, TagFigures]
    per_type: dict[str, TagFigures]
    strict_per_type: dict[str, TagFigures]
    mode: str
    strict_mode: str
    scheme: str
    loss: float
    runtime: float
    perplexity: float
    predictions: int
    words_per_second: float | None


Results = dict[str, Figures]
"""Figures by split."""
