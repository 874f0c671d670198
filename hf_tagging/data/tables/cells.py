"""Lists that are written into one cell of a table, as Python, JSON and numpy write them."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Sequence

Item = str | int | None

_STRING = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ITEM = re.compile(rf"(?P<string>{_STRING})|(?P<number>-?\d+(?:\.0*)?)|(?P<null>None|null|nan)", re.DOTALL)
_BETWEEN = re.compile(r"\s*(,?)\s*", re.DOTALL)
_LONGEST = 1 << 20  # characters of a cell; a document of 100,000 words


def looks_like_list(text: str) -> bool:
    """Return whether a cell begins and ends like a list."""
    text = text.strip()
    return text[:1] in ("[", "(") and text[-1:] in ("]", ")") and len(text) > 1


def parse_list(text: str) -> list[Item]:
    """Return the items of a list that is written as text: strings, integers and nulls.

    ``['a', 'b']`` and ``("a", None)`` of Python, ``["a", null]`` of JSON, and ``['a' 'b']`` of numpy, which writes no
    commas: Python would read two strings beside each other as one.

    Args:
        text: The cell.

    Raises:
        ValueError: It is no such list; the message says what stands in its way.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        raise ValueError(f"a list of {len(text):,} characters; expected at most {_LONGEST:,}")
    if not looks_like_list(text):
        raise ValueError("expected a list in brackets")
    inner, at, found = text[1:-1].strip(), 0, list[Item]()
    commas: set[bool] = set()
    while at < len(inner):
        item = _ITEM.match(inner, at)
        if item is None:
            if found == [] and inner[0] in "([{":
                raise ValueError("spans in a cell; spans are read from JSON Lines with a text and its entities")
            raise ValueError(_odd(inner[at : at + 20]))
        found.append(_value(item))
        between = _BETWEEN.match(inner, item.end())
        at = between.end() if between else item.end()
        if between and at < len(inner):
            if not between[0]:
                raise ValueError(_odd(inner[item.end() : item.end() + 20]))
            commas.add(bool(between[1]))
    if len(commas) > 1:
        raise ValueError("some items have a comma between them and others have none")
    return found


def as_strings(items: Sequence[Item]) -> list[str | None]:
    """Return items as strings; None stays, for a word that is not annotated."""
    return [None if item is None else str(item) for item in items]


def _value(item: re.Match[str]) -> Item:
    if item["null"]:
        return None
    if item["number"]:
        return int(float(item["number"])) if "." in item["number"] else int(item["number"])
    written = item["string"]
    if written.startswith('"') and "\\" in written:  # surrogate pairs and \/ are spelled as in JSON
        with contextlib.suppress(ValueError):  # what JSON has not may be Python's: \x41
            return str(json.loads(written))
    try:
        return str(ast.literal_eval(written.replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")))
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"{written[:20]} is no string") from error


def _odd(rest: str) -> str:
    if rest.startswith("..."):
        return "'...' stands for items that were not written, as numpy does with long arrays; write lists instead"
    return f"{rest!r} is no string, integer or null"
