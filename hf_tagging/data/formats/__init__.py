"""Formats of annotation tools and corpora, recognized by how a file begins."""

from __future__ import annotations

from pathlib import Path

from hf_tagging.data.formats.base import Format, Head
from hf_tagging.data.formats.doccano import DOCCANO

FORMATS: dict[str, Format] = {form.name: form for form in (DOCCANO,)}
"""All formats by name, the more particular ones first: the first that recognizes a file reads it."""


def format_of(path: Path) -> Format | None:
    """Return the format of a file; None for column files, rows of JSON and Parquet, which are not formats of a tool."""
    head = Head(path)
    return next((known for known in FORMATS.values() if known.recognizes(head)), None) if path.is_file() else None
