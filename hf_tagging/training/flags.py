"""Flags and YAML files, read strictly: a flag wins over the YAML, and every mistake is told at once.

A flag that names data (``--train_file``) wins over all data of the YAML, its ``dataset`` and ``test_file`` too.

Both go through the same converters, those that `HfArgumentParser` makes of dataclasses. YAML values are taken as they
are written, so that ``5e-5`` is a number where a number is wanted and ``no`` is a word where a word is (YAML 1.1 makes
them a string and a boolean).
"""

from __future__ import annotations

import argparse
import difflib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from transformers import HfArgumentParser
from transformers.hf_argparser import string_to_bool

from hf_tagging.data.files import nearest_path
from hf_tagging.data.splitting import CUTS
from hf_tagging.errors import ConfigError, printable
from hf_tagging.training.yaml_files import compose_yaml, plain_value

T = TypeVar("T")
logger = logging.getLogger(__name__)

# What names data: by a flag, it is all the data that is meant. And what belongs to a name given beside it.
_DATA = frozenset({"dataset", "train_file", "validation_file", "test_file", "text_file"})
OF_DATA = _DATA | {"dataset_config", "dataset_revision"}
# What draws a split from the training data, which a file for that split makes idle.
_DRAWN = {"validation_file": {"validation_share"}, "test_file": {"test_share", "folds", "fold"}}
_MOST_PROBLEMS = 50  # more are of a file that is no config


@dataclass(frozen=True)
class Given:
    """One setting as the user wrote it.

    Args:
        where: ``--seed``, or ``run.yaml, line 3: seed``.
        name: ``--seed``, or ``seed``; see `plain_name`.
        values: What follows it.
        is_list: Whether YAML wrote them as a list.
    """

    where: str
    name: str
    values: list[str]
    is_list: bool = False


def read_arguments(
    part: type[T],
    argv: Sequence[str] | None = None,
    *,
    description: str | None = None,
    check: Callable[[dict[str, Any]], Iterable[str]] | None = None,
) -> T:
    """Reads the arguments of a recipe that trains no tagger: one dataclass, by flags and ``--config FILE.yaml``.

    Args:
        part: A dataclass; what its ``__post_init__`` raises as a ConfigError is a line each of what is wrong.
        argv: Flags; default: those of the command line.
        description: Printed by ``--help``, which ends the program.
        check: Looks for contradictions in what was given, by name; a line for each.

    Raises:
        ConfigError: Listing every mistake.
    """
    parser = make_parser([part], description)
    values, problems = read_values(parser, argv)
    problems += check(values) if check else []
    built: T = build(part, parser, values, problems)
    refuse(problems)
    return built


