"""Page of a search: the best values, what mattered, and every trial. It works from a file, without a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hf_tagging.publishing.report.rendering import asset, policy, template
from hf_tagging.search.config import Search
from hf_tagging.search.result import SearchResult, TrialResult
from hf_tagging.search.space import Choices, Parameter, Value

WIDTH, HEIGHT = 360, 190  # of a panel, in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 10, 30


@dataclass(frozen=True)
class Point:
    """A trial in a panel.

    Args:
        x: Pixels from the left.
        y: Pixels from the top.
        kind: State of the trial, or "best".
        title: What is said of it.
    """

    x: float
    y: float
    kind: str
    title: str


@dataclass(frozen=True)
class Panel:
    """Figures of the trials by the values of one parameter.

    Args:
        name: Name of the parameter.
        importance: Share in what differs between trials; None where it is not known.
        points: Trials with a figure.
        below: Ticks of the values: pixels from the left, label.
        beside: Ticks of the figures: pixels from the top, label.
    """

    name: str
    importance: float | None
    points: tuple[Point, ...]
    below: tuple[tuple[float, str], ...]
    beside: tuple[tuple[float, str], ...]


def search_page(result: SearchResult, search: Search) -> str:
    """Return the page `search.html`; its content security policy allows its own style and nothing else.

    Args:
        result: The search.
        search: How it was asked for.
    """
    style = asset("report.css")
    scored = [trial for trial in result.trials if trial.value is not None]
    ranked = sorted(search.space, key=lambda name: -result.importances.get(name, 0.0))
    return template("search.html.j2").render(
        result=result,
        task=search.config.task,
        best=next(trial for trial in result.trials if trial.number == result.best),
        names=list(search.space),
        panels=[_panel(search.space[name], scored, result) for name in ranked],
        width=WIDTH,
        height=HEIGHT,
        style=style,
        policy=policy("", style),
    )


def _panel(parameter: Parameter, trials: Sequence[TrialResult], result: SearchResult) -> Panel:
    low, high = _bounds([trial.value for trial in trials if trial.value is not None])
    return Panel(
        name=parameter.name,
        importance=result.importances.get(parameter.name),
        points=tuple(
            Point(
                _across(parameter, trial.raw[parameter.name]),
                _down(trial.value or 0.0, low, high),
                "best" if trial.number == result.best else trial.state,
                f"trial {trial.number}: {parameter.name} {trial.values[parameter.name]}, "
                f"{result.metric_name} {trial.value:.4f}",
            )
            for trial in trials
            if parameter.name in trial.raw
        ),
        below=tuple((_across(parameter, value), parameter.shown(value)) for value in _ticks(parameter)),
        beside=tuple((_down(value, low, high), f"{value:.3f}") for value in (low, (low + high) / 2, high)),
    )


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _down(value: float, low: float, high: float) -> float:
    return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low), 1)


def _across(parameter: Parameter, value: Value) -> float:
    if isinstance(parameter, Choices):
        choices = parameter.checked()
        share = (choices.index(value) + 0.5) / len(choices)
    elif parameter.log:
        low, high = math.log(parameter.low), math.log(parameter.high)
        share = (math.log(float(value)) - low) / (high - low)
    else:
        share = (float(value) - parameter.low) / (parameter.high - parameter.low)
    return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * share, 1)


def _ticks(parameter: Parameter) -> list[Value]:
    if isinstance(parameter, Choices):
        return parameter.checked()
    low, high = parameter.low, parameter.high
    middle = math.sqrt(low * high) if parameter.log else (low + high) / 2
    kept: list[Value] = [round(x) if parameter.whole else x for x in (low, middle, high)]
    return list(dict.fromkeys(kept))
