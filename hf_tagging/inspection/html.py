"""An inspection as HTML, as a notebook shows it. Everything from the data is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from hf_tagging.data.notes import Remark
from hf_tagging.data.reading import ReadingReport
from hf_tagging.inspection.contents import ShownSentence, SplitContents

_MOST_WORDS = 60
_MOST_TYPES = 8
_GOLDEN_ANGLE = 137.508  # successive turns by it never coincide
_COLOURS = {"wrong": "#b91c1c", "suspicious": "#b45309", "note": "#6b7280"}


def inspection_html(
    splits: Mapping[str, SplitContents],
    sentences: Iterable[ShownSentence],
    remarks: Iterable[Remark],
    reading: ReadingReport | None,
) -> str:
    """Return an inspection as a fragment of HTML: splits, files, sentences, remarks."""
    types = dict.fromkeys(kind for split in splits.values() for kind in split.types)
    hues = {kind: round(210 + i * _GOLDEN_ANGLE) % 360 for i, kind in enumerate(types)}
    rows = [
        [name, f"{split.sentences:,}", f"{split.words:,}", "" if split.entities is None else f"{split.entities:,}",
         split.frequent(_MOST_TYPES)]
        for name, split in splits.items()
    ]  # fmt: skip
    parts = [_table(["split", "sentences", "words", "entities", "types"], rows)]
    if reading:
        lines = [f"{split}: {line}" for split in reading.splits for line in reading.file_lines(split)]
        parts.append(_list(map(_escaped, [*lines, *reading.scheme_lines()])))
    parts += [f"<p>{_sentence(sentence, hues)}</p>" for sentence in sentences]
    parts.append(
        _list(
            f'<b style="color:{_COLOURS[remark.severity]}">{remark.severity}</b> {_escaped(remark)}'
            for remark in remarks
        )
    )
    return "\n".join(parts)


def _sentence(sentence: ShownSentence, hues: dict[str, int]) -> str:
    ends = {first: (end, kind) for first, end, kind in sentence.entities}
    parts, place = [f"<small>{_escaped(sentence.split)}</small>"], 0
    while place < min(len(sentence.words), _MOST_WORDS):
        if found := ends.get(place):
            end, kind = found
            parts.append(
                f'<mark style="background:hsl({hues.get(kind, 0)} 80% 89%);color:#111827">'
                f"{_escaped(' '.join(sentence.words[place:end]))} <b>{_escaped(kind)}</b></mark>"
            )
            place = end
            continue
        tag = sentence.tags[place]
        shown = "" if ends or tag in (None, "O") else f"<small>/{_escaped(tag)}</small>"
        parts.append(_escaped(sentence.words[place]) + shown)
        place += 1
    return " ".join([*parts, *(["…"] if len(sentence.words) > _MOST_WORDS else [])])


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["".join(f"<{cell}>{_escaped(value)}</{cell}>" for value in row) for cell, row in
             [("th", header), *(("td", row) for row in rows)]]  # fmt: skip
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def _escaped(value: object) -> str:
    return html.escape(str(value))
