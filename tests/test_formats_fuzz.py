"""Damaged and odd files of every format: read, or refused with one message, and never a crash."""

from __future__ import annotations

import copy
import io
import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hf_tagging.data.formats import FORMATS, format_of
from hf_tagging.data.formats.base import Document
from hf_tagging.data.formats.spans import tagged_rows
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.splitters import get_splitter
from hf_tagging.errors import TaggingError
from hf_tagging.tasks import NER, POS

PAGE = (Path(__file__).parent.parent / "docs" / "formats.md").read_text()
EXAMPLES = dict(re.findall(r"^### ([\w-]+)\n(?:(?!^###).)*?^```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
ODD = [
    None, True, 0, -1, 3, 10**30, 1.5, float("nan"), "", " ", "x", "\ud83c", "\x00", "9" * 5000, [], {}, [[]], [None],
    [0, 0, "X"], {"a": 1}, {"start": 0, "end": 99, "labels": ["x"]},
]  # fmt: skip
BYTES = [b"\t", b"\n", b"[", b"]", b"|", b"\\", b"9", b";", b"{", b'"', b"\xff", b"\x00", b"_", b"99999999999999999999"]


def values(row, place=()):
    """Places of all values in a value of JSON."""
    inner = row.items() if isinstance(row, dict) else enumerate(row) if isinstance(row, list) else ()
    for key, value in inner:
        yield (*place, key)
        yield from values(value, (*place, key))


def odd(row, dice):
    row = copy.deepcopy(row)
    for _ in range(dice.randint(1, 3)):
        *place, last = dice.choice(list(values(row)) or [(0,)])
        inner = row
        for key in place:
            inner = inner[key]
        if isinstance(inner, dict | list) and inner:
            if dice.random() < 0.25:
                del inner[last]
            else:
                inner[last] = copy.deepcopy(dice.choice([*ODD, [inner[last]], str(inner[last])]))
    return row


def damaged(content, dice):
    content = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(content) + 1)
        if dice.random() < 0.4:
            del content[place : place + dice.randint(1, 5)]
        else:
            content[place:place] = dice.choice(BYTES)
    return bytes(content)


def contents(name, dice):
    """A damaged file: bytes of any, or a row with odd values behind a good one, so that its format is recognized."""
    example = EXAMPLES[name]
    if name in ("brat", "webanno") or dice.random() < 0.3:
        return damaged(example.encode(), dice)
    row = json.loads(example)
    rows = [row, odd(row, dice)] if isinstance(row, dict) else [[*row, *odd(row, dice)]]
    return "".join(json.dumps(one) + "\n" for one in rows).encode()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_damaged_file_is_read_or_refused(tmp_path, name):
    dice = random.Random(name)
    path = tmp_path / ("f.ann" if name == "brat" else "f.json")
    (tmp_path / "f.txt").write_text("Mina Falk moved to Ghent.")
    read = 0
    for _ in range(250):
        path.write_bytes(contents(name, dice))
        request = ReadRequest(task=dice.choice([NER, NER, POS]), misfit=dice.choice(["widen", "drop"]))
        try:
            form = format_of(path)
            documents = list(form.read(path, "f", request, FileNotes("f"))) if form else []
        except TaggingError:
            continue
        documents = [document for document in documents if isinstance(document, Document)]
        for document in documents:
            for words, tags in tagged_rows(document, split=get_splitter(None), misfit="widen", notes=FileNotes("f")):
                assert len(words) == len(tags)
                assert all(document.text[start:end].encode() for start, end in words)
        for target in (form, *FORMATS.values()) if form else ():
            kept = documents if target is form else [replace(d, source={}, layer=None) for d in documents]
            if target.write and "texts" in target.holds:
                target.write(kept, io.StringIO(), FileNotes("out"))
                target.write([replace(document, model="m") for document in kept], io.StringIO(), FileNotes("out"))
        read += bool(documents)
    assert read >= 3
