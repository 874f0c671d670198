"""Words or text in, tags and entities out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.inference.async_tagger import AsyncTagger
    from hf_tagging.inference.documents import tag_documents
    from hf_tagging.inference.evaluating import evaluate_predictions, evaluate_tagger
    from hf_tagging.inference.evaluation import Evaluation, write_evaluation
    from hf_tagging.inference.explaining import Explanation
    from hf_tagging.inference.files import FileCounts, tag_file
    from hf_tagging.inference.spacy_docs import from_spacy, to_spacy
    from hf_tagging.inference.spans import Entity, TaggedWord
    from hf_tagging.inference.suggesting import suggest_texts
    from hf_tagging.inference.suggestions import Doubt, Suggestion, Suggestions
    from hf_tagging.inference.tagged_text import TaggedText, entities_dataframe, to_dataframe
    from hf_tagging.inference.tagger import Tagger

_WHERE = {
    "async_tagger": ("AsyncTagger",),
    "documents": ("tag_documents",),
    "evaluating": ("evaluate_predictions", "evaluate_tagger"),
    "evaluation": ("Evaluation", "write_evaluation"),
    "explaining": ("Explanation",),
    "files": ("FileCounts", "tag_file"),
    "spans": ("Entity", "TaggedWord"),
    "spacy_docs": ("from_spacy", "to_spacy"),
    "suggesting": ("suggest_texts",),
    "suggestions": ("Doubt", "Suggestion", "Suggestions"),
    "tagged_text": ("TaggedText", "entities_dataframe", "to_dataframe"),
    "tagger": ("Tagger",),
}

__all__ = [
    "AsyncTagger",
    "Doubt",
    "Entity",
    "Evaluation",
    "Explanation",
    "FileCounts",
    "Suggestion",
    "Suggestions",
    "TaggedText",
    "TaggedWord",
    "Tagger",
    "entities_dataframe",
    "evaluate_predictions",
    "evaluate_tagger",
    "from_spacy",
    "suggest_texts",
    "tag_documents",
    "tag_file",
    "to_dataframe",
    "to_spacy",
    "write_evaluation",
]

__getattr__, __dir__ = lazy_names(__name__, _WHERE, renamed={"split_words": "hf_tagging.data.split_words"})
