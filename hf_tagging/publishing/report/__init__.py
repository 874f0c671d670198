"""HTML report of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.publishing.report.write import write_report

_WHERE = {
    "write": ("write_report",),
}

__all__ = ["write_report"]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
