"""Figures over words and entities, never over subwords; how sure they are."""

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.evaluation.metrics import EntityMetric, WordMetric
    from hf_tagging.evaluation.predictions import results_table, score_entities, score_words, write_predictions
    from hf_tagging.evaluation.scoring import score
    from hf_tagging.evaluation.statistics import (
        SentenceCounts,
        approximate_randomization,
        bootstrap_interval,
        count_sentences,
    )

_WHERE = {
    "metrics": (
        "EntityMetric",
        "WordMetric",
    ),
    "predictions": (
        "results_table",
        "score_entities",
        "score_words",
        "write_predictions",
    ),
    "scoring": ("score",),
    "statistics": (
        "SentenceCounts",
        "approximate_randomization",
        "bootstrap_interval",
        "count_sentences",
    ),
}

__all__ = [
    "EntityMetric",
    "SentenceCounts",
    "WordMetric",
    "approximate_randomization",
    "bootstrap_interval",
    "count_sentences",
    "results_table",
    "score",
    "score_entities",
    "score_words",
    "write_predictions",
]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
