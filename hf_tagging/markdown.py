"""Values as escaped Markdown: tables, text, lists, units."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import TypeGuard

from hf_tagging.errors import printable

# What Markdown, HTML, mathematics, a mention or a link could start with; inside a word an underscore is only itself.
_SPECIAL = re.compile(r"[\\`*\[\]<>&|~$@]|(?<!\w)_|_(?!\w)|:(?!\s|$)|(?<=www)\.", re.IGNORECASE)
_BARS = "▁▂▃▄▅▆▇█"


class Markup(str):
    """Markdown that is not escaped again."""


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """Return a table with escaped cells, the first column left-aligned and the others right-aligned."""
    lines = [header, [Markup("---"), *[Markup("---:")] * (len(header) - 1)], *rows]
    return Markup("\n".join("| " + " | ".join(map(text, line)) + " |" for line in lines))


def text(value: object, most: int = 120) -> str:
    """Return a value as escaped Markdown, numbers with four decimals.

    Args:
        value: Of any type.
        most: Characters, behind which text is cut.
    """
    if value is None or isinstance(value, Markup):
        return value or ""
    if is_number(value):
        return f"{value:,}" if isinstance(value, Integral) else f"{value:.4f}"
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", visible(value, most))


def visible(value: object, most: int = 120) -> str:
    """Return text in one line of at most so many characters, with newlines and invisible characters escaped."""
    shown = printable(str(value))
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def setting(value: object) -> str:
    """Return the value of an argument as a user would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Return seconds in a readable unit."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def data_size(count: int) -> str:
    """Return bytes in a readable decimal unit."""
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:,} bytes"


def energy(joules: float) -> str:
    """Return joules with three digits, in watt-hours from one upwards."""
    for size, unit in ((3_600_000, "kWh"), (3_600, "Wh")):
        if joules >= size:
            value = joules / size
            return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{joules:,.0f} J"


def sparkline(values: Sequence[float]) -> str:
    """Return a curve in one line of text, a bar per value."""
    low, high = min(values), max(values)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((value - low) / (high - low) * steps) if high > low else 0] for value in values)


def listed(items: Iterable[str], most: int = 20) -> str:
    """Return the first items separated by commas, and the number of the others."""
    shown = list(items)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most:,} more" if len(shown) > most else "")


def is_number(value: object) -> TypeGuard[float]:
    """Return True for numbers, but not for booleans."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_finite(value: object) -> TypeGuard[float]:
    """Return True for numbers that are neither infinite nor NaN."""
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False
