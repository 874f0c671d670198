"""Making of remarks: how much of something makes it suspicious."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hf_tagging.data.notes import Remark, Severity


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
        yield Remark(kind, text, severity, int(count), list(examples))


def graded(share: float, suspicious: float) -> Severity:
    """Return "suspicious" for a share above a limit, else "note"."""
    return "suspicious" if share > suspicious else "note"


def percent(part: int, whole: int) -> str:
    """Return a share in percent, with a digit below 10."""
    share = 100 * part / max(whole, 1)
    return f"{share:.0f} %" if share >= 10 else f"{share:.1f} %"
