"""Checks of words and tags before anything is trained on them."""

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.inspection.inspect import Inspection, inspect_dataset

_WHERE = {"inspect": ("Inspection", "inspect_dataset")}

__all__ = ["Inspection", "inspect_dataset"]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
