"""FormatBuilder, a `datasets` builder for the formats of annotation tools and corpora."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import datasets

from hf_tagging.data.builders import FileBuilder, Row
from hf_tagging.data.formats import FORMATS
from hf_tagging.data.formats.base import Document, Record
from hf_tagging.data.formats.records import read_records
from hf_tagging.data.formats.spans import tagged_rows
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.splitters import Splitter, get_splitter, unseparated_script
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError
from hf_tagging.problems import argument, either_way
from hf_tagging.tasks import NER


@dataclass
class FormatConfig(datasets.BuilderConfig):
    """Configuration of `FormatBuilder`.

    Args:
        format: Name of the format.
        request: What is read, and how.
    """

    format: str = ""
    request: ReadRequest = field(default_factory=lambda: ReadRequest(task=NER))


class FormatBuilder(FileBuilder):
    """Builder that reads a format into `tokens`, `tags`, `document_id`, `text`, `starts` and `ends`.

    A tag of None is a word that is not annotated. `text` is the document's text from the first word of the row to its
    last; `starts` and `ends` are the offsets of the words in it. They are null for formats of words.

    Raises:
        DataError: When the data is generated, for anything that the format cannot have, with file and place.
    """

    BUILDER_CONFIG_CLASS = FormatConfig
    config: FormatConfig

    def _info(self) -> datasets.DatasetInfo:
        strings, numbers = datasets.List(datasets.Value("string")), datasets.List(datasets.Value("int32"))
        text, name = datasets.Value("string"), datasets.Value("string")
        features = {
            "tokens": strings,
            "tags": strings,
            "document_id": name,
            "text": text,
            "starts": numbers,
            "ends": numbers,
        }
        return datasets.DatasetInfo(features=datasets.Features(features))

    def read_rows(self, local_files: list[str], files: list[str], stems: list[str]) -> Iterator[tuple[int, Row]]:
        """Yield the rows of the records of files."""
        form, split = FORMATS[self.config.format], get_splitter(self.config.request.splitter)
        for position, (local_file, file, stem) in enumerate(zip(local_files, files, stems, strict=True)):
            notes = FileNotes(file, form.title)
            records = read_records(form, Path(local_file), file, self.config.request, notes)
            found = False
            for number, record in enumerate(records):
                for row in _rows(record, split=split, file=file, request=self.config.request, notes=notes):
                    yield position, row | {"document_id": f"{stem}:{record.id or number + 1}"}
                    found = True
            if not found:
                skipped = "; ".join(str(remark) for remark in notes.remarks if remark.kind == "unused")
                raise DataError(f"{file}: no annotated text with a word in it{f' ({skipped})' if skipped else ''}; "
                                f"expected {form.title}")  # fmt: skip
            self.keep_notes(notes)


def check_separated(document: Document, notes: FileNotes) -> None:
    """Refuse a text whose words only a splitter of its language finds: spans would be widened to whole clauses.

    Raises:
        DataError: It is Thai, Japanese, Lao, Khmer or Burmese without blanks.
    """
    if found := unseparated_script(document.text):
        script, splitter = found
        place = f", {document.place}" if document.place else ""
        characters = "" if splitter == "characters" else f", or {argument('splitter', 'characters')}"
        raise DataError(
            f"{notes.file}{place}: {shortened(document.text)} is {script}, which is written without blanks between "
            f"words; give a splitter that finds them: {either_way('splitter', splitter)}{characters}"
        )


def _rows(record: Record, *, split: Splitter, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Row]:
    """Yield the rows of a record."""
    if not isinstance(record, Document):
        if record.words and all(tag is None for tag in record.tags):
            notes.count("unused", "sentences without an annotation: not read", example=record.place)
            return
        yield {"tokens": record.words, "tags": record.tags, "text": None, "starts": None, "ends": None}
        return
    if record.unused:
        notes.count("unused", f"texts {record.unused}: not read", example=record.place)
        return
    if not request.task.has_entities:
        raise DataError(
            f"{file}: holds entities, but {request.task.title} needs one tag per word; expected words and tags"
        )
    if record.words is None and request.splitter is None:
        check_separated(record, notes)
    for words, tags in tagged_rows(record, split=split, misfit=request.misfit, notes=notes):
        begin = words[0][0]
        row = {"tokens": [record.text[start:end] for start, end in words], "tags": tags}
        if not record.has_text:
            yield row | {"text": None, "starts": None, "ends": None}
            continue
        yield row | {
            "text": record.text[begin : words[-1][1]],
            "starts": [start - begin for start, _ in words],
            "ends": [end - begin for _, end in words],
        }
