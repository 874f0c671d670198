"""docs/formats.md: the table and the examples are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from reading import read, written

from hf_tagging.data.formats import FORMATS, TARGETS, format_of

PAGE = (Path(__file__).parent.parent / "docs" / "formats.md").read_text()


def test_the_table_is_that_of_the_formats():
    table = PAGE.partition("| format |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table]
    names = [row[0].strip("`") for row in rows]
    assert names == [*FORMATS, *(name for name in TARGETS if name not in FORMATS)]
    for name, row in zip(names, rows, strict=True):
        assert row[2] == ("yes" if name in FORMATS else "as rows" if name == "jsonl" else "as columns"), name
        assert row[3] == ("yes" if name in TARGETS else "no"), name
        holds = TARGETS[name].holds if name in TARGETS else ()
        assert {part for part in row[4].split(", ") if part} == set(holds), name


def test_every_example_is_of_its_format(tmp_path):
    sections = re.split(r"^### ", PAGE.partition("## What each looks like")[2], flags=re.MULTILINE)[1:]
    examples = {}
    for section in sections:
        name, _, rest = section.partition("\n")
        if block := re.search(r"^```\w+\n(.*?)^```", rest, re.DOTALL | re.MULTILINE):
            examples[name] = block[1]
    assert [section.partition("\n")[0] for section in sections] == list(FORMATS)
    assert set(FORMATS) - set(examples) == {"spacy-docbin"}
    for name, text in examples.items():
        files = {"train.txt": text}
        if name == "brat":
            files = {"note.txt": "Mina Falk moved to Ghent.", "note.ann": text}
        assert format_of(written(tmp_path / name, files)) is FORMATS[name], name
        found = read(tmp_path / name / "read", files)
        assert sum(entities for _, _, entities in found.sizes().values()) >= 1, name
