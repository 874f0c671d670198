"""Text to words, in the spirit of the Penn Treebank, with the place of every word.

The rules are those of the Treebank's tokenizer (Robert MacIntyre 1995, `tokenizer.sed`) as far as a tagger trained on
CoNLL-2003 or Universal Dependencies profits from them:

- A word ends at white space; punctuation, symbols, ``$`` and ``%`` stand on their own, ``...`` and ``--`` as one.
- Whole: abbreviations (``U.S.``, ``Mr.``, ``e.g.``), initials (``J. Smith``), numbers (``1,000.50``, ``10:30``,
  ``-5``), hyphenated words, ``AT&T``, ``O'Neill``, addresses (``https://...``, ``me@example.org``), ``@user`` and
  ``#hashtag``.
- English clitics are words of their own: ``do n't``, ``John 's``, ``they 've``.
- A period goes with an abbreviation, also at the end of a text (``Foo Inc.``), and stands alone after any other word.

Any Unicode goes in: each character that is not white space is in exactly one word. Combining marks, joiners and other
invisible format characters stay with the word around them. Scripts written without spaces come out as long runs;
`hf_tagging.data.splitters` has splitters for them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import groupby

from hf_tagging.data.text_pattern import CLITICS, Engine

_CLITIC = re.compile(rf"(?:n['’]t|{CLITICS})\Z", re.IGNORECASE)
_LONGEST_CLITIC = 3


def split_words(text: str) -> list[tuple[int, int]]:
    """Split a text into words.

    Args:
        text: Any string; it need not be one sentence.

    Returns:
        Start and end of each word, in order: ``text[start:end]`` is the word. (words, 2)
    """
    words: list[tuple[int, int]] = []
    for match in _pattern().finditer(text):
        start, end = match.span()
        words += _without_clitics(text, start, end) if match.lastgroup == "word" else [(start, end)]
    return words


def _without_clitics(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Split ``wouldn't've`` into ``would``, ``n't``, ``'ve``."""
    clitics = []
    while match := _CLITIC.search(text, max(start + 1, end - _LONGEST_CLITIC), end):
        clitics.append(match.span())
        end = match.start()
    return [(start, end), *reversed(clitics)]


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    """Return the rules as one expression of Python's `re`."""
    in_marks = marks()
    engine = Engine(
        in_words=rf"\w{in_marks}",
        marks=in_marks,
        letter=r"[^\W\d_]",
        capital="[A-ZÀ-ÖØ-Þ]",
        flags=r"\U0001F1E6-\U0001F1FF",
        joiner=r"\u200d",
        skins=r"\U0001F3FB-\U0001F3FF",
    )
    clitic = rf"(?i:{CLITICS})(?![{engine.in_words}])"
    return re.compile(engine.rules(clitic=clitic, word=f"(?P<word>{engine.word()})"))


@lru_cache(maxsize=1)
def marks() -> str:
    r"""Return combining marks and invisible format characters as ranges of a character class.

    Python's ``\w`` lacks them, and decomposed accents or the vowel signs of Hindi would fall off their words. `re` has
    no name for them, so they are looked up; all lie in these two stretches.
    """
    codes = [*range(0x80, 0x20000), *range(0xE0000, 0xE0200)]
    found = [code for code in codes if unicodedata.category(chr(code)) in ("Mn", "Mc", "Me", "Cf")]
    runs = (list(run) for _, run in groupby(enumerate(found), key=lambda pair: pair[1] - pair[0]))
    return "".join(f"\\U{run[0][1]:08x}-\\U{run[-1][1]:08x}" for run in runs)
