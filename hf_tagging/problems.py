"""Problems with arguments as data, and how the name of an argument is spelled where a message is read.

The code below the command line does not know whether an argument came from a flag, a YAML file, Python or a form. It
names the argument with `argument`, or returns a `Problem`; who shows messages chooses the spelling with `spelled`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One mistake in the arguments.

    Args:
        field: Name of the argument, or several as ``"folds, test_share"``; empty where no single one is wrong.
        value: Value that was given, None where none was.
        reason: What is wrong with it, a clause.
        fix: What to do about it, a clause.
        place: File and line that the argument was read from; empty for flags and Python.
    """

    field: str
    value: object
    reason: str
    fix: str = ""
    place: str = ""

    def at(self, places: Mapping[str, str]) -> Problem:
        """Return the problem with the place of its (first) argument, where that was read from a file."""
        place = self.place or places.get(self.field.partition(",")[0], "")
        return replace(self, place=place)

    def __str__(self) -> str:
        return current().line(self)


@dataclass(frozen=True)
class Spelling:
    """A way to write arguments: as flags, YAML keys, Python arguments or the labels of a form.

    Args:
        prefix: Precedes a name.
        between: Separates a name and its value.
        labels: Names that are spelled in another way.
        positional: Names that are no option of the current command, with their placeholder.
    """

    prefix: str = ""
    between: str = "="
    labels: Mapping[str, str] = field(default_factory=dict)
    positional: Mapping[str, str] = field(default_factory=dict)

    def name(self, name: str) -> str:
        """Return an argument's name as it is typed."""
        return self.positional.get(name) or self.labels.get(name) or f"{self.prefix}{name}"

    def given(self, name: str, value: object) -> str:
        """Return an argument and its value as they are typed."""
        if name in self.positional:
            return str(value)
        return f"{self.name(name)}{self.between}{self._value(value)}"

    def line(self, problem: Problem) -> str:
        """Return a problem as one line of a message: its place, its arguments, what is wrong, what to do."""
        text = problem.reason + (f"; {problem.fix}" if problem.fix else "")
        if problem.place:
            return ": ".join(part for part in (problem.place, problem.field, text) if part)
        names = ", ".join(self.name(name) for name in problem.field.split(", ")) if problem.field else ""
        return f"{names}: {text}" if names else text

    def _value(self, value: object) -> str:
        if isinstance(value, str | Path):
            return str(value)
        if self.between == "=":
            return repr(value)
        if isinstance(value, list | tuple) and self.between == " ":
            return " ".join(map(str, value))
        return json.dumps(value, default=str)


FLAGS = Spelling("--", " ")
KEYS = Spelling("", ": ")
ARGUMENTS = Spelling()

_spelling: ContextVar[Spelling | None] = ContextVar("spelling", default=None)
_of_program: list[Spelling] = []  # what a command chose for all of its threads


def labels(names: Mapping[str, str]) -> Spelling:
    """Return the spelling of a form whose fields have labels; other arguments are named plainly.

    Args:
        names: Label of each argument that the form has.
    """
    return Spelling(between=" ", labels=names)


def argument(name: str, value: object = None) -> str:
    """Return the name of an argument, with its value if one is given, as it is spelled where the message is read.

    Args:
        name: As in Python: ``train_file``.
        value: As in Python.
    """
    spelling = current()
    return spelling.name(name) if value is None else spelling.given(name, value)


def either_way(name: str, value: object = None) -> str:
    """Return an argument as `argument` spells it where the message is read, and in Python its flag as well.

    Args:
        name: As in Python.
        value: As in Python.
    """
    here, flag = argument(name, value), FLAGS.name(name) if value is None else FLAGS.given(name, value)
    return here if here == flag else f"{here} (on the command line: {flag})"


def switch(name: str) -> str:
    """Return the name of an argument that is to be turned on: ``--resume``, ``resume=True`` or ``resume: true``.

    Args:
        name: As in Python.
    """
    spelling = current()
    return spelling.name(name) if spelling.between == " " else spelling.given(name, True)


def spell(text: str) -> str:
    """Return a text in which every ``{name}`` and ``{name value}`` is an argument as `argument` spells it.

    Args:
        text: A constant, defined before it is known where the message is read.
    """
    return re.sub(r"\{(\w+)(?: ([^{}]+))?\}", lambda found: argument(found[1], found[2]), text)


@contextmanager
def spelled(spelling: Spelling, *, in_all_threads: bool = False) -> Iterator[None]:
    """Spell arguments in this way in messages created inside the block.

    Args:
        spelling: `FLAGS`, `KEYS`, `ARGUMENTS` or `labels(...)`.
        in_all_threads: For a command that owns its process.
    """
    token = _spelling.set(spelling)
    if in_all_threads:
        _of_program.append(spelling)
    try:
        yield
    finally:
        _spelling.reset(token)
        if in_all_threads:
            _of_program.pop()


def lines(problems: Iterable[Problem]) -> list[str]:
    """Return problems as lines of a message, in the current spelling."""
    return [str(problem) for problem in problems]


def counted(problems: Iterable[Problem], where: str) -> str:
    """Return a message that lists problems under their number.

    Args:
        problems: At least one.
        where: What they are in, as ``the arguments``.
    """
    found = lines(problems)
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    return "\n  ".join([f"{count} with {where}:", *found])


def current() -> Spelling:
    """Return how arguments are spelled here, for a process that is started to spell them alike."""
    return _spelling.get() or (_of_program[-1] if _of_program else ARGUMENTS)
