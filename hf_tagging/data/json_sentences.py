"""Sentences in JSON as lists of words with their tags, `[["Ada", "B-PER"], ...]`, as an object of two lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hf_tagging.atomic import Json
from hf_tagging.data.column_names import names_words, tag_names
from hf_tagging.data.pos_tags import is_pos_tag
from hf_tagging.data.prefixes import entity_likeness
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError

Kind = Literal["pairs", "objects", "lists"]
_CERTAIN = 0.8  # of `entity_likeness`
_TITLES = {
    "pairs": "lists of words with their tags",
    "objects": "lists of an object per word",
    "lists": "pairs of a list of words and a list of tags",
}


@dataclass(frozen=True)
class SentenceShape:
    """Layout of a sentence in each row of a JSON file.

    Args:
        kind: "pairs": a list of `[word, tag]`; "objects": of `{"word": ..., "tag": ...}`; "lists": `[words, tags]`.
        key: Key of the sentence in an object; None where the row is the sentence.
        names: Name of each column, by its position or its key; "tokens" for the words.
    """

    kind: Kind
    key: str | None
    names: tuple[str, ...]

    @property
    def title(self) -> str:
        """Shape in words."""
        return f"JSON, {_TITLES[self.kind]}"

    @classmethod
    def of(cls, rows: Sequence[Json]) -> SentenceShape | None:
        """Return the shape that most of some rows have; None for an object with lists, and for anything else."""
        keys: list[str | None] = [None]
        if rows and isinstance(rows[0], dict):
            keys = [] if _has_words(rows[0]) else list(rows[0])
        for key in keys:
            values = [row.get(key) if isinstance(row, dict) and key is not None else row for row in rows]
            sentences = [value for value in values if value]  # a sentence may be empty
            found = _found(sentences) if sentences and isinstance(sentences[0], list) else None
            if found is not None and (key is None or _is_whole(rows[0], values[0])):
                return cls(found[0], key, found[1])
        return None

    def row(self, row: Json, *, place: str) -> dict[str, Json]:
        """Return a row as an object of columns.

        Args:
            row: As the file has it.
            place: Of the row, for messages.

        Raises:
            DataError: It is not like the other rows.
        """
        others: dict[str, Json] = {}
        sentence = row
        if self.key is not None:
            if not isinstance(row, dict) or self.key not in row:
                raise DataError(f"{place}: {shortened(str(row))}; expected an object with {self.key!r} in it")
            sentence = row[self.key]
            others = {key: value for key, value in row.items() if key != self.key and key not in self.names}
        if not isinstance(sentence, list) or (sentence and not _is_of_kind(sentence, self.kind, len(self.names))):
            raise DataError(f"{place}: {shortened(str(sentence))}; expected {self._expected()}, as in the first rows")
        if self.kind == "lists":
            return others | dict(zip(self.names, sentence or [[] for _ in self.names], strict=True))
        columns: list[list[Json]] = [[] for _ in self.names]
        for word in sentence:
            for column, value in zip(columns, self._values(word), strict=True):
                column.append(value)
        return others | {name: list(column) for name, column in zip(self.names, columns, strict=True)}

    def _values(self, word: Json) -> list[Json]:
        """Return the values of a word in the order of the columns."""
        if isinstance(word, dict):
            of_words = next((key for key in word if names_words(key)), "")
            return [word.get(of_words if name == "tokens" else name) for name in self.names]
        return _items(word)

    def _expected(self) -> str:
        if self.kind == "lists":
            return "a list of words and a list of tags"
        what = f"{len(self.names)} values" if self.kind == "pairs" else f"an object with {', '.join(self.names)}"
        return f"a list with {what} per word"


def _found(sentences: Sequence[Json]) -> tuple[Kind, tuple[str, ...]] | None:
    """Return the kind of most of some sentences, and the names of their columns; None if they are of none.

    Sentences of two words may be of both kinds: the one whose tags look most like tags is taken.
    """
    lists = [value for value in sentences if isinstance(value, list)]
    first = lists[0][0]
    if isinstance(first, dict):
        words = [word for value in lists for word in value if isinstance(word, dict)]
        return _of_objects(words)
    size = len(first) if isinstance(first, list) else 0
    kinds: tuple[tuple[Kind, int], ...] = (("pairs", size), ("lists", 2))
    found: list[tuple[float, Kind, tuple[str, ...]]] = []
    for kind, count in kinds:
        fitting = [value for value in lists if count > 1 and _is_of_kind(value, kind, count)]
        if 2 * len(fitting) <= len(sentences):
            continue
        if kind == "lists":
            columns = [[item for value in fitting for item in _items(value[i])] for i in range(2)]
        else:
            columns = [[_items(word)[i] for value in fitting for word in value] for i in range(count)]
        names = _names(columns)
        if all(isinstance(word, str) for word in columns[names.index("tokens")]) and _numbers(columns) < 2:
            tags = [column for name, column in zip(names, columns, strict=True) if name != "tokens"]
            found.append((max(map(_evidence, tags)), kind, names))
    best = max(found, key=lambda one: one[0], default=None)
    return best[1:] if best else None


def _evidence(column: Sequence[Json]) -> float:
    """Return how much a column looks like one of tags, entities or parts of speech."""
    values = [value for value in column if isinstance(value, str)]
    if not values:
        return 0.0
    return max(entity_likeness(values), sum(map(is_pos_tag, values)) / len(values))


def _numbers(columns: Sequence[Sequence[Json]]) -> int:
    """Return how many columns hold numbers: one may be of ids, two are offsets."""
    return sum(all(isinstance(value, int) for value in column) for column in columns)


def _has_words(row: dict[str, Json]) -> bool:
    """Return whether a row has a list of words already, so that other lists in it are something else."""
    return any(
        names_words(key) and isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)
        for key, value in row.items()
    )


def _is_whole(row: Json, sentence: Json) -> bool:
    """Return whether a list of pairs is all of the row's text, where it has one, and not some entities of it."""
    texts = [v for k, v in row.items() if names_words(k) and isinstance(v, str)] if isinstance(row, dict) else []
    written = "".join(str(part) for word in _items(sentence) for part in _parts(word))
    return all(len("".join(text.split())) <= len("".join(written.split())) for text in texts)


