"""Untrusted YAML, composed into nodes within bounds: small files, few levels, nothing that multiplies."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import yaml

from hf_tagging.data.bounded_yaml import BoundedLoader
from hf_tagging.data.files import nearest_path
from hf_tagging.data.spool import check_input, open_input
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.problems import argument

_MOST_BYTES = 1_000_000


def compose_yaml(path: Path, *, named_by: str = "") -> yaml.Node | None:
    """Read a YAML file.

    Args:
        path: A file or a pipe, which is read once.
        named_by: Argument that names it, for messages: ``config``.

    Returns:
        Its root; None of an empty file.

    Raises:
        ConfigError: It is not there, is a device, or is not YAML; or has aliases, too many levels, or more than
            1 MB.
    """
    place = argument(named_by, str(path)) if named_by else str(path)
    try:
        check_input(path)
        with open_input(path) as stream:
            raw = stream.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise ConfigError(f"{place}: has more than {_MOST_BYTES:,} bytes; expected a file of settings")
        return compose_text(raw.decode("utf-8"))
    except DataError as error:
        raise ConfigError(f"{argument(named_by)} {error}" if named_by else str(error)) from error
    except OSError as error:
        near = nearest_path(path)
        hint = f"; did you mean {near}?" if near and not path.exists() else ""
        raise ConfigError(f"{place}: {error.strerror}{hint}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{place}: not YAML ({_said(error)})") from error


def _said(error: Exception) -> str:
    """Return what is wrong, and in which line and column; not in which string, which is how PyYAML calls any text."""
    if isinstance(error, yaml.MarkedYAMLError):
        parts = [(error.context, error.context_mark), (error.problem, error.problem_mark)]
        told = [f"{what}{_place(mark)}" for what, mark in parts if what]
        return ", ".join(told)
    return " ".join(str(error).split()).replace(' in "<unicode string>", position', " at position")


def _place(mark: yaml.Mark | None) -> str:
    return f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def compose_text(text: str) -> yaml.Node | None:
    """Read YAML that is part of another file, such as the head of a card.

    Returns:
        Its root; None of an empty text.

    Raises:
        yaml.YAMLError: It is not YAML, or has aliases or too many levels.
    """
    return yaml.compose(text, Loader=BoundedLoader)


Plain: TypeAlias = "str | list[Plain] | dict[str, Plain] | None"
"""A value of YAML as it is written: numbers and truth values are text."""


def plain_value(node: yaml.Node | None) -> Plain:
    """A YAML node as strings, lists and dicts; None for an empty text or value or an unquoted null.

    Raises:
        ConfigError: A key is a list or a mapping.
    """
    if isinstance(node, yaml.SequenceNode):
        return [plain_value(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"line {key.start_mark.line + 1}: expected `name: value`")
        return {key.value: plain_value(value) for key, value in node.value}
    if not isinstance(node, yaml.ScalarNode):
        return None
    return None if node.style is None and node.value in ("", "~", "null", "Null", "NULL") else node.value
