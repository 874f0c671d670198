"""Columns of a corpus: their types, the one that is tagged, and those that are added."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from hf_tagging.annotating.request import AnnotationRequest
from hf_tagging.annotating.rows import AS_JSON
from hf_tagging.atomic import Json
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_TEXT, _TOKENS = "text", "tokens"
_TEXT_NAMES = ("body", "content", "message", "sentence", "document", "tweet", "title")
_MOST_KEYS = 500  # of all objects together: an id that is a key would make a column of each
_EXACT = 1 << 53
_INT64 = 1 << 63
_WORD = [("text", pa.string()), ("start", pa.int32()), ("end", pa.int32()), ("tag", pa.string())]
_SPAN = [("type", pa.string()), ("text", pa.string())]
_WORDS_OF_ENTITY = [("first_word", pa.int32()), ("end_word", pa.int32())]
_SCORE = [("score", pa.float64())]


@dataclass(frozen=True)
class Tagged:
    """The column that is tagged: its name, and whether it holds lists of words instead of texts."""

    column: str
    words: bool


class ColumnTypes:
    """Types of the values that objects of JSON Lines have under each key.

    A key whose values are of several types, or are objects themselves, becomes a column of JSON.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, set[str]] = defaultdict(set)

    @property
    def names(self) -> list[str]:
        """Keys in the order in which they were seen first."""
        return list(self._kinds)

    def note(self, row: Mapping[str, Json], place: str) -> None:
        """Take note of an object.

        Raises:
            DataError: There are too many different keys by now.
        """
        for name, value in row.items():
            self._kinds[name].add(_kind(value))
        if len(self._kinds) > _MOST_KEYS:
            raise DataError(
                f"{place}: so far the objects have more than {_MOST_KEYS} different keys, as where an id is a key; "
                "each of them would be a column. Move them into one object below a key."
            )

    def schema(self, request: AnnotationRequest) -> pa.Schema:
        """Return the columns that hold all values; of the one that is tagged, those that can be tagged."""
        tagged = _wanted(request, self.names)
        wanted = "strings" if _holds_words(tagged, request) else "str"
        kinds = {name: found - {"null"} for name, found in self._kinds.items()}
        if tagged is not None and wanted in kinds.get(tagged, ()):
            kinds[tagged] = {wanted}
        return pa.schema([_column(name, found) for name, found in kinds.items()])


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | str | float):
        return type(value).__name__
    if isinstance(value, int):
        return "int" if abs(value) <= _EXACT else "large" if -_INT64 <= value < _INT64 else "other"
    return "strings" if isinstance(value, list) and all(isinstance(item, str) for item in value) else "other"


def _column(name: str, kinds: set[str]) -> pa.Field:
    for of_type, kind in (
        (pa.string(), {"str"}),
        (pa.bool_(), {"bool"}),
        (pa.int64(), {"int", "large"}),
        (pa.float64(), {"int", "float"}),
        (pa.list_(pa.string()), {"strings"}),
    ):
        if kinds <= kind:
            return pa.field(name, of_type)
    return pa.field(name, pa.string(), metadata={AS_JSON: b"true"})


def common_schema(schemas: Sequence[tuple[str, pa.Schema]]) -> pa.Schema:
    """Return the columns that all files have; each may have nulls, as it may in some file.

    Args:
        schemas: Of each file, with its name.

    Raises:
        DataError: Files differ, or a file has two columns of one name.
    """
    schemas = [(name, _nullable(schema)) for name, schema in schemas]
    place, first = schemas[0]
    features = _features(first)
    for other, schema in schemas:
        types = {column.name: column.type for column in schema}
        if len(types) < len(schema):
            raise DataError(f"{other}: has two columns of one name among {shortened(', '.join(schema.names), 200)}.")
        if types != {column.name: column.type for column in first}:
            raise DataError(
                f"{other} has the columns {_shown(schema)}; {place} has {_shown(first)}. Annotate files with other "
                f"columns into another {argument('output')}."
            )
        if features is not None and (found := _features(schema)) is not None:
            _check_features(place, features, other, found)
    return first


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([column.with_nullable(True) for column in schema], schema.metadata)


def _features(schema: pa.Schema) -> Features | None:
    """Return the features that `datasets` has written into a file; None where there are none that can be read."""
    if b"huggingface" not in (schema.metadata or {}):
        return None
    try:
        return Features.from_arrow_schema(schema)
    except (ValueError, TypeError, KeyError, AttributeError):  # damaged, or a type that datasets does not know
        return None


def _check_features(place: str, first: Features, other: str, found: Features) -> None:
    """Refuse columns whose numbers mean something else in another file, as those of class names do."""
    if name := next((name for name in first if first[name] != found[name]), None):
        raise DataError(
            f"{other}: the column {name!r} is {shortened(repr(found[name]))}; in {place} it is "
            f"{shortened(repr(first[name]))}. Annotate files with other columns into another {argument('output')}."
        )


