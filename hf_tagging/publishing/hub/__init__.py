"""Push a model to the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.publishing.hub.push import push_folder

_WHERE = {
    "push": ("push_folder",),
}

__all__ = ["push_folder"]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
