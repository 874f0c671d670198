"""Figures over words and entities, never over subwords."""

from hf_tagging.evaluation.metrics import EntityMetric, WordMetric
from hf_tagging.evaluation.report import results_table, score_entities, score_words, write_predictions

__all__ = ["EntityMetric", "WordMetric", "results_table", "score_entities", "score_words", "write_predictions"]
