"""A column of texts in, columns of words, tags and entities out: for `map` of datasets and for pandas."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import TaggingError
from hf_tagging.inference.cutting import CutText, TextCutter
from hf_tagging.inference.spans import Entity, TaggedWord

if TYPE_CHECKING:
    from datasets import Features

logger = logging.getLogger(__name__)

_TYPES = {"str": "string", "int": "int64", "float": "float64"}


def column_of(columns: object, name: str) -> list[object]:
    """Return the values of a column.

    Args:
        columns: Columns by name, such as a batch of `map` or a DataFrame; or the column itself, such as a Series.
        name: Name of the column, where there are several.

    Raises:
        TaggingError: There is no such column, or this is none.
    """
    names = columns if isinstance(columns, Mapping) else getattr(columns, "columns", None)
    if names is not None:
        if name not in names:
            found = shortened(", ".join(map(str, names)), 200)
            raise TaggingError(f"Tagger.pipe: there is no column {name!r} among {found}. Name one as column=.")
        columns = columns[name]  # type: ignore[index]
    if isinstance(columns, str | bytes) or not isinstance(columns, Iterable):
        hint = "; one text goes to Tagger.tag_text" if isinstance(columns, str) else ""
        raise TaggingError(
            f"Tagger.pipe takes a batch of columns, a DataFrame, or a column of texts, and was given a "
            f"{type(columns).__name__}{hint}."
        )
    return list(columns)


def is_missing(value: object) -> bool:
    """Return whether a value is None or not a number (or time), as tables mark a cell without a text."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def tell_of_missing(values: Sequence[object], name: str) -> bool:
    """Log how many of the values are missing, and return whether there are any."""
    if missing := sum(map(is_missing, values)):
        logger.warning(
            "%s: %d of %d texts are missing (None or NaN); they are texts without words", name, missing, len(values)
        )
    return missing > 0


def cuts_of(values: Iterable[object], cutter: TextCutter) -> Iterator[CutText]:
    """Cut the values of a column into words; lists of words are joined by blanks, and are a sentence each.

    Raises:
        TaggingError: A value is neither, nor missing; with its number.
    """
    for number, value in enumerate(values):
        if is_missing(value):
            yield CutText("", [], [])
        elif isinstance(value, str):
            yield cutter(value)
        elif isinstance(value, list | tuple | np.ndarray) and all(isinstance(word, str) for word in value):
            yield cut_words([str(word) for word in value])
        else:
            raise TaggingError(
                f"text {number} is a {type(value).__name__}, {value!r:.60}; expected a string, a list of words, or "
                "None. (Texts count from 0.)"
            )


def cut_words(words: Sequence[str]) -> CutText:
    """Return words as the only sentence of a text, joined by blanks."""
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    spans = [(int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True)]
    return CutText(" ".join(words), spans, [0] * bool(words))


def features_of(*, entities: bool, rules: bool) -> Features:
    """Return the types of the columns that `Tagger.pipe` gives.

    Args:
        entities: Whether the tagger knows entities.
        rules: Whether there are rules beside it.
    """
    from datasets import Features, Value  # here: what tags need not load it

    def items(kind: type[TaggedWord] | type[Entity]) -> list[dict[str, Value]]:
        found = {field.name: Value(_TYPES[str(field.type)]) for field in fields(kind)}
        rule = found.pop("rule")
        return [{**found, "rule": rule, "source": rule} if rules else found]

    found = Features({"words": items(TaggedWord), "tags": [Value("string")]})
    return Features({**found, "entities": items(Entity)}) if entities else found
