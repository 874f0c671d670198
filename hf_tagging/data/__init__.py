"""Words and tags in, aligned windows out."""

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.data.aligned import AlignedSplit, AlignmentCounts
    from hf_tagging.data.alignment import align_dataset, align_split, vocabulary
    from hf_tagging.data.batching import WindowCollator
    from hf_tagging.data.converting import convert
    from hf_tagging.data.loading import load_tagging_dataset, unseen_tags
    from hf_tagging.data.reading import ReadingReport, reading_report
    from hf_tagging.data.schema import TagSchema, convert_tags
    from hf_tagging.data.splitters import get_splitter, needed_splitter
    from hf_tagging.data.text import split_words
    from hf_tagging.data.windows import Aligner
    from hf_tagging.data.word_features import feature_values

_WHERE = {
    "aligned": ("AlignedSplit", "AlignmentCounts"),
    "alignment": ("align_dataset", "align_split", "vocabulary"),
    "batching": ("WindowCollator",),
    "converting": ("convert",),
    "loading": (
        "load_tagging_dataset",
        "unseen_tags",
    ),
    "reading": ("ReadingReport", "reading_report"),
    "schema": (
        "TagSchema",
        "convert_tags",
    ),
    "splitters": ("get_splitter", "needed_splitter"),
    "text": ("split_words",),
    "windows": ("Aligner",),
    "word_features": ("feature_values",),
}

__all__ = [
    "AlignedSplit",
    "Aligner",
    "AlignmentCounts",
    "ReadingReport",
    "TagSchema",
    "WindowCollator",
    "align_dataset",
    "align_split",
    "convert",
    "convert_tags",
    "feature_values",
    "get_splitter",
    "load_tagging_dataset",
    "needed_splitter",
    "reading_report",
    "split_words",
    "unseen_tags",
    "vocabulary",
]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
