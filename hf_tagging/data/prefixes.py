"""Prefixes of entity tags: the schemes, and how a tag is read as a prefix and an entity type.

Some data have one nameless type and write its prefixes bare: ``B I O`` (keyphrases, chunks), ``B M E S`` (words).
Where an inventory has nothing but bare prefixes and ``O``, they are the prefixes of a type that is written ``ENT``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

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
_NAMELESS = "ENT"  # the entity type of an inventory of bare prefixes


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
    return set(names) <= {"O", *_READ_AS} and not {"B", "I"}.isdisjoint(names)


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
