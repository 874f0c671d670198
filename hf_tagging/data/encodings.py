"""Encodings of text files that are not UTF-8, where the letters of a file make one certain.

Nearly any bytes can be read in a dozen encodings without a fault: Japanese in EUC-JP is also Korean, Spanish in Latin-1
is also Polish. General detectors take the first that looks clean. Here an encoding is certain only if its letters are
those of a language that it was made for and no other encoding does as well; otherwise nothing is guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

_SAMPLE = 1 << 16  # bytes of words beyond ASCII that an encoding is found by
_FEWEST = 3  # words beyond ASCII, below which nothing is certain
_FEWEST_BYTES = 16  # and in encodings of two bytes, which can read a few bytes of many others
_ENOUGH = 0.95  # share of its letters that have to be those of a language
_LEAD = 0.02  # by which the next proposal has to fall behind
_WORD = re.compile(rb"[^\s,;|\"]+")

# Letters beyond ASCII of the languages that an encoding was made for, in small letters.
_LATIN = {
    "cp1252": "áéíóúüñçàï àâæçéèêëîïôœùûüÿ äöüßéà ãõáéíóúâêôàçü àèéìòùî ëïéèöüáóê æøåéöü åäöéü áéíóúýðþæö áàéèíóòúïüç",
    "cp1250": "ąćęłńóśźż áčďéěíňóřšťúůýž áäčďéíĺľňóôŕšťúýž áéíóöőúüű ăâîșțşţ čćđšž äöüß",
    "cp1254": "çğıöşüâîûİ",
    "cp1257": "āčēģīķļņšūž ąčęėįšųūž äöõüšž",
}
_SAME_LETTERS = {"iso8859_2": "cp1250", "cp850": "cp1252", "mac_roman": "cp1252"}
_SCRIPTS = {
    **dict.fromkeys(("cp1251", "koi8_r", "iso8859_5", "cp866"), "Ѐ-ӿ"),
    **dict.fromkeys(("cp1253", "iso8859_7"), "Ͱ-Ͽ"),
    "cp1255": "א-ת",
    "cp1256": "ء-ي",
    "cp874": "ก-๛",
    "cp949": "가-힣",
}
# The letters of four in five of a text, in Russian, Ukrainian, Bulgarian and Serbian, and in Greek.
_COMMON_LETTERS = {"Ѐ": frozenset("оаеинтрсвлкмдпуі"), "Ͱ": frozenset("αοιετσνηυρπκμλςάέόίήύώ")}
_COMMON_SHARE = 0.65
# First bytes of the characters that are most of a text.
_COMMON_HAN = {
    "gb18030": frozenset(bytes([first]) for first in range(0xB0, 0xD8)),
    "big5": frozenset(bytes([first]) for first in range(0xA4, 0xC7)),
}
_JAPANESE = ("cp932", "euc_jp")
_ALL = (*_LATIN, *_SAME_LETTERS, *_SCRIPTS, *_COMMON_HAN, *_JAPANESE)
_NOT_FIRST = frozenset("ะาำๅ")  # vowels of Thai that follow a consonant, as all combining characters do
_PUNCTUATION = frozenset("“”„‘’‚«»‹›–—…•·°§€£¥©®™¡¿ªº²³½、。，！？；：（）「」『』《》・ー\u3000\xa0")


@dataclass(frozen=True)
class Utf8Damage:
    """First line of a file that is not UTF-8, and how many there are.

    Args:
        line: Number of the first line that is not.
        start: First byte of that line that is not.
        content: That line.
        bad: Lines that are not.
        good: Lines that are, and have characters beyond ASCII.
    """

    line: int
    start: int
    content: bytes
    bad: int
    good: int

    @property
    def is_utf8(self) -> bool:
        """True for damaged UTF-8: by chance, lines of another encoding are UTF-8 now and then, not mostly."""
        return 2 * self.good >= self.bad


def damage(stream: BinaryIO) -> Utf8Damage | None:
    """Return what keeps a stream from being UTF-8, from here to its end; None if nothing does."""
    first: tuple[int, int, bytes] | None = None
    good = bad = 0
    for number, line in enumerate(stream, start=1):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            good += 1
        except UnicodeDecodeError as error:
            first = first or (number, error.start, line)
            bad += 1
    return Utf8Damage(*first, bad=bad, good=good) if first else None


def readings(stream: BinaryIO) -> tuple[bool, list[tuple[str, str]]]:
    """Return the encodings that a stream may be in.

    Args:
        stream: A stream that is not UTF-8, at its beginning.

    Returns:
        Whether the first one is certain; and Python's names of the encodings, the best first, each with the stream's
        first word beyond ASCII.
    """
    sample = _sample(stream)
    if not sample:
        return False, []
    proposals = sorted(_proposals(b" ".join(sample)), key=lambda found: found.score, reverse=True)
    proposals = [found for found in proposals if found.score > 0.5 and found.text.split()]
    if not proposals:
        return False, []
    best = proposals[0]
    of_two_bytes = best.name in (*_COMMON_HAN, *_JAPANESE, "cp949")
    enough = sum(map(len, sample)) >= _FEWEST_BYTES if of_two_bytes else len(sample) >= _FEWEST
    alone = len(proposals) == 1 or proposals[1].score <= best.score - _LEAD
    certain = alone and best.fits >= _ENOUGH and enough
    return certain, [(found.name, found.text.split()[0]) for found in proposals if found.score > best.score - 0.2]


def _sample(stream: BinaryIO) -> list[bytes]:
    """Return different words beyond ASCII."""
    found: dict[bytes, None] = {}
    size = 0
    for line in stream:
        if line.isascii():
            continue
        for word in _WORD.findall(line):
            if not word.isascii() and word not in found:
                found[word] = None
                size += len(word)
        if size > _SAMPLE:
            break
    return list(found)


@dataclass(frozen=True)
class _Proposal:
    """An encoding: the sample as it reads it, the share of letters that fit, and what it is compared by."""

    name: str
    text: str
    fits: float
    score: float


def _proposals(sample: bytes) -> Iterator[_Proposal]:
    """Yield the encodings that the sample can be read in, each with another text."""
    found: dict[str, _Proposal] = {}
    for name in _ALL:
        try:
            text = sample.decode(name)
        except UnicodeDecodeError:
            continue
        fits, score = _rating(name, text)
        odd = _odd_words(text, latin=name in _LATIN or name in _SAME_LETTERS)
        if text not in found or found[text].score < score - odd:
            found[text] = _Proposal(name, text, fits - odd, score - odd)
    yield from found.values()


def _rating(name: str, text: str) -> tuple[float, float]:
    """Return the share of the characters beyond ASCII that an encoding was made for, and what it is compared by."""
    found = [c for c in text if not c.isascii() and c not in _PUNCTUATION]
    count = len(found)
    if not count:  # quotation marks and dashes, in which the encodings of Windows agree
        return 1.0, 1.0 if name == "cp1252" else 0.5
    if name in _JAPANESE:
        kana = sum("ぁ" <= c <= "ヿ" for c in found)
        share = (kana + sum("一" <= c <= "鿿" or c == "々" for c in found)) / count
        return (share, share + 0.2) if kana * 10 >= count else (0.0, 0.0)
    if name in _COMMON_HAN:
        share = sum(c.encode(name, "ignore")[:1] in _COMMON_HAN[name] for c in found) / count
        return share, share
    if name in _SCRIPTS:
        first, last = _SCRIPTS[name][0], _SCRIPTS[name][-1]
        share = sum(first <= c <= last for c in found) / count
        if letters := _COMMON_LETTERS.get(first):
            common = sum(c.lower() in letters for c in found) / count
            return share, share * min(1.0, common / _COMMON_SHARE)
        return share, share + 0.1 * (name == "cp949" and share > _ENOUGH)  # Han would be as many as Hangul
    languages = _LATIN[_SAME_LETTERS.get(name, name)]
    small = [c if c == "İ" else c.lower() for c in found]
    fits = sum(c in languages for c in small) / count
    return fits, max(sum(c in language for c in small) for language in languages.split()) / count


def _odd_words(text: str, *, latin: bool) -> float:
    """Return the share of words that no language has: `iTALIA`, `cafй`, or a vowel sign at the beginning."""
    words = text.split()
    odd = 0
    for word in words:
        odd += (
            any(a.islower() and b.isupper() for a, b in pairwise(word))
            or (not latin and any(c.isascii() and c.isalpha() for c in word))
            or unicodedata.category(word[0]) == "Mn"
            or word[0] in _NOT_FIRST
        )
    return odd / len(words) if words else 1.0
