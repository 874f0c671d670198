"""Prefixes of entity tags: the schemes, and how a tag is read as a prefix and an entity type.

Some data have one nameless type and write its prefixes bare: ``B I O`` (keyphrases, chunks), ``B M E S`` (words).
Where an inventory has nothing but bare prefixes and ``O``, they are the prefixes of a type that is written ``ENT``.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np

logger = logging.getLogger(__name__)

SCHEMES = ("IOB1", "IOB2", "BIOES")
PLAIN = "plain"
PREFIXES_OF = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES"}
PREFIXES = "OBIES"  # a prefix's code is its position in this string
O, B, I, E, S = range(5)  # noqa: E741
_READ_AS = {"B": B, "I": I, "E": E, "S": S, "L": E, "U": S, "M": I}
_ONLY_IN_BIOES = frozenset("ESLUM")
_ORDER = "BIMELSU"  # B before I before E and S; M, L and U are what other schemes call I, E and S
_PREFIXED = re.compile(r"[BIESLUM]-.")
_MOST_TAGS = 10_000  # more different values than this are no tags
_NAMELESS = "ENT"  # the entity type of an inventory of bare prefixes

UNSCORED_ID = -100
"""Id of a word that is not annotated: nothing is learned from it, and it is not scored."""
UNSCORED = str(UNSCORED_ID)
"""Tag of such a word where tags are written as text."""
OUTSIDE = ("O", "o", "0", "_", "-", "OUT", "OUTSIDE", "OTHER", "NONE", "NULL", "NIL", "NA", "N/A", "NAN")
"""Tags that data have for a word outside of entities; those of letters are written in capitals or not."""
UNANNOTATED = frozenset({UNSCORED, "-", "_", "null", "none", "nan", "n/a"})
"""Tags, in lower case, that beside ``O`` mean that a word is not annotated."""
JOINTS = re.compile(r"[|;,+&/#\\^\s]+")
"""Characters between two tags in one."""


@lru_cache(maxsize=64)
def parse_tags(tags: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Read tags as prefixes and entity types. A tag without a prefix is `I-` of itself.

    Args:
        tags: All tags of a schema.

    Returns:
        Prefix codes (tags,) int8, indices of entity types with -1 for ``O`` (tags,) int32, and the entity types.
    """
    prefixes, names = [], []
    bare = is_bare(tags)
    for tag in tags:
        head, dash, rest = f"{tag}-{_NAMELESS}".partition("-") if bare else tag.partition("-")
        prefixed = dash and head in _READ_AS and rest
        prefixes.append(O if tag == "O" else _READ_AS[head] if prefixed else I)
        names.append(None if tag == "O" else rest if prefixed else tag)
    types = tuple(dict.fromkeys(name for name in names if name is not None))
    index = {name: i for i, name in enumerate(types)}
    codes = np.array([-1 if name is None else index[name] for name in names], np.int32)
    return np.array(prefixes, np.int8), codes, types


def is_bare(names: Iterable[str]) -> bool:
    """Return whether tags are bare prefixes of one nameless type: `B I O`, `B M E S`; not `O S L`, two types."""
    names = set(names)
    return names <= {"O", *_READ_AS} and not {"B", "I"}.isdisjoint(names)


def unprefixed(names: Iterable[str]) -> list[str]:
    """Return the tags other than ``O`` that are not a prefix with a type; none of bare prefixes."""
    names = list(names)
    heads = ((name, *name.partition("-")) for name in names)
    return [] if is_bare(names) else [n for n, head, _, rest in heads if n != "O" and not (head in _READ_AS and rest)]


def has_bioes_prefix(names: Iterable[str]) -> bool:
    """Return whether a tag has a prefix that only BIOES has, under this name or another (BILOU, BMES)."""
    return not _ONLY_IN_BIOES.isdisjoint(name.partition("-")[0] for name in names)


def guess_scheme(names: Sequence[str]) -> str:
    """Return the scheme that the tags of a model suggest; see `TagSchema.from_config`."""
    if unprefixed(names):
        return PLAIN
    if has_bioes_prefix(names):
        return "BIOES"
    heads = {name.partition("-")[0] for name in names}
    return "IOB1" if "I" in heads and "B" not in heads else "IOB2"


def are_entities(tags: Iterable[str]) -> bool:
    """Return whether tags are those of entities: one has a prefix before its type, or all are bare prefixes."""
    names = sorted(tags)
    return any(_PREFIXED.match(tag) for tag in names) or guess_scheme(names) != PLAIN


def entity_order(tag: str) -> tuple[bool, str, int, str]:
    """Return the sort key that puts ``O`` first and orders other tags by type, ``B-`` before ``I-``."""
    prefix, hyphen, kind = tag.partition("-")
    if not hyphen or not prefix or prefix not in _ORDER:
        return tag != "O", tag, -1, tag
    return True, kind, _ORDER.index(prefix), tag


def warn_of_prefixes(names: Sequence[str]) -> None:
    """Log bare prefixes and prefixes in lower case, which may be read otherwise than they are meant."""
    if is_bare(names):
        logger.warning(
            "the tags %s are prefixes without an entity type: read as one type, %s (B-%s, I-%s)",
            *(" ".join(names), _NAMELESS, _NAMELESS, _NAMELESS),
        )
    heads = [(name, *name.partition("-")) for name in names]
    lower = [n for n, head, _, rest in heads if n == "o" or (rest and head.islower() and head.upper() in _READ_AS)]
    if lower:
        logger.warning(
            "%s: prefixes are B-, I-, ... and O in capitals, so each of these counts as an entity type of its own; "
            "if they are prefixes, write them in capitals in the data",
            " ".join(lower),
        )


