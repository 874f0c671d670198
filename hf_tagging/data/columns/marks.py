"""Lines of column files that hold no word: comments, and marks at the start of a document with its name."""

from __future__ import annotations

import re

DOCUMENT_MARK = re.compile(r"[ \t]*-DOCSTART-(?!\w)")
"""A line that starts a document; what follows the mark differs between corpora."""
_DOCUMENT = re.compile(
    r"[ \t]*-DOCSTART-(?!\w)(?:.*\((?P<start>[^()]*)\))?"
    r"|\#\s*newdoc\b(?:(?:\s*id)?\s*=\s*(?P<new>\S.*)$)?"
    r"|\#\s*begin document\b(?:\s*\((?P<begin>[^()]*)\))?(?:;\s*part\s+(?P<part>\d{1,15}))?"
    r"|\#\s*(?:\w+:)?doc(?:ument)?[_ -]?(?:id|name)?\s*[=:]\s*(?P<key>\S.*)$"
    r"|\#\#\#\s*[A-Z]\w*\s*:\s*(?P<hashes>\S.*)$",
    re.IGNORECASE,
)
_DOCUMENT_BYTES = re.compile(
    rb"docstart-|# ?newdoc|# ?begin document|doc\w*[_ -]?(?:id|name)? ?[=:]|###"
)  # in lower case, which is searched far faster than in either
_KEY_AND_VALUE = re.compile(r"#+\s*[\w.:-]*\w\s*[=:](\s|$)|#+\s*[\w.:-]*\w=")
_ANNOTATION = re.compile(r"# (id|sent_id|text|newdoc)\b")
_NO_WORD = re.compile(r"\d+[-.]\d+")
_COMMENT = re.compile(
    r"#+[ \t]|##|#(begin|end|format|newdoc|newpar|doc|document|sent_id|id|text|title)\b", re.IGNORECASE
)
_IN_COMMENTS = re.compile(r"[=:/<>\[\]]|\d{4}|.{16}")


def document_mark(line: str) -> str | None:
    """Return the name of the document that starts at a line, empty where it has none; None at any other line."""
    if not line.startswith(("#", "-D", "-d", " ", "\t")):
        return None
    found = _DOCUMENT.match(line.rstrip())
    if found is None:
        return None
    name = next((value for key, value in found.groupdict().items() if value and key != "part"), "")
    part = int(found["part"] or 0)
    return f"{name}:{part}" if part else name


def is_key_mark(line: str) -> bool:
    """Return whether the mark of a document is a key and its name, `# doc: a`, which a word and its tag may be too."""
    found = _DOCUMENT.match(line.rstrip())
    return found is not None and bool(found["key"] or found["hashes"])


def may_mark_document(chunk: bytes) -> bool:
    """Return whether bytes of a file can hold a mark of a document; mostly they cannot, which is found fast."""
    return bool(_DOCUMENT_BYTES.search(chunk.lower()))


def is_annotation(line: str) -> bool:
    """Return whether a line that starts with `#` is one that corpora write before a sentence, whatever follows."""
    return bool(_ANNOTATION.match(line))


def numbers_no_word(number: str) -> bool:
    """Return whether a number in CoNLL-U is that of no word: `1-2` of a contraction, or `1.1` of an empty node."""
    return bool(_NO_WORD.fullmatch(number))


def is_key_and_value(line: str) -> bool:
    """Return whether a line that starts with `#` gives a name and a value, as it may within a sentence too."""
    return bool(_KEY_AND_VALUE.match(line))


def looks_like_comment(line: str) -> bool:
    """Return whether a line that starts with `#` and has not the columns of a word may be a comment."""
    return bool(_COMMENT.match(line)) or is_key_and_value(line)


def is_no_tag(value: str) -> bool:
    """Return whether a value that no word has as its tag belongs to a comment."""
    return bool(_IN_COMMENTS.search(value))
