"""Words or text in, tags and entities out. Imported when first asked for: the command line must answer at once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_tagging.inference.files import FileCounts, tag_file
    from hf_tagging.inference.results import Entity, TaggedText, TaggedWord
    from hf_tagging.inference.tagger import Tagger
    from hf_tagging.inference.text import split_words

_WHERE = {
    "Entity": "results",
    "FileCounts": "files",
    "TaggedText": "results",
    "TaggedWord": "results",
    "Tagger": "tagger",
    "split_words": "text",
    "tag_file": "files",
}

__all__ = ["Entity", "FileCounts", "TaggedText", "TaggedWord", "Tagger", "split_words", "tag_file"]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name in _WHERE:
        return getattr(import_module(f"hf_tagging.inference.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'hf_tagging.inference' has no attribute {name!r}")