def make_parser(parts: Sequence[Any], description: str | None, **defaults: Any) -> HfArgumentParser:
    """A parser of dataclasses and ``--config``.

    Args:
        parts: Dataclasses, as `HfArgumentParser` takes them.
        description: Printed by ``--help``.
        defaults: That win over those of the dataclasses.
    """
    parser = HfArgumentParser(
        list(parts),
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE.yaml", help="A file of arguments; flags win over it.")
    parser.set_defaults(**defaults)
    for action in parser._actions:
        if action.type is string_to_bool and action.nargs is None:  # of a default None the parser takes no bare --flag
            action.nargs, action.const = "?", True
    return parser


def read_values(parser: HfArgumentParser, argv: Sequence[str] | None) -> tuple[dict[str, Any], list[str]]:
    """Reads flags and the YAML file that they name; a flag wins, and one that names data over all data of the file.

    Args:
        parser: From `make_parser`.
        argv: Flags; None: those of the command line. ``--help`` among them ends the program.

    Returns:
        Values by name, of what was given alone; what is wrong, a line each.
    """
    flags, problems = read_flags(list(sys.argv[1:] if argv is None else argv))
    if any(flag.name in ("-h", "--help") for flag in flags):
        parser.print_help()
        raise SystemExit(0)
    settings = []
    for flag in flags:
        if flag.name == "--config":
            read, found = _read_yaml(flag.values)
            settings += read
            problems += found
    flags = [flag for flag in flags if flag.name != "--config"]
    names = {flag.name.lstrip("-") for flag in flags}
    kept = replaced_data({setting.name: setting for setting in settings}, names)
    if left_out := [setting.where for setting in settings if setting.name not in kept]:
        _say_once(f"{' '.join(f'--{name}' for name in sorted(names & _DATA))}: all data is what the flags say; left "
                  f"out: {', '.join(left_out)}")  # fmt: skip
    values: dict[str, Any] = {}
    for setting in [*(setting for setting in settings if setting.name in kept), *flags]:
        if len(problems) == _MOST_PROBLEMS:
            problems.append("... and perhaps more")
            break
        problem = _convert(parser, setting, values)
        problems += [problem] if problem else []
    return values, problems


def replaced_data(settings: Mapping[str, T], given: Iterable[str]) -> dict[str, T]:
    """Return settings without their data where data is given that wins over them.

    Otherwise own files would be trained on, and scored on validation and test of the data set that a YAML file names. A
    file for a split also replaces the share or the folds that would draw it, and `split_seed` if nothing is drawn then.

    Args:
        settings: By name.
        given: Names of what wins over them.
    """
    wins = set(given)
    left_out = set(OF_DATA) if _DATA & wins else set()
    drawn = settings.keys() & {name for split, names in _DRAWN.items() if split in wins for name in names}
    left_out |= drawn
    if drawn and not (settings.keys() - left_out | wins) & set(CUTS):
        left_out.add("split_seed")
    return {name: value for name, value in settings.items() if name not in left_out}


@cache
def _say_once(message: str) -> None:
    """Logs in the first process alone, and once where a comparison reads the same file for many runs."""
    if int(os.environ.get("RANK", "0")) == 0:
        logger.warning(printable(message))  # it quotes a file, and is said outside the command line, too


def refuse(problems: Sequence[str]) -> None:
    """Raises a ConfigError that lists every problem, if there is one."""
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(f"{count} with the arguments:\n  " + "\n  ".join(problems) + "\nAll arguments: --help")


def plain_name(name: str) -> str:
    """Return an argument's name as it is compared: ``--train-file`` is ``--train_file``, as the parser takes both."""
    words = name.lstrip("-")
    return name.removesuffix(words) + words.replace("-", "_")


def read_flags(argv: list[str]) -> tuple[list[Given], list[str]]:
    """Groups ``--name value ...``; a word in front of the first flag is a mistake."""
    flags: list[Given] = []
    problems: list[str] = []
    for word in argv:
        if re.match(r"--[A-Za-z]|-h$", word):
            name, equals, value = word.partition("=")
            flags.append(Given(name, plain_name(name), [value] if equals else []))
        elif flags:
            flags[-1].values.append(word)
        else:
            hint = f"; did you mean --config {word}?" if word.endswith((".yaml", ".yml")) else ""
            problems.append(f"{word}: stands before any flag{hint}")
    return flags, problems


def _read_yaml(paths: list[str]) -> tuple[list[Given], list[str]]:
    """Reads one YAML mapping with the line of every key; nested values become JSON, as TrainingArguments takes them."""
    if len(paths) != 1:
        return [], [f"--config: expected one file, got {len(paths)}"]
    path = Path(paths[0]).expanduser()
    try:
        node = compose_yaml(path, flag="--config")
    except ConfigError as error:
        return [], [str(error)]
    if node is None:
        return [], []
    if not isinstance(node, yaml.MappingNode):
        return [], [f"--config {path}: expected lines of `name: value`"]
    settings, problems = [], []
    seen: set[str] = set()
    for key, value in node.value:
        place = f"{path}, line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            problems.append(f"{place}: expected `name: value`")
            continue
        name = plain_name(key.value)
        if name in seen:
            problems.append(f"{place}: {key.value}: stands there twice")
        seen.add(name)
        try:
            content = plain_value(value)
        except ConfigError as error:
            problems.append(f"{path}, {error}")
            continue
        if content is not None:
            items = content if isinstance(content, list) else [content]
            texts = [item if isinstance(item, str) else json.dumps(item) for item in items]
            settings.append(Given(f"{place}: {key.value}", name, texts, isinstance(content, list)))
    return settings, problems


def _convert(parser: HfArgumentParser, given: Given, values: dict[str, Any]) -> str | None:
    """Converts one setting into `values`; returns what is wrong with it."""
    by_flag = given.name.startswith("-")
    actions = parser._option_string_actions
    action = actions.get(given.name if by_flag else f"--{given.name}")
    if action is None or action.dest in ("help", "config") or (not by_flag and action.nargs == 0):
        known = sorted(name for name in actions if name.startswith("--") and "-" not in name[2:])
        near = difflib.get_close_matches(given.name.lstrip("-"), [n[2:] for n in known], 1, 0.6)
        mark = "--" if by_flag else ""
        return f"{given.where}: there is no such argument" + (f"; did you mean {mark}{near[0]}?" if near else "")
    if action.nargs == 0:  # --no_x
        values[action.dest] = False
        return f"{given.where}: takes no value" if given.values else None
    if not given.values and action.nargs == "?":
        values[action.dest] = action.const
        return None
    many = action.nargs in ("+", "*")
    if not given.values or (not many and (len(given.values) > 1 or given.is_list)):
        found = "a list" if given.is_list else len(given.values) or "none"
        return f"{given.where}: expected {'at least one value' if many else 'one value'}, got {found}"
    if any("\0" in text for text in given.values):
        return f"{given.where}: holds a NUL character, which no value and no path has"
    converted = [_value(action, text) for text in given.values]
    wrong = [text for text, (_, good) in zip(given.values, converted, strict=True) if not good]
    if wrong:
        return f"{given.where}: {' '.join(map(repr, wrong))} is not {_expected(action, wrong[0])}"
    plain = [value for value, _ in converted]
    values[action.dest] = plain if many else plain[0]
    return None


def _value(action: argparse.Action, text: str) -> tuple[Any, bool]:
    try:
        value = action.type(text) if callable(action.type) else text
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return None, False
    return value, action.choices is None or value in action.choices


def _expected(action: argparse.Action, text: str) -> str:
    if action.choices is not None:
        names = [str(choice) for choice in action.choices]
        near = difflib.get_close_matches(text, names, 1)
        return f"one of {', '.join(names)}" + (f"; did you mean {near[0]}?" if near else "")
    name = getattr(action.type, "__name__", str(action.type))
    return {
        "string_to_bool": "true or false", "int": "a whole number", "float": "a number", "dict": "a JSON object"
    }.get(name, f"of type {name}")  # fmt: skip


def did_you_mean(path: Path) -> str:
    """The end of a message about a path that is not there: what is there and has a name like it."""
    near = None if path.expanduser().exists() else nearest_path(path.expanduser())
    return f"; did you mean {near}?" if near else ""


def build(part: type, parser: HfArgumentParser, values: dict[str, Any], problems: list[str]) -> Any:
    """Makes a dataclass of the values that it knows; None, and what is wrong with them in `problems`, if it refuses."""
    names = [f.name for f in fields(part) if f.init]
    try:
        return part(**{name: values.get(name, parser.get_default(name)) for name in names})
    except ConfigError as error:
        problems += str(error).splitlines()
    except (ValueError, TypeError, NotImplementedError, OSError, ImportError) as error:
        problems.append(" ".join(str(error).split()))
    return None
