"""Space of a search: the values that each argument may take, as a YAML file lists them.

learning_rate: {low: 1e-4, high: 1e-3, log: true}     # a number between two others
num_layers: {low: 1, high: 3, step: 1}                # in steps
head: [linear, crf]                                   # one of a list; ~ leaves the argument out
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, get_args, get_type_hints

from hf_tagging.data.request import READ_OPTIONS
from hf_tagging.data.splitting import CUTS
from hf_tagging.errors import Problem
from hf_tagging.training.config import DataConfig, EncoderConfig, ScratchConfig, TaggingConfig
from hf_tagging.training.config.checks import did_you_mean
from hf_tagging.training.resuming import FREE_ARGUMENTS
from hf_tagging.training.settings import OF_DATA, Setting
from hf_tagging.training.yaml_files import Plain

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = int | float | str
"""A value as the study keeps it: a number, or JSON of one of the choices."""

MOST_CHECKED = 64  # values of a range in steps; of longer ranges the ends are checked
_KEYS = ("low", "high", "step", "log")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_EXACT = 1e-9  # of a step
_PARTS = (DataConfig, EncoderConfig, ScratchConfig, TaggingConfig)
# Data that trials are scored on, which has to be the same in all of them.
_DATA = {*OF_DATA, *READ_OPTIONS, *CUTS, "fold", "split_seed", "word_features", "max_eval_samples"}
_OURS = {
    "seed": "give seeds under search, with which the best trials are trained again",
    "data_seed": "give seeds under search, with which the best trials are trained again",
    "task": "a search is for one task",
    "do_train": "a trial trains",
    "eval_strategy": "trials are scored while they train",
    "save_strategy": "trials are resumed from checkpoints",
    "load_best_model_at_end": "it says which evaluation of a trial counts",
    "metric_for_best_model": "trials are compared by the headline figure of the task",
    "calibrate": "it changes no tag",
}


@dataclass(frozen=True)
class Numbers:
    """Numbers between two others.

    Args:
        name: Name of the argument.
        place: File and line.
        low: Smallest value.
        high: Largest value.
        step: Distance of two values; None: any number between them.
        log: Draw from the logarithm, so that 1e-5 to 1e-4 is as likely as 1e-4 to 1e-3.
        whole: Whole numbers only.
    """

    name: str
    place: str
    low: float
    high: float
    step: float | None = None
    log: bool = False
    whole: bool = False

    def distribution(self) -> BaseDistribution:
        """Return the same for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def checked(self) -> list[Value]:
        """Return the values that are checked before the search: all of a short range in steps, or its ends."""
        step = self.step or (1 if self.whole and not self.log else None)
        if step and (count := round((self.high - self.low) / step)) < MOST_CHECKED:
            return [self._number(self.low + i * step) for i in range(count + 1)]
        return [self._number(self.low), self._number(self.high)]

    def _number(self, value: float) -> Value:
        return round(value) if self.whole else float(f"{value:.12g}")

    def setting(self, value: Value) -> Setting:
        """Return the argument with a value."""
        return Setting(self.name, [shown(value)], self.place)

    def shown(self, value: Value) -> str:
        """Return a value as it is shown in tables."""
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    def written(self) -> str:
        """Return the range as it is written, for messages and to be compared with that of an earlier command."""
        parts = [f"low: {shown(self.low)}", f"high: {shown(self.high)}"]
        parts += [] if self.step is None else [f"step: {shown(self.step)}"]
        parts += ["log: true"] if self.log else []
        return f"{{{', '.join(parts)}}}"


