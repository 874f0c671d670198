"""Files of noise: bytes, characters, and lines that look a little like something."""

from __future__ import annotations

import json
import random

from fuzz.shapes import Files

_NAMES = (
    "train.txt", "train.conll", "train.tsv", "train.csv", "train.json", "train.jsonl", "train.conllu",
    "train.conllup", "train.parquet", "train.spacy", "train.ann", "train.iob2", "train.xml", "train.xmi", "train.xlsx",
    "train", "dev.bio", "train.gold_conll", "train.ndjson", "train.pkl",
)  # fmt: skip
_STARTS = (
    b"#FORMAT=WebAnno TSV 3.3\n", b"#FORMAT=WebAnno TSV 3.3\n#T_SP=a|b\n\n#Text=", b"#begin document (x); part 0\n",
    b"# global.columns = ID FORM NER\n", b"-DOCSTART- -X- O O\n\n", b"T1\tPER 0 3\t", b'{"text": "', b'[{"text": "',
    b'[["', b'{"tokens": [', b"PAR1", b"\x1f\x8b\x08", b"PK\x03\x04", b"<?xml version='1.0'?>", b"x\x9c", b"x\xda",
    b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"Sentence #,Word,POS,Tag\n", b"word\ttag\n", b"\x80\x04\x95",
    b"%PDF-1.4", b"word,tag\n", b"sentence_id\tword\ttag\n", b"id,text,label\n",
    b"tokens,ner_tags\n", b"12345678|t|", b"<doc>\n",
)  # fmt: skip
_PIECES = (
    "O", "B-PER", "I-PER", "B-LOC", "NN", "VB", "NP", "1", "2", "0", "_", "-", "*", "(PER", ")", "Lisbon", "is", "the",
    ".", ",", '"', "#", "|", "=", ":", "{", "}", "[", "]", "'", "\\", "null", "-100", "\u00a0", "\u2028", "\u0085",
    "\u3000",
    "\ufeff", "\u200b", "\x0b", "\x0c", "\x1c", "\x00", "😀", "中", "文", "ไทย", "א", "e\u0301", "\U0010ffff", "\ufffd",
)  # fmt: skip


def noise(draw: random.Random) -> Files:
    """Return a file, or now and then a folder of some."""
    count = draw.choice([1] * 12 + [2, 3])
    return {draw.choice(_NAMES): draw.choice(_KINDS)(draw) for _ in range(count)}


def _bytes(draw: random.Random) -> bytes:
    return draw.randbytes(draw.choice([1, 5, 40, 400, 4000]))


def _begun(draw: random.Random) -> bytes:
    return draw.choice(_STARTS) + draw.choice([_bytes, _pieces, _columns, _long])(draw)


def _characters(draw: random.Random) -> bytes:
    points = (
        draw.choice([(9, 127), (0, 0x300), (0x300, 0x3000), (0x3000, 0xD7FF), (0xE000, 0x10FFFF)]) for _ in range(400)
    )
    text = "".join(chr(draw.randint(*some)) for some in points)
    return text.encode(draw.choice(["utf-8", "utf-8", "utf-16", "utf-32"]))


def _pieces(draw: random.Random) -> bytes:
    count = draw.choice([1, 10, 100, 600])
    text = "".join(draw.choice(_PIECES) + draw.choice(["", " ", "\t", "\n", "\n\n", ", "]) for _ in range(count))
    return text.encode()


def _columns(draw: random.Random) -> bytes:
    width, separator = draw.randint(1, 12), draw.choice([" ", "\t", ",", ";", "|"])
    kinds = [
        draw.choice([_PIECES, _PIECES[:4], _PIECES[4:7], _PIECES[7:10], ("x",), ("(", "*", ")")]) for _ in range(width)
    ]
    lines = [separator.join(draw.choice(kind) for kind in kinds) for _ in range(draw.choice([1, 5, 30, 200]))]
    return "\n".join(line if draw.random() < 0.9 else "" for line in lines).encode()


def _long(draw: random.Random) -> bytes:
    return draw.choice(_PIECES).encode() * draw.choice([1000, 30_000]) + draw.choice([b"", b"\n", b" O\n"])


def _json(draw: random.Random) -> bytes:
    rows = [_value(draw, 4) for _ in range(draw.choice([1, 3, 10]))]
    if draw.random() < 0.5:
        return json.dumps(rows).encode()
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _value(draw: random.Random, depth: int) -> object:
    kind = draw.random()
    if depth and kind < 0.35:
        keys = ("text", "tokens", "tags", "entities", "label", "spans", "data", "ner", "sentences", "annotations", "id")
        return {draw.choice(keys): _value(draw, depth - 1) for _ in range(draw.randint(0, 4))}
    if depth and kind < 0.75:
        return [_value(draw, depth - 1) for _ in range(draw.randint(0, 4))]
    return draw.choice(
        [None, True, 0, 3, -1, 2.5, 1e400, "", "Lisbon", "O", "B-LOC", "Ann is in Lisbon .", 10**25, "\ud83d"]
    )


_KINDS = (_bytes, _begun, _begun, _begun, _characters, _pieces, _columns, _columns, _long, _json, _json)
