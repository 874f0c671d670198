"""Splitters of text into words, by name.

A splitter returns the start and end of each word of a text: all else between words is white space. `english` and
`blanks` need blanks between words, and `characters` needs none. Words of Chinese, Japanese and Thai are found by a
package of its own (`hf_tagging.data.word_packages`), and any other package can register a splitter:

    [project.entry-points."hf_tagging.splitters"]
    khmer = "my_package:split_khmer"
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Any

from hf_tagging.data.text import marks, split_words
from hf_tagging.data.word_packages import PACKAGES, Splitter
from hf_tagging.errors import ConfigError
from hf_tagging.problems import argument

AUTO = "auto"
"""Name of the splitter for any script: Han by characters, all else as in English."""
ENTRY_POINTS = "hf_tagging.splitters"

# Han, with its extensions and compatibility forms: written without blanks, and BERT reads each character as a word.
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f\U0001aff0-\U0001b16f"
# Thai, Lao, Myanmar with its extensions, Khmer, Tai Le, New Tai Lue, Tai Tham
_NO_BLANKS = r"\u0e00-\u0eff\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf"
OF_HAN = re.compile(f"[{_HAN}]")


def at_blanks(text: str) -> list[tuple[int, int]]:
    """Split a text at white space alone."""
    return [match.span() for match in re.finditer(r"\S+", text)]


def by_script(text: str) -> list[tuple[int, int]]:
    """Split the Han characters of a text into words of one character, as BERT does, and all else as in English."""
    return _cut_out(text, OF_HAN)


def into_characters(text: str) -> list[tuple[int, int]]:
    """Split scripts that are written without blanks into characters with their marks, and all else as in English."""
    return _cut_out(text, _character())


def _cut_out(text: str, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
    """Return the words of a text, with each match of a pattern cut out of them as a word of its own."""
    words = []
    for start, end in split_words(text):
        begin = start
        for match in pattern.finditer(text, start, end):
            if begin < match.start():
                words.append((begin, match.start()))
            words.append(match.span())
            begin = match.end()
        if begin < end:
            words.append((begin, end))
    return words


@cache
def _character() -> re.Pattern[str]:
    scripts = f"{_HAN}{_KANA}{_NO_BLANKS}"
    return re.compile(f"(?![{marks()}])[{scripts}][{marks()}]*")


SPLITTERS: dict[str, Splitter] = {
    "english": split_words,
    "blanks": at_blanks,
    "characters": into_characters,
    AUTO: by_script,
}
"""Splitters of this package that need no other."""


def get_splitter(splitter: str | None) -> Splitter:
    """Return a splitter by its name.

    Args:
        splitter: One of `SPLITTERS`, of `word_packages.PACKAGES`, or the name of an entry point. None: `AUTO`.

    Raises:
        ConfigError: There is no splitter of this name, or its package is not installed.
    """
    name = AUTO if splitter is None else splitter
    if name in SPLITTERS:
        return SPLITTERS[name]
    return _of_package(name)


def splitter_names() -> list[str]:
    """Return the names of all splitters: those of this package, and those that other packages have registered."""
    return [*dict.fromkeys([*SPLITTERS, *PACKAGES, *sorted(_registered())])]


def splitter_version(name: str | None) -> str:
    """Return the version of the package behind a splitter, on which its words depend; empty for those of this one."""
    if name is None or name in SPLITTERS:
        return ""
    registered = _registered().get(name)
    if registered is not None:
        return f"{registered.value} {registered.dist.version if registered.dist else ''}"
    try:
        return f"{name} {version(PACKAGES[name].module)}" if name in PACKAGES else ""
    except PackageNotFoundError:
        return ""


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


@cache
def _of_package(name: str) -> Splitter:
    registered = _registered().get(name)
    if registered is None and name not in PACKAGES:
        raise ConfigError(f"{argument('splitter', name)}: expected one of {', '.join(splitter_names())}")
    try:
        found: Any = PACKAGES[name].load() if registered is None else registered.load()
    except ConfigError:
        raise
    except Exception as error:  # code of another package: whatever it raises
        raise _not_loaded(name, registered, error) from error
    if not callable(found):
        raise ConfigError(f"{argument('splitter', name)}: {found!r:.60} is no function from a text to its words")
    return _Checked(name, found)


def _not_loaded(name: str, registered: EntryPoint | None, error: Exception) -> ConfigError:
    package = PACKAGES[name].name if registered is None else registered.value
    what = "is not installed" if isinstance(error, ImportError) else "cannot be loaded"
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    how = f". Type: pip install 'hf-tagging[{PACKAGES[name].extra}]'" if registered is None else ""
    return ConfigError(f"{argument('splitter', name)}: needs {package}, which {what} ({reason}){how}")


class _Checked:
    """A splitter of another package, which must give places in the text, one after the other.

    Args:
        name: Its name.
        split: The splitter.
    """

    def __init__(self, name: str, split: Callable[[str], Sequence[tuple[int, int]]]):
        self.name, self.split = name, split

    def __call__(self, text: str) -> list[tuple[int, int]]:
        words, behind = [], 0
        for start, end in self.split(text):
            if not behind <= start < end <= len(text):
                raise ConfigError(
                    f"{argument('splitter', self.name)}: gave {(start, end)} for a text of {len(text)} characters; "
                    "expected start and end of words, one after the other"
                )
            words.append((int(start), int(end)))
            behind = end
        return words


# Scripts without blanks whose words a package finds: what to call them, their letters, and the splitter.
_SCRIPTS = (
    ("Thai", r"\u0e00-\u0e7f", "pythainlp"),
    ("Japanese", _KANA, "sudachi"),
    ("Lao", r"\u0e80-\u0eff", "characters"),
    ("Khmer", r"\u1780-\u17ff", "characters"),
    ("Burmese", r"\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f", "characters"),
)
_UNSEPARATED = re.compile("[" + "".join(letters for _, letters, _ in _SCRIPTS) + "]")
_SHORT = 12  # longest stretch of letters that is taken for a word, in a text with blanks between them
_KANA_SHARE = 0.1  # of kana and Han: less is Chinese with a borrowed sign


def needed_splitter(text: str) -> str | None:
    """Return the splitter that a text needs: it is written without blanks, and Han by characters would not do.

    Args:
        text: Any text.

    Returns:
        "pythainlp", "sudachi" or, where no package is known here, "characters"; None for a text with blanks between
        its words, for Chinese, and where most letters are of other scripts.
    """
    found = unseparated_script(text)
    return found[1] if found else None


def unseparated_script(text: str) -> tuple[str, str] | None:
    """Return the script of a text that needs a splitter, in words, and the splitter; see `needed_splitter`."""
    if text.isascii() or not _UNSEPARATED.search(text):
        return None
    for name, letters, splitter in _SCRIPTS:
        own = len(re.findall(f"[{letters}]", text))
        if not own:
            continue
        runs = [letters, _HAN] if name == "Japanese" else [letters]
        beside = len(OF_HAN.findall(text)) if name == "Japanese" else 0
        others = sum(character.isalpha() for character in text) - _letters(text, "".join(runs))
        if own < _KANA_SHARE * (own + beside) or own + beside < others:
            continue
        stretches = re.findall(f"[{''.join(runs)}]+", text)
        if len(stretches) > 2 and max(map(len, stretches)) <= _SHORT and _blanks_between(text, "".join(runs)):
            return None
        return name, splitter
    return None


def _letters(text: str, letters: str) -> int:
    return sum(unicodedata.category(found)[0] == "L" for found in re.findall(f"[{letters}]", text))


def _blanks_between(text: str, letters: str) -> bool:
    """Return whether blanks, and not only punctuation, are between most stretches of these letters."""
    gaps = re.findall(f"(?<=[{letters}])[^{letters}]+(?=[{letters}])", text)
    return 2 * sum(gap.isspace() for gap in gaps) > len(gaps)
