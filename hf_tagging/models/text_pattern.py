"""The rules by which a word tokenizer splits running text, as one regular expression that tokenizer.json can hold.

They are those of `hf_tagging.inference.text` (see there for what and why), written for Oniguruma, the engine of
`tokenizers`, with the words of the training split beside the list of abbreviations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ABBREVIATIONS = (
    "Mr Mrs Ms Dr Prof Rev Hon Sr Jr St Gen Adm Col Maj Capt Cmdr Lt Sgt Gov Sen Rep Pres Messrs Mme Mlle "
    "Inc Corp Co Ltd Cos Bros Assn Dept Univ Ave Blvd Rd Mt Ft vs etc cf al approx Ph.D "
    "Jan Feb Apr Aug Sept Sep Oct Nov Dec"
)
_W = r"[\w\p{N}\p{M}\p{Cf}]"  # a character of a word
_CLITIC = rf"(?i:n['’]t|['’](?:s|re|ve|ll|d|m))(?!{_W})"
_REST = rf"(?!{_CLITIC})(?:[-‐‑'’.&]|(?<=\d)[,:/](?=\d))"  # what may stand inside a word, or between digits
_ALTERNATIVES = (
    r"(?<!{w})(?i:https?://|ftp://|www\.)\S*[^\s.,;:!?'\")\]}}>»”’]",  # an address, not the punctuation after it
    r"[{m}.+\-]{{1,64}}@[{m}\-]+(?:\.[{m}\-]+)+",  # me@example.org
    r"(?<!{w})@{w}+",  # @user
    r"(?<!{w})#(?={w}*\p{{L}}){w}+",  # #hashtag, but not #1
    r"(?<!{w})(?:{abbreviation})\.(?!{w})",  # Mr.
    r"(?<!{w})[Nn]os?\.(?= ?\d)",  # No. 5
    r"(?<!{w})(?:\p{{L}}\.){{2,}}(?!{w})(?:-{w}+)*",  # U.S. and U.S.-based
    r"(?<!{w})(?!I)\p{{Lu}}\.(?= \p{{Lu}})",  # J. Smith
    r"{clitic}",
    r"(?:(?<!{w})[-+−]?\.?(?=\d))?{w}(?:(?!{clitic}){w})*(?:{rest}(?:(?!{clitic}){w})+)*",  # house, 1,000.50
    r"\.{{2,}}|-{{2,}}|``|''",  # as one
    r"[\x{{1F1E6}}-\x{{1F1FF}}]{{2}}",  # a flag
    r"\S(?:\x{{200d}}\S|[\p{{M}}\p{{Cf}}\x{{1F3FB}}-\x{{1F3FF}}])*",  # a symbol, with its marks and joined emoji
)


def splitting_pattern(words: Sequence[str] = ()) -> str:
    """The expression whose matches are the words of a text; the first alternative that matches wins.

    Args:
        words: What stays whole though the rules would split it (``Corp.``, ``US$``, ``:-)``), between white space or
            punctuation.
    """
    alternatives = [r"\A\S+\z"]  # a text without white space is a word that was given
    if words:
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        kept = "|".join(map(re.escape, longest_first))
        alternatives.append(rf"(?<![^\s(\[{{\"'`“‘«])(?:{kept})(?![^\s.,;:!?)\]}}\"'”’»…])")
    parts = {
        "w": _W,
        "m": _W[1:-1],
        "abbreviation": "|".join(map(re.escape, _ABBREVIATIONS.split())),
        "clitic": _CLITIC,
        "rest": _REST,
    }
    filled = (rule.format(**parts) for rule in _ALTERNATIVES)
    return "|".join([*alternatives, *filled])
