"""Names of the formats that are written, for the command line, which is quick because it imports no format."""

from __future__ import annotations

TARGET_NAMES = (
    "brat",
    "label-studio",
    "spacy-pairs",
    "prodigy",
    "doccano",
    "gliner",
    "spert",
    "text-entities",
    "conll",
    "conllup",
    "jsonl",
)
"""In the order of `hf_tagging.data.formats.TARGETS`."""
