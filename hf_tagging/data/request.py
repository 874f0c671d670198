"""Options of reading data: which columns and layers are read, in which encoding, and how text becomes words.

An option is a field of `ReadOptions`, with the help text that flags, YAML files and docs show, and a line in the
docstring of `load_tagging_dataset`. It travels to every reader in one `ReadRequest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, TypedDict, cast

from hf_tagging.tasks import Task

Misfit = Literal["widen", "drop"]


@dataclass(kw_only=True)
class ReadOptions:
    """How words and tags are read."""

    tokens_column: str | None = field(
        default=None,
        metadata={"help": "Column of the words, by name or position from 0. Default: detected."},
    )
    tags_column: str | None = field(
        default=None,
        metadata={"help": "Column of the tags, by name or position from 0. Default: detected."},
    )
    separator: str | None = field(
        default=None, metadata={"help": "Of column files: tab, space, or the character. Default: detected."}
    )
    sentence_start: Literal["blank", "mention"] = field(
        default="blank",
        metadata={
            "help": "Of column files, what starts a sentence: a blank line, or (tweets) every word that begins with @."
        },
    )
    comment: str | None = field(
        default=None,
        metadata={"help": "Of column files, how a comment line begins, for example ##. Default: detected."},
    )
    encoding: str | None = field(
        default=None,
        metadata={"help": "Encoding of text files, for example latin-1. Default: UTF-8, or else detected if certain."},
    )
    outside: str | None = field(
        default=None, metadata={"help": "Tag of words outside of entities, for example _. Default: O, or detected."}
    )
    layer: str | None = field(
        default=None,
        metadata={"help": "Annotation layer to read where a file has several. Default: the first that fits the task."},
    )
    splitter: str | None = field(
        default=None,
        metadata={
            "help": "How text of annotated spans is split into words: english, blanks, characters, auto, pythainlp, "
            "sudachi, jieba, or the name of an installed splitter. Default: auto, by script."
        },
    )
    misfit: Misfit = field(
        default="widen",
        metadata={"help": "An annotated span with a border inside a word is widened to the word, or dropped."},
    )
    tag_names: list[str] | None = field(
        default=None, metadata={"help": "Names of tags that a file holds as integers, in order."}
    )
    accept: list[str] | None = field(
        default=None,
        metadata={"help": "Findings that would stop a run and are known to be right, by the name in their message."},
    )

    def reading(self) -> ReadArguments:
        """Return these options as keyword arguments of `load_tagging_dataset`."""
        return cast(ReadArguments, {option.name: getattr(self, option.name) for option in fields(ReadOptions)})


class ReadArguments(TypedDict, total=False):
    """The fields of `ReadOptions` as keyword arguments in Python; None is the default of each."""

    tokens_column: str | int | None
    tags_column: str | int | None
    separator: str | None
    sentence_start: str
    comment: str | None
    encoding: str | None
    outside: str | None
    layer: str | None
    splitter: str | None
    misfit: Misfit
    tag_names: Sequence[str] | None
    accept: Sequence[str] | None


READ_OPTIONS = tuple(option.name for option in fields(ReadOptions))
"""Names of all options of reading."""


@dataclass(frozen=True, kw_only=True)
class ReadRequest:
    """What is to be read, the same for every file.

    Args:
        task: The task whose tags are read.
        tokens_column: Column of the words, by name or by position (from 0; -1 is the last). Default: detected.
        tags_column: Column of the tags, likewise.
        separator: "tab", "space" or a literal. Default: detected.
        word_features: Further columns to keep, likewise by name or by position.
        sentence_start: "blank": at a blank line; "mention": at every word that begins with `@`.
        comment: Beginning of comment lines. Default: detected.
        encoding: Encoding of text files. Default: UTF-8, else detected.
        outside: Tag of words outside of entities. Default: detected.
        layer: Annotation layer. Default: the first that fits the task.
        splitter: Name of the splitter that cuts texts into words. Default: by script.
        misfit: "widen" or "drop": spans with a border inside a word.
        tag_names: Names of integer tags, in the order of their ids.
        accept: Kinds of findings that are known to be right.
    """

    task: Task
    tokens_column: str | int | None = None
    tags_column: str | int | None = None
    separator: str | None = None
    word_features: tuple[str, ...] = ()
    sentence_start: str = "blank"
    comment: str | None = None
    encoding: str | None = None
    outside: str | None = None
    layer: str | None = None
    splitter: str | None = None
    misfit: Misfit = "widen"
    tag_names: tuple[str, ...] | None = None
    accept: tuple[str, ...] = ()


def given_options(request: ReadRequest) -> dict[str, str | int | list[str]]:
    """Return the options of a request that differ from their defaults, by name."""
    defaults = ReadRequest(task=request.task)
    values = {
        name: getattr(request, name) for name in READ_OPTIONS if getattr(request, name) != getattr(defaults, name)
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
