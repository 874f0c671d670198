"""Files that are small and become large, or never end: a message or a load, soon and in little memory."""

from __future__ import annotations

import ast
import gzip
import importlib.util
import json
import os
import resource
import signal
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

import hf_tagging.data
from hf_tagging.data import load_tagging_dataset
from hf_tagging.errors import TaggingError

ROW = '{"tokens": ["Lisbon"], "tags": ["B-LOC"]}\n'
MEGA = 1 << 20
WEBANNO = b"#FORMAT=WebAnno TSV 3.3\n"
NESTED = [[i, 8000 - i, "X"] for i in range(3000)]
TYPES = {f"T{i}": {"Ann": [[0, 2]]} for i in range(50_000)}


def read_apart(path: Path, folder: Path, *, seconds: float = 20, megabytes: int = 600, **arguments: object) -> str:
    """Read in a process of its own; return its message, or "loaded". It must neither take long nor much memory."""
    child = os.fork()
    if not child:
        told = "crashed"
        try:
            datasets.disable_progress_bars()
            signal.alarm(int(seconds) * 10)  # whatever happens, it ends
            before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
            try:
                load_tagging_dataset(path, task="ner", cache_dir=folder / "cache", **arguments)
                told = "loaded"
            except TaggingError as error:
                told = str(error)
            took = time.process_time() - began
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            told += f"\n{took}\n{grown}"
        except BaseException as error:
            told = repr(error)
        (folder / "told").write_text(told)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert not status, f"the interpreter ended with {status}"
    told, took, grown = (folder / "told").read_text().split("\n")
    print(path.name, f"{path.stat().st_size:,} bytes:", f"{float(took):.1f} s, {float(grown):.0f} MiB:", told[:300])
    assert float(took) < seconds, told
    assert float(grown) < megabytes, told
    return told


def rows(count: int, row: Callable[[int], dict[str, object]]) -> bytes:
    return b"".join(json.dumps(row(i)).encode() + b"\n" for i in range(count))


def docbin(**parts: object) -> bytes:
    """A DocBin with its parts as bytes, packed."""
    srsly = pytest.importorskip("srsly")
    fine = {"version": "0.1", "attrs": [65], "tokens": b"", "spaces": b"", "lengths": b"", "strings": [], "cats": []}
    return zlib.compress(srsly.msgpack_dumps(fine | parts))


