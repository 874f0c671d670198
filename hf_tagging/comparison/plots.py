"""Plots of a comparison with matplotlib: score against cost, and learning curves. A run looks the same in all."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, TypedDict

from hf_tagging.atomic import remove_left_behind, whole_path
from hf_tagging.comparison.result import NAMES, Comparison, Row, short
from hf_tagging.markdown import is_finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MISSING = "No plots: they need matplotlib. Type: pip install 'hf-tagging[compare]'"
# The first seven are told apart by the colour-blind (Okabe and Ito, 2008), all by the marker.
_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#999933", "#777777",
)  # fmt: skip
_POWERS = [
    [factor * 10.0**power for power in range(13) for factor in factors]
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), [i / 10 for i in range(10, 100)])
]
_TIMES = [
    [size * n for size in (1, 60, 3600) for n in numbers] + [360_000.0]
    for numbers in ((1, 10), (1, 5, 20), (1, 2, 5, 10, 20, 30), (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 50))
] + _POWERS[-1:]
_ZEROS = re.compile(r"\.0+(?= )")  # 5.0 min is 5 min
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "p")


def can_draw() -> bool:
    """Return True if matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw_plots(comparison: Comparison, folder: Path) -> list[str]:
    """Draw score against parameters, score against training time, and learning curves, where there is data for them.

    Args:
        comparison: The comparison; runs without a score or the cost are left out of a plot.
        folder: The PNG files are written into its `plots` folder.

    Returns:
        Paths relative to the folder.
    """
    drawings: dict[str, Callable[[Axes, Comparison], bool]] = {
        "score_by_parameters": _by_parameters,
        "score_by_training_time": _by_training_time,
        "learning_curves": _curves,
    }
    written = []
    for name, draw in drawings.items():
        path = folder / "plots" / f"{name}.png"
        remove_left_behind(path)
        if _plot(path, lambda axes, draw=draw: draw(axes, comparison)):  # type: ignore[misc]
            written.append(path.relative_to(folder).as_posix())
        else:
            path.unlink(missing_ok=True)  # of an earlier comparison
    return written


def _plot(path: Path, draw: Callable[[Axes], bool]) -> bool:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    if not draw(axes):
        return False
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)  # beside the data, never over it
    with whole_path(path) as partial:
        figure.savefig(partial, format="png")
    return True


def _by_parameters(axes: Axes, comparison: Comparison) -> bool:
    axes.set_xlabel("parameters")
    return _scores(axes, comparison, lambda row: row.cost.parameters, short, _POWERS)


def _by_training_time(axes: Axes, comparison: Comparison) -> bool:
    axes.set_xlabel("training time of one run")
    return _scores(axes, comparison, _seconds, _time, _TIMES)


def _seconds(row: Row) -> float | None:
    seconds = row.cost.training_seconds
    return None if seconds is None else max(seconds, 0.1)  # recorded to a tenth; 0 has no place on the axis


def _time(seconds: float) -> str:
    size, unit = next((size, unit) for size, unit in ((3600, "h"), (60, "min"), (0, "s")) if seconds >= size)
    return f"{seconds / (size or 1):.4g} {unit}"


def _scores(
    axes: Axes,
    comparison: Comparison,
    cost: Callable[[Row], float | None],
    form: Callable[[float], str],
    ticks: Sequence[Sequence[float]],
) -> bool:
    """A point with its interval for each run, the cost on a logarithmic axis."""
    points = [(i, row, x) for i, row in enumerate(comparison.rows) if row.score is not None and (x := cost(row))]
    for i, row, x in points:
        assert row.score is not None
        assert row.interval is not None
        # Of F1, the mean over seeds need not lie in the interval of the seeds' sum.
        below, above = (max(0.0, way) for way in (row.score - row.interval[0], row.interval[1] - row.score))
        axes.errorbar(x, row.score, [[below], [above]], linestyle="none", capsize=4, elinewidth=1.4, **_look(i, row))
    if not points:
        return False
    _logarithmic(axes, [x for _, _, x in points], form, ticks)
    axes.set_ylabel(f"{NAMES[comparison.metric]} ({comparison.level:.0%} interval)")
    axes.set_title(f"{NAMES[comparison.metric]} on the {comparison.split} split", loc="left", fontsize=11)
    return True


def _logarithmic(
    axes: Axes, values: Sequence[float], form: Callable[[float], str], ticks: Sequence[Sequence[float]]
) -> None:
    """Set up a logarithmic axis with margins, and the coarsest of the given ticks that are enough."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(values), max(values)
    margin = max(1.15, (high / low) ** 0.08)
    low, high = low / margin, high * margin
    marks = next((found for tick in ticks if len(found := [x for x in tick if low <= x <= high]) >= 4), [*values])
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(marks[:: math.ceil(len(marks) / 8)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _ZEROS.sub("", form(value))))
    axes.xaxis.set_minor_locator(NullLocator())


def _curves(axes: Axes, comparison: Comparison) -> bool:
    """Plot the score after each evaluation: mean over seeds, with minimum and maximum."""
    from matplotlib.ticker import MaxNLocator

    drawn = False
    for i, row in enumerate(comparison.rows):
        at: dict[float, list[float]] = defaultdict(list)
        for entry in chain.from_iterable(row.curves):
            if is_finite(entry.get(comparison.metric)) and is_finite(entry.get("epoch")):
                at[round(entry["epoch"], 2)].append(entry[comparison.metric])
        epochs = [epoch for epoch in sorted(at) if len(at[epoch]) == max(map(len, at.values()))]
        if epochs:
            look, means = _look(i, row), [fmean(at[epoch]) for epoch in epochs]
            axes.plot(epochs, means, linewidth=1.5, **look)
            low, high = ([edge(at[epoch]) for epoch in epochs] for edge in (min, max))
            axes.fill_between(epochs, low, high, color=look["color"], alpha=0.15, linewidth=0)
            drawn = True
    if not drawn:
        return False
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(NAMES[comparison.metric])
    axes.set_title(f"{NAMES[comparison.metric]} on the validation split while training", loc="left", fontsize=11)
    return True


class _Look(TypedDict):
    """Options of matplotlib for the points and the lines of a run."""

    color: str
    marker: str
    markersize: float
    markeredgecolor: str
    markeredgewidth: float
    label: str


def _look(place: int, row: Row) -> _Look:
    name = "".join(c if c.isprintable() else "?" for c in row.name)
    name = name if len(name) <= 40 else name[:39] + "…"
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "markersize": 7,
        "markeredgecolor": "white",
        "markeredgewidth": 0.7,
        "label": name.replace("$", r"\$"),  # not mathematics
    }
