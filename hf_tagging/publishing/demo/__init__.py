"""Browser demo of taggers, locally or as a Space on the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.publishing.demo.app import build_demo, known_figures, launch_demo, launch_options, load_taggers
    from hf_tagging.publishing.demo.space import write_space

_WHERE = {
    "app": ("build_demo", "known_figures", "launch_demo", "launch_options", "load_taggers"),
    "space": ("write_space",),
}

__all__ = ["build_demo", "known_figures", "launch_demo", "launch_options", "load_taggers", "write_space"]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
