"""Errors that a user can fix, in four kinds. Each message names the value, the place, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from hf_tagging.problems import Problem, counted, lines

__all__ = ["ConfigError", "DataError", "ModelError", "OutputError", "Problem", "TaggingError", "printable"]


def printable(text: str, *, line_ends: bool = False) -> str:
    """Return untrusted text that is safe to print on a terminal: characters that cannot be seen are escaped.

    Args:
        text: A word, a tag, the name of a file, or a message that quotes them.
        line_ends: Keep line feeds, and tabs, for text of several lines.
    """
    if text.isprintable():
        return text
    kept = "\n\t" if line_ends else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


class TaggingError(Exception):
    """Base of every error that this package raises on purpose.

    A command prints its message alone, without a traceback; anything else that escapes is a bug of ours.
    """

    def __str__(self) -> str:
        return printable(super().__str__(), line_ends=True)  # it may quote data


class ConfigError(TaggingError):
    """Arguments that are unknown, of the wrong type or contradictory, all of them in one error.

    Args:
        problems: A message, or what is wrong as data; see `hf_tagging.problems` for how its arguments are spelled.
        where: Begin the message with the number of problems in this, as ``the arguments``.
        advice: Last line of the message.

    Attributes:
        problems: What is wrong; of a plain message, one problem without an argument.
    """

    problems: tuple[Problem, ...]

    def __init__(self, problems: str | Iterable[Problem], *, where: str = "", advice: str = ""):
        if isinstance(problems, str):
            self.problems, text = (Problem("", None, problems),), problems
        else:
            self.problems = tuple(problems)
            text = counted(self.problems, where) if where else "\n".join(lines(self.problems))
        super().__init__("\n".join(filter(None, (text, advice))))


class DataError(TaggingError):
    """Data that cannot be read as words and tags."""


class ModelError(TaggingError):
    """A model or tokenizer that is not there, or that cannot do what was asked of it."""


class OutputError(TaggingError):
    """An output folder that holds something which would be lost, or a Hub that does not take what was made."""
