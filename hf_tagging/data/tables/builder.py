"""TableBuilder, a `datasets` builder for CSV and TSV files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from hf_tagging.data.builders import Row, WordsBuilder
from hf_tagging.data.columns.headers import note_first_line
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.tables.describe import describe
from hf_tagging.data.tables.files import open_table
from hf_tagging.data.tables.names import find_columns, kinds_of
from hf_tagging.data.tables.rows import TableSentence, TableSource, sentences
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError

_FORMS = {",": "CSV table", ";": "CSV table with semicolons", "\t": "TSV table"}


class TableBuilder(WordsBuilder):
    """Builder that reads tables into `tokens`, `tags`, further columns (all strings) and `document_id`.

    Raises:
        DataError: When the data is generated, for a row that is not words and tags, with file and line.
    """

    def read_rows(self, local_files: list[str], files: list[str], stems: list[str]) -> Iterator[tuple[int, Row]]:
        """Yield the sentences of tables."""
        names = self.config.request.word_features
        for number, (local_file, file, stem) in enumerate(zip(local_files, files, stems, strict=True)):
            notes = FileNotes(file)
            with open(local_file, "rb") as stream:
                found = read_table(stream, file=file, request=self.config.request, notes=notes)
                for index, sentence in enumerate(found):
                    row: Row = {
                        "tokens": sentence.words,
                        "tags": sentence.tags,
                        "document_id": f"{stem}:{sentence.document or index + 1}",
                    }
                    yield number, row | dict(zip(names, sentence.features, strict=True))
            self.keep_notes(notes)


def read_table(stream: BinaryIO, *, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[TableSentence]:
    """Yield the sentences of a table.

    Args:
        stream: The file, opened for bytes.
        file: Its name for messages.
        request: Which columns are read, and how.
        notes: Filled in with how the file is read.

    Raises:
        DataError: The file has no words and tags, or a row does not fit.
    """
    table = open_table(stream, file=file, request=request, notes=notes)
    names = table.names
    columns = find_columns(names, table.sample, request=request, place=file, named=bool(table.header))
    if table.header:
        shown = ", ".join(name or "(no name)" for name in table.header)
        notes.remark("header", f"line {table.first_line} is read as the names of the columns: {shown}")
    else:
        notes.remark("header", "no line names the columns: the first one is read as the others are")
        if kinds := [] if columns.a_sentence_a_row else kinds_of(table.sample):
            first = next(row for row in table.sample if any(row))
            note_first_line(notes, first, kinds, words=columns.words, tags=columns.tags, line=table.first_line)
    describe(notes, columns, names, table.sample, form=_FORMS.get(table.delimiter))
    found = False
    source = TableSource(file, names, notes, unit="line")
    for sentence in sentences(table.rows(), columns, source):
        found = True
        if not columns.a_sentence_a_row:
            _check_words(sentence, source)
        yield sentence
    if not found:
        raise DataError(f"{file}: no word in this table; expected words and tags below the names of the columns")


def _check_words(sentence: TableSentence, source: TableSource) -> None:
    """Refuse words that go over several lines: their quotation mark is a word, and has swallowed others.

    Raises:
        DataError: There is one.
    """
    odd = next((word for word in sentence.words if "\n" in word and not word.isspace()), None)
    if odd is not None:
        raise DataError(
            f"{source.place(sentence.row)}: in this sentence a quotation mark opens a field that ends lines later, "
            f'{shortened(odd)}; a word that is a quotation mark is written """"'
        )
