"""Sentences of a text, by rules that need no language: a tagger reads one at a time, as in its training.

- ``。！？`` and the full stops of other scripts end a sentence, whatever follows.
- ``.``, ``!``, ``?`` and ``…`` end one before white space and a word that does not begin in lower case.
- A period of an abbreviation, an initial or an ordinal (``am 3. Mai``) ends one only before a word that begins
  sentences (``The``, ``However``), and that of a title (``Mr.``, ``Dr.``) never.
- Closing quotation marks and brackets belong to the sentence that they close.
- Line breaks end a sentence, except in a paragraph whose lines are filled up: such lines were broken to fit a page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Literal

from hf_tagging.data.text_pattern import ABBREVIATIONS

_Ending = Literal["always", "usual", "abbreviation", "title"]

_ALWAYS = frozenset("。！？｡．؟۔।॥።፧։။៕។")
_USUAL = frozenset("!?…‼⁇⁈⁉")
_CLOSING = "\"'”’»›)]}」』】》〉）］｝"
_OPENING = "\"'“‘„‚«‹([{「『【《〈（［｛¿¡-–—*•"
_BEGINNING = tuple("$€£¥#@")
_TITLES = (
    "Mr Mrs Ms Dr Prof Rev Hon St Gen Adm Col Maj Capt Cmdr Lt Sgt Gov Sen Rep Pres Messrs Mme Mlle Mt Ft "
    "vs cf approx No no Nos nos"
)
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")  # J, U.S, e.g
_SHORT_NUMBER = re.compile(r"\d{1,2}")
_STARTERS = (
    "The A An This That These Those He She It They We You I His Her Its Their Our My There Here In On At "
    "By For From With But And Or So Yet If When While Where After Before Since As Because Although Though "
    "However Meanwhile Moreover Also Then Now No Not Yes What Who Why How Which Both Some Many Most All "
    "Each Every Another Other One Two Last Next Earlier Later Today Yesterday According Despite During "
    "Under Among Until"
)
_LINE_BREAK = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_LONG_LINE = 60  # characters: shorter lines were not broken to fit a page


def sentence_starts(text: str, words: Sequence[tuple[int, int]]) -> list[int]:
    """Return the number of the first word of each sentence of a text.

    Args:
        text: The text.
        words: Start and end of its words, by any splitter. (words, 2)

    Returns:
        Numbers in order, the first 0; none for a text without words. (sentences,)
    """
    wraps = _wraps(text)
    starts: list[int] = []
    ending: _Ending | None = None
    behind = 0  # end of the word before
    for number, (start, end) in enumerate(words):
        gap = text[behind:start]
        if not starts or _breaks(gap, behind, wraps):
            starts.append(number)
        elif ending:
            if not gap and not text[start:end].strip(_CLOSING):
                behind = end
                continue  # the quotation mark behind a period
            if _ends(ending, gap, text, start, end):
                starts.append(number)
            elif ending == "usual" and not any(map(str.isalnum, text[start:end])):
                behind = end
                continue  # an emoji or a dash behind it
        ending = _ending(text, words, number, first=starts[-1])
        behind = end
    return starts


def _breaks(gap: str, at: int, wraps: frozenset[int]) -> bool:
    """Return whether white space between two words has a line break that ends a sentence."""
    breaks = [match.start() + at for match in _LINE_BREAK.finditer(gap)]
    return len(breaks) > 1 or any(place not in wraps for place in breaks)


def _ends(ending: _Ending, gap: str, text: str, start: int, end: int) -> bool:
    """Return whether a sentence ends before a word, behind a word that may end one."""
    if ending == "always":
        return True
    if not gap or ending == "title":
        return False
    following = text[start : start + 40].lstrip(_OPENING + " ")
    if ending == "abbreviation":
        return text[start:end].strip(_OPENING) in _words(_STARTERS)
    return (following[:1].isalnum() and not following[:1].islower()) or following[:1] in _BEGINNING


def _ending(text: str, words: Sequence[tuple[int, int]], number: int, *, first: int) -> _Ending | None:
    """Return how a word may end a sentence, whose first word is known; None where it cannot."""
    start, end = words[number]
    word = text[start:end]
    core = word.rstrip(_CLOSING) or word
    if core[-1] in _ALWAYS:
        return "always"
    if core[-1] in _USUAL or core.endswith(".."):
        return "usual"
    if core[-1] != ".":
        return None
    stem = core[:-1].lstrip(_OPENING)
    at = number
    if not stem and number and words[number - 1][1] == start:  # a period of its own: no abbreviation to the splitter
        at, stem = number - 1, text[slice(*words[number - 1])]
        if not _SHORT_NUMBER.fullmatch(stem):
            return "usual"
    if _SHORT_NUMBER.fullmatch(stem):
        if at == first:
            return None  # it numbers what follows
        is_ordinal = at - 1 == first or text[words[at - 1][0]].islower()  # am 3. Mai; but on May 3.
        return "abbreviation" if is_ordinal else "usual"
    if stem in _words(_TITLES):
        return "title"
    if stem in _words(ABBREVIATIONS) or _INITIALS.fullmatch(stem):
        return "abbreviation"
    return "usual"


@cache
def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


def _wraps(text: str) -> frozenset[int]:
    """Return the places of line breaks that only fit a text to a page.

    In a paragraph of filled lines, the first word of each line would not have fitted on the line before.
    """
    if not _LINE_BREAK.search(text):
        return frozenset()
    wraps: set[int] = set()
    paragraph: list[tuple[int, int]] = []
    for start, end in [*_lines(text), (len(text), len(text))]:
        if text[start:end].strip():
            paragraph.append((start, end))
            continue
        longest = max((b - a for a, b in paragraph), default=0)
        fits = [b - a + 1 + len(text[c:d].split(maxsplit=1)[0]) <= longest for (a, b), (c, d) in pairwise(paragraph)]
        if longest >= _LONG_LINE and not any(fits):
            wraps.update(end for _, end in paragraph[:-1])
        paragraph = []
    return frozenset(wraps)


def _lines(text: str) -> list[tuple[int, int]]:
    """Return start and end of each line, without its line break."""
    lines, start = [], 0
    for match in _LINE_BREAK.finditer(text):
        lines.append((start, match.start()))
        start = match.end()
    return [*lines, (start, len(text))]
