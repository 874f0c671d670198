"""Flags and YAML files, read strictly: a flag wins over the YAML, and all argument errors are reported together.

A flag that names data (``--train_file``) wins over all data of the YAML, its ``dataset`` and ``test_file`` too.

Both go through the same converters, those that `HfArgumentParser` makes of dataclasses. YAML values are taken as they
are written, so that ``5e-5`` is a number where a number is wanted and ``no`` is a word where a word is (YAML 1.1 makes
them a string and a boolean).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from transformers import HfArgumentParser
from transformers.hf_argparser import string_to_bool

from hf_tagging.disk import expanded
from hf_tagging.errors import ConfigError, Problem
from hf_tagging.problems import FLAGS, argument, spelled
from hf_tagging.training.config.checks import did_you_mean
from hf_tagging.training.settings import Setting, over, read_flags, read_yaml

T = TypeVar("T")

_MOST_PROBLEMS = 50  # more are of a file that is no config
_ADVICE = "All arguments: --help"


@dataclass
class Reading:
    """Settings, the values they become, and what is wrong with them.

    Args:
        settings: In the order in which they count, the last one most.
        problems: Found so far.
        values: By name, of what was given alone.
    """

    settings: list[Setting]
    problems: list[Problem]
    values: dict[str, object] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, str]:
        """File and line of each argument that counts and was read from a file."""
        return {setting.name: setting.place for setting in self.settings}

    def take(self, name: str) -> list[Setting]:
        """Remove the settings of an argument and return them."""
        taken = [setting for setting in self.settings if setting.name == name]
        self.settings = [setting for setting in self.settings if setting.name != name]
        return taken

    def convert(self, parser: HfArgumentParser, *, hint: Callable[[str], str] | None = None) -> None:
        """Convert the settings into values.

        Args:
            parser: From `make_parser`.
            hint: Advice about a name that the parser does not know; empty for the nearest one that it knows.
        """
        for setting in self.settings:
            if len(self.problems) == _MOST_PROBLEMS:
                self.problems.append(Problem("", None, "... and perhaps more"))
                break
            if problem := _convert(parser, setting, self.values, hint):
                self.problems.append(problem)

    def build(self, part: type[T], problems: list[Problem]) -> T | None:
        """Return a dataclass of the values that it knows; None, and what is wrong in `problems`, if it refuses them."""
        names = {f.name for f in fields(part) if f.init}  # type: ignore[arg-type]
        try:
            return part(**{name: value for name, value in self.values.items() if name in names})
        except ConfigError as error:
            problems += error.problems
        except (ValueError, TypeError, NotImplementedError, OSError, ImportError) as error:
            problems.append(Problem("", None, " ".join(str(error).split())))
        return None

    def refuse(self, problems: Iterable[Problem] = ()) -> None:
        """Raise a ConfigError that lists every problem, if there is one."""
        places = self.places
        found: list[Problem] = []
        for problem in (problem.at(places) for problem in [*self.problems, *problems]):
            found += [] if problem in found else [problem]
        if found:
            raise ConfigError(found, where="the arguments", advice=_ADVICE)


def read_arguments(
    part: type[T],
    argv: Sequence[str] | None = None,
    *,
    description: str | None = None,
    check: Callable[[dict[str, object]], Iterable[Problem]] | None = None,
) -> T:
    """Read the arguments of a recipe that trains no tagger: one dataclass, by flags and ``--config FILE.yaml``.

    Args:
        part: A dataclass whose ``__post_init__`` raises a ConfigError of its problems.
        argv: Flags; default: those of the command line.
        description: Printed by ``--help``, which ends the program.
        check: Finds contradictions in what was given, by name.

    Raises:
        ConfigError: Listing every mistake.
    """
    with spelled(FLAGS):
        parser = make_parser([part], description)
        reading = read_settings(argv, parser, text_is_data=True)
        reading.convert(parser)
        problems = list(check(reading.values)) if check else []
        built = reading.build(part, problems)
        reading.refuse(problems)
        assert built is not None
        return built


def make_parser(parts: Sequence[Any], description: str | None) -> HfArgumentParser:
    """Return a parser of dataclasses and ``--config``.

    Args:
        parts: Dataclasses, as `HfArgumentParser` takes them.
        description: Printed by ``--help``.
    """
    parser = HfArgumentParser(
        list(parts),
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE.yaml", help="A file of arguments; flags win over it.")
    for action in parser._actions:
        if action.type is string_to_bool and action.nargs is None:  # of a default None the parser takes no bare --flag
            action.nargs, action.const = "?", True
    return parser


def read_settings(
    argv: Sequence[str] | None, parser: HfArgumentParser | None = None, *, text_is_data: bool = False
) -> Reading:
    """Read flags and the YAML files that they name; a flag wins, and one that names data over all data of the files.

    Args:
        argv: Flags; None: those of the command line.
        parser: Prints its help and ends the program where ``--help`` is among the flags.
        text_is_data: A flag ``--text_file`` is one that names data; taggers learn text beside their data.
    """
    flags, problems = read_flags(list(sys.argv[1:] if argv is None else argv))
    if parser is not None and asks_for_help(flags):
        parser.print_help()
        raise SystemExit(0)
    settings: list[Setting] = []
    for flag in flags:
        if flag.name == "config":
            found, wrong = _read_config(flag.values)
            settings += found
            problems += wrong
    wins = [flag for flag in flags if flag.name != "config"]
    return Reading(over(settings, wins, text_is_data=text_is_data), problems)


def asks_for_help(flags: Iterable[Setting]) -> bool:
    """Return whether ``--help`` is among flags."""
    return any(flag.name in ("h", "help") for flag in flags)


def _read_config(paths: list[str]) -> tuple[list[Setting], list[Problem]]:
    if len(paths) != 1:
        return [], [Problem("config", " ".join(paths), f"expected one file, got {len(paths)}")]
    return read_yaml(expanded(paths[0]), named_by="config")


def _convert(
    parser: HfArgumentParser, given: Setting, values: dict[str, object], hint: Callable[[str], str] | None
) -> Problem | None:
    """Convert one setting into `values`; return what is wrong with it."""
    by_flag = not given.place
    action = parser._option_string_actions.get(f"--{given.name}")
    if action is None or action.dest in ("help", "config") or (not by_flag and action.nargs == 0):
        advice = hint(given.name) if hint else ""
        return given.problem(advice or f"there is no such argument{_nearest(parser, given.name, by_flag)}")
    if action.nargs == 0:  # --no_x
        values[action.dest] = False
        return given.problem("takes no value") if given.values else None
    if not given.values and action.nargs == "?":
        values[action.dest] = action.const
        return None
    many = action.nargs in ("+", "*")
    if not given.values or (not many and (len(given.values) > 1 or given.is_list)):
        found = "a list" if given.is_list else len(given.values) or "none"
        return given.problem(f"expected {'at least one value' if many else 'one value'}, got {found}")
    if any("\0" in text for text in given.values):
        return given.problem("holds a NUL character, which no value and no path has")
    converted = [_value(action, text) for text in given.values]
    wrong = [text for text, (_, good) in zip(given.values, converted, strict=True) if not good]
    if wrong:
        return given.problem(f"{' '.join(map(repr, wrong))} is not {_expected(action, wrong[0])}")
    plain = [value for value, _ in converted]
    values[action.dest] = plain if many else plain[0]
    return None


def _nearest(parser: HfArgumentParser, name: str, by_flag: bool) -> str:
    known = {n[2:] for n in parser._option_string_actions if n.startswith("--") and "-" not in n[2:]}
    near = did_you_mean(name, sorted(known)).removeprefix("; did you mean ").removesuffix("?")
    return f"; did you mean {argument(near) if by_flag else near}?" if near else ""


def _value(action: argparse.Action, text: str) -> tuple[object, bool]:
    try:
        value = action.type(text) if callable(action.type) else text
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return None, False
    return value, action.choices is None or value in action.choices


def _expected(action: argparse.Action, text: str) -> str:
    if action.choices is not None:
        names = [str(choice) for choice in action.choices]
        return f"one of {', '.join(names)}{did_you_mean(text, names)}"
    name = getattr(action.type, "__name__", str(action.type))
    return {
        "string_to_bool": "true or false", "int": "a whole number", "float": "a number", "dict": "a JSON object"
    }.get(name, f"of type {name}")  # fmt: skip
