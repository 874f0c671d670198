"""Cards, reports, uploads to the Hub and demos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.publishing.card.tagger import model_card
    from hf_tagging.publishing.demo.app import launch_demo
    from hf_tagging.publishing.demo.space import write_space
    from hf_tagging.publishing.hub.push import push_folder
    from hf_tagging.publishing.publish import publish_run
    from hf_tagging.publishing.report.write import write_report

_WHERE = {
    "card.tagger": ("model_card",),
    "demo.app": ("launch_demo",),
    "demo.space": ("write_space",),
    "hub.push": ("push_folder",),
    "publish": ("publish_run",),
    "report.write": ("write_report",),
}

__all__ = [
    "launch_demo",
    "model_card",
    "publish_run",
    "push_folder",
    "write_report",
    "write_space",
]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
