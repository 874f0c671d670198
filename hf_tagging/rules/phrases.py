"""Phrases in sentences, found by the Aho-Corasick algorithm however many phrases there are.

Words are the letters of the automaton, so a match begins and ends with a word. The library has automata over
characters; a word is written as three of them, each from an alphabet of its own, so that no match begins or ends inside
of a word. One million phrases of two words need some 100 MB and are found in about two microseconds a word.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from types import ModuleType

from hf_tagging.errors import ConfigError
from hf_tagging.rules.effects import Match

HOW_TO_INSTALL = "Type: pip install 'hf-tagging[rules]'"
_LETTERS, _FIRST = 128, 0x100
_WIDTH = 3
_UNKNOWN = "\0" * _WIDTH  # a word that is in no phrase


class PhraseMatcher:
    """Matcher of phrases, word by word.

    Args:
        ignore_case: Compare words as Unicode does without case: `STRASSE` is `Straße`.

    Raises:
        ConfigError: The library is not installed.
    """

    def __init__(self, *, ignore_case: bool):
        library = _library()
        self._ignore_case = ignore_case
        self._codes: dict[str, str] = {}
        self._automaton = library.Automaton(library.STORE_INTS)
        self._rules, self._lengths = array("l"), array("l")  # by number of the phrase
        self._again: dict[int, list[int]] = {}  # further phrases with the words of an earlier one
        self._is_ready = False

    def add(self, words: Sequence[str], rule: int) -> None:
        """Add a phrase.

        Args:
            words: Its words, at least one.
            rule: Number of its rule.
        """
        number = len(self._rules)
        self._rules.append(rule)
        self._lengths.append(len(words))
        key = "".join([self._codes.get(word) or self._new_code(word) for word in self._compared(words)])
        earlier = self._automaton.get(key, number)
        if earlier == number:
            self._automaton.add_word(key, number)
        elif self._rules[earlier] != rule:
            self._again.setdefault(earlier, []).append(number)
        self._is_ready = False

    def finish(self) -> None:
        """Build the automaton; to be called once, behind the last phrase."""
        if self._rules and not self._is_ready:
            self._automaton.make_automaton()
        self._is_ready = True

    def matches(self, words: Sequence[str]) -> Iterator[Match]:
        """Yield every phrase in a sentence, overlapping ones too."""
        if not self._rules:
            return
        code = self._codes.get
        letters = "".join([code(word, _UNKNOWN) for word in self._compared(words)])
        for last, number in self._automaton.iter(letters):
            end = (last + 1) // _WIDTH
            for one in (number, *self._again.get(number, ())):
                yield Match(self._rules[one], end - self._lengths[one], end)

    def _compared(self, words: Sequence[str]) -> Sequence[str]:
        return [word.casefold() for word in words] if self._ignore_case else words

    def _new_code(self, word: str) -> str:
        number, code = len(self._codes), ""
        for place in range(_WIDTH):
            number, letter = divmod(number, _LETTERS)
            code += chr(_FIRST + place * _LETTERS + letter)
        if number:
            raise ConfigError(f"rules: their phrases have more than {_LETTERS**_WIDTH:,} different words.")
        self._codes[word] = code
        return code


def _library() -> ModuleType:
    try:
        import ahocorasick
    except ImportError as error:
        message = "rules: phrases are matched by pyahocorasick, which is not installed."
        raise ConfigError(f"{message} {HOW_TO_INSTALL}") from error
    return ahocorasick
