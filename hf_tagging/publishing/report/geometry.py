"""Geometry of the report's charts: numbers for inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hf_tagging.analysis.shape import Bin, ThresholdRow
from hf_tagging.markdown import is_finite

WIDTH, HEIGHT = 460, 230  # of a chart, in SVG units, axes included
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 12, 44
_STEPS = (1, 2, 2.5, 5, 10)
_LEVELS = 8  # shades of the confusion matrix


@dataclass(frozen=True)
class Chart:
    """A line over two axes, in SVG units from the upper left corner.

    Args:
        path: Points of the polyline.
        dots: x, y, radius and text of each point.
        across: Place and text of the ticks on the horizontal axis.
        up: Place and text of the ticks on the vertical axis.
        frame: Left, top, right and bottom of the plot area.
    """

    path: str
    dots: list[tuple[float, float, float, str]]
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    frame: tuple[float, float, float, float] = (_LEFT, _TOP, WIDTH - _RIGHT, HEIGHT - _BOTTOM)


def curve(points: Sequence[tuple[float, float]], unit: str) -> Chart:
    """Return a learning curve with axes that fit its points.

    Args:
        points: Epoch and value, at least one, by epoch.
        unit: Name of the value, for the text of a dot.
    """
    across = ticks(0.0, max(x for x, _ in points) or 1.0)
    up = ticks(min(y for _, y in points), max(y for _, y in points))
    said = [f"epoch {x:g}: {unit} {y:.4f}" for x, y in points]
    return _chart(points, said, [3.5] * len(points), across, up)


def reliability(bins: Sequence[Bin]) -> Chart:
    """Return a reliability diagram: confidence against accuracy, a dot per filled bin, its area by number of words.

    See Guo et al. (2017), <https://arxiv.org/abs/1706.04599>.

    Args:
        bins: Bins with confidence, accuracy and words.
    """
    filled = [b for b in bins if b["words"] and is_finite(b["confidence"]) and is_finite(b["accuracy"])]
    most = max((b["words"] for b in filled), default=1)
    said = [
        f"{b['words']:,} words of confidence {b['low']:.1f} to {b['high']:.1f}: mean confidence {b['confidence']:.3f}, "
        f"accuracy {b['accuracy']:.3f}"
        for b in filled
    ]
    unit = [i / 5 for i in range(6)]
    radii = [3 + 7 * math.sqrt(b["words"] / most) for b in filled]
    return _chart([(b["confidence"], b["accuracy"]) for b in filled], said, radii, unit, unit)


def coverage(rows: Sequence[ThresholdRow], items: str) -> Chart:
    """Return the curve of coverage against precision, a dot per threshold.

    Args:
        rows: Thresholds, ascending.
        items: What is kept or left out, for the text of a dot.
    """
    shown = [(row["coverage"], row["precision"], row) for row in reversed(rows) if row["precision"] is not None]
    said = [
        f"threshold {row['threshold']:g}: {row['kept']:,} {items} kept, coverage {x:.3f}, precision {y:.3f}"
        for x, y, row in shown
    ]
    points = [(x, y) for x, y, _ in shown]
    up = ticks(min(y for _, y in points), max(y for _, y in points))
    return _chart(points, said, [3.5] * len(points), [i / 5 for i in range(6)], up)


def ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers that enclose a range.

    Args:
        low: Smallest value.
        high: Largest value; an empty range is widened.
    """
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = (low - 0.05, high + 0.05) if abs(high) < 1 else (low * 0.95, high * 1.05)
        low, high = min(low, high), max(low, high)
    rough = (high - low) / 4
    scale = 10 ** math.floor(math.log10(rough))
    step = next(s * scale for s in _STEPS if s * scale >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def shade(count: int, total: int) -> int:
    """Return how dark a cell is, 0 to 8: the square root of its share, so that rare confusions are visible.

    Args:
        count: Count of the cell.
        total: Total of the row.
    """
    return math.ceil(_LEVELS * math.sqrt(count / total)) if count and total else 0


def _chart(
    points: Sequence[tuple[float, float]],
    said: Sequence[str],
    radii: Sequence[float],
    across: Sequence[float],
    up: Sequence[float],
) -> Chart:
    def place_x(x: float) -> float:
        return round(_LEFT + (x - across[0]) / (across[-1] - across[0]) * (WIDTH - _LEFT - _RIGHT), 1)

    def place_y(y: float) -> float:
        return round(HEIGHT - _BOTTOM - (y - up[0]) / (up[-1] - up[0]) * (HEIGHT - _TOP - _BOTTOM), 1)

    places = [(place_x(x), place_y(y)) for x, y in points]
    return Chart(
        " ".join(f"{x},{y}" for x, y in places),
        [(x, y, round(r, 1), text) for (x, y), r, text in zip(places, radii, said, strict=True)],
        [(place_x(x), f"{x:g}") for x in across],
        [(place_y(y), f"{y:g}") for y in up],
    )
