"""Faults of files as people have them: fields dropped, keys renamed, types changed, lines lost, encodings changed."""

from __future__ import annotations

import json
import random
import re
from copy import deepcopy
from typing import Any

from fuzz.damage import damaged
from fuzz.shapes import Files

_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    "",
    "x",
    [],
    {},
    [None],
    [[]],
    {"a": 1},
    "O",
    10**30,
    "\ud800",
)
_KEYS = ("text", "tokens", "tags", "label", "entities", "id", "spans", "data", "x", "", "words", "ner", "start")


def mutated(files: Files, draw: random.Random) -> Files:
    """Return files with a fault in one of them."""
    name = draw.choice(sorted(files))
    content = files[name]
    kind = draw.random()
    if name.endswith((".json", ".jsonl")) and kind < 0.6:
        content = _json_changed(content, draw)
    elif kind < 0.75 and not name.endswith((".parquet", ".spacy")):
        content = draw.choice(_FAULTS)(content, draw)
    else:
        content = damaged(content, draw)
    changed = files | {name: content}
    if len(files) > 1 and draw.random() < 0.1:
        del changed[draw.choice(sorted(files))]
    return changed


def _json_changed(content: bytes, draw: random.Random) -> bytes:
    """Change a value, a key or the number of values somewhere in JSON, one time or several."""
    try:
        text = content.decode("utf-8-sig")
        lines = None if text.lstrip().startswith("[") else [line for line in text.split("\n") if line.strip()]
        rows = json.loads(text) if lines is None else [json.loads(line) for line in lines]
    except ValueError:
        return damaged(content, draw)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        _change(rows, draw)
    if lines is None:
        return json.dumps(rows, ensure_ascii=True).encode()
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _change(value: Any, draw: random.Random) -> None:
    """Change something inside of a list or an object."""
    while True:
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not places:
            return
        place = draw.choice(places)
        if isinstance(value[place], list | dict) and value[place] and draw.random() < 0.8:
            value = value[place]
            continue
        kind = draw.choice(["value", "value", "drop", "twice", "rename", "shift"])
        if kind == "drop":
            del value[place]
        elif kind == "twice" and isinstance(value, list):
            value.insert(place, deepcopy(value[place]))
        elif kind == "rename" and isinstance(value, dict):
            value[draw.choice(_KEYS)] = value.pop(place)
        elif kind == "shift" and isinstance(value[place], int):
            value[place] += draw.choice([-3, -1, 1, 2, 100])
        else:
            value[place] = deepcopy(draw.choice(_VALUES))
        return


def _field_dropped(content: bytes, draw: random.Random) -> bytes:
    return _on_a_line(content, draw, lambda line: re.sub(rb"[ \t,;]?[^ \t,;]+$", b"", line))


def _field_added(content: bytes, draw: random.Random) -> bytes:
    return _on_a_line(content, draw, lambda line: line + draw.choice([b"\tx", b" x", b",x", b"\t", b" "]))


def _separator_changed(content: bytes, draw: random.Random) -> bytes:
    return _on_a_line(
        content, draw, lambda line: re.sub(rb"[ \t,;]", draw.choice([b"\t", b" ", b",", b"\xc2\xa0"]), line)
    )


def _tag_emptied(content: bytes, draw: random.Random) -> bytes:
    return _on_a_line(content, draw, lambda line: re.sub(rb"[^ \t,;]+$", b"", line))


def _on_a_line(content: bytes, draw: random.Random, change: Any) -> bytes:
    lines = content.split(b"\n")
    index = draw.randrange(len(lines))
    lines[index] = change(lines[index])
    return b"\n".join(lines)


def _lines_cut(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    start = draw.randrange(len(lines))
    del lines[start : start + draw.choice([1, 1, 2, 10])]
    return b"\n".join(lines)


def _line_twice(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    lines.insert(draw.randrange(len(lines)), draw.choice(lines))
    return b"\n".join(lines)


def _shuffled(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    draw.shuffle(lines)
    return b"\n".join(lines)


def _without_blank_lines(content: bytes, draw: random.Random) -> bytes:
    return re.sub(rb"\n+", b"\n", content)


def _recoded(content: bytes, draw: random.Random) -> bytes:
    try:
        return content.decode().encode(draw.choice(["utf-16", "latin-1", "cp1252", "gb18030", "utf-32"]), "replace")
    except UnicodeDecodeError:
        return content


def _line_recoded(content: bytes, draw: random.Random) -> bytes:
    return _on_a_line(content, draw, lambda line: line.decode("utf-8", "replace").encode("latin-1", "replace"))


def _odd_line(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    odd = (b"#", b"# x", b"## x", b"-DOCSTART-", b"<doc>", b"</doc>", b"===", b"...", b"\xc2\xa0", b"```", b"1-2\t_")
    lines.insert(draw.randrange(len(lines) + 1), draw.choice(odd))
    return b"\n".join(lines)


_FAULTS = (
    _field_dropped, _field_added, _separator_changed, _tag_emptied, _lines_cut, _line_twice, _shuffled,
    _without_blank_lines, _recoded, _line_recoded, _odd_line,
)  # fmt: skip
