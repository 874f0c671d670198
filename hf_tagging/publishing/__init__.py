"""What goes out beside a model. Imported when first asked for: a demo starts without what a training needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_tagging.publishing.card.model_card import model_card
    from hf_tagging.publishing.demo.app import launch_demo
    from hf_tagging.publishing.demo.space import write_space
    from hf_tagging.publishing.hub.push import push_folder
    from hf_tagging.publishing.publish import publish_run
    from hf_tagging.publishing.report.write import write_report

_WHERE = {
    "launch_demo": "demo.app",
    "model_card": "card.model_card",
    "publish_run": "publish",
    "push_folder": "hub.push",
    "write_report": "report.write",
    "write_space": "demo.space",
}

__all__ = ["launch_demo", "model_card", "publish_run", "push_folder", "write_report", "write_space"]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name in _WHERE:
        return getattr(import_module(f"hf_tagging.publishing.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'hf_tagging.publishing' has no attribute {name!r}")
