"""Settings as they are written, on a command line or in a YAML file, and which of them win over others."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import yaml

from hf_tagging.data.splitting import CUTS
from hf_tagging.errors import ConfigError, Problem, printable
from hf_tagging.problems import argument
from hf_tagging.training.yaml_files import compose_yaml, plain_value

T = TypeVar("T")
logger = logging.getLogger(__name__)

# Arguments that name data: given by a flag, they are all the data that is meant. And what belongs to such a name.
_DATA = frozenset({"dataset", "train_file", "validation_file", "test_file"})
OF_DATA = _DATA | {"dataset_config", "dataset_revision", "also_test", "text_file"}
# Arguments that draw a split from the training data, of no effect beside a file for that split.
_DRAWN = {"validation_file": {"validation_share"}, "test_file": {"test_share", "folds", "fold"}}


@dataclass(frozen=True)
class Setting:
    """One setting as the user wrote it.

    Args:
        name: Of the argument; see `plain_name`.
        values: Texts that follow it.
        place: ``run.yaml, line 3``; empty for a flag.
        is_list: YAML wrote the values as a list.
    """

    name: str
    values: list[str]
    place: str = ""
    is_list: bool = False

    def problem(self, reason: str) -> Problem:
        """Return what is wrong with it."""
        return Problem(self.name, " ".join(self.values), reason, place=self.place)


def plain_name(name: str) -> str:
    """Return an argument's name as it is compared: ``train-file`` is ``train_file``, as the parser takes both."""
    words = name.lstrip("-")
    return name.removesuffix(words) + words.replace("-", "_")


def read_flags(argv: list[str]) -> tuple[list[Setting], list[Problem]]:
    """Group ``--name value ...``; a word in front of the first flag is a mistake."""
    flags: list[Setting] = []
    problems: list[Problem] = []
    for word in argv:
        if re.match(r"--[A-Za-z]|-h$", word):
            name, equals, value = word.partition("=")
            flags.append(Setting(plain_name(name.lstrip("-")), [value] if equals else []))
        elif flags:
            flags[-1].values.append(word)
        else:
            is_config = word.endswith((".yaml", ".yml"))
            hint = f"; did you mean {argument('config', word)}?" if is_config else ""
            problems.append(Problem("", word, f"{word}: comes before any flag{hint}"))
    return flags, problems


def read_yaml(path: Path, *, named_by: str = "") -> tuple[list[Setting], list[Problem]]:
    """Read one YAML mapping with the line of every key; nested values become JSON, as TrainingArguments takes them.

    Args:
        path: A file.
        named_by: Argument that names it, for messages.
    """
    try:
        node = compose_yaml(path, named_by=named_by)
    except ConfigError as error:
        return [], list(error.problems)
    if node is None:
        return [], []
    if not isinstance(node, yaml.MappingNode):
        place = argument(named_by, str(path)) if named_by else str(path)
        return [], [Problem("", None, f"{place}: expected lines of `name: value`")]
    settings: list[Setting] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for key, value in node.value:
        place = f"{path}, line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            problems.append(Problem("", None, "expected `name: value`", place=place))
            continue
        name = plain_name(key.value)
        if name in seen:
            problems.append(Problem(name, None, "occurs twice", place=place))
        seen.add(name)
        try:
            content = plain_value(value)
        except ConfigError as error:
            problems.append(Problem("", None, f"{path}, {error}"))
            continue
        if content is not None:
            items = content if isinstance(content, list) else [content]
            texts = [item if isinstance(item, str) else json.dumps(item) for item in items]
            settings.append(Setting(name, texts, place, isinstance(content, list)))
    return settings, problems


def over(settings: list[Setting], flags: list[Setting], *, text_is_data: bool = False) -> list[Setting]:
    """Return settings and what wins over them, without data that is replaced; say once what is left out.

    Args:
        settings: Of a file.
        flags: What wins over them.
        text_is_data: See `replaced_data`.
    """
    names = {flag.name for flag in flags}
    kept = replaced_data({setting.name: setting for setting in settings}, names, text_is_data=text_is_data)
    if left_out := [f"{setting.place}: {setting.name}" for setting in settings if setting.name not in kept]:
        given = " ".join(argument(name) for name in sorted(names & _names_of_data(text_is_data)))
        _say_once(f"{given}: all data is what the flags say; left out: {', '.join(left_out)}")
    return [*(setting for setting in settings if setting.name in kept), *flags]


def replaced_data(settings: Mapping[str, T], given: Iterable[str], *, text_is_data: bool = False) -> dict[str, T]:
    """Return settings without their data where data is given that wins over them.

    Otherwise own files would be trained on, and scored on validation and test of the data set that a YAML file names. A
    file for a split also replaces the share or the folds that would draw it, and `split_seed` if nothing is drawn then.

    Args:
        settings: By name.
        given: Names of what wins over them.
        text_is_data: `text_file` is all that is read, as in pretraining; taggers learn it beside their data.
    """
    wins = set(given)
    left_out = set(OF_DATA) if _names_of_data(text_is_data) & wins else set()
    drawn = settings.keys() & {name for split, names in _DRAWN.items() if split in wins for name in names}
    left_out |= drawn
    if drawn and not (settings.keys() - left_out | wins) & set(CUTS):
        left_out.add("split_seed")
    return {name: value for name, value in settings.items() if name not in left_out}


def _names_of_data(text_is_data: bool) -> frozenset[str]:
    return _DATA | {"text_file"} if text_is_data else _DATA


@cache
def _say_once(message: str) -> None:
    """Log in the first process alone, and once where a comparison reads the same file for many runs."""
    if int(os.environ.get("RANK", "0")) == 0:
        logger.warning(printable(message))  # it quotes a file, and is said outside the command line, too
