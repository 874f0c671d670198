"""An inspection on a terminal: table of splits, first sentences with entities in colour, remarks by severity."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from hf_tagging.data.notes import Severity
from hf_tagging.errors import printable
from hf_tagging.inspection.contents import ShownSentence, SplitContents
from hf_tagging.inspection.inspect import Inspection
from hf_tagging.inspection.refused import FileLook

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red", "bright_cyan", "bright_green", "bright_magenta")
_MOST_WORDS = 60
_MOST_TYPES = 6
_TO_MEND = ("misfit", "overlap", "empty_span", "bad_span", "discontinuous")  # listed one by one
_TITLES: dict[Severity, tuple[str, str]] = {
    "wrong": ("Wrong: stops a run", "bold red"),
    "suspicious": ("Suspicious: look at it before training", "bold yellow"),
    "note": ("Worth knowing", "bold"),
}


def show_inspection(found: Inspection, console: Console) -> None:
    """Print an inspection.

    Args:
        found: The inspection.
        console: Where to.
    """
    title = f"{found.task}, {found.scheme}" if found.scheme != "plain" else found.task
    if found.model:
        title += f"; words and windows of {found.model} ({found.window} subwords)"
    parts: list[RenderableType] = [Text(title, style="bold"), Text(), _splits(found), Text()]
    parts += [*_files(found), *_sentences(found, plain=not console.is_terminal), *_remarks(found)]
    console.print(Group(*parts), highlight=False)


def show_refused(looks: Sequence[FileLook], console: Console) -> None:
    """Print what could be found out about files that were refused."""
    for look in looks:
        console.print(Text(printable(f"{look.file}: {look.size:,} bytes, {look.encoding}")), highlight=False)
        for line in look.lines:
            console.print(Text(f"  {printable(line)}", style="dim"), highlight=False)
        for number, values in enumerate(look.columns):
            console.print(Text(printable(f"  column {number}: {', '.join(values)}")), highlight=False)


def _splits(found: Inspection) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    has_entities = any(split.entities is not None for split in found.splits.values())
    table.add_column("split")
    for name in ("sentences", "words", "longest", "documents", *(["entities"] if has_entities else [])):
        table.add_column(name, justify="right")
    table.add_column("entity types" if has_entities else "tags")
    for name, split in found.splits.items():
        numbers = [split.sentences, split.words, split.longest, split.documents]
        numbers += [split.entities] if has_entities else []
        cells = ["" if number is None else f"{number:,}" for number in numbers]
        table.add_row(name, *cells, _types(split, found))
    return table


def _types(split: SplitContents, found: Inspection) -> Text:
    colours, text = _colours(found), Text()
    for name, count in islice(split.types.items(), _MOST_TYPES):
        text.append(printable(name), style=colours.get(name, ""))
        text.append(f" {count:,}  ")
    rest = len(split.types) - _MOST_TYPES
    text.append(f"and {rest:,} more" if rest > 0 else "")
    return text


def _colours(found: Inspection) -> dict[str, str]:
    """Return the colour of each entity type, the most frequent first; tags have none."""
    types = dict.fromkeys(kind for split in found.splits.values() for kind in split.types if split.entities)
    return {kind: _COLOURS[i % len(_COLOURS)] for i, kind in enumerate(types)}


def _files(found: Inspection) -> Iterator[RenderableType]:
    if found.reading:
        yield _title("How it was read")
        here = f"{Path.cwd()}{os.sep}"
        for split in found.reading.splits:
            for line in found.reading.file_lines(split):
                yield _item(Text.assemble((f"{split}  ", "dim"), printable(line.replace(here, ""))))
        for line in found.reading.scheme_lines():
            yield _item(Text(printable(line)))
        yield Text()


def _sentences(found: Inspection, *, plain: bool) -> Iterator[RenderableType]:
    if found.sentences:
        yield _title("First sentences" + (" with entities" if any(s.entities for s in found.sentences) else ""))
        colours = _colours(found)
        for sentence in found.sentences:
            yield _item(_sentence(sentence, colours, plain=plain))
        yield Text()


def _sentence(sentence: ShownSentence, colours: dict[str, str], *, plain: bool) -> Text:
    text = Text()
    text.append(f"{sentence.split}  ", style="dim")
    entities = {first: (end, kind) for first, end, kind in sentence.entities}
    words, place = sentence.words[:_MOST_WORDS], 0
    while place < len(words):
        if found := entities.get(place):
            end, kind = found
            inside, colour = printable(" ".join(sentence.words[place:end])), colours.get(kind, "")
            text.append(f"[{inside} {printable(kind)}]" if plain else inside, style=f"bold {colour} underline")
            text.append("" if plain else f" {printable(kind)}", style=colour)
            place = end
        else:
            text.append(printable(words[place]))
            tag = sentence.tags[place]
            if not colours and tag is not None:
                text.append(f"/{printable(tag)}", style="cyan")
            place += 1
        text.append(" ")
    text.append("…" if len(sentence.words) > _MOST_WORDS else "")
    return text


def _remarks(found: Inspection) -> Iterator[RenderableType]:
    for severity, (title, style) in _TITLES.items():
        remarks = found.of_severity(severity)
        if not remarks:
            continue
        yield _title(title, style)
        for remark in remarks:
            kind = (f"{remark.kind}  ", style if severity != "note" else "dim")
            yield _item(Text.assemble(kind, printable(str(remark))))
            for example in remark.further if remark.kind in _TO_MEND else ():
                yield Padding(Text(printable(example), style="dim"), (0, 0, 0, 4))
        yield Text()
    if not found.of_severity("wrong") and not found.of_severity("suspicious"):
        yield Text("Nothing wrong and nothing suspicious was found.", style="bold green")


def _title(text: str, style: str = "bold") -> Rule:
    return Rule(Text(text, style=style), align="left", style="dim", characters="─")


def _item(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2))