def test_no_parser_of_xml_is_used_in_reading():
    """So no entity of XML is ever resolved, and none multiplies."""
    found = 0
    for file in Path(hf_tagging.data.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += len(names)
            assert not {name.split(".")[0] for name in names} & {"xml", "lxml", "bs4", "html5lib"}
    assert found > 100


@pytest.mark.failure_mode("bomb")
@pytest.mark.parametrize("name", ["train.xml", "train.xmi", "train.txt", "train"])
def test_xml_with_an_external_entity(tmp_path, name):
    secret = tmp_path / "secret.txt"
    secret.write_text("password B-PER\n")
    (tmp_path / name).write_text(
        f'<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b SYSTEM "file://{secret}">]>\n<a>&b;</a>\n'
    )
    told = read_apart(tmp_path / name, tmp_path)
    assert str(tmp_path / name) in told
    assert "password" not in told


@pytest.mark.failure_mode("bomb")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.json", b'{"text": ' + b"[" * 5 * MEGA),
        ("deep.jsonl", (b'{"tokens": ' * 300_000) + b"1" + b"}" * 300_000),
        ("deep-array.json", b"[" * 4 * MEGA + b"]" * 4 * MEGA),
        ("numbers.jsonl", ROW.encode() + b'{"tokens": ["a"], "tags": [' + b"9" * MEGA + b"]}\n"),
        ("exponents.jsonl", ROW.encode() + b'{"tokens": ["a"], "tags": [1e999999999]}\n'),
        ("offsets.jsonl", b'{"text": "Ann", "label": [[0, ' + b"9" * 4000 + b', "PER"]]}\n'),
        ("offset.jsonl", b'{"text": "Ann", "label": [[0, 1e300, "PER"]]}\n'),
        ("keys.jsonl", json.dumps({f"k{i}": i for i in range(200_000)} | json.loads(ROW)).encode() + b"\n"),
        ("key-a-row.jsonl", rows(20_000, lambda i: json.loads(ROW) | {f"k{i}": i})),
        ("keys.json", json.dumps({f"k{i}": [1] for i in range(200_000)}).encode()),
        ("spans.jsonl", json.dumps({"text": "a " * 50_000, "label": [[0, 2, "X"]] * 50_000}).encode() + b"\n"),
        ("nested-spans.jsonl", rows(1, lambda _: {"text": "a " * 4000, "label": NESTED})),
        ("types.jsonl", rows(20_000, lambda i: {"text": "a b", "label": [[0, 1, f"T{i}"]]})),
        ("text.jsonl", json.dumps({"text": "word " * 200_000, "label": [[0, 4, "X"]]}).encode() + b"\n"),
        ("word.jsonl", json.dumps({"text": "w" * 10 * MEGA, "label": [[0, 4, "X"]]}).encode() + b"\n"),
        ("line.txt", b"w" * 20 * MEGA + b" O\n"),
        ("line-of-blanks.txt", b"w" + b" " * 20 * MEGA + b"O\n"),
        ("columns.txt", b"w " * 5 * MEGA + b"O\n"),
        ("tabs.tsv", b"w" + b"\t" * 5 * MEGA + b"O\n"),
        ("latin.txt", b"a" * 5 * MEGA + b"\xe9 O\n" + "né O\n".encode("latin-1") * 40),
        ("commas.csv", b"word,tag\n" + b"," * 10 * MEGA + b"\n"),
        ("quote.csv", b'word,tag\n"' + b"a,O\n" * 3 * MEGA),
        ("quotes.csv", b"word,tag\n" + b'"' * 10 * MEGA),
        ("list.csv", b'tokens,tags\n"[' + b"'a'," * 200_000 + b"\"],\"['O']\"\n"),
        ("brackets.csv", b'tokens,tags\n"' + b"[" * MEGA + b'","' + b"[" * MEGA + b'"\n'),
        ("numbers.csv", b'tokens,tags\n"[' + b"9" * 100_000 + b']","[' + b"9" * 100_000 + b']"\n'),
        ("webanno.tsv", WEBANNO + b"#T_SP=a|value\n\n#Text=Ann\n1-1\t" + b"9" * 5000 + b"-9\tAnn\t_\n"),
        ("far.tsv", WEBANNO + b"#T_SP=a|value\n\n#Text=Ann\n1-1\t999999999999-999999999999\tAnn\t_\n"),
        ("layers.tsv", WEBANNO + b"#T_SP=a|value\n" * 100_000 + b"\n#Text=Ann\n1-1\t0-3\tAnn\t_\n"),
        ("cluener.json", rows(1, lambda _: {"text": "Ann", "label": TYPES})),
        ("dygie.json", json.dumps({"sentences": [["a"]] * 100_000, "ner": [[[0, 10**9, "X"]]] * 100_000}).encode()),
        ("w2ner.json", json.dumps([{"sentence": ["a"] * 9, "ner": [{"index": [0] * 500_000, "type": "X"}]}]).encode()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_file_that_is_hard_to_read_ends_soon(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    told = read_apart(path, tmp_path)
    assert told == "loaded" or name in told


@pytest.mark.failure_mode("bomb")
def test_spacy_files_that_grow(tmp_path):
    path = tmp_path / "train.spacy"
    nothing = zlib.compressobj(9)
    path.write_bytes(b"".join(nothing.compress(bytes(MEGA)) for _ in range(1024)) + nothing.flush())  # 1 MB to 1 GiB
    assert "unpacks to more than" in read_apart(path, tmp_path)
    path.write_bytes(zlib.compress(b"\xdd\x03\xff\xff\xff" + b"\x90" * 0x3FFFFFF, 9))  # 64 M lists
    assert "train.spacy" in read_apart(path, tmp_path)


@pytest.mark.failure_mode("bomb")
@pytest.mark.skipif(importlib.util.find_spec("spacy") is None, reason="spaCy is not installed")
@pytest.mark.parametrize(
    "parts",
    [
        {"strings": [[]] * 10_000_000},
        {"cats": [{}] * 10_000_000},
        {"lengths": struct.pack("<i", 0) * 500_000},
        {"lengths": struct.pack("<i", 2**31 - 1), "tokens": struct.pack("<Q", 5), "spaces": b"\1"},
        {"lengths": struct.pack("<i", -5), "tokens": struct.pack("<Q", 5), "spaces": b"\1"},
        {"lengths": struct.pack("<i", 1), "tokens": struct.pack("<Q", 5), "spaces": b"\1", "attrs": []},
        {"strings": ["a"] * 5_000_000},
    ],
    ids=["lists as strings", "categories", "empty documents", "long document", "negative", "no attributes", "strings"],
)
def test_spacy_files_with_odd_parts(tmp_path, parts):
    path = tmp_path / "train.spacy"
    path.write_bytes(docbin(**parts))
    assert "train.spacy" in read_apart(path, tmp_path, megabytes=1500)


MERGED = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{one}'] * 8)}]}}\n" for one, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.failure_mode("bomb")
@pytest.mark.parametrize("head", [MERGED, "a: &a [*a]\n", "a: " + "[" * 5000, "a: {b: " * 3000, "- " * 100_000])
def test_a_card_that_grows_names_no_tags(tmp_path, head):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text(f"---\n{head}\n---\n")
    (tmp_path / "data" / "train.jsonl").write_text('{"tokens": ["Lisbon"], "tags": [1]}\n')
    assert "integers without names" in read_apart(tmp_path / "data", tmp_path, seconds=10)


@pytest.mark.failure_mode("bomb")
def test_archives_are_not_unpacked(tmp_path):
    with gzip.open(tmp_path / "train.txt", "wb") as packed:
        packed.write(bytes(50 * MEGA))
    assert "gzip" in read_apart(tmp_path / "train.txt", tmp_path, megabytes=100)
    with zipfile.ZipFile(tmp_path / "train.json", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.json", bytes(50 * MEGA))
    assert "zip" in read_apart(tmp_path / "train.json", tmp_path, megabytes=100)


@pytest.mark.failure_mode("bomb")
def test_folders_with_links_to_devices_and_into_themselves(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.txt").write_text("Lisbon B-LOC\nis O\n\n" * 3)
    (folder / "self").symlink_to(folder)
    (folder / "train").symlink_to(folder)
    assert read_apart(folder, tmp_path) == "loaded"
    (folder / "dev.txt").symlink_to("/dev/zero")
    told = read_apart(folder, tmp_path)
    assert told == "loaded" or "dev.txt" in told
    (folder / "note.txt").symlink_to("/dev/zero")
    (folder / "note.ann").symlink_to("/dev/zero")
    read_apart(folder, tmp_path)
