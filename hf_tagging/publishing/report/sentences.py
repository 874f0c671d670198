"""Wrong sentences for the report: made legible, cut around their errors, and laid out as marked words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Span = tuple[int, int, str]  # start, end, type; a list where it comes from JSON

COLOURS, LINES = 7, 5  # colours and line styles of a mark: 35 tags look different, and each says its name besides
_AROUND = 20  # words kept on either side of an error in a list
_LONGEST, _LONGEST_PROSE = 200, 2000  # characters of a word or name; of an explanation
_PROSE = ("missing", "note", "explain", "method")
_JOINERS = "\u200c\u200d"  # they belong to words of several scripts, and to emoji


def legible(value: Any, longest: int = _LONGEST) -> Any:
    """An analysis in which every text can be seen: controls and direction marks spelled out, endless words cut.

    Args:
        value: Dicts and lists of texts and numbers.
        longest: Most characters of a text.
    """
    if isinstance(value, str):
        return _legible_text(value, longest)
    if isinstance(value, dict):
        return {key: legible(item, _LONGEST_PROSE if key in _PROSE else longest) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [legible(item, longest) for item in value]
    return value


def _legible_text(text: str, longest: int) -> str:
    if not text.isprintable():
        keep = _JOINERS if text.strip(_JOINERS) else ""
        text = "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)
    return (text if len(text) <= longest else text[: longest - 1] + "…") or "(empty)"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def style(tag: str, styles: Sequence[str]) -> str:
    """The class names of a tag's mark: colour and line style.

    Args:
        tag: Or entity type.
        styles: Every tag of the report, in a fixed order.
    """
    place = styles.index(tag) if tag in styles else 0
    return f"c{place % COLOURS} u{(place + place // COLOURS) % LINES}"


def listed_sentences(analysis: dict[str, Any], styles: Sequence[str], most: int) -> list[dict[str, Any]]:
    """The first wrong sentences as they are printed, each whole or cut around its first error."""
    sentences = analysis["examples"]["sentences"][:most]
    return [laid_out(sentence, sentence["errors"], styles) for sentence in sentences]


def excerpts(analysis: dict[str, Any], styles: Sequence[str], tag: str, most: int) -> list[dict[str, Any]]:
    """Sentences that show how a tag goes wrong: short ones, as different as can be had.

    Args:
        analysis: With its examples.
        styles: Every tag of the report.
        tag: Or entity type.
        most: How many.
    """
    found = []
    for sentence in analysis["examples"]["sentences"]:
        errors = [error for error in sentence["errors"] if tag in _tags(error)]
        if errors:
            found.append((abs(len(sentence["words"]) - 12), sentence, errors))
    found.sort(key=lambda item: (item[0], item[1]["number"]))
    first: dict[tuple[Any, ...], int] = {}
    for place, (_, _, errors) in enumerate(found):
        first.setdefault((errors[0]["kind"], *_tags(errors[0])), place)
    firsts = set(first.values())
    order = [*first.values(), *(place for place in range(len(found)) if place not in firsts)]
    return [laid_out(found[place][1], found[place][2], styles) for place in order[:most]]


def laid_out(sentence: dict[str, Any], errors: Sequence[dict[str, Any]], styles: Sequence[str]) -> dict[str, Any]:
    """A sentence as two lines of marked words, and its errors in words.

    Args:
        sentence: Of the analysis.
        errors: Those of its errors that are spoken of; the lines are cut around the first.
        styles: Every tag of the report.
    """
    first, last = _reach(errors[0]) if errors else (0, _AROUND)
    start, end = max(0, first - _AROUND), min(len(sentence["words"]), last + _AROUND)
    gold, predicted = sentence["gold"], sentence["predicted"]
    return {
        "number": sentence["number"],
        "gold": _line(sentence["words"], gold, predicted, start, end, styles),
        "predicted": _line(sentence["words"], predicted, gold, start, end, styles),
        "errors": [_said(sentence["words"], error) for error in errors if start <= _reach(error)[0] < end],
        "before": start > 0,
        "after": end < len(sentence["words"]),
    }


def _line(
    words: Sequence[str], spans: Sequence[Span], others: Sequence[Span], start: int, end: int, styles: Sequence[str]
) -> list[dict[str, Any]]:
    """Runs of words from start to end, marked or not; a mark is wrong where the other line has no such span."""
    runs: list[dict[str, Any]] = []
    at = start
    same = {tuple(span) for span in others}
    for first, last, tag in sorted((first, last, tag) for first, last, tag in spans):
        if last <= at or first >= end:
            continue
        wrong = (first, last, tag) not in same
        first, last = max(first, at), min(last, end)
        if at < first:
            runs.append({"text": " ".join(words[at:first]), "tag": None})
        text = " ".join(words[first:last])
        runs.append({"text": text, "tag": tag, "wrong": wrong, "style": style(tag, styles)})
        at = last
    return [*runs, {"text": " ".join(words[at:end]), "tag": None}] if at < end else runs


def _tags(error: dict[str, Any]) -> tuple[str | None, str | None]:
    """Gold and predicted tag of an error, None for no entity."""
    gold, predicted = error["gold"], error["predicted"]
    return gold and gold[2], predicted and predicted[2]


def _reach(error: dict[str, Any]) -> tuple[int, int]:
    """Return the first word of an error, and the one after its last."""
    sides = [side for side in (error["gold"], error["predicted"]) if side]
    return min(side[0] for side in sides), max(side[1] for side in sides)


def _said(words: Sequence[str], error: dict[str, Any]) -> dict[str, Any]:
    """An error as its kind and two sides, each a tag with the words that it stands on, or none.

    `text` is the words of both sides where they are the same, or of the only one.
    """
    gold, predicted = (
        side and {"tag": side[2], "text": " ".join(words[side[0] : side[1]])}
        for side in (error["gold"], error["predicted"])
    )
    texts = {side["text"] for side in (gold, predicted) if side}
    text = texts.pop() if len(texts) == 1 else None
    return {"kind": error["kind"], "text": text, "gold": gold, "predicted": predicted}
