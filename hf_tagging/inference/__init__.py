"""Words or text in, tags and entities out."""

from hf_tagging.inference.files import FORMATS, FileCounts, check_paths, tag_file, tag_text_to
from hf_tagging.inference.results import Entity, TaggedText, TaggedWord
from hf_tagging.inference.tagger import Tagger
from hf_tagging.inference.text import split_words

__all__ = [
    "FORMATS",
    "Entity",
    "FileCounts",
    "TaggedText",
    "TaggedWord",
    "Tagger",
    "check_paths",
    "split_words",
    "tag_file",
    "tag_text_to",
]
