"""Tags that are not written as one plain value beside each word: items of a line, keys of MISC, brackets."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from hf_tagging.data.prefixes import entity_likeness

_INSIDE = "|/_\\"
_FEWEST_ITEMS = 4  # that need no tags with a prefix
_CERTAIN = 0.8  # of `entity_likeness`
_KEYS = ("ner", "name", "ne", "entity", "entities")


def inner_separator(lines: Sequence[str]) -> tuple[str, int] | None:
    """Return the separator and the number of fields of `word|tag` items, where each line is a sentence of them.

    Args:
        lines: First lines of data.
    """
    items = [item for line in lines for item in line.split()]
    if len(items) < 1.5 * len(lines):
        return None
    for separator in _INSIDE:
        if not all(separator in item for item in items):
            continue
        count = min(item.count(separator) for item in items) + 1  # a word may hold it too
        fields = [inner_fields(item, separator, count) for item in items]
        enough = len(items) >= _FEWEST_ITEMS or entity_likeness(parts[-1] for parts in fields) >= _CERTAIN
        if enough and all(map(all, fields)):
            return separator, count
    return None


def inner_fields(item: str, separator: str, count: int) -> list[str]:
    """Split an item of a line into its fields, from the right: the word may hold the separator too."""
    fields = item.rsplit(separator, count - 1)
    return fields if len(fields) == count else [*fields, *[""] * (count - len(fields))]


def misc_values(value: str) -> dict[str, str]:
    """Return the keys and values of a MISC column of CoNLL-U."""
    pairs = (pair.partition("=") for pair in value.split("|"))
    return {key: content for key, equals, content in pairs if equals}


def misc_key(column: Iterable[str]) -> str | None:
    """Return the key of MISC that holds an entity tag of each word; None if there is none."""
    found: dict[str, list[str]] = defaultdict(list)
    words = 0
    for value in column:
        words += 1
        for key, content in misc_values(value).items():
            found[key].append(content)
    fitting = {
        key: entity_likeness([*values, *["O"] * (words - len(values))])
        for key, values in found.items()
        if not all(value.isdecimal() for value in values)
    }
    usual = [key for key, fit in fitting.items() if fit >= 0.7 or (fit >= 0.3 and key.lower() in _KEYS)]
    return max(usual, key=lambda key: (fitting[key], key.lower() in _KEYS), default=None)


def tags_of_brackets(values: Sequence[str]) -> Iterator[str]:
    """Yield a tag with a prefix for each value of a column of brackets; the outermost entity counts.

    Args:
        values: Such as `(PER*`, `*`, `*)`, or `(LOC)`, of the words of a sentence. (words,)
    """
    open_types: list[str] = []
    for value in values:
        begins = re.findall(r"\(([^\s()*]+)", value)
        was_inside = bool(open_types)
        open_types += begins
        if not open_types:
            yield "O"
        else:
            yield f"I-{open_types[0]}" if was_inside else f"B-{open_types[0]}"
        closed = value.count(")")
        del open_types[max(0, len(open_types) - closed) :]
