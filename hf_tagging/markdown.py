"""Values as Markdown that means itself: tables, escaping, lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

# What Markdown, HTML, mathematics, a mention or a link could start with; inside a word an underscore is only itself.
_SPECIAL = re.compile(r"[\\`*\[\]<>&|~$@]|(?<!\w)_|_(?!\w)|:(?!\s|$)")


class Markup(str):
    """Markdown of our own making, which is not escaped again."""


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table whose cells are escaped, with its first column to the left and the others to the right."""
    lines = [header, [Markup("---"), *[Markup("---:")] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(text, line)) + " |" for line in lines)


def text(value: Any) -> str:
    """A value as Markdown that means itself: figures to four decimals, special characters as entities."""
    if value is None or isinstance(value, Markup):
        return value or ""
    if is_number(value):
        return f"{value:,}" if isinstance(value, Integral) else f"{value:.4f}"
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", visible(value))


def visible(value: Any) -> str:
    """Text in one line, with what cannot be seen (newlines, direction marks) spelled out."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))
    return shown if len(shown) <= 120 else shown[:119] + "…"


def setting(value: Any) -> str:
    """The value of an argument as a user would write it, to ten digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Seconds in the unit that fits them."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def listed(items: Iterable[str], most: int = 20) -> str:
    """The first items with commas, and how many more there are."""
    shown = list(items)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most:,} more" if len(shown) > most else "")


def is_number(value: Any) -> bool:
    """Whether a value is a number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)
