"""Corpora of any size annotated shard by shard, on one machine or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.annotating.corpus import annotate_corpus
    from hf_tagging.annotating.request import AnnotationRequest

_WHERE = {"corpus": ("annotate_corpus",), "request": ("AnnotationRequest",)}

__all__ = ["AnnotationRequest", "annotate_corpus"]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
