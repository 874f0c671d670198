"""Offsets of spans, checked against their text, and in whatever unit they count.

JavaScript and Java count UTF-16 code units, in which an emoji is two, Go and Rust bytes of UTF-8, and some tools a line
end of Windows as one character. Where a span says its own text, the unit is the one by which every span has it. Without
it, offsets are code points, unless they lie outside of the text, or all borders behind an emoji fall inside words and
none does in UTF-16.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hf_tagging.data.formats.base import Span
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

Unit = Callable[[int], int | None]
"""An offset to the code point that it means; None where it means none."""

UTF16 = "UTF-16 code units, as JavaScript counts"
_BYTES = "bytes of UTF-8"
_LINES = "a line end of Windows as one character"


@dataclass(frozen=True)
class FoundSpan:
    """A span as a file has it.

    Args:
        start: First character, in the unit of the file.
        end: Behind the last one.
        type: Entity type.
        surface: The text that the file says is there; None where it says nothing.
        score: Probability that a model gives it; None for gold.
    """

    start: int
    end: int
    type: str
    surface: str | None = None
    score: float | None = None


def checked_spans(
    text: str, found: Sequence[FoundSpan], *, file: str, place: str, request: ReadRequest, notes: FileNotes
) -> list[Span]:
    """Return the spans of a text in code points.

    Args:
        text: The text.
        found: Its spans as the file has them.
        file: The file's name for messages.
        place: Of the text in it.
        request: With `misfit` "drop", spans that are not in their text are dropped and counted.
        notes: Counts texts that count in another unit, and dropped spans.

    Raises:
        DataError: A span lies outside of the text or ends before it begins, or the text there is another than it says.
    """
    name, unit = _unit(text, found)
    if name:
        notes.count("offsets", f"texts whose offsets count {name}: read as such", example=place)
    spans = []
    for span in found:
        start, end = unit(span.start), unit(span.end)
        problem = _problem(text, start, end, span)
        if not problem and start is not None and end is not None:
            spans.append(Span(start, end, span.type, span.score))
        elif request.misfit == "drop":
            notes.count("bad_span", "annotated spans that do not lie in their text, or have another text there: "
                        "dropped", severity="suspicious", example=f"{place}: {problem}")  # fmt: skip
        else:
            way = f"correct it, or leave such spans out with {argument('misfit', 'drop')}"
            raise DataError(f"{file}, {place}: {problem}; {way}")
    return spans


def utf16_unit(text: str) -> Unit:
    """Return the unit of UTF-16: offset to code point, None inside a character and outside of the text."""
    return _counting(text, lambda character: 2 if ord(character) > 0xFFFF else 1)


def _counting(text: str, size: Callable[[str], int]) -> Unit:
    points: list[int | None] = []
    for index, character in enumerate(text):
        points += [index, *[None] * (size(character) - 1)]
    points.append(len(text))
    return lambda offset: points[offset] if 0 <= offset < len(points) else None


def _code_points(text: str) -> Unit:
    return lambda offset: offset if 0 <= offset <= len(text) else None


def _line_ends_as_one(text: str) -> Unit:
    points = [match.start() for match in re.finditer(r"\r\n|.|\n|\r", text, re.DOTALL)] + [len(text)]
    return lambda offset: points[offset] if 0 <= offset < len(points) else None


def _unit(text: str, found: Sequence[FoundSpan]) -> tuple[str, Unit]:
    """Return the unit that offsets of a text count, with its name; no name for code points."""
    plain = _code_points(text)
    if not found or (text.isascii() and "\r\n" not in text):
        return "", plain
    units: list[tuple[str, Unit]] = []
    if any(ord(character) > 0xFFFF for character in text):
        units.append((UTF16, utf16_unit(text)))
    said = any(span.surface is not None for span in found)
    if said and not text.isascii():
        units.append((_BYTES, _counting(text, lambda character: len(character.encode("utf-8", "surrogatepass")))))
    if said and "\r\n" in text:
        units.append((_LINES, _line_ends_as_one(text)))
    right = _right(text, found, plain)
    if right < len(found):
        best = max(units, key=lambda named: _right(text, found, named[1]), default=("", plain))
        return best if _right(text, found, best[1]) > right else ("", plain)
    if not said and units and _cuts(text, found, plain) and not _cuts(text, found, units[0][1]):
        return units[0]
    return "", plain


def _right(text: str, found: Sequence[FoundSpan], unit: Unit) -> int:
    """Return how many spans are right by a unit."""
    return sum(not _problem(text, unit(span.start), unit(span.end), span) for span in found)


def _cuts(text: str, found: Sequence[FoundSpan], unit: Unit) -> int:
    """Return how many spans have a border inside a word by a unit; all where one lies outside of the text."""
    borders = [(unit(span.start), unit(span.end)) for span in found]
    if any(border is None for pair in borders for border in pair):
        return len(borders)
    return sum(_is_inside(text, border) for pair in borders for border in pair if border is not None)


def _is_inside(text: str, border: int) -> bool:
    return 0 < border < len(text) and text[border - 1].isalnum() and text[border].isalnum()


def _problem(text: str, start: int | None, end: int | None, span: FoundSpan) -> str:
    """Return what is wrong with a span, empty if nothing is."""
    if span.end < span.start:
        return f"a span ends at {span.end}, before it begins at {span.start}"
    if start is None or end is None:
        return f"a span from {span.start} to {span.end} in a text of {len(text)} characters"
    if span.surface is not None and not _same(text[start:end], span.surface):
        there, said = shortened(text[start:end], 40), shortened(span.surface, 40)
        return f"the text from {span.start} to {span.end} is {there}, but the span says {said}"
    return ""


def _same(there: str, said: str) -> bool:
    r"""Return whether two texts are the same but for white space; Label Studio writes a line break as ``\n``."""
    return there == said or _bare(there) == _bare(said) or _bare(there) == _bare(said.replace("\\n", " "))


def _bare(text: str) -> str:
    return "".join(text.split())
