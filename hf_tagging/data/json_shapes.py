"""JSON in other shapes than an object per sentence, as such objects.

- One object of columns, `{"tokens": [...], "tags": [...]}`, as `Dataset.to_dict` gives it; pandas writes a mapping by
  index in place of each list, or `{"columns": [...], "data": [...]}`.
- One object with the splits by name, each of any shape.
- One object with a list of rows beside other facts, `{"version": 1, "data": [...]}`, or with a row under each id.
- Sentences as lists of `[word, tag]` or of `{"word": ..., "tag": ...}`, be it as rows of their own or under any key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hf_tagging.atomic import Json
from hf_tagging.data.column_names import names_sentences, names_words
from hf_tagging.data.json_rows import json_rows
from hf_tagging.data.json_sentences import SentenceShape
from hf_tagging.data.text_lines import BOM, shortened
from hf_tagging.errors import DataError

Rows = Iterable[tuple[str, Json]]
"""Place, for messages, and value of each row."""
Object = Mapping[str, Json]

_PROBED = 1 << 16  # bytes that tell a shape
_PROBED_ROWS = 10
WHOLE = ""
"""Key of the rows of a file that is one split."""


@dataclass(frozen=True)
class JsonShape:
    """Layout of a JSON file that is not an object per sentence.

    Args:
        title: In words, for the notes.
        rows: Key of each split, or `WHOLE`, to its rows.
        left_out: Keys that are not read.
    """

    title: str
    rows: Mapping[str, Rows]
    left_out: tuple[str, ...] = ()

    def lines(self, key: str, *, file: str) -> Iterator[str]:
        """Yield an object per sentence as a line of JSON.

        Args:
            key: Of a split, or `WHOLE`.
            file: Name of the file for messages.

        Raises:
            DataError: A row is not like the others.
        """
        rows = iter(self.rows[key])
        start = list(islice(rows, _PROBED_ROWS))
        shape = SentenceShape.of([row for _, row in start])
        for part in (start, rows):
            for place, row in part:
                value = shape.row(row, place=f"{file}, {place}") if shape else row
                if not isinstance(value, dict):
                    shown = shortened(json.dumps(row))
                    raise DataError(f"{file}, {place}: {shown} is no JSON object; expected one with tokens and tags")
                yield json.dumps(value) + "\n"


def shape_of(path: Path, splits_in: Callable[[str], Sequence[str]]) -> JsonShape | None:
    """Return the shape of a JSON file; None for an object per sentence, and for what is no JSON.

    Args:
        path: The file.
        splits_in: Returns the splits that a name names.

    Raises:
        DataError: Columns have different lengths.
    """
    whole = _single_object(path)
    if whole is not None:
        return _of_object(whole, path, splits_in)
    start = _first_rows(path)
    shape = SentenceShape.of(start) if start else None
    if shape is None:
        return None
    return JsonShape(shape.title, {WHOLE: ((place, row) for place, row, _ in json_rows(path))})


def _single_object(path: Path) -> Object | None:
    """Return the object that is all of a file; None for several, and for anything else."""
    with open(path, "rb") as stream:
        first = b""
        for line in stream:
            if first and line.strip():
                break
            first = first or line.removeprefix(BOM).lstrip()
        else:
            line = b""
    if not first.startswith(b"{"):
        return None
    value = _loaded(first)
    if value is not None:
        return value if isinstance(value, dict) and not line.strip() else None
    if first.rstrip().endswith(b"}"):
        return None  # a row of JSON Lines, and damaged
    value = _loaded(path.read_bytes().removeprefix(BOM))
    return value if isinstance(value, dict) else None


def _first_rows(path: Path) -> list[Json]:
    """Return the first rows of a file, as many as are cheap to have; none where there are none."""
    with open(path, "rb") as stream:
        start = stream.read(_PROBED).removeprefix(BOM).lstrip()
    if start.startswith(b"["):
        inner = start[1:].lstrip()
        if inner.startswith(b"{"):
            try:
                return [json.JSONDecoder().raw_decode(inner.decode("utf-8", "replace"))[0]]
            except (ValueError, RecursionError):
                if len(start) < _PROBED // 2:
                    return []
        elif not inner.startswith(b"["):
            return []
    elif not start.startswith(b"{"):
        return []
    try:
        return [row for _, row, _ in islice(json_rows(path), _PROBED_ROWS)]
    except DataError:
        return []  # who reads the file says what is wrong


def _loaded(text: bytes) -> Json:
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _of_object(value: Object, path: Path, splits_in: Callable[[str], Sequence[str]]) -> JsonShape | None:
    """Return the shape of one object that is a whole file; None if it is a row."""
    parts = {key: part for key, part in value.items() if len(splits_in(key)) == 1 and isinstance(part, dict | list)}
    if parts:
        rows = {key: _rows_of(part, f"{path}, {key}") for key, part in parts.items()}
        return JsonShape("JSON, splits by name", rows, tuple(key for key in value if key not in parts))
    for title, find in _SHAPES:
        found = find(value, str(path))
        if found is not None:
            return JsonShape(title, {WHOLE: found})
    return None


def _rows_of(value: Json, place: str) -> Rows:
    """Return the rows of a split: a list of them, or an object of any shape."""
    if isinstance(value, dict):
        for _, find in _SHAPES:
            if (found := find(value, place)) is not None:
                return found
        return [("row 1", value)]
    return _numbered(value if isinstance(value, list) else [])


def _columns(value: Object, place: str) -> Rows | None:
    """Return the rows of an object of columns, each a list or a mapping by index."""
    columns: dict[str, list[Json]] = {}
    for name, column in value.items():
        if isinstance(column, dict) and column and all(key.isdecimal() for key in column):
            columns[name] = list(column.values())
        elif isinstance(column, list):
            columns[name] = column
    indexed = {name: part for name in columns if isinstance(part := value[name], dict)}
    by_index = bool(indexed)
    order = list(next(iter(indexed.values()), ()))
    columns |= {n: [part[key] for key in order] for n, part in indexed.items() if part.keys() == set(order)}
    of_words = [column for name, column in columns.items() if names_words(name)]
    lists = [column for column in columns.values() if column and isinstance(column[0], list)]
    nested = (len(lists) > 1 and any(column in lists for column in of_words)) or _parallel(lists)
    ids = any(names_sentences(name) for name in columns)
    if len(columns) < 2 or not (nested or (of_words and (by_index or ids))):
        return None
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"{place}: columns of different lengths ({shown}); expected one value per sentence in each")
    for name, part in indexed.items():
        if odd := next((key for key in part if key not in indexed[next(iter(indexed))]), None):
            raise DataError(
                f"{place}: the column {name} has the index {odd} and {next(iter(indexed))} has not; expected the same "
                "index of sentences in each column"
            )
    return _numbered([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])


def _parallel(columns: Sequence[Sequence[Json]]) -> bool:
    """Return whether two columns hold lists of the same lengths, and one of them nothing but lists of strings."""
    nested = [column for column in columns if column and all(isinstance(item, list) for item in column)]
    lengths = [[len(item) for item in column if isinstance(item, list)] for column in nested]
    words = [all(isinstance(x, str) for item in column if isinstance(item, list) for x in item) for column in nested]
    return any(
        words[i] and any(lengths[i] == lengths[j] for j in range(len(nested)) if i != j) for i in range(len(nested))
    )


def _split_table(value: Object, place: str) -> Rows | None:
    """Return the rows of `{"columns": [...], "data": [[...], ...]}`."""
    names, data = value.get("columns"), value.get("data")
    if not isinstance(names, list) or not isinstance(data, list):
        return None
    rows: list[Json] = []
    for number, row in enumerate(data, start=1):
        if not isinstance(row, list) or len(row) != len(names):
            raise DataError(f"{place}, row {number}: {shortened(str(row))}; expected {len(names)} values")
        rows.append(dict(zip(map(str, names), row, strict=True)))
    return _numbered(rows)


def _list_of_rows(value: Object, place: str) -> Rows | None:
    """Return the only list of rows in an object."""
    lists = [part for part in value.values() if isinstance(part, list) and part and _may_be_row(part[0])]
    return _numbered(lists[0]) if len(lists) == 1 and not any(map(names_words, value)) else None


def _rows_by_id(value: Object, place: str) -> Rows | None:
    """Return the rows that stand under an id each, which is that of their document."""
    rows = [row for row in value.values() if isinstance(row, dict) and any(map(names_words, row))]
    if not rows or len(rows) < len(value):
        return None
    return [(f"row {key}", {"document_id": key, **row}) for key, row in value.items() if isinstance(row, dict)]


def _may_be_row(value: Json) -> bool:
    return (isinstance(value, dict) and bool(value)) or SentenceShape.of([value]) is not None


def _numbered(rows: Sequence[Json]) -> Rows:
    return [(f"row {number}", row) for number, row in enumerate(rows, start=1)]


_SHAPES: tuple[tuple[str, Callable[[Object, str], Rows | None]], ...] = (
    ("JSON, one object of columns", _columns),
    ("JSON, a table of columns and data", _split_table),
    ("JSON, a list of rows in an object", _list_of_rows),
    ("JSON, an object of rows by id", _rows_by_id),
)
