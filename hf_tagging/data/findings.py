"""Findings that stop a run: tags and words that are certainly something else, unless the caller knows better.

Each has a name, which its message gives and the option `accept` takes. What is accepted becomes a remark of the report.
The bounds are those of inspection and of runs too, which look at all of the data.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_tagging.data.notes import Remark
from hf_tagging.data.pos_tags import POS_TAGS
from hf_tagging.data.prefixes import STANDARD, entity_likeness, is_bare
from hf_tagging.data.rows import first_of_rows, row_starts
from hf_tagging.errors import DataError
from hf_tagging.problems import argument, either_way
from hf_tagging.tasks import POS, Task

MANY_TYPES = 200
"""Number of types from which they may be words or ids, if there are also `TYPES_PER_ENTITY`."""
TYPES_PER_ENTITY = 0.1
ENOUGH_WORDS = 1_000
"""Words among which one is outside of entities."""
ENOUGH_NUMBERS = 10
"""Numbers that tell whether they count up."""
MOSTLY = 0.9
"""Share of the words, or of the steps between them, that makes them numbers that count up."""
SUSPICIOUS_UNKNOWN, TOO_MANY_UNKNOWN = 0.05, 0.5
"""Shares of words unknown to a model from which it is warned of, and from which it is refused."""
UNKNOWN_WORDS = "unknown_words"

FINDINGS: Mapping[str, str] = MappingProxyType({
    "many_types": f"more than {MANY_TYPES} types, and more than a tenth as many as there are entities",
    "number_tags": "tags that are mostly numbers",
    "counter_words": "words that count up",
    "no_outside": f"no word outside of entities among {ENOUGH_WORDS:,}",
    "pos_tags": "parts of speech where entities are expected",
    "entity_tags": "entity tags where parts of speech are expected",
    UNKNOWN_WORDS: "words that the model reads as nothing but the unknown token",
})  # fmt: skip
"""Names that `accept` takes, with what each means."""


@dataclass(frozen=True)
class Finding:
    """Something that stops a run.

    Args:
        kind: One of `FINDINGS`.
        text: What was found, with examples, a clause.
        way_on: What it probably means and what to do, a sentence.
    """

    kind: str
    text: str
    way_on: str


def check_accept(names: Iterable[str]) -> None:
    """Refuse names that are none of `FINDINGS`.

    Raises:
        DataError: The first one, with the nearest name.
    """
    for name in names:
        if name not in FINDINGS:
            near = difflib.get_close_matches(name, FINDINGS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(FINDINGS)}"
            raise DataError(f"{argument('accept', [name])}: there is no such finding; {hint}")


def accepted_or_refused(findings: Iterable[Finding], *, accept: Iterable[str], place: str) -> list[Remark]:
    """Return findings that are accepted as remarks.

    Args:
        findings: What was found.
        accept: Names of findings that are known to be right.
        place: The source as a message names it.

    Raises:
        DataError: The first one that is not accepted.
    """
    known = set(accept)
    remarks = []
    for finding in findings:
        if finding.kind not in known:
            raise DataError(
                f"{place}: {finding.text}. {finding.way_on} If it is right as it is, give "
                f"{argument('accept', [finding.kind])}."
            )
        remarks.append(Remark(finding.kind, f"{finding.text}; accepted", "suspicious"))
    return remarks


_NUMBER = re.compile(r"[-+]?\d+([.,:]\d+)*")
_ENOUGH_TAGS = 20  # as for a column file, where fewer do not refute what a name or a position says
_ENTITIES = 0.9  # of `entity_likeness`, which is higher for B-PER alone: `b-per` may be a tag of any set


def is_number(tag: str) -> bool:
    """Return whether a tag is a number: an id, an offset, a time."""
    return _NUMBER.fullmatch(tag) is not None


def number_tags(counts: Mapping[str, int]) -> Iterator[Finding]:
    """Find tags that are mostly numbers.

    Args:
        counts: Frequency of each tag as it is written.
    """
    numbers = list(filter(is_number, counts))
    if len(numbers) > 1 and 2 * len(numbers) >= len(counts):
        yield Finding(
            "number_tags",
            f"the tags are numbers ({_most(counts, numbers)}), not names",
            "If they are ids, give their names in order with "
            f"{either_way('tag_names', ['O', 'B-PER', 'I-PER'])}; if they are offsets or word numbers, give another "
            f"column: {either_way('tags_column', 'NAME')}.",
        )


def tag_findings(counts: Mapping[str, int], task: Task) -> Iterator[Finding]:
    """Find tags that cannot be those of a task.

    Args:
        counts: Frequency of each tag as it is read, over all splits.
        task: The task that they are read for.
    """
    used = {tag: count for tag, count in counts.items() if count}
    if not task.has_entities:
        if task.name == POS.name:
            yield from _entities_for_pos(used)
        return
    inside = [tag for tag in used if tag != "O"]
    prefixed = any(map(STANDARD.parts, inside)) or is_bare(inside)
    total = sum(used.values())
    is_pos = sum(used[tag] for tag in inside if tag in POS_TAGS) >= 0.6 * total and len(inside) > 2
    column = f"Is this the right column ({argument('tags_column')})?"
    without = "Parts of speech need a task without entities: pos, as in the recipes pos_bert and pos_baseline."
    if not prefixed and is_pos and "O" not in used:
        yield Finding(
            "pos_tags",
            f"this column holds parts of speech and no entities ({_most(used, inside)})",
            f"{column} {without}",
        )
    elif "O" not in used and not is_bare(inside) and total >= ENOUGH_WORDS:
        yield Finding(
            "no_outside",
            f"not one of {total:,} words is outside of entities; the tags are {_most(used, inside)}",
            f"{column} The tag of words outside may be another than O: name it with {argument('outside')}. {without}",
        )
    types = {parts[1] if (parts := STANDARD.parts(tag)) else tag for tag in inside}
    entities = _entities(used)
    if len(types) > max(MANY_TYPES, TYPES_PER_ENTITY * entities):
        yield Finding(
            "many_types",
            f"there are {len(types):,} entity types among {entities:,} entities ({_most(used, inside)})",
            f"They look like words or ids. {column} If words and tags are swapped, give both columns.",
        )


def _entities_for_pos(counts: Mapping[str, int]) -> Iterator[Finding]:
    """Find entity tags among the tags of a task of parts of speech."""
    inside = [tag for tag in counts if tag != "O"]
    speech = sum(counts[tag] for tag in inside if tag in POS_TAGS)
    enough = sum(counts.values()) >= _ENOUGH_TAGS
    if enough and entity_likeness(counts) > _ENTITIES and 2 * speech < sum(counts[tag] for tag in inside):
        yield Finding(
            "entity_tags",
            f"this column holds entity tags and no parts of speech ({_most(counts, inside)})",
            f"Is this the right column ({argument('tags_column')})? Entities need the task ner, as in the recipes "
            "ner_bert and ner_baseline.",
        )


def swapped(counts: Mapping[str, int], tokens: Iterable[pa.ChunkedArray]) -> Iterator[Finding]:
    """Find more tags than words, for a task without entities.

    Args:
        counts: Frequency of each tag as it is read, over all splits.
        tokens: Words of each split. (sentences, words)
    """
    tags = sum(count > 0 for count in counts.values())
    if tags <= MANY_TYPES:
        return
    words: set[str] = set()
    for column in tokens:
        words.update(pc.unique(pc.list_flatten(column)).to_pylist())
    if tags > len(words):
        yield Finding(
            "many_types",
            f"there are {tags:,} different tags and only {len(words):,} different words",
            f"Words and tags may be swapped: give {argument('tokens_column')} and {argument('tags_column')}.",
        )


def word_findings(tokens: pa.ChunkedArray) -> Iterator[Finding]:
    """Find words that count up.

    Args:
        tokens: Words of some sentences. (sentences, words)
    """
    words = pc.list_flatten(tokens).cast(pa.string())
    decimal = pc.utf8_is_decimal(words)
    if len(words) < ENOUGH_NUMBERS or pc.mean(decimal.cast(pa.int8())).as_py() < MOSTLY:
        return
    numbers = np.array([int(word[:18]) if word.isdecimal() else -1 for word in words.to_pylist()])
    sizes = pc.list_value_length(tokens).to_numpy()
    within = ~first_of_rows(len(numbers), row_starts(sizes))[1:]
    steps = np.diff(numbers)[within]  # the number of a word counts up in its sentence, and that of a sentence stays
    if len(steps) >= ENOUGH_NUMBERS and np.mean((steps == 0) | (steps == 1)) >= MOSTLY:
        yield Finding(
            "counter_words",
            f"the words are numbers that count up ({', '.join(words.slice(0, 3).to_pylist())})",
            "This is a column of numbers of words or sentences; give that of the words with "
            f"{argument('tokens_column')}.",
        )


def _entities(counts: Mapping[str, int]) -> int:
    """Return about how many entities there are, from the frequency of the tags alone."""
    parts = {tag: STANDARD.parts(tag) for tag in counts}
    begun = {found[1] for found in parts.values() if found and found[0] in "BSU"}
    goes_on = {tag for tag, found in parts.items() if found and found[0] in "IMEL" and found[1] in begun}
    return sum(count for tag, count in counts.items() if tag != "O" and tag not in goes_on)


def _most(counts: Mapping[str, int], names: Iterable[str], number: int = 3) -> str:
    """Return the most frequent of some tags, for a message."""
    return ", ".join(repr(tag) for tag in sorted(names, key=lambda tag: -counts[tag])[:number])
