"""Maps of characters for the `Precompiled` normalizer of tokenizers.

The format is SentencePiece's ``precompiled_charsmap``: a double-array trie over UTF-8 (Aoe 1989, in the layout of
darts-clone) and the strings that its leaves point to. The tokenizers library reads it and cannot write it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TypeAlias

_LEAF, _HAS_LEAF, _OFFSET = 1 << 31, 1 << 8, 10  # bits of a unit: a value, "a key ends here", where its offset begins
_BLOCK = 256  # units are added by the block, so that every byte has a place beside any unit
_OFFSETS = 1 << 21

_Node: TypeAlias = "dict[int, _Node | int]"  # by the next byte; 0 holds the value of the key that ends here


def charsmap(replacements: Mapping[str, str]) -> bytes:
    """Return the argument of ``tokenizers.normalizers.Precompiled`` that replaces characters.

    Args:
        replacements: A string for each character to replace.

    Raises:
        ValueError: If there are more characters than the format has room for.
    """
    texts = bytearray()
    root: _Node = {}
    for character, text in replacements.items():
        node = root
        for byte in character.encode():
            child = node.setdefault(byte, {})
            assert isinstance(child, dict)  # 0, which holds the values, is no byte of a character
            node = child
        node[0] = len(texts)
        texts += text.encode() + b"\0"
    units = _double_array(root)
    return struct.pack(f"<{len(units) + 1}I", 4 * len(units), *units) + bytes(texts)


def _double_array(root: _Node) -> list[int]:
    """Lay a trie out: a unit's child for a byte stands at its own place XOR its offset XOR the byte."""
    units, free = [0] * _BLOCK, [True] * _BLOCK
    free[0] = False
    todo = [(root, 0)]
    while todo:
        node, place = todo.pop()
        base = place ^ _offset(node, place, units, free)
        units[place] |= (base ^ place) << _OFFSET | (_HAS_LEAF if 0 in node else 0)
        for byte, child in node.items():
            free[base ^ byte] = False
            if isinstance(child, int):
                units[base ^ byte] = child | _LEAF
            else:
                units[base ^ byte] = byte
                todo.append((child, base ^ byte))
    return units


def _offset(node: _Node, place: int, units: list[int], free: list[bool]) -> int:
    """Return the first offset at which all children of a node have a free place."""
    for offset in range(1, _OFFSETS):
        base = place ^ offset
        if (base | (_BLOCK - 1)) >= len(units):
            more = (base | (_BLOCK - 1)) + 1 - len(units)
            units += [0] * more
            free += [True] * more
        if all(free[base ^ byte] for byte in node):
            return offset
    raise ValueError("There are more characters than a map of characters has room for.")
