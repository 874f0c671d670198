"""Texts cut into sentences of words, as the words that a tagger was trained on were cut."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hf_tagging.data.sentences import sentence_starts
from hf_tagging.data.splitters import AUTO, get_splitter, unseparated_script
from hf_tagging.errors import ConfigError
from hf_tagging.inference.sentences import checked_spans
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

Splitter = Callable[[str], Sequence[tuple[int, int]]]
"""A text to the start and end of each word, in order. (words, 2)"""

BY_SCRIPT = (None, AUTO, "english")
"""Splitters of training for which text is cut by script: Han, which English has not, is cut by characters."""


@dataclass(frozen=True)
class CutText:
    """A text with the places of its words and sentences.

    Args:
        text: The text.
        spans: Start and end of each word. (words, 2)
        starts: Number of the first word of each sentence. (sentences,)
    """

    text: str
    spans: list[tuple[int, int]]
    starts: list[int]

    @property
    def sentences(self) -> list[list[str]]:
        """Words of each sentence."""
        words = [self.text[start:end] for start, end in self.spans]
        return [words[first:end] for first, end in pairwise(self.bounds)]

    @property
    def bounds(self) -> list[int]:
        """Number of the first word of each sentence, and the end. (sentences + 1,)"""
        return [*self.starts, len(self.spans)] if self.spans else [0]


class TextCutter:
    """Cuts texts into sentences of words.

    Args:
        splitter: A function or a name of `get_splitter`. None: the one that the model was trained with.
        trained: Name that the model's config has, None where it has none: by script.
        split_sentences: Whether a text is cut into sentences; otherwise it is one.

    Raises:
        ConfigError: There is no splitter of this name, or its package is not installed.
    """

    def __init__(self, splitter: str | Splitter | None = None, *, trained: str | None, split_sentences: bool = True):
        name = trained if splitter is None else splitter
        self._is_guess = splitter is None and name in BY_SCRIPT
        try:
            self._split: Splitter = name if callable(name) else get_splitter(AUTO if self._is_guess else name)
        except ConfigError as error:
            if splitter is not None:
                raise
            raise ConfigError(
                f"The model was trained on words that the splitter {trained!r} has cut. {error}. Or give another "
                f"{argument('splitter')}."
            ) from error
        self._split_sentences = split_sentences
        self._told: set[str] = set()

    def __call__(self, text: str) -> CutText:
        """Cut a text.

        Raises:
            TaggingError: The splitter gave places that are not in the text.
        """
        spans = self.words(text)
        starts = sentence_starts(text, spans) if self._split_sentences else [0] * bool(spans)
        return CutText(text, spans, starts)

    def words(self, text: str) -> list[tuple[int, int]]:
        """Return the start and end of each word of a text. (words, 2)"""
        if self._is_guess:
            self._tell_of_missing_words(text)
        return checked_spans(text, self._split(text))

    def _tell_of_missing_words(self, text: str) -> None:
        found = unseparated_script(text)
        if found is None or found[0] in self._told:
            return
        script, splitter = found
        self._told.add(script)
        logger.warning(
            "A text is %s, which is written without blanks between words, and is cut at punctuation alone: tags are of "
            "whole clauses. Give a splitter that finds its words, such as %s.",
            script,
            argument("splitter", splitter),
        )


def trained_splitter(config: Any) -> str | None:
    """Return the name of the splitter that cut the words of a model's training; None where its config has none.

    Args:
        config: Of the model; untrusted.
    """
    name = getattr(config, "word_splitter", None)
    return name if isinstance(name, str) else None
