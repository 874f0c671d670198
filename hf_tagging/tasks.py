"""Tasks of token classification: where their tags are found, how they are scored, and the words that messages use.

A task gives every word one tag. With `has_entities` the tags write spans in a scheme (IOB1, IOB2, BIOES), which are
converted, scored and counted as entities; without it each tag is scored by itself. Everything else follows from the
fields of a `Task`, so that a new one is a single instance:

    from hf_tagging import Task, register_task

    CHUNKING = register_task(Task(name="chunk", title="chunking", tagger="chunker", has_entities=True))
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hf_tagging.errors import ConfigError

ANY_TAGS = ("tags", "labels", "tag", "label")
"""Columns that hold the tags of any task."""

_WORD_FIGURES = (
    "accuracy",
    "macro_f1",
    "sentence_accuracy",
    "mean_sentence_accuracy",
    "unseen_accuracy",
    "seen_accuracy",
    "loss",
)
_ENTITY_FIGURES = (
    "f1",
    "precision",
    "recall",
    "strict_f1",
    "strict_precision",
    "strict_recall",
    "macro_f1",
    "macro_precision",
    "macro_recall",
    "sentence_f1",
    "accuracy",
    "loss",
)
_WORD_TABLE = ("accuracy", "unseen_accuracy", "sentence_accuracy", "macro_f1", "loss")
_ENTITY_TABLE = ("precision", "recall", "f1", "strict_f1", "accuracy", "loss")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One kind of token classification.

    Args:
        name: Short name for configs, folders and `run.json`: letters, digits, `_` and `-`.
        title: Name in model cards and messages, for example "part-of-speech tagging".
        has_entities: Tags are spans in a scheme, with prefixes such as `B-` and `I-`. Otherwise each tag stands alone.
        tagger: Noun for a model of this task, for example "part-of-speech tagger". Default: "tagger for TITLE".
        columns: Names of columns that hold the tags, most specific first. Default: `NAME_tags`, `NAME` and the
            names in `ANY_TAGS`.
        unnamed_column: Position of the tags in a column file that has neither a header nor a known number of columns
            (-1: the last). Default: loading such a file requires `tags_column`.
        headline: Figure that picks the best checkpoint and heads the model card. Default: "f1" with entities,
            "accuracy" without.
        hub_tag: Tag of a model on the Hub. Default: the title with hyphens.

    Raises:
        ConfigError: The name has other characters, or the scorer computes no such headline figure.
    """

    name: str
    title: str
    has_entities: bool
    tagger: str = ""
    columns: tuple[str, ...] = ()
    unnamed_column: int | None = None
    headline: str = ""
    hub_tag: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-]+", self.name):
            raise ConfigError(f"task {self.name!r}: expected a name of letters, digits, _ and -")
        defaults = {
            "tagger": f"tagger for {self.title}",
            "columns": (f"{self.name}_tags", self.name, *ANY_TAGS),
            "headline": self.score_name,
            "hub_tag": re.sub(r"\W+", "-", self.title.lower()),
        }
        for field, value in defaults.items():
            object.__setattr__(self, field, getattr(self, field) or value)
        object.__setattr__(self, "columns", tuple(self.columns))
        if self.headline not in self.figures:
            raise ConfigError(
                f"task {self.name}: headline {self.headline!r} is not one of {', '.join(self.figures)}"
                + _hint(self.headline, self.figures)
            )

    @property
    def score_name(self) -> str:
        """Figure that intervals and significance tests are computed for: "f1" over entities, "accuracy" over words."""
        return "f1" if self.has_entities else "accuracy"

    @property
    def figures(self) -> tuple[str, ...]:
        """Figures of an evaluation that can pick the best checkpoint."""
        return _ENTITY_FIGURES if self.has_entities else _WORD_FIGURES

    @property
    def table(self) -> tuple[str, ...]:
        """Figures in the table of results, in the order of its columns."""
        return _ENTITY_TABLE if self.has_entities else _WORD_TABLE

    @property
    def heading(self) -> str:
        """Title with a capital letter."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def item(self) -> str:
        """Noun for one scored item: "entity" or "word"."""
        return "entity" if self.has_entities else "word"

    @property
    def items(self) -> str:
        """Plural of `item`."""
        return "entities" if self.has_entities else "words"

    @property
    def classes(self) -> str:
        """Noun for the classes that are told apart: "entity types" or "tags"."""
        return "entity types" if self.has_entities else "tags"


POS = Task(
    name="pos",
    title="part-of-speech tagging",
    has_entities=False,
    tagger="part-of-speech tagger",
    columns=("pos_tags", "pos", "upos", "upos_tags", "xpos", *ANY_TAGS),
    hub_tag="part-of-speech",
)
NER = Task(
    name="ner",
    title="named-entity recognition",
    has_entities=True,
    tagger="named-entity recogniser",
    columns=("ner_tags", "ner", *ANY_TAGS, "entities", "chunk_tags", "chunk"),
    unnamed_column=-1,
)

_REGISTERED = {POS.name: POS, NER.name: NER}
TASKS: Mapping[str, Task] = MappingProxyType(_REGISTERED)
"""Registered tasks by name; `register_task` adds to it."""


def register_task(task: Task) -> Task:
    """Make a task available by its name, to configs and to the records of its runs.

    Args:
        task: The new task. Registering an equal one again changes nothing.

    Returns:
        The task.

    Raises:
        ConfigError: Another task has this name.
    """
    if _REGISTERED.setdefault(task.name, task) != task:
        raise ConfigError(f"task {task.name!r} is registered already, with other fields; choose another name")
    return task


def get_task(task: str | Task) -> Task:
    """Return the task of a name.

    Args:
        task: Name of a registered task, or a `Task`, which is returned as it is.

    Raises:
        ConfigError: No task of this name is registered.
    """
    if isinstance(task, Task):
        return task
    if not isinstance(task, str) or task not in TASKS:
        raise ConfigError(
            f"task {task!r} is not one of {', '.join(TASKS)}{_hint(task, TASKS)} "
            "A task of your own has to be registered first, with hf_tagging.register_task()."
        )
    return TASKS[task]


def task_of_tags(*, has_entities: bool) -> Task:
    """Return the task to assume for tags or a model of which nothing else is known: NER or POS.

    Args:
        has_entities: The tags are written in an entity scheme.
    """
    return NER if has_entities else POS


def _hint(name: object, names: Mapping[str, Task] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(str(name), list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else "."