def tagged_column(schema: pa.Schema, request: AnnotationRequest, *, place: str) -> Tagged:
    """Return the column to tag: the one asked for, else ``tokens``, else ``text``.

    Raises:
        DataError: There is no such column, or it holds something else.
    """
    asked = request.tokens_column or request.text_column
    name = _wanted(request, schema.names)
    if name is None or name not in schema.names:
        near = next((name for name in schema.names if name.lower() in _TEXT_NAMES), "NAME")
        given = f"there is no column {shortened(asked)}" if asked else "no column is called text or tokens"
        raise DataError(
            f"{place}: {given}; the columns are {_shown(schema)}. Give {argument('text_column', near)} for texts, or "
            f"{argument('tokens_column', 'NAME')} for lists of words."
        )
    words = _holds_words(name, request)
    _check_type(schema.field(name), words, place)
    return Tagged(name, words)


def _wanted(request: AnnotationRequest, names: Sequence[str]) -> str | None:
    """Return the name of the column to tag: the one asked for, or one that there is."""
    asked = request.tokens_column or request.text_column
    return asked or next((name for name in (_TOKENS, _TEXT) if name in names), None)


def _holds_words(name: str | None, request: AnnotationRequest) -> bool:
    return request.tokens_column is not None or (request.text_column is None and name == _TOKENS)


def _check_type(column: pa.Field, words: bool, place: str) -> None:
    found = column.type
    if (column.metadata or {}).get(AS_JSON):  # of JSON Lines: some rows may fit
        return
    if pa.types.is_dictionary(found):
        found = found.value_type
    lists = pa.types.is_list(found) or pa.types.is_large_list(found)
    of_strings = _is_string(found.value_type) if lists else _is_string(found)
    if lists == words and of_strings:
        return
    wanted = "lists of strings, the words" if words else "strings, the texts"
    other = argument("text_column" if words else "tokens_column", "NAME")
    raise DataError(f"{place}: the column {column.name!r} holds {column.type}; expected {wanted}. Or give {other}.")


def _is_string(found: pa.DataType) -> bool:
    return pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)


def _shown(schema: pa.Schema) -> str:
    return shortened(", ".join(f"{column.name} ({column.type})" for column in schema), 300)


def added_columns(tagged: Tagged, *, entities: bool) -> pa.Schema:
    """Return the columns that a tagger adds, without a prefix.

    Args:
        tagged: The column that is tagged.
        entities: Whether the tagger knows entities.
    """
    if tagged.words:
        found = [("tags", pa.list_(pa.string())), ("scores", pa.list_(pa.float64()))]
        entity = [*_SPAN, *_SCORE, *_WORDS_OF_ENTITY]
    else:
        found = [("words", pa.list_(pa.struct([*_WORD, *_SCORE]))), ("tags", pa.list_(pa.string()))]
        entity = [*_SPAN, ("start", pa.int32()), ("end", pa.int32()), *_SCORE, *_WORDS_OF_ENTITY]
    return pa.schema([*found, *([("entities", pa.list_(pa.struct(entity)))] if entities else [])])


def written_schema(kept: pa.Schema, added: pa.Schema, prefix: str) -> pa.Schema:
    """Return the columns of the shards, with the features that `datasets` keeps in their metadata.

    Args:
        kept: Columns of the input.
        added: From `added_columns`.
        prefix: Put before their names.

    Raises:
        DataError: The input has a column of such a name.
    """
    names = [f"{prefix}{name}" for name in added.names]
    if clash := [name for name in names if name in kept.names]:
        raise DataError(
            f"The input has the column{'s' * (len(clash) > 1)} {', '.join(clash)}, and the annotation would add "
            f"{', '.join(names)}. Give {argument('prefix', 'predicted_')}, or another that no column has."
        )
    schema = pa.schema([*kept, *(column.with_name(name) for name, column in zip(names, added, strict=True))])
    features = _features(schema.with_metadata(kept.metadata))
    return schema if features is None else schema.with_metadata(features.arrow_schema.metadata)


def check_as_parquet(schema: pa.Schema) -> None:
    """Make sure that columns can be written as Parquet, which has not all types of Arrow.

    Raises:
        DataError: With the column that cannot.
    """
    for column in schema:
        try:
            pq.ParquetWriter(BytesIO(), pa.schema([column])).close()
        except pa.ArrowException as error:
            raise DataError(
                f"The column {column.name!r} holds {column.type}, which Parquet cannot hold. Leave it out of the "
                f"input, or give {argument('format', 'jsonl')}."
            ) from error
