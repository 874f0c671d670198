"""Formats of annotation tools and corpora, recognized by how a file begins."""

from __future__ import annotations

from pathlib import Path

from hf_tagging.data.formats.base import Format, Head
from hf_tagging.data.formats.brat import BRAT, is_brat
from hf_tagging.data.formats.doccano import DOCCANO
from hf_tagging.data.formats.label_studio import LABEL_STUDIO
from hf_tagging.data.formats.label_studio_min import LABEL_STUDIO_MIN
from hf_tagging.data.formats.prodigy import PRODIGY

FORMATS: dict[str, Format] = {form.name: form for form in (BRAT, LABEL_STUDIO, LABEL_STUDIO_MIN, PRODIGY, DOCCANO)}
"""All formats by name, the more particular ones first: the first that recognizes a file reads it."""


def format_of(path: Path) -> Format | None:
    """Return the format of a file, or of a folder that is one corpus.

    Returns:
        The format; None for column files, rows of JSON and Parquet, which are not formats of a tool.
    """
    if path.is_dir():
        return BRAT if is_brat(path) else None
    head = Head(path)
    return next((known for known in FORMATS.values() if known.recognizes(head)), None) if path.is_file() else None