def _parts(word: Json) -> list[Json]:
    return list(word.values()) if isinstance(word, dict) else _items(word)


def _of_objects(words: Sequence[dict[str, Json]]) -> tuple[Kind, tuple[str, ...]] | None:
    """Return the columns of objects with a word and a tag each."""
    tags = tag_names()
    keys = [key for key, value in words[0].items() if not isinstance(value, dict | list)]
    of_words = [key for key in keys if names_words(key)]
    if not of_words or tags.isdisjoint(key.lower() for key in keys) or not all(key in w for w in words for key in keys):
        return None
    return "objects", tuple("tokens" if key == of_words[0] else key for key in keys)


def _names(columns: Sequence[Sequence[Json]]) -> tuple[str, ...]:
    """Return names of columns by what is in them: words come first unless entity tags do."""
    found = [entity_likeness([str(value) for value in column if value is not None]) for column in columns]
    of_words = 0 if found[0] < _CERTAIN else 1
    others = [i for i in range(len(columns)) if i != of_words]
    names = {of_words: "tokens"}
    if len(others) == 1:
        return tuple("tokens" if i == of_words else "tags" for i in range(2))
    entities = [i for i in others if found[i] >= _CERTAIN]
    for i in others:
        names[i] = f"column_{i}"
    if entities:
        names[entities[0]] = "ner_tags"
        if len(others) == 2:
            names[next(i for i in others if i != entities[0])] = "pos_tags"
    return tuple(names[i] for i in range(len(columns)))


def _is_of_kind(sentence: Json, kind: str, size: int) -> bool:
    """Return whether a sentence has this kind."""
    if not isinstance(sentence, list):
        return False
    if kind == "objects":
        return all(isinstance(word, dict) for word in sentence)
    if kind == "pairs":
        return all(isinstance(word, list) and len(word) == size and _is_tagged(word) for word in sentence)
    if len(sentence) != size or not all(isinstance(part, list) for part in sentence):
        return False
    lengths = {len(_items(part)) for part in sentence}
    return len(lengths) == 1 and all(isinstance(word, str) for word in _items(sentence[0]))


def _is_tagged(word: Sequence[Json]) -> bool:
    """Return whether values are a word with its tags: strings, an id, or null for a word that is not annotated."""
    return any(isinstance(value, str) for value in word) and all(
        value is None or (isinstance(value, str | int) and not isinstance(value, bool)) for value in word
    )


def _items(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
