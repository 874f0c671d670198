"""Notes about the columns of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hf_tagging.data.notes import ColumnNote, FileNotes
from hf_tagging.data.tables.cells import parse_list
from hf_tagging.data.tables.names import Cell, Cells, TableColumns

_EXAMPLES = 3


def describe(
    notes: FileNotes, columns: TableColumns, names: Sequence[str], sample: Sequence[Cells], *, form: str | None = None
) -> None:
    """Note which columns of a table are read, with examples, what is left out, and how sentences are told apart.

    Args:
        notes: To fill in.
        columns: The columns that are read.
        names: Of all columns, empty ones where there are none.
        sample: The first rows.
        form: Format in words; None: a table with another delimiter.
    """
    shown = [name or (str(i) if not any(names) else "(no name)") for i, name in enumerate(names)]
    notes.format = form or "table"
    roles = {
        "words": columns.words,
        "tags": columns.tags,
        "sentence": columns.sentence,
        "document": columns.document,
        "number": columns.number,
    }
    read = {position: role for role, position in roles.items() if position is not None}
    read |= {position: shown[position] for position in columns.features}
    for position, role in read.items():
        notes.columns.append(ColumnNote(role, shown[position], examples(sample, position, columns)))
    notes.left_out = [name for i, name in enumerate(shown) if i not in read]
    if columns.a_sentence_a_row:
        how = "lists" if columns.words in columns.lists else "words between blanks"
        notes.remark("grouping", f"each row is a sentence, written as {how}")
    elif columns.sentence is not None:
        notes.remark("grouping", f"each row is a word; the column {shown[columns.sentence]} tells the sentences apart")
    elif columns.number is not None:
        shown_number = shown[columns.number]
        notes.remark("grouping", f"each row is a word; where {shown_number} starts again, a sentence begins")
    # else the sentences tell, once all rows are read


def examples(sample: Sequence[Cells], position: int, columns: TableColumns) -> list[str]:
    """Return the first three values of a column, words and tags one by one."""
    found: list[str] = []
    for value in _values(sample, position, columns):
        if position not in (columns.words, columns.tags) and value in found:
            continue
        found.append(value)
        if len(found) == _EXAMPLES:
            break
    return found


def _values(sample: Sequence[Cells], position: int, columns: TableColumns) -> Iterator[str]:
    for row in sample:
        cell: Cell = row[position]
        if cell in (None, ""):
            continue
        if not columns.a_sentence_a_row or position == columns.document:
            yield str(cell)
        elif position in columns.lists:
            try:
                yield from map(str, parse_list(str(cell)))
            except ValueError:
                return  # its reader says what is wrong
        else:
            yield from str(cell).split()
