"""Patterns: sequences of descriptions of words, as the token patterns of spaCy's Matcher as far as words alone tell."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from hf_tagging.atomic import Json
from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.rules.effects import Match
from hf_tagging.rules.phrases import HOW_TO_INSTALL

if TYPE_CHECKING:
    import regex

LONGEST_MATCH = 100
"""Words of the longest match of a pattern."""
MOST_DESCRIPTIONS, LONGEST_REGEX = 50, 1000
SECONDS = 0.1
"""Time that a regular expression has for one word."""

Test = Callable[[str], bool]
_TEXTS: dict[str, Callable[[str], str]] = {"TEXT": str, "LOWER": str.lower, "SHAPE": lambda word: shape(word)}
_KEYS = (*_TEXTS, "LENGTH", "OP")
_COMPARED = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_REPEATS = ("1", "?", "*", "+")
_KNOWN_WORDS, _LONGEST_KNOWN = 100_000, 100  # words and characters of those whose patterns are remembered


class PatternError(ValueError):
    """A pattern that cannot be read; its message says what is wrong with which description."""


@dataclass(frozen=True)
class Description:
    """Description of a word.

    Args:
        tests: All of them hold for the word; none: any word.
        repeat: How often such a word comes: ``"1"``, ``"?"``, ``"*"`` or ``"+"``.
    """

    tests: tuple[Test, ...]
    repeat: str = "1"

    def fits(self, word: str) -> bool:
        """Return whether a word is as described."""
        return all(test(word) for test in self.tests)


class PatternMatcher:
    """Matcher of patterns. Most words begin none, which is remembered by word."""

    def __init__(self) -> None:
        self._patterns: list[tuple[int, tuple[Description, ...], bool]] = []
        self._beginning = lru_cache(maxsize=_KNOWN_WORDS)(self._begin_with)

    def add(self, pattern: tuple[Description, ...], rule: int, *, every: bool = False) -> None:
        """Add a pattern of a rule; `every`: all its matches count, not the longest at each word alone."""
        self._patterns.append((rule, pattern, every))

    def matches(self, words: Sequence[str]) -> Iterator[Match]:
        """Yield the longest match of each pattern at each word of a sentence, or every match.

        Raises:
            TaggingError: A regular expression takes too long.
        """
        if not self._patterns:
            return
        for first, word in enumerate(words):
            for number in (self._beginning if len(word) <= _LONGEST_KNOWN else self._begin_with)(word):
                rule, pattern, every = self._patterns[number]
                ends = [*_ends(pattern, words, first)]
                for end in ends if every else ends[-1:]:
                    yield Match(rule, first, end)

    def _begin_with(self, word: str) -> tuple[int, ...]:
        """Return the numbers of the patterns that can begin with a word."""
        return tuple(
            number
            for number, (_, pattern, _) in enumerate(self._patterns)
            if any(place < len(pattern) and pattern[place].fits(word) for place in _reached({0}, pattern))
        )


def _ends(pattern: Sequence[Description], words: Sequence[str], first: int) -> Iterator[int]:
    """Yield the ends of the matches that begin at a word, the shortest first."""
    places = _reached({0}, pattern)
    for index in range(first, min(len(words), first + LONGEST_MATCH)):
        fitting = [place for place in places if place < len(pattern) and pattern[place].fits(words[index])]
        again = {place for place in fitting if pattern[place].repeat in "*+"}
        places = _reached({place + 1 for place in fitting} | again, pattern)
        if not places:
            break
        if len(pattern) in places:
            yield index + 1


def possible_lengths(pattern: Sequence[Description]) -> set[int]:
    """Return how many words the matches of a pattern can have; 3 stands for three or more."""
    least = sum(word.repeat in "1+" for word in pattern)
    most = 3 if any(word.repeat in "+*" for word in pattern) else len(pattern)
    return {min(length, 3) for length in range(max(least, 1), max(least, most) + 1)}


def _reached(places: set[int], pattern: Sequence[Description]) -> set[int]:
    """Return the places in a pattern that are reached without a further word: words may be left out."""
    found = set(places)
    for place in places:
        while place < len(pattern) and pattern[place].repeat in "?*":
            place += 1
            found.add(place)
    return found


def read_pattern(pattern: Sequence[Json]) -> tuple[Description, ...]:
    """Return the descriptions of a pattern.

    Args:
        pattern: A list of objects, such as ``[{"LOWER": "flight"}, {"TEXT": {"REGEX": "^[A-Z]{2}$"}}]``.

    Raises:
        PatternError: It is none.
    """
    if len(pattern) > MOST_DESCRIPTIONS:
        raise PatternError(f"pattern: has {len(pattern)} descriptions of words; expected at most {MOST_DESCRIPTIONS}")
    found = tuple(_description(node, f"pattern, word {number}") for number, node in enumerate(pattern, 1))
    if all(word.repeat in "?*" for word in found):
        raise PatternError("pattern: every word may be left out, so it would match anything")
    return found


def _description(node: Json, place: str) -> Description:
    if not isinstance(node, dict):
        raise PatternError(f'{place}: {node!r:.40}; expected an object such as {{"LOWER": "new"}}')
    tests: list[Test] = []
    for key, value in node.items():
        if key not in _KEYS:
            raise PatternError(f"{place}: there is no key {key!r}{nearest(key, _KEYS)}")
        if key in _TEXTS:
            if key == "LOWER":
                _refuse_capitals(value, f"{place}, {key}")
            tests += _text_tests(_TEXTS[key], value, f"{place}, {key}")
        elif key == "LENGTH":
            tests += _length_tests(value, f"{place}, {key}")
    repeat = node.get("OP", "1")
    if repeat not in _REPEATS:
        raise PatternError(f"{place}, OP: {repeat!r:.20}; expected one of {', '.join(_REPEATS)}")
    return Description(tuple(tests), str(repeat))


def _refuse_capitals(value: Json, place: str) -> None:
    """Refuse strings that no word in lower case is."""
    listed = value.get("IN", ()) if isinstance(value, dict) else [value]
    for text in listed if isinstance(listed, list) else ():
        if isinstance(text, str) and text != text.lower():
            raise PatternError(f"{place}: {text!r:.40} is not in lower case; expected {text.lower()!r:.40}")


def _text_tests(form: Callable[[str], str], value: Json, place: str) -> Iterator[Test]:
    if isinstance(value, str):
        yield lambda word: form(word) == value
        return
    if not isinstance(value, dict) or not value:
        raise PatternError(f'{place}: {value!r:.40}; expected a string, {{"REGEX": ...}}, {{"IN": [...]}} or NOT_IN')
    for key, what in value.items():
        if key == "REGEX":
            yield _regex_test(form, what, f"{place}, REGEX")
        elif key not in ("IN", "NOT_IN"):
            raise PatternError(f"{place}: there is no key {key!r}{nearest(key, ('REGEX', 'IN', 'NOT_IN'))}")
        elif not isinstance(what, list) or not all(isinstance(item, str) for item in what):
            raise PatternError(f"{place}, {key}: {what!r:.40}; expected a list of strings")
        else:
            yield _member_test(form, frozenset(map(str, what)), inside=key == "IN")


def _member_test(form: Callable[[str], str], texts: frozenset[str], *, inside: bool) -> Test:
    return lambda word: (form(word) in texts) is inside


def _length_tests(value: Json, place: str) -> Iterator[Test]:
    for key, number in value.items() if isinstance(value, dict) else [("==", value)]:
        compare = _COMPARED.get(key)
        if compare is None or type(number) is not int:
            raise PatternError(f'{place}: {value!r:.40}; expected a number, or as in {{">=": 5}}')
        yield _length_test(compare, number)


def _length_test(compare: Callable[[int, int], bool], number: int) -> Test:
    return lambda word: compare(len(word), number)


def _regex_test(form: Callable[[str], str], value: Json, place: str) -> Test:
    if not isinstance(value, str) or len(value) > LONGEST_REGEX:
        raise PatternError(f"{place}: {value!r:.40}; expected a string of at most {LONGEST_REGEX} characters")
    found = _compiled(value, place)

    def test(word: str) -> bool:
        try:
            return found.search(form(word), timeout=SECONDS) is not None
        except TimeoutError:
            raise TaggingError(
                f"rules: the regular expression {value!r:.60} takes more than {SECONDS} seconds for the word "
                f"{word!r:.40}. Write it without repeats inside of repeats."
            ) from None

    return test


def _compiled(text: str, place: str) -> regex.Pattern[str]:
    try:
        import regex
    except ImportError as error:
        raise ConfigError(
            f"rules: regular expressions need the package regex, which is not installed. {HOW_TO_INSTALL}"
        ) from error
    try:
        return regex.compile(text)
    except (regex.error, RecursionError, OverflowError) as error:
        raise PatternError(f"{place}: {text!r:.60} is not a regular expression ({error})") from None


def shape(word: str) -> str:
    """Return the shape of a word, as spaCy writes it: letters are X and x, digits d, runs at most four characters."""
    kinds = ("X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word)
    return "".join(kind * min(4, len([*run])) for kind, run in groupby(kinds))


def nearest(name: str, known: Sequence[str]) -> str:
    """Return the end of a message about an unknown name: the nearest one, or all of them."""
    near = difflib.get_close_matches(name, known, 1) or difflib.get_close_matches(name.upper(), known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; expected one of {', '.join(known)}"
