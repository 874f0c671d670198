"""Words or text in, tags and entities out."""

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.inference.files import FileCounts, tag_file
    from hf_tagging.inference.results import Entity, TaggedText, TaggedWord
    from hf_tagging.inference.tagger import Tagger
    from hf_tagging.inference.text import split_words

_WHERE = {
    "files": (
        "FileCounts",
        "tag_file",
    ),
    "results": (
        "Entity",
        "TaggedText",
        "TaggedWord",
    ),
    "tagger": ("Tagger",),
    "text": ("split_words",),
}

__all__ = [
    "Entity",
    "FileCounts",
    "TaggedText",
    "TaggedWord",
    "Tagger",
    "split_words",
    "tag_file",
]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
