"""Output of commands: tables for people, styled where the output is a terminal, and JSON for machines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hf_tagging.atomic import json_text
from hf_tagging.console import text_table
from hf_tagging.errors import TaggingError, printable


@dataclass(frozen=True)
class Answer:
    """Result of a command.

    Args:
        data: All of it, as JSON can hold it.
        show: Prints it for a person.
        error: Ends the command once the answer is shown; None where it has succeeded.
    """

    data: object
    show: Callable[[], None]
    error: TaggingError | None = None


def print_json(data: object) -> None:
    """Print strict JSON on standard output, in UTF-8."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # a stand-in for the stream, as in tests
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(json_text(data, default=str))


def show_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Prints a table: by rich on a terminal, as aligned text elsewhere. No cell is read as markup.

    Args:
        header: Names of the columns.
        rows: Cells. (rows, columns)
        right: Columns that stand at the right, as numbers do.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    right = frozenset(right)
    if sys.stdout.isatty():
        _show_rich(header, shown, right)
        return
    print(text_table([header, *shown], left=set(range(len(header))) - right))


def show_figures(text: str) -> None:
    """Prints a table that is text already, its first line set off where the output is a terminal.

    Args:
        text: Lines. Tags, words and names of others may stand in them.
    """
    text = printable(text, line_ends=True)
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.console import Console
    from rich.text import Text

    head, _, rest = text.partition("\n")
    console = Console(soft_wrap=True, highlight=False)
    console.print(Text(head, style="bold"))
    console.print(Text(rest))


def _show_rich(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, name in enumerate(header):
        table.add_column(Text(name), justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)
