"""Choice of columns: which one holds the words and which the tags, by name, by position, or by what stands in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_tagging.data.column_names import WORD_NAMES
from hf_tagging.data.columns.headers import OTHER_NAMES
from hf_tagging.data.columns.kinds import Column
from hf_tagging.data.columns.names import ColumnFinder, index_of
from hf_tagging.data.pos_tags import is_pos_tag
from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError
from hf_tagging.problems import argument
from hf_tagging.tasks import ANY_TAGS, Task

_FEWEST = 20  # words from which what stands in a column refutes what its position suggests
_NUMBERS = ("word numbers", "sentence numbers", "numbers")  # of two columns, the ids of tags in however short a file
_KINDS = {
    "words": "words",
    "entities": "entity tags",
    "chunks": "chunk tags",
    "pos": "parts of speech",
    "tags": "tags",
    "names": "names",
    "constant": "always the same",
}


@dataclass(frozen=True)
class Choice:
    """A column that was chosen.

    Args:
        position: Its position.
        others: Further columns that would fit as well.
    """

    position: int
    others: tuple[int, ...] = ()


def described(column: Column) -> str:
    """Return what stands in a column, in words: `word numbers`, `entity tags`."""
    return _KINDS.get(column.kind, column.kind)


def examples_of(column: Column, count: int = 3) -> str:
    """Return frequent values of a column."""
    return ", ".join(value for value, _ in column.counts.most_common(count))


def choose_words(columns: Sequence[Column], finder: ColumnFinder, request: ReadRequest, rows: int) -> int:
    """Return the position of the words: the requested column, the one that is named so, or the first that holds text.

    Raises:
        DataError: The requested column is not there, or nothing but numbers that count the words is.
    """
    if request.tokens_column is not None:
        return finder.position(request.tokens_column, "tokens_column")
    if (
        finder.is_named
        and (named := next((index for index, names in enumerate(finder.names) if names & WORD_NAMES), None)) is not None
    ):
        return named
    if finder.conllu:  # which declares its columns, none of them as words
        return finder.position("form", "tokens_column")
    texts = [index for index, column in enumerate(columns) if column.kind in ("words", "tags")]
    if len(columns) == 2 and columns[0].kind == "constant":
        texts = [0]  # there is nothing else that could be the words
    if asked := _tags_asked(request):
        tags = finder.position(*asked)
        texts = [index for index in texts if index != tags] or texts
    if texts:
        return first_text(columns, texts)
    left = [index for index, column in enumerate(columns) if column.kind not in ("entities", "chunks", "pos")]
    position = left[0] if left else 0
    if columns[position].kind == "word numbers" and rows >= _FEWEST:
        raise DataError(
            f"{finder.file}, line {finder.number}: column {position} counts the words "
            f"({examples_of(columns[position])}), and no column holds the words "
            f"themselves; if these are words, give {argument('tokens_column', position)}"
        )
    return position


def first_text(columns: Sequence[Column], among: Sequence[int] | None = None) -> int:
    """Return the first column of words: lemmas have fewer different values, tags far fewer.

    Args:
        columns: Kinds of the columns.
        among: Positions to choose from. Default: all that hold text.
    """
    if among is None:
        among = [index for index, column in enumerate(columns) if column.kind in ("words", "tags")] or [0]
    most = max(columns[index].distinct for index in among)
    return next(index for index in among if 2 * columns[index].distinct >= most)


def choose_tags(
    columns: Sequence[Column], finder: ColumnFinder, request: ReadRequest, *, tokens: int, rows: int
) -> Choice:
    """Return the position of the tags: the requested column, or the first one that fits the task.

    A name that stands for the task alone decides; else what stands in the columns; else a name for any tags; else
    the position that the number of columns suggests, unless something else stands there.

    Raises:
        DataError: The requested column is not there, or none fits the task.
    """
    if asked := _tags_asked(request):
        return Choice(finder.position(*asked))
    task = request.task
    if (named := _named(finder, task, tokens)) is not None:
        return Choice(named)
    named_otherwise = {i for i, names in enumerate(finder.names) if finder.has_header and names & OTHER_NAMES}
    fitting = _fitting(columns, task, {tokens, *named_otherwise})
    if fitting:
        return Choice(fitting[0], tuple(fitting[1:]))
    position = _by_convention(columns, finder, task, tokens)
    if position is None or position == tokens:
        raise _no_column(columns, finder, task, tokens)
    column = columns[position]
    is_refuted = _is_refuted(column, task) and (rows >= _FEWEST or (column.kind in _NUMBERS and len(columns) > 2))
    if is_refuted or _is_text(column, task, rows, len(columns)):
        raise _no_column(columns, finder, task, tokens)
    return Choice(position)


def _tags_asked(request: ReadRequest) -> tuple[str | int, str] | None:
    """Return the requested column of tags, and the argument that it was requested by."""
    if request.tags_column is not None:
        return request.tags_column, "tags_column"
    return (request.layer, "layer") if request.layer is not None else None


def _named(finder: ColumnFinder, task: Task, tokens: int) -> int | None:
    """Return the column that a header or CoNLL-U calls by a name of this task alone."""
    if not finder.is_named:
        return None
    own = [name for name in task.columns if name not in ANY_TAGS and not (task.name == "ner" and "chunk" in name)]
    found = (index_of(name, finder.names) for name in own)
    return next((index for index in found if index is not None and index != tokens), None)


def _fitting(columns: Sequence[Column], task: Task, taken: set[int]) -> list[int]:
    """Return the columns whose content fits a task, the best kind first, in their order."""
    there = [(index, column) for index, column in enumerate(columns) if index not in taken]
    if not task.has_entities:
        return [index for index, column in there if column.kind == "pos"] if task.name == "pos" else []
    kind = "chunks" if "chunk" in task.columns and "ner" not in task.columns else "entities"
    for least in (0.85, 0.7, 0.45, 0.0):  # with types, bare prefixes, types alone
        if found := [index for index, column in there if column.kind == kind and column.fit >= least]:
            return found
    return []


def _by_convention(columns: Sequence[Column], finder: ColumnFinder, task: Task, tokens: int) -> int | None:
    """Return the column that names for any tags, or the number of columns, suggest."""
    found = next((i for name in task.columns if (i := index_of(name, finder.names)) is not None and i != tokens), None)
    if finder.is_named:
        return found
    kinds = ("tags", "pos", "entities", "chunks")
    could = [index for index, column in enumerate(columns) if index != tokens and column.kind in kinds]
    only = could[0] if len(could) == 1 and not _is_refuted(columns[could[0]], task) else None
    if found is not None and (only is None or columns[found].kind != "words"):
        return found
    if len(columns) == 2:
        return 1 - tokens
    if only is not None:
        return only
    return None if task.unnamed_column is None else task.unnamed_column % len(columns)


def _is_text(column: Column, task: Task, rows: int, count: int) -> bool:
    """Return whether the values of a column are too many to be tags: of entities, most words are outside."""
    few = _FEWEST if count == 2 else 4 if task.has_entities else 10
    return column.kind == "words" and rows >= few and column.distinct > 0.6 * rows


def _is_refuted(column: Column, task: Task) -> bool:
    """Return whether a column holds what cannot be the tags of a task."""
    if column.kind == "constant" and task.name == "pos" and all(map(_is_pos_name, column.counts)):
        return False
    if column.kind in (*_NUMBERS, "names", "constant"):
        return True
    if task.has_entities:
        return column.kind == "pos" and column.distinct > 4
    return task.name == "pos" and column.kind in ("entities", "chunks") and column.fit >= 0.9


def _is_pos_name(value: str) -> bool:
    """Return whether a value is a part of speech by its letters: one sign or letter stands for anything."""
    return len(value) > 1 and value.isalpha() and is_pos_tag(value)


def _no_column(columns: Sequence[Column], finder: ColumnFinder, task: Task, tokens: int) -> DataError:
    """Return the message that no column holds the tags of a task, with what the columns hold."""
    place = f"{finder.file}, line {finder.number}"
    give = argument("tags_column")
    if finder.conllu:
        or_pos = "train on UPOS with the task pos (recipe pos_bert), or " if task.has_entities else ""
        return DataError(
            f"{place}: this CoNLL-U file has no column of its own for the task {task.name} (no key of MISC holds "
            f"entity tags); {or_pos}give {give} with one of: {finder.listing}"
        )
    others = {
        index: column
        for index, column in enumerate(columns)
        if index != tokens and column.kind in ("entities", "pos", "chunks")
    }
    if others:
        holds = "; ".join(
            f"column {finder.name(index)} holds {described(column)} ({examples_of(column)})"
            for index, column in others.items()
        )
        fits = "ner" if any(column.kind != "pos" for column in others.values()) else "pos"
        if {"ner": True, "pos": False}[fits] != task.has_entities:
            recipe = f"train on them with the task {fits} (recipe {fits}_bert), or give {give}"
        else:
            recipe = f"give {give}"
        return DataError(f"{place}: no column holds the tags for {task.title}: {holds}; {recipe}")
    if finder.has_header:
        return DataError(
            f"{place}: this header names no column for the task {task.name}; give {give} with one of: {finder.listing}"
        )
    return DataError(
        f"{place}: {finder.listing}; which one holds the tags for {task.title}? Give {give} (0 is the first, -1 the "
        "last)"
    )