@dataclass(frozen=True)
class Spelling:
    """Spelling of entity tags: what is between prefix and type, where the prefix is, and its case.

    Args:
        separator: Such as `-` or `_`.
        behind: The prefix follows the type: `PER-B`.
        lower: The prefix is in lower case: `b-per`.
    """

    separator: str = "-"
    behind: bool = False
    lower: bool = False

    def parts(self, tag: str) -> tuple[str, str] | None:
        """Return the prefix in capitals and the type; None for a tag that is not spelled so."""
        if tag[-2:-1] != self.separator if self.behind else tag[1:2] != self.separator:
            return None
        prefix, kind = (tag[-1], tag[:-2]) if self.behind else (tag[0], tag[2:])
        if not kind or prefix.islower() != self.lower:
            return None
        return (prefix.upper(), kind) if prefix.upper() in _LETTERS else None

    def standard(self, tag: str) -> str:
        """Return a tag that is spelled so as the standard writes it, with ``S`` for an entity of one word."""
        prefix, kind = self.parts(tag) or ("", "")
        return f"{'S' if prefix in SINGLES else prefix}-{kind}"


DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015"
"""Hyphens and dashes that word processors write in the place of a hyphen."""
SINGLES = ("W", "1")
"""Prefixes of an entity of one word beside ``E`` or ``M`` in some data, in the place of ``S``."""
_LETTERS = frozenset({*_READ_AS, *SINGLES})
STANDARD = Spelling()
SPELLINGS = (
    STANDARD,
    *(Spelling(s, behind, lower) for behind in (False, True) for s in f"-_:/.{DASHES}" for lower in (False, True)),
)


def find_spelling(tags: Iterable[str]) -> tuple[Spelling, bool] | None:
    """Return how entity tags are spelled and whether that is certain; None if they have no prefixes.

    All of them are spelled alike. What is not the standard is certain where a type has both a tag that begins an
    entity and one that goes on with it (`B_PER`, `I_PER`), and likely where several types in capitals have a ``B``.

    Args:
        tags: All tags but that of words outside of entities and of words that are not annotated.
    """
    names = set(tags)
    for spelling in SPELLINGS if names else ():
        found: list[tuple[str, str]] = []
        for name in names:
            if (parts := spelling.parts(name)) is None:
                break
            found.append(parts)
        letters = {prefix for prefix, _ in found}
        if len(found) < len(names) or (letters & {*SINGLES} and not _is_bmew(letters)):
            continue
        if spelling == STANDARD:
            return spelling, True
        begun, inside = ({kind for prefix, kind in found if prefix in some} for some in ("BSUW1", "IMEL"))
        if begun & inside:
            return spelling, True
        if letters == {"B"} and len(begun) > 1 and not spelling.behind and (spelling.lower or _in_capitals(begun)):
            return spelling, False
    return None


def spelling_of(tag: str) -> Spelling | None:
    """Return the first spelling in which a tag has a prefix, which its type alone need not have meant."""
    return next((spelling for spelling in SPELLINGS if spelling.parts(tag)), None)


def entity_likeness(tags: Iterable[str] | Mapping[str, int]) -> float:
    """Return how much the values of a column look like entity tags, in whichever way these are written.

    Args:
        tags: Values of a column, or each value with its frequency.

    Returns:
        - 1.0: tags with prefixes as in ``B-PER``
        - 0.9: tags with prefixes in another spelling (`B_PER`, `PER-B`, `b-per`)
        - 0.8: bare prefixes (`B I O`)
        - 0.5: types without prefixes, and most words outside of entities (`PER`, `O`)
        - 0.3: nothing but ``O``, which is a column of entities without any; 0.1 for another tag of words outside
        - 0.0: anything else

        Up to 5 % of other values are put up with, and lower the figure by their share.
    """
    counts = Counter({tag: count for tag, count in Counter(tags).items() if tag not in {UNSCORED, ""}})
    total = counts.total()
    if not total:
        return 0.0
    outside = Counter({tag: count for tag, count in counts.items() if is_outside(tag)})
    inside = counts - outside
    if len(inside) > _MOST_TAGS:
        return 0.0
    if not inside:
        return 0.3 if "O" in outside else 0.1
    for spelling in SPELLINGS:
        fit = {tag: parts for tag in inside if (parts := _spelled(tag, spelling))}
        share = 1 - sum(inside[tag] for tag in inside.keys() - fit.keys()) / total
        if fit and share >= 0.95 and len(fit) >= len(inside) / 2:
            found = find_spelling(chain(*fit.values()))
            if found is not None and found[1]:
                return (1.0 if spelling == STANDARD else 0.9) * share
    if len(inside) + len(outside) > 1 and is_bare("S" if tag in SINGLES else tag.upper() for tag in inside):
        return 0.8
    numbers = sum(any(character.isdigit() for character in tag) for tag in inside)
    most = max(outside.values(), default=0)
    plain = most > total / 2 and most >= max(inside.values()) and len(inside) <= max(20, total / 50)
    return 0.5 if plain and numbers * 2 <= len(inside) else 0.0


def _spelled(tag: str, spelling: Spelling) -> list[str]:
    """Return a tag in a list if it is spelled so, or those of several in one; nothing for another tag."""
    if spelling.parts(tag):
        return [tag]
    parts = [part for part in JOINTS.split(tag) if not is_outside(part)]
    return parts if all(map(spelling.parts, parts)) else []


def is_outside(tag: str) -> bool:
    """Return whether a tag may be that of words outside of entities, in some data."""
    return tag in OUTSIDE or (len(tag) > 1 and tag.upper() in OUTSIDE)


def _is_bmew(letters: set[str]) -> bool:
    return letters <= {*"BMIE", *SINGLES} and not letters.isdisjoint("ME")


def _in_capitals(names: Iterable[str]) -> bool:
    return all(name.upper() == name for name in names)