@dataclass(frozen=True)
class Choices:
    """One of several values.

    Args:
        name: Name of the argument.
        place: File and line.
        choices: Values as they are written; None leaves the argument out.
    """

    name: str
    place: str
    choices: tuple[Plain, ...]

    def distribution(self) -> BaseDistribution:
        """Return the same for Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.checked())

    def checked(self) -> list[Value]:
        """Return all choices, as the study keeps them."""
        return [json.dumps(choice) for choice in self.choices]

    def setting(self, value: Value) -> Setting | None:
        """Return the argument with a value; None if the choice is to leave it out."""
        choice: Plain = json.loads(str(value))
        if choice is None:
            return None
        texts = choice if isinstance(choice, list) else [choice]
        return Setting(
            self.name, [t if isinstance(t, str) else json.dumps(t) for t in texts], self.place, isinstance(choice, list)
        )

    def shown(self, value: Value) -> str:
        """Return a value as it is shown in tables."""
        choice: Plain = json.loads(str(value))
        return "default" if choice is None else choice if isinstance(choice, str) else json.dumps(choice)

    def written(self) -> str:
        """Return the list as it is written, for messages and to be compared with that of an earlier command."""
        return f"[{', '.join('~' if c is None else self.shown(json.dumps(c)) for c in self.choices)}]"


Parameter = Numbers | Choices
Space = Mapping[str, Parameter]
_Refusal = tuple[str, str]  # what is wrong, and what to do about it


def read_parameter(name: str, value: Plain, place: str) -> Parameter | Problem:
    """Read what an argument may be.

    Args:
        name: Name of the argument.
        value: As it is written.
        place: File and line.

    Returns:
        The parameter, or what is wrong with it.
    """
    found = _not_searched(name) or _read(name, value, place)
    return found if isinstance(found, Parameter) else Problem(f"search.space.{name}", value, *found, place)


def _not_searched(name: str) -> _Refusal | None:
    """Return why an argument cannot be part of a space; None if it can."""
    known = {f.name for part in _PARTS for f in fields(part) if f.init}
    if name in _OURS:
        return f"cannot be searched: {_OURS[name]}", "leave it out"
    if name not in known:
        return f"there is no such argument{did_you_mean(name, known)}", ""
    if name in _DATA:
        return "cannot be searched: all trials are scored on the same data", "leave it out"
    if name in FREE_ARGUMENTS:
        return "cannot be searched: it changes nothing that is learned", "leave it out"
    return None


def _read(name: str, value: Plain, place: str) -> Parameter | _Refusal:
    if isinstance(value, list):
        if len(value) < 2 or any(value.count(choice) > 1 for choice in value):
            return "is a list of one value or of equal ones", "give two different values or more"
        if any(isinstance(choice, dict) for choice in value):
            return "a value of the list is a mapping", "give single values, or lists of them"
        return Choices(name, place, tuple(value))
    if not isinstance(value, dict):
        return f"{value!r} is neither a range nor a list", f"write {name}: {{low: 1, high: 3}} or {name}: [a, b]"
    for key in value:
        if key not in _KEYS:
            return f"{key}: there is no such key{did_you_mean(key, _KEYS)}", f"a range has {', '.join(_KEYS)}"
    given = {key: content for key, content in value.items() if content is not None}
    if missing := {"low", "high"} - given.keys():
        return f"has no {min(missing)}", f"write {name}: {{low: 1, high: 3}}"
    for key in given.keys() - {"log"}:
        if _number(given[key]) is None:
            return f"{key}: {given[key]!r} is not a number", ""
    log = _BOOLEANS.get(str(given.get("log", "false")).lower())
    if log is None:
        return f"log: {given['log']!r} is not true or false", ""
    low, high, step = (_number(given.get(key)) for key in ("low", "high", "step"))
    assert low is not None
    assert high is not None
    return _not_a_range(name, low, high, step, log) or Numbers(
        name, place, low, high, step, log, whole=number_kind(name) is int
    )


def _not_a_range(name: str, low: float, high: float, step: float | None, log: bool) -> _Refusal | None:
    """Return what is wrong with a range; None if it is one."""
    kind = number_kind(name)
    if kind is None:
        return "is not an argument of numbers", f"give a list: {name}: [..., ...]"
    if kind is int and not all(number.is_integer() for number in (low, high, step or 1.0)):
        return "takes whole numbers, and one of low, high and step is none", ""
    if not low < high:
        return f"low {shown(low)} is not below high {shown(high)}", ""
    if log and low <= 0:
        return f"low {shown(low)} is not above 0, and has no logarithm", "give another low, or leave log out"
    if step is None:
        return None
    if log:
        return "step and log do not go together", "leave one of them out"
    if not 0 < step <= high - low:
        return f"step {shown(step)} is not above 0 and at most {shown(high - low)}", ""
    steps = (high - low) / step
    if abs(round(steps) - steps) > _EXACT * steps:
        last = float(f"{low + math.floor(steps) * step:.12g}")
        return f"steps of {shown(step)} from {shown(low)} do not end at {shown(high)}", f"give high: {shown(last)}"
    return None


def _number(text: Plain) -> float | None:
    try:
        number = float(text) if isinstance(text, str) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@cache
def number_kind(name: str) -> type[int] | type[float] | None:
    """Return the kind of numbers that an argument takes, None if it takes none.

    Args:
        name: Name of the argument.
    """
    for part in _PARTS:
        hint = get_type_hints(part).get(name)
        options = {kind for kind in get_args(hint) or (hint,) if kind is not NoneType}
        if float in options:
            return float
        if int in options:
            return int
    return None


def shown(value: Value) -> str:
    """Return a value as it is typed: 3 for 3.0, and every digit of what has more."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def values_to_check(space: Space) -> Iterator[dict[str, Value]]:
    """Yield values of all parameters: the first of each, then each with its other values, one at a time.

    Args:
        space: By name.
    """
    first = {name: parameter.checked()[0] for name, parameter in space.items()}
    yield first
    for name, parameter in space.items():
        yield from ({**first, name: value} for value in parameter.checked()[1:])
