"""Values as Markdown that means itself: tables, escaping, lists, units."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

from hf_tagging.errors import printable

# What Markdown, HTML, mathematics, a mention or a link could start with; inside a word an underscore is only itself.
_SPECIAL = re.compile(r"[\\`*\[\]<>&|~$@]|(?<!\w)_|_(?!\w)|:(?!\s|$)|(?<=www)\.", re.IGNORECASE)
_BARS = "▁▂▃▄▅▆▇█"


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
    shown = printable(str(value))
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


def data_size(count: int) -> str:
    """Bytes in the decimal unit that fits them."""
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:,} bytes"


def energy(joules: float) -> str:
    """Joules to three digits, in watt-hours where there is at least one."""
    for size, unit in ((3_600_000, "kWh"), (3_600, "Wh")):
        if joules >= size:
            value = joules / size
            return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{joules:,.0f} J"


def spread(mean: float, deviation: float) -> str:
    """A mean with its standard deviation, to four decimals."""
    return f"{mean:.4f} ± {deviation:.4f}"


def sparkline(values: Sequence[float]) -> str:
    """A curve in one line of text: a bar for each value, the lowest value at the bottom and the highest at the top."""
    low, high = min(values), max(values)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((value - low) / (high - low) * steps) if high > low else 0] for value in values)


def listed(items: Iterable[str], most: int = 20) -> str:
    """The first items with commas, and how many more there are."""
    shown = list(items)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most:,} more" if len(shown) > most else "")


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a value is a number, and neither infinite nor undefined."""
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False
