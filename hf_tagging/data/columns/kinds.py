"""Kinds of columns, found by what stands in them: words, entity tags, parts of speech, numbers, names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from hf_tagging.data.pos_tags import POS_TAG_SETS
from hf_tagging.data.prefixes import entity_likeness, is_outside
from hf_tagging.data.text_lines import as_number

Kind = Literal[
    "words", "entities", "chunks", "pos", "tags", "word numbers", "sentence numbers", "numbers", "names", "constant"
]

_NUMBER = re.compile(r"[+-]?\d{1,18}(?:[.,]\d{1,18})?")
_WORD_NUMBER = re.compile(r"\d{1,18}(?:[-.]\d{1,18})?")
_CHUNK_TYPES = frozenset(
    (
        "NP",
        "VP",
        "PP",
        "ADVP",
        "ADJP",
        "SBAR",
        "PRT",
        "CONJP",
        "INTJ",
        "LST",
        "UCP",
        "NC",
        "VC",
        "PC",
        "QP",
        "NAC",
        "NX",
    )
)
BRACKETS = re.compile(r"(?:\([^\s()*]+)*\*?\)*")
"""A value of a column of brackets, such as `(PER*`, `*`, `*)`."""
_PLAIN_BRACKETS = re.compile(r"(?:\([^\s()*]+)*\*\)*|(?:\([^\s()*]+)+\)+")
_ENOUGH_POS = 0.9
_MOST_TAGS = 400  # different tags that the first lines of a file can have


@dataclass(frozen=True)
class Column:
    """A column of a sample.

    Args:
        kind: What stands in it.
        fit: How well entity tags fit, 0 to 1; 1 for every other kind.
        distinct: How many different values it has.
        counts: Its values with their frequencies, the most frequent first where several are shown.
        brackets: Entities are written in brackets, as in `(PER*`, `*)`.
    """

    kind: Kind
    fit: float
    distinct: int
    counts: Counter[str]
    brackets: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of a sample.

    Args:
        rows: Fields of each line with a word. (rows, columns)
        starts: Whether a row is the first one behind a blank line or a mark. (rows,)
    """

    rows: Sequence[Sequence[str]]
    starts: Sequence[bool]

    @property
    def count(self) -> int:
        """Columns that all rows have."""
        return min((len(row) for row in self.rows), default=0)

    @property
    def is_split(self) -> bool:
        """A blank line or a mark is between two of the rows."""
        return any(self.starts[1:])

    def values(self, column: int) -> list[str]:
        """Return the values of a column."""
        return [row[column].strip(" ") for row in self.rows]


def column_kinds(table: Table) -> list[Column]:
    """Return the kind of each column."""
    return [_column(table.values(index), table) for index in range(table.count)]


def are_brackets(values: Collection[str]) -> bool:
    """Return whether tags are brackets around entities, be it of a single form: nothing but `*`, or `(PER)`."""
    return bool(values) and all(map(_PLAIN_BRACKETS.fullmatch, values))


def _column(values: list[str], table: Table) -> Column:
    counts = Counter(values)
    total, distinct = len(values), len(counts)

    def column(kind: Kind, fit: float = 1.0, *, brackets: bool = False) -> Column:
        return Column(kind, fit, distinct, counts, brackets)

    if sum(n for value, n in counts.items() if _NUMBER.fullmatch(value)) > 0.98 * total or _are_word_numbers(counts):
        return column(_kind_of_numbers(values, table) if distinct > 1 or total < 3 else "constant")
    if distinct > 1 and "*" in counts and all(BRACKETS.fullmatch(value) for value in counts):
        return column("entities", 0.7, brackets=True)
    fit = entity_likeness(counts) if distinct <= _MOST_TAGS else 0.0
    if fit >= 0.3 and _are_entities(counts, fit):
        return column("chunks" if _are_chunks(counts) else "entities", fit)
    if distinct == 1 and total > 2:
        return column("constant")
    if _pos_share(counts, total) >= _ENOUGH_POS:
        return column("pos")
    if total > 5 and distinct > 1 and _are_names(values, counts, table):
        return column("names")
    return column("tags" if total >= 50 and distinct <= min(150, total / 8) else "words")


def _are_word_numbers(counts: Counter[str]) -> bool:
    return len(counts) > 2 and "1" in counts and all(_WORD_NUMBER.fullmatch(value) for value in counts)


def _kind_of_numbers(values: list[str], table: Table) -> Kind:
    """Return whether numbers count the words of a sentence, the sentences, or something else."""
    numbers = [number for value in values if (number := as_number(value)) is not None]
    if len(numbers) < len(values):
        ranges = all(_WORD_NUMBER.fullmatch(value) for value in values)
        return "word numbers" if ranges and sum(map(str.isdecimal, values)) > len(values) / 2 else "numbers"
    steps = [(b - a, b) for (a, b), starts in zip(pairwise(numbers), table.starts[1:], strict=True) if not starts]
    if not steps:
        return "numbers"
    lowest = min(numbers[0], 1)
    up = sum(step == 1 or (b <= 1 and not table.is_split) for step, b in steps)
    if up >= 0.98 * len(steps) and (numbers[0] <= 1 or up == len(steps)):
        return "word numbers"
    same = sum(step == 0 for step, _ in steps)
    counted = sum(step == 1 or b <= max(1, lowest) for step, b in steps)
    if same == len(steps) and table.is_split:
        return "sentence numbers"
    if same and not table.is_split and same + counted >= 0.98 * len(steps):
        return "sentence numbers"
    return "numbers"


def _are_entities(counts: Counter[str], fit: float) -> bool:
    """Return whether types without prefixes beside an odd tag of other words are entities, and no spare column."""
    if fit > 0.5:
        return True
    outside = [value for value in counts if is_outside(value)]
    if fit < 0.4:
        return "O" in counts
    return outside != ["_"] or not any(re.search(r"[=|:]|^[a-z]|[a-z][A-Z]", value) for value in counts)


def _are_chunks(counts: Counter[str]) -> bool:
    types = Counter[str]()
    for value, count in counts.items():
        if not is_outside(value):
            types[re.sub(r"^[BIESLUM]\W|\W[BIESLUM]$", "", value)] += count
    known = sum(count for kind, count in types.items() if kind.upper() in _CHUNK_TYPES)
    return known > 0.9 * types.total() > 0


def _pos_share(counts: Counter[str], total: int) -> float:
    """Return the share of words whose tag is in one of the known sets of parts of speech; the best set counts."""
    if len(counts) < 2 or len(counts) > 150:
        return 0.0
    shares = []
    for known in POS_TAG_SETS:
        share = sum(count for value, count in counts.items() if value in known or value.upper() in known) / total
        shares.append(share)
    return max(shares)


def _are_names(values: list[str], counts: Counter[str], table: Table) -> bool:
    """Return whether values are names of sentences, documents or annotators: they change between sentences alone."""
    changes = [(a != b, starts) for (a, b), starts in zip(pairwise(values), table.starts[1:], strict=True)]
    if table.is_split:
        within = [changed for changed, starts in changes if not starts]
        return len(within) > len(values) / 3 and not any(within)
    runs = 1 + sum(changed for changed, _ in changes)
    return runs == len(counts) and len(values) >= 3 * runs
