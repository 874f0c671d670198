"""Tagged texts, as objects, dictionaries and tables of pandas."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.inference.html import STYLE, entities_html, hues, words_html
from hf_tagging.inference.spans import Entity, TaggedWord

if TYPE_CHECKING:
    from pandas import DataFrame

_PLACE = {"text_number": "int64", "sentence_number": "int64"}
_TYPES = {"str": "str", "int": "int64", "float": "float64"}


@dataclass(frozen=True)
class TaggedText:
    """A text with its words and, where the tagger knows entities, its entities. Jupyter shows it in colour.

    Args:
        text: The text.
        words: Its words, with their tags.
        entities: Its entities.
        sentence_starts: Index of the first word of each sentence.
        has_rules: Whether there were rules beside the tagger: dictionaries then say what each tag comes from.
        has_entities: Whether the tagger knows entities.
        known_tags: Tags that the tagger knows; none of a text that no tagger has read.
    """

    text: str
    words: list[TaggedWord]
    entities: list[Entity]
    sentence_starts: tuple[int, ...] = (0,)
    has_rules: bool = False
    has_entities: bool = True
    known_tags: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def to_dict(self, *, score_digits: int | None = None) -> dict[str, object]:
        """Return text, words, tags and entities in dictionaries and lists, as `hf-tagging predict` writes them.

        Args:
            score_digits: Digits that scores are rounded to. Default: all.
        """
        return {
            "text": self.text,
            "words": [self._plain(word, score_digits) for word in self.words],
            "tags": [word.tag for word in self.words],
            "entities": [self._plain(entity, score_digits) for entity in self.entities],
        }

    def _plain(self, item: TaggedWord | Entity, digits: int | None) -> dict[str, object]:
        found = {**vars(item), "score": item.score if digits is None else round(item.score, digits)}
        if not self.has_rules:
            del found["rule"]
            return found
        return found | {"source": item.source}

    def to_dataframe(self) -> DataFrame:
        """Return a DataFrame with a row for each word; see `hf_tagging.inference.to_dataframe`."""
        return to_dataframe(self)

    def entities_dataframe(self) -> DataFrame:
        """Return a DataFrame with a row for each entity; see `hf_tagging.inference.entities_dataframe`."""
        return entities_dataframe(self)

    def sentence_of(self, word: int) -> int:
        """Return the number of the sentence that a word is in.

        Args:
            word: Index of the word.
        """
        return bisect_right(self.sentence_starts, word) - 1

    def _repr_html_(self) -> str:
        """Return the text with its entities in colour, or else with a tag at every word, for Jupyter."""
        names = {entity.type for entity in self.entities}
        if names or all(word.tag == "O" for word in self.words):
            shown = entities_html(self.text, self.words, self.entities, hues(names))
        else:
            shown = words_html(self.text, self.words, hues({word.tag for word in self.words}))
        return f'<style>{STYLE}</style><div style="white-space: pre-wrap; line-height: 2">{shown}</div>'


def to_dataframe(texts: TaggedText | Iterable[TaggedText]) -> DataFrame:
    """Return the words of texts as a DataFrame with a row for each word.

        to_dataframe(tagger.tag_texts(["Jordan waved.", "Maria left."]))

    Args:
        texts: A tagged text, or any number of them.

    Returns:
        Columns `text_number` and `sentence_number`, which count from 0, the latter in each text, and those of
        `TaggedWord`, `rule` only if there were rules beside the tagger. They are there, with their types, if there is
        no word.

    Raises:
        TaggingError: One of them is no tagged text.
        ConfigError: pandas is not installed.
    """
    found = _as_texts(texts)
    rows = (
        {"text_number": number, "sentence_number": text.sentence_of(place), **vars(word)}
        for number, text in enumerate(found)
        for place, word in enumerate(text.words)
    )
    return _dataframe(rows, TaggedWord, has_rules=any(text.has_rules for text in found))


def entities_dataframe(texts: TaggedText | Iterable[TaggedText]) -> DataFrame:
    """Return the entities of texts as a DataFrame with a row for each entity.

    Args:
        texts: A tagged text, or any number of them.

    Returns:
        Columns `text_number` and `sentence_number`, which count from 0, the latter in each text, and those of `Entity`,
        `rule` if there were rules beside the tagger. They are there, with their types, if there is no entity.

    Raises:
        TaggingError: One of them is no tagged text.
        ConfigError: pandas is not installed.
    """
    found = _as_texts(texts)
    rows = (
        {"text_number": number, "sentence_number": text.sentence_of(entity.first_word), **vars(entity)}
        for number, text in enumerate(found)
        for entity in text.entities
    )
    return _dataframe(rows, Entity, has_rules=any(text.has_rules for text in found))


def _as_texts(texts: TaggedText | Iterable[TaggedText]) -> list[TaggedText]:
    found = [texts] if isinstance(texts, TaggedText) else [*texts]
    for number, text in enumerate(found):
        if not isinstance(text, TaggedText):
            raise TaggingError(
                f"text {number} is a {type(text).__name__}; expected what Tagger.tag_text and tag_texts return. (Texts "
                "count from 0.)"
            )
    return found


def _dataframe(
    rows: Iterable[Mapping[str, object]], kind: type[TaggedWord] | type[Entity], *, has_rules: bool
) -> DataFrame:
    try:
        import pandas as pd
    except ImportError:
        raise ConfigError("A DataFrame needs pandas, which is not installed. Type: pip install pandas") from None
    types = _PLACE | {field.name: _TYPES[str(field.type)] for field in fields(kind)}
    if not has_rules:
        del types["rule"]
    return pd.DataFrame(list(rows), columns=[*types]).astype(types)
