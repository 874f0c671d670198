"""Configs that remember which of their arguments were given, so that defaults can follow from task and model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field, fields
from functools import wraps
from typing import TypeVar

from hf_tagging.errors import ConfigError, Problem
from hf_tagging.training.config.checks import did_you_mean

T = TypeVar("T", bound="Config")
C = TypeVar("C")


class UnknownArgumentError(ConfigError, TypeError):
    """A keyword that a config does not take: an argument error, and the `TypeError` that Python raises for it."""


@dataclass(frozen=True)
class Given:
    """Origin of the arguments of a config.

    Args:
        values: Given ones, as they were given.
        defaults: Chosen for a task and a model, where none was given.
        final: All of them once the config was made.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    final: Mapping[str, object] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """Names of the given ones."""
        return frozenset(self.values)

    def with_changes(self, now: Mapping[str, object]) -> dict[str, object]:
        """Return the given values, and those of `now` that differ from the final ones."""
        changed = {n: v for n, v in now.items() if n not in self.final or not _same(v, self.final[n])}
        return {**self.values, **changed}

    def without(self, names: set[str]) -> Given:
        """Return a copy that does not know some arguments."""
        parts = (self.values, self.defaults, self.final)
        return Given(*({n: v for n, v in part.items() if n not in names} for part in parts))


@dataclass
class Config:
    """A dataclass of arguments that remembers which were given; its subclasses are decorated with `remembering`.

    Args:
        given: Set by `dataclasses.replace`, which hands on every argument: those that were not given stay so.
    """

    given: InitVar[Given | None] = None

    def __post_init__(self, given: Given | None) -> None:
        """Check the arguments."""


def given_by(config: Config) -> Given:
    """Return what a config was given."""
    found: Given = vars(config)["given"]
    return found


def given_values(config: Config) -> dict[str, object]:
    """Return the arguments that a config was given, by name, those that were set later among them."""
    return given_by(config).with_changes({n: getattr(config, n) for n in _names(type(config))})


def keep_as_given(config: Config, values: Mapping[str, object]) -> None:
    """Count what a config holds now as its own choice, apart from what was given.

    Args:
        config: One that was changed.
        values: From `given_values` before that.
    """
    now = {n: getattr(config, n) for n in _names(type(config))}
    vars(config)["given"] = Given(values, given_by(config).defaults, now)


def with_defaults(config: T, defaults: Mapping[str, object]) -> T:
    """Return a copy of a config with other defaults in the place of those it has chosen; what was given stays.

    Args:
        config: Config to copy.
        defaults: By name.

    Raises:
        ConfigError: If what was given does not go with them.
    """
    values = given_values(config)
    chosen = {n: v for n, v in defaults.items() if n not in values}
    given = given_by(config)
    if chosen == given.defaults and values == given.values:
        return config
    try:
        return type(config)(given=Given(values, chosen))
    except ValueError as error:  # of TrainingArguments, which did not know of them when the config was made
        raise ConfigError(" ".join(str(error).split())) from error


def naming_unknown(cls: type[C]) -> type[C]:
    """Let the dataclass name keywords that it does not take, each with the nearest one that it takes.

    Raises:
        UnknownArgumentError: When it is made with such a keyword.
    """
    make: Callable[..., None] = cls.__init__
    names = _names(cls)

    @wraps(make)
    def __init__(self: C, *args: object, **kwargs: object) -> None:
        if unknown := [name for name in kwargs if name not in names]:
            reason = "there is no such argument"
            raise UnknownArgumentError(Problem(n, kwargs[n], f"{reason}{did_you_mean(n, names)}") for n in unknown)
        make(self, *args, **kwargs)

    setattr(cls, "__init__", __init__)  # noqa: B010  # an assignment is no method for mypy
    return cls


def remembering(cls: type[T]) -> type[T]:
    """Let the dataclass keep what it is given, as `given_by` tells."""
    make: Callable[..., None] = naming_unknown(cls).__init__
    names = _names(cls)

    @wraps(make)
    def __init__(self: T, *args: object, given: Given | None = None, **kwargs: object) -> None:
        before = given or Given()
        values = before.with_changes({**dict(zip(names, args, strict=False)), **kwargs})
        vars(self)["given"] = Given(values, before.defaults)
        asked = {**{n: v for n, v in before.defaults.items() if n not in values}, **values}
        # What is a dict or list may be rewritten while it is checked.
        handed: dict[str, object] = {n: copy.copy(v) if isinstance(v, dict | list) else v for n, v in asked.items()}
        make(self, **handed)
        vars(self)["given"] = Given(values, before.defaults, {n: getattr(self, n) for n in names})

    setattr(cls, "__init__", __init__)  # noqa: B010  # an assignment is no method for mypy
    return cls


def _names(cls: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls) if f.init)


def _same(one: object, other: object) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))
