"""Rules that split running text into words, for the regular expressions of two engines.

`hf_tagging.data.text` explains the rules. They are written here once, with character classes by name. Python's
`re` splits text for a `Tagger`; Oniguruma, the engine of `tokenizers`, splits it inside a saved tokenizer, which also
knows the words of its training split. The engines differ in one rule: Oniguruma leaves clitics out of a word as it
goes, Python cuts them off its end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

CLITICS = "['’](?:s|re|ve|ll|d|m)"
ABBREVIATIONS = (
    "Mr Mrs Ms Dr Prof Rev Hon Sr Jr St Gen Adm Col Maj Capt Cmdr Lt Sgt Gov Sen Rep Pres Messrs Mme Mlle "
    "Inc Corp Co Ltd Cos Bros Assn Dept Univ Ave Blvd Rd Mt Ft vs etc cf al approx Ph.D "
    "Jan Feb Apr Aug Sept Sep Oct Nov Dec"
)
_SIGN = r"(?:(?<!{w})[-+−]?\.?(?=\d))?"  # of a number
_LINK = r"(?:[-‐‑'’.&]|(?<=\d)[,:/](?=\d))"  # what may join the parts of a word, or digits
_RULES = (
    r"(?<!{w})(?i:https?://|ftp://|www\.)\S*[^\s.,;:!?'\")\]}}>»”’]",  # an address, not the punctuation after it
    r"[{in_words}.+\-]{{1,64}}@[{in_words}\-]+(?:\.[{in_words}\-]+)+",  # me@example.org
    r"(?<!{w})@{w}+",  # @user
    r"(?<!{w})#(?={w}*{letter}){w}+",  # #hashtag, but not #1
    r"(?<!{w})(?:{abbreviation})\.(?!{w})",  # Mr.
    r"(?<!{w})[Nn]os?\.(?= ?\d)",  # No. 5
    r"(?<!{w})(?:{letter}\.){{2,}}(?!{w})(?:-{w}+)*",  # U.S. and U.S.-based
    r"(?<!{w})(?!I){capital}\.(?= {capital})",  # J. Smith
    r"{clitic}",  # 's after a space, or after U.S.
    r"{word}",  # house, well-known, -5, 1,000.50
    r"\.{{2,}}|-{{2,}}|``|''",  # as one
    r"[{flags}]{{2}}",  # a flag
    r"\S(?:{joiner}\S|[{marks}{skins}])*",  # a symbol, with its marks and joined emoji
)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Character classes in the syntax of an engine.

    Args:
        in_words: Inside of the class of all characters of words.
        marks: Inside of the class of combining marks and invisible format characters.
        letter: A letter.
        capital: A capital letter.
        flags: Inside of the class of regional indicators, two of which are a flag.
        joiner: The zero-width joiner.
        skins: Inside of the class of skin tones.
    """

    in_words: str
    marks: str
    letter: str
    capital: str
    flags: str
    joiner: str
    skins: str

    def rules(self, *, clitic: str, word: str) -> str:
        """Return the alternatives in order: the first that matches wins, and the last takes whatever is left.

        None scans the same long stretch from many starting points, so that the time is linear in the text.

        Args:
            clitic: Rule for a clitic that no word precedes.
            word: Rule for a word, as `word` returns it.
        """
        abbreviation = "|".join(map(re.escape, ABBREVIATIONS.split()))
        filled = {
            **asdict(self),
            "w": f"[{self.in_words}]",
            "abbreviation": abbreviation,
            "clitic": clitic,
            "word": word,
        }
        return "|".join(rule.format(**filled) for rule in _RULES)

    def word(self, *, unless: str = "") -> str:
        """Return the rule for a word.

        Args:
            unless: What the rest of a word must not begin with.
        """
        w, stop = f"[{self.in_words}]", f"(?!{unless})" if unless else ""
        more = f"(?:{stop}{w})" if unless else w
        return f"{_SIGN.format(w=w)}{w}{more}*(?:{stop}{_LINK}{more}+)*"


_ONIGURUMA = Engine(
    in_words=r"\w\p{N}\p{M}\p{Cf}",
    marks=r"\p{M}\p{Cf}",
    letter=r"\p{L}",
    capital=r"\p{Lu}",
    flags=r"\x{1F1E6}-\x{1F1FF}",
    joiner=r"\x{200d}",
    skins=r"\x{1F3FB}-\x{1F3FF}",
)


def splitting_pattern(words: Sequence[str] = ()) -> str:
    """Return the expression whose matches are the words of a text, for Oniguruma.

    Args:
        words: Words that stay whole although the rules split them (``Corp.``, ``US$``, ``:-)``), between white space
            or punctuation.
    """
    alternatives = [r"\A\S+\z"]  # a text without white space is a word that was given
    if words:
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        kept = "|".join(map(re.escape, longest_first))
        alternatives.append(rf"(?<![^\s(\[{{\"'`“‘«])(?:{kept})(?![^\s.,;:!?)\]}}\"'”’»…])")
    clitic = rf"(?i:n['’]t|{CLITICS})(?![{_ONIGURUMA.in_words}])"
    return "|".join([*alternatives, _ONIGURUMA.rules(clitic=clitic, word=_ONIGURUMA.word(unless=clitic))])
