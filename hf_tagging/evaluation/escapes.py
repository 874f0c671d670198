r"""Words and tags as fields of a predictions file, so that any of them comes back as it was.

A predictions file has three columns with a blank between them, for conlleval. What would break a column or a line is
written as ``\u{HEX}``, the code point in hexadecimal: white space of any kind, a byte-order mark, half of a surrogate
pair; the first character of ``-DOCSTART-`` as a word, of ``#`` before a tag that would make it an annotation line, and
of the tag ``predicted``, which would be a header. An empty word is ``\u{}``, and a backslash that would begin such an
escape is ``\u{5c}``. Files without any escape, as other tools and earlier releases write them, are read as they are.
"""

from __future__ import annotations

import re

from hf_tagging.data.columns.marks import DOCUMENT_MARK, is_annotation

HEADER = "predicted"
"""Name of the column of predicted tags, in a file whose first row names the columns."""

_UNSAFE = re.compile(r"\s|[\ufeff\ud800-\udfff]|\\(?=u\{)")
_ESCAPE = re.compile(r"\\u\{([0-9a-f]{0,6})\}")
_LARGEST = 0x10FFFF


def escaped(text: str) -> str:
    """Return a word or tag as a field."""
    return _UNSAFE.sub(lambda found: _escape(found[0]), text) or r"\u{}"


def escaped_line(word: str, gold: str, predicted: str) -> str:
    """Return a word with its tags as a line, without a line end."""
    fields = [escaped(word), escaped(gold), escaped(predicted)]
    if DOCUMENT_MARK.match(word) or is_annotation(" ".join(fields)):
        fields[0] = _escape(word[0]) + escaped(word[1:]) * (len(word) > 1)
    if predicted == HEADER:
        fields[2] = _escape(predicted[0]) + predicted[1:]
    return " ".join(fields)


def unescaped(field: str) -> str:
    """Return the word or tag of a field."""
    return _ESCAPE.sub(_character, field) if "\\" in field else field


def _escape(character: str) -> str:
    return f"\\u{{{ord(character):x}}}"


def _character(found: re.Match[str]) -> str:
    code = int(found[1] or "0", 16)
    if code > _LARGEST:
        return found[0]
    return chr(code) if found[1] else ""
