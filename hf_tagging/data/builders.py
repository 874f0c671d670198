"""Builders of `datasets` that read files one after the other and keep notes about each of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa
from datasets.builder import Key

from hf_tagging.atomic import json_text
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError
from hf_tagging.foreign.datasets import KeepingBuilder
from hf_tagging.tasks import NER

# As Python's objects, rows take ten times the memory that they take in a record batch; the fewer record batches a file
# has, the less memory a mapping of it takes.
_MOST_ROWS, _MOST_WORDS = 1_000, 100_000
_BATCHES = 10

Row = dict[str, Any]
"""Values of the columns of a sentence, by name."""


class FileBuilder(KeepingBuilder):
    """A builder whose `read_rows` gets, for each file, where it is, its name for messages, and a unique stem.

    Raises:
        DataError: When the data is generated, for anything that cannot be read, with file and place.
    """

    own_errors: ClassVar[tuple[type[Exception], ...]] = (DataError,)
    DEFAULT_WRITER_BATCH_SIZE = _BATCHES * _MOST_ROWS

    def read_rows(self, local_files: list[str], files: list[str], stems: list[str]) -> Iterator[tuple[int, Row]]:
        """Yield the rows of files, each with the position of its file; all of the first file, then of the second."""
        raise NotImplementedError

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        if not self.config.data_files:
            raise DataError(f"{type(self).__name__} was given no data_files; expected the paths of files")
        local_files = dl_manager.download(self.config.data_files)
        return [
            datasets.SplitGenerator(
                name=split,
                # Lists of one length: datasets deals them out to its processes together.
                gen_kwargs={
                    "local_files": list(local_files[split]),
                    "files": list(files),
                    "stems": unique_stems(files),
                },
            )
            for split, files in self.config.data_files.items()
        ]

    def _generate_tables(
        self, local_files: list[str], files: list[str], stems: list[str]
    ) -> Iterator[tuple[Key, pa.Table]]:
        number = 0
        for file, rows in groupby(self.read_rows(local_files, files, stems), key=itemgetter(0)):
            tables = map(self._table, _batches(row for _, row in rows))
            while some := list(islice(tables, _BATCHES)):
                yield Key(file, number), pa.concat_tables(some)
                number += 1

    def _table(self, rows: Sequence[Row]) -> pa.Table:
        schema = self.info.features.arrow_schema
        return pa.Table.from_pydict({name: [row[name] for row in rows] for name in schema.names}, schema=schema)

    def keep_notes(self, notes: FileNotes) -> None:
        """Keep the notes of a file beside its rows."""
        self.keep(_notes_file(notes.file), json_text(notes.as_dict(), indent=None))


@dataclass
class WordsConfig(datasets.BuilderConfig):
    """Configuration of a `WordsBuilder`.

    Args:
        request: What is read, and how.
    """

    request: ReadRequest = field(default_factory=lambda: ReadRequest(task=NER))


class WordsBuilder(FileBuilder):
    """A builder of `tokens`, `tags`, `document_id` and the requested further columns, all of them strings."""

    BUILDER_CONFIG_CLASS = WordsConfig
    config: WordsConfig

    def _info(self) -> datasets.DatasetInfo:
        strings = datasets.List(datasets.Value("string"))
        columns = {"tokens": strings, "tags": strings, "document_id": datasets.Value("string")}
        features = datasets.Features(columns | dict.fromkeys(self.config.request.word_features, strings))
        return datasets.DatasetInfo(features=features)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows, as many at a time as may be in memory as Python's objects."""
    words, batch = 0, list[Row]()
    for row in rows:
        batch.append(row)
        words += len(row["tokens"])
        if len(batch) == _MOST_ROWS or words >= _MOST_WORDS:
            yield batch
            words, batch = 0, []
    if batch:
        yield batch


def kept_notes(builder: datasets.DatasetBuilder, files: Sequence[str]) -> list[FileNotes]:
    """Return the notes that a builder kept about files, in their order; plain ones for a builder that keeps none."""
    found = []
    for file in files:
        path = Path(builder.cache_dir) / _notes_file(file)
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        found.append(FileNotes.from_dict(kept) if kept else FileNotes(file))
    return found


def _notes_file(file: str) -> str:
    return f"notes-{hashlib.sha256(file.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.json"


def unique_stems(files: Sequence[str]) -> list[str]:
    """Return a unique name for each file: its stem, else its file name, else its path."""
    paths = [Path(file) for file in files]
    for names in ([path.stem for path in paths], [path.name for path in paths]):
        if max(Counter(names).values(), default=0) <= 1:
            return names
    return [path.as_posix() for path in paths]
