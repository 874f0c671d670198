"""Making of remarks: how much of something makes it suspicious."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hf_tagging.data.notes import Remark, Severity

_NOUNS = {
    "words": "word", "sentences": "sentence", "documents": "document", "entities": "entity", "names": "name",
    "types": "type", "tags": "tag",
}  # fmt: skip
_VERBS = {
    "are": "is", "have": "has", "do": "does", "look": "looks", "repeat": "repeats", "occur": "occurs", "end": "ends",
    "begin": "begins",
}  # fmt: skip


def counted(
    kind: str,
    text: str,
    count: int,
    *,
    severity: Severity = "note",
    examples: Sequence[str] = (),
) -> Iterator[Remark]:
    """Yield a remark with a number, unless that is 0.

    Args:
        kind: See `Remark`.
        text: What was counted; it follows the number.
        count: How many.
        severity: See `Remark`.
        examples: The first few.
    """
    if count:
        yield Remark(kind, text if count > 1 else _of_one(text), severity, int(count), list(examples))


def _of_one(text: str) -> str:
    """Return a text about several things as one about a single thing: its first noun and its first verb change."""
    for forms in (_NOUNS, _VERBS):
        plural = re.search(rf"\b({'|'.join(forms)})\b", text)
        if plural:
            text = text[: plural.start()] + forms[plural[0]] + text[plural.end() :]
    return text


def graded(share: float, suspicious: float) -> Severity:
    """Return "suspicious" for a share above a limit, else "note"."""
    return "suspicious" if share > suspicious else "note"


def percent(part: int, whole: int) -> str:
    """Return a share in percent, with a digit below 10."""
    share = 100 * part / max(whole, 1)
    return f"{share:.0f} %" if share >= 10 else f"{share:.1f} %"
