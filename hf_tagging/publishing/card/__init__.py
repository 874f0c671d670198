"""Model cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.publishing.card.tagger import model_card

_WHERE = {
    "tagger": ("model_card",),
}

__all__ = ["model_card"]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
