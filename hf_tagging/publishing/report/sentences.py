"""Wrong sentences for the report: made legible, cut around their errors, with marked words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, TypeVar, cast

from hf_tagging.analysis.shape import Analysis, Error, Span, WrongSentence

_T = TypeVar("_T")

COLOURS, LINES = 7, 5  # of marks: 35 tags look different, and the tag is written beside each
_AROUND = 20  # words kept on either side of an error in a list
_LONGEST, _LONGEST_PROSE = 200, 2000  # characters of a word or name; of an explanation
_PROSE = ("missing", "note", "explain", "method")
_JOINERS = "\u200c\u200d"  # part of words in several scripts, and of emoji


class Run(TypedDict, total=False):
    """Words of one line that are marked with a tag, or not (`tag` is None)."""

    text: str
    tag: str | None
    wrong: bool
    style: str


class Side(TypedDict):
    """Gold or the predicted side of an error."""

    tag: str
    text: str


class Said(TypedDict):
    """An error in words; `text` is None where its sides have different words."""

    kind: str
    text: str | None
    gold: Side | None
    predicted: Side | None


class LaidOut(TypedDict):
    """A sentence as two lines of marked words, with its errors in words."""

    number: int
    gold: list[Run]
    predicted: list[Run]
    errors: list[Said]
    before: bool
    after: bool


def legible(value: _T, longest: int = _LONGEST) -> _T:
    """Return an analysis with visible texts: control characters and direction marks escaped, long words cut.

    Args:
        value: Dicts and lists of texts and numbers.
        longest: Maximum number of characters of a text.
    """
    changed: object = value
    if isinstance(value, str):
        changed = _legible_text(value, longest)
    elif isinstance(value, dict):
        changed = {key: legible(item, _LONGEST_PROSE if key in _PROSE else longest) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        changed = [legible(item, longest) for item in value]
    return cast(_T, changed)


def _legible_text(text: str, longest: int) -> str:
    if not text.isprintable():
        keep = _JOINERS if text.strip(_JOINERS) else ""
        text = "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)
    return (text if len(text) <= longest else text[: longest - 1] + "…") or "(empty)"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def style(tag: str, styles: Sequence[str]) -> str:
    """Return the class names of a tag's mark: colour and line style.

    Args:
        tag: Tag or entity type.
        styles: Every tag of the report, in a fixed order.
    """
    place = styles.index(tag) if tag in styles else 0
    return f"c{place % COLOURS} u{(place + place // COLOURS) % LINES}"


def listed_sentences(analysis: Analysis, styles: Sequence[str], most: int) -> list[LaidOut]:
    """Return the first wrong sentences for print, each whole or cut around its first error."""
    sentences = analysis["examples"]["sentences"][:most]
    return [laid_out(sentence, sentence["errors"], styles) for sentence in sentences]


def excerpts(analysis: Analysis, styles: Sequence[str], tag: str, most: int) -> list[LaidOut]:
    """Return sentences that show the errors of a tag: short ones, with different errors.

    Args:
        analysis: Analysis with examples.
        styles: Every tag of the report.
        tag: Tag or entity type.
        most: Maximum number of sentences.
    """
    found = []
    for sentence in analysis["examples"]["sentences"]:
        errors = [error for error in sentence["errors"] if tag in _tags(error)]
        if errors:
            found.append((abs(len(sentence["words"]) - 12), sentence, errors))
    found.sort(key=lambda item: (item[0], item[1]["number"]))
    first: dict[tuple[str | None, ...], int] = {}
    for place, (_, _, errors) in enumerate(found):
        first.setdefault((errors[0]["kind"], *_tags(errors[0])), place)
    firsts = set(first.values())
    order = [*first.values(), *(place for place in range(len(found)) if place not in firsts)]
    return [laid_out(found[place][1], found[place][2], styles) for place in order[:most]]


def laid_out(sentence: WrongSentence, errors: Sequence[Error], styles: Sequence[str]) -> LaidOut:
    """Return a sentence as two lines of marked words, with its errors in words.

    Args:
        sentence: A sentence of the analysis.
        errors: Errors to describe; the lines are cut around the first.
        styles: Every tag of the report.
    """
    start, end = shown_words(len(sentence["words"]), errors)
    gold, predicted = sentence["gold"], sentence["predicted"]
    return {
        "number": sentence["number"],
        "gold": marked_line(sentence["words"], gold, [predicted], start, end, styles),
        "predicted": marked_line(sentence["words"], predicted, [gold], start, end, styles),
        "errors": [_said(sentence["words"], error) for error in errors if start <= _reach(error)[0] < end],
        "before": start > 0,
        "after": end < len(sentence["words"]),
    }


def shown_words(count: int, errors: Sequence[Error]) -> tuple[int, int]:
    """Return which words of a sentence are listed: those around its first error.

    Args:
        count: Number of its words.
        errors: Its errors.
    """
    first, last = _reach(errors[0]) if errors else (0, _AROUND)
    return max(0, first - _AROUND), min(count, last + _AROUND)


def marked_line(
    words: Sequence[str],
    spans: Sequence[Span],
    others: Sequence[Sequence[Span]],
    start: int,
    end: int,
    styles: Sequence[str],
) -> list[Run]:
    """Return the words of a line from `start` to `end` as runs, marked or not.

    Args:
        words: Words of the sentence.
        spans: Spans that are marked.
        others: Spans of the other lines; a mark is wrong if one of them has no such span.
        start: First word that is shown.
        end: Behind the last one.
        styles: Every tag of the page.
    """
    runs: list[Run] = []
    at = start
    same = [{tuple(span) for span in side} for side in others]
    for first, last, tag in sorted((first, last, tag) for first, last, tag in spans):
        if last <= at or first >= end:
            continue
        wrong = not all((first, last, tag) in side for side in same)
        first, last = max(first, at), min(last, end)
        if at < first:
            runs.append({"text": " ".join(words[at:first]), "tag": None})
        text = " ".join(words[first:last])
        runs.append({"text": text, "tag": tag, "wrong": wrong, "style": style(tag, styles)})
        at = last
    return [*runs, {"text": " ".join(words[at:end]), "tag": None}] if at < end else runs


def _tags(error: Error) -> tuple[str | None, str | None]:
    """Return gold and predicted tag of an error, None for no entity."""
    gold, predicted = error["gold"], error["predicted"]
    return gold[2] if gold else None, predicted[2] if predicted else None


def _reach(error: Error) -> tuple[int, int]:
    """Return the first word of an error, and the one after its last."""
    sides = [side for side in (error["gold"], error["predicted"]) if side]
    return min(side[0] for side in sides), max(side[1] for side in sides)


def _said(words: Sequence[str], error: Error) -> Said:
    gold, predicted = (_side(words, span) for span in (error["gold"], error["predicted"]))
    texts = {side["text"] for side in (gold, predicted) if side}
    text = texts.pop() if len(texts) == 1 else None
    return {"kind": error["kind"], "text": text, "gold": gold, "predicted": predicted}


def _side(words: Sequence[str], span: Span | None) -> Side | None:
    return {"tag": span[2], "text": " ".join(words[span[0] : span[1]])} if span else None
