"""Checks that several configs share: ranges of numbers, names that are near, paths that are not there."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Literal, get_args, get_origin, get_type_hints

from hf_tagging.data.files import looks_like_path, nearest_path
from hf_tagging.data.spool import input_problem
from hf_tagging.disk import expanded
from hf_tagging.errors import ConfigError, Problem

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Range = tuple[Callable[[float], bool], str]  # whether a number lies in it, and what is wrong with one that does not

_FROM_0: _Range = (lambda value: value >= 0, "is not 0 or more")
_FROM_1: _Range = (lambda value: value >= 1, "is below 1")
_ABOVE_0: _Range = (lambda value: value > 0, "is not above 0")
_SHARE: _Range = (lambda value: 0 <= value < 1, "is not from 0 up to below 1")
_SEED: _Range = (lambda value: 0 <= value < 2**32, f"is not from 0 to {2**32 - 1}")  # what NumPy takes
_RANGES: dict[str, _Range] = {
    **dict.fromkeys(("learning_rate", "head_learning_rate"), _ABOVE_0),
    **dict.fromkeys(("ema_decay", "label_smoothing_factor", "head_dropout", "lora_dropout"), _SHARE),
    **dict.fromkeys(("adam_beta1", "adam_beta2"), _SHARE),
    **dict.fromkeys(("weight_decay", "max_grad_norm", "adam_epsilon", "warmup_steps", "eval_delay"), _FROM_0),
    **dict.fromkeys(("dataloader_num_workers", "neftune_noise_alpha"), _FROM_0),
    **dict.fromkeys(("per_device_eval_batch_size", "gradient_accumulation_steps", "early_stopping_patience"), _FROM_1),
    **dict.fromkeys(("save_total_limit", "eval_accumulation_steps", "lora_rank", "lora_alpha"), _FROM_1),
    **dict.fromkeys(("dataloader_prefetch_factor", "ddp_timeout", "ddp_bucket_cap_mb"), _FROM_1),
    **dict.fromkeys(("seed", "data_seed"), _SEED),
    "layerwise_lr_decay": (lambda value: 0 < value <= 1, "is not above 0 and at most 1"),
}


def out_of_range(config: DataclassInstance) -> Iterator[Problem]:
    """Yield numbers outside of their range, in the order of the arguments."""
    for argument in fields(config):
        value = getattr(config, argument.name)
        if argument.name not in _RANGES or not isinstance(value, int | float):
            continue
        holds, reason = _RANGES[argument.name]
        if not holds(value):
            yield Problem(argument.name, value, f"{value} {reason}")
        elif value == math.inf:
            yield Problem(argument.name, value, f"{value} is not finite")


def below(config: DataclassInstance, least: int, *names: str) -> Iterator[Problem]:
    """Yield numbers that are below the least one."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            yield Problem(name, value, f"{value} is below {least}")


def wrong_kinds(config: DataclassInstance) -> Iterator[Problem]:
    """Yield values that no flag and no YAML file could give: names outside of the choices, text in place of numbers."""
    kinds = _kinds(type(config))
    for argument in fields(config):
        value = getattr(config, argument.name, None)
        choices, wanted = kinds.get(argument.name, ((), ""))
        if choices := argument.metadata.get("choices") or choices:
            if value is not None and value not in choices:
                reason = f"{value!r} is not one of {', '.join(choices)}{did_you_mean(str(value), choices)}"
                yield Problem(argument.name, value, reason)
        elif wanted and isinstance(value, str):
            yield Problem(argument.name, value, f"{value!r} is text, not {wanted}")


@cache
def _kinds(part: type[DataclassInstance]) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return the choices of each argument, or in words which plain values it takes."""
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    for name, hint in get_type_hints(part).items():
        options = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
        if get_origin(hint) is Literal:
            found[name] = (get_args(hint), "")
        elif len(options) == 1 and get_origin(options[0]) is Literal:
            found[name] = (get_args(options[0]), "")
        elif options and set(options) <= {int, float}:
            found[name] = ((), "a number")
        elif options == [bool]:
            found[name] = ((), "True or False")
    return found


def did_you_mean(name: str, known: Iterable[str], *, least: float = 0.6) -> str:
    """Return the end of a message about a name that is not known: the nearest one, if any is near."""
    near = difflib.get_close_matches(name, list(known), 1, least)
    return f"; did you mean {near[0]}?" if near else ""


def near_path(path: Path) -> str:
    """Return the end of a message about a path that is not there: what is there and has a name like it."""
    near = None if expanded(path).exists() else nearest_path(expanded(path))
    return f"; did you mean {near}?" if near else ""


def missing_files(config: DataclassInstance, *names: str) -> Iterator[Problem]:
    """Yield files that are not there or cannot be read as a file."""
    for name in names:
        given = getattr(config, name) or []
        for path in [given] if isinstance(given, str) else given:
            if reason := input_problem(path):
                near = near_path(Path(path)) if reason.endswith(" is not there") else ""
                yield Problem(name, path, f"{reason}{near}")


def missing_paths(config: DataclassInstance, *names: str) -> Iterator[Problem]:
    """Yield names that can only be paths and are not there; what may be a name on the Hub is left to the Hub."""
    for name in names:
        given = getattr(config, name) or []
        for path in [given] if isinstance(given, str) else given:
            if path and looks_like_path(path) and not expanded(path).exists():
                yield Problem(name, path, f"{path} is not there{near_path(Path(path))}")


def refuse(problems: Iterable[Problem | None]) -> None:
    """Raise a ConfigError if there is a problem."""
    if found := [problem for problem in problems if problem]:
        raise ConfigError(found)
