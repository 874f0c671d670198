"""Damage to bytes of any format, drawn from a generator of random numbers."""

from __future__ import annotations

import random

_WORDS = (
    b"null", b"[", b"]", b"{", b"}", b'"', b"\\", b"\\ud800", b"\0", b"\n", b"\n\n", b"\r", b"\t", b" ", b"#", b",",
    b":", b"-1", b"1e999", b"NaN", b"9" * 40, b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8",
    b"-DOCSTART-", b"*a",
    b"&a ", b"!!python/object:os.system ", b"? ", b"| ", b"<<: ", b"[" * 700, b'{"a":' * 700, b"\x1b[31m", b"%",
    b"---\n",
)  # fmt: skip


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return bytes with one to three faults; now and then others altogether."""
    kind = draw.random()
    if kind < 0.03:
        return b""
    if kind < 0.06:
        return draw.randbytes(draw.randint(1, 400))
    for _ in range(draw.randint(1, 3)):
        content = draw.choice(_FAULTS)(content, draw)
    return content


def _flipped(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.randint(1, 16) if changed else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randint(0, len(content))]


def _without_middle(content: bytes, draw: random.Random) -> bytes:
    first, last = sorted(draw.randint(0, len(content)) for _ in range(2))
    return content[:first] + content[min(last, first + 200) :]


def _twice(content: bytes, draw: random.Random) -> bytes:
    first, last = sorted(draw.randint(0, len(content)) for _ in range(2))
    return content[:last] + content[first:last] + content[last:]


def _with_word(content: bytes, draw: random.Random) -> bytes:
    place = draw.choice([0, len(content), draw.randint(0, len(content))])
    return content[:place] + draw.choice(_WORDS) + content[place:]


def _lines_swapped(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    draw.shuffle(lines)
    return b"\n".join(lines)


def _zeroed(content: bytes, draw: random.Random) -> bytes:
    first = draw.randint(0, len(content))
    last = min(len(content), first + draw.randint(1, 64))
    return content[:first] + bytes(last - first) + content[last:]


_FAULTS = (_flipped, _cut, _without_middle, _twice, _with_word, _with_word, _lines_swapped, _zeroed)
