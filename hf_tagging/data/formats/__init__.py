"""Formats of annotation tools and corpora, recognized by how a file begins."""

from __future__ import annotations

from pathlib import Path

from hf_tagging.data.formats.base import Format, Head
from hf_tagging.data.formats.brat import BRAT, is_brat
from hf_tagging.data.formats.cluener import CLUENER
from hf_tagging.data.formats.doccano import DOCCANO
from hf_tagging.data.formats.dygie import DYGIE
from hf_tagging.data.formats.gliner import GLINER
from hf_tagging.data.formats.label_studio import LABEL_STUDIO
from hf_tagging.data.formats.label_studio_min import LABEL_STUDIO_MIN
from hf_tagging.data.formats.prodigy import PRODIGY
from hf_tagging.data.formats.spacy_docbin import SPACY_DOCBIN
from hf_tagging.data.formats.spacy_json import SPACY_JSON
from hf_tagging.data.formats.spacy_pairs import SPACY_PAIRS
from hf_tagging.data.formats.spert import SPERT
from hf_tagging.data.formats.text_entities import TEXT_ENTITIES
from hf_tagging.data.formats.w2ner import W2NER
from hf_tagging.data.formats.webanno import WEBANNO
from hf_tagging.data.formats.word_tags import COLUMNS, COLUMNS_PLUS, ROWS

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        BRAT,
        SPACY_DOCBIN,
        WEBANNO,
        LABEL_STUDIO,
        LABEL_STUDIO_MIN,
        SPACY_JSON,
        SPACY_PAIRS,
        PRODIGY,
        CLUENER,
        DOCCANO,
        GLINER,
        SPERT,
        W2NER,
        DYGIE,
        TEXT_ENTITIES,
    )
}
"""All formats by name, the more particular ones first: the first that recognizes a file reads it."""

TARGETS: dict[str, Format] = {
    form.name: form for form in (*FORMATS.values(), COLUMNS, COLUMNS_PLUS, ROWS) if form.is_written
}
"""All formats that are written, by name."""


def format_of(path: Path) -> Format | None:
    """Return the format of a file, or of a folder that is one corpus.

    Returns:
        The format; None for column files, rows of JSON and Parquet, which are not formats of a tool.
    """
    if path.is_dir():
        return BRAT if is_brat(path) else None
    head = Head(path)
    return next((known for known in FORMATS.values() if known.recognizes(head)), None) if path.is_file() else None
