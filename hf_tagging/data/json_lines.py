"""JSON Lines that are read bit by bit: every line is looked at before the parser sees it; see `json_rows`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets.packaged_modules.json.json import FullReadDisallowed, Json

from hf_tagging.data.json_rows import check_line
from hf_tagging.errors import DataError
from hf_tagging.problems import argument


class JsonLines(Json):
    """A `Json` that reads files in constant memory, and refuses lines that its parser drops or crashes on."""

    def _generate_tables(
        self, base_files: Any, files_iterables: Any, original_files: Any, allow_full_read: bool = True
    ) -> Iterator[tuple[Any, pa.Table]]:
        for file in (file for files in files_iterables for file in files):
            tables = super()._generate_tables(base_files, [[file]], original_files, allow_full_read=False)
            for first, lines in _parts(Path(file), self.config.chunksize):
                for number, line in enumerate(lines, start=first):
                    check_line(Path(file), number, line)
                try:
                    yield from islice(tables, 1)
                except FullReadDisallowed as error:
                    _refuse(Path(file), first, lines, error)


def _parts(path: Path, size: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the lines that `Json` parses at a time, with the number of the first one."""
    first = 1
    with open(path, "rb") as stream:
        while part := stream.read(size):
            lines = (part + stream.readline()).split(b"\n")
            yield first, lines
            first += len(lines) - 1


def _refuse(path: Path, first: int, lines: list[bytes], error: Exception) -> None:
    """Raise an error that names the line that cannot be parsed, or else those among which it is."""
    for number, line in enumerate(lines, start=first):
        check_line(path, number, line, whole=True)
    raise DataError(
        f"{path}, lines {first:,} to {first + len(lines) - 1:,}: cannot be read as rows of JSON ({error.__context__}). "
        f"Give every row the same kind of values, or leave {argument('streaming')} out."
    ) from error
