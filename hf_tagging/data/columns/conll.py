"""ConllBuilder, a `datasets` builder for column files: one word and its tags per line.

The formats are those of `hf_tagging.data.columns.layout`. Being a builder it is cached, memory-mapped, read by several
processes and streamed, as any dataset is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from hf_tagging.data.builders import Row, WordsBuilder
from hf_tagging.data.columns.finding import find_layout
from hf_tagging.data.columns.layout import ColumnLayout
from hf_tagging.data.columns.marks import may_mark_document
from hf_tagging.data.columns.reading import RowReader
from hf_tagging.data.columns.refusals import refuse_other_files
from hf_tagging.data.columns.shapes import tags_of_brackets
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import BOM, TextForm, text_form, text_lines
from hf_tagging.errors import DataError

_CHUNK = 1 << 20
_START = 1 << 13  # bytes that tell what is no column file
_LONG = 150  # words from which a file of a single sentence is odd


@dataclass(frozen=True)
class Sentence:
    """One sentence of a column file.

    Args:
        words: Its words.
        tags: Their tags. (words,)
        features: Values of each requested word feature. (columns, words)
        document: The name of the document, or its running number where it has none. A file without document marks has
            each sentence as a document of its own; sentences before the first mark are document 0.
    """

    words: list[str]
    tags: list[str]
    features: list[list[str]]
    document: str | int


class ConllBuilder(WordsBuilder):
    """Builder that reads column files into `tokens`, `tags`, further columns (all strings) and `document_id`.

    Raises:
        DataError: When the data is generated, for anything that cannot be read as words and tags, with file
            and line.
    """

    def read_rows(self, local_files: list[str], files: list[str], stems: list[str]) -> Iterator[tuple[int, Row]]:
        """Yield the sentences of column files."""
        names = self.config.request.word_features
        for number, (local_file, file, stem) in enumerate(zip(local_files, files, stems, strict=True)):
            # `open` is named in this module because datasets replaces it here for streaming.
            notes = FileNotes(file, "column file")
            with open(local_file, "rb") as stream:
                sentences = read_sentences(stream, file=file, request=self.config.request, notes=notes)
                for sentence in sentences:
                    row: Row = {
                        "tokens": sentence.words,
                        "tags": sentence.tags,
                        "document_id": f"{stem}:{sentence.document}",
                    }
                    yield number, row | dict(zip(names, sentence.features, strict=True))
            self.keep_notes(notes)


def read_sentences(
    stream: BinaryIO, *, file: str, request: ReadRequest, notes: FileNotes | None = None
) -> Iterator[Sentence]:
    """Read the sentences of one column file.

    Args:
        stream: The file, opened for bytes; read once for its layout, once for its document marks, once for
            its words.
        file: Its name for messages.
        request: Column options.
        notes: Filled in with how the file is read; complete once all sentences are.

    Yields:
        The sentences in their order.

    Raises:
        DataError: The file is empty, is no UTF-8, has no sentence, or a line does not fit the first one.
    """
    if not stream.read(len(BOM) + 1).removeprefix(BOM):
        raise DataError(f"{file}: the file is empty; expected one word and its tag per line")
    stream.seek(0)
    notes = FileNotes(file) if notes is None else notes
    form = text_form(stream, file=file, encoding=request.encoding)
    _note_form(notes, form)
    refuse_other_files(_beginning(stream, form), file)
    layout = find_layout(text_lines(stream, file, form), file=file, request=request, notes=notes)
    stream.seek(0)
    marked = _marks_documents(stream, file, form, layout)
    reader = RowReader(file, layout, at_mentions=request.sentence_start == "mention")
    number, name, found, longest = 0, "", 0, 0
    for rows in reader.sentences(text_lines(stream, file, form)):
        if isinstance(rows, str):
            number += 1
            name = rows
            continue
        number += not marked
        found += 1
        longest = max(longest, len(rows))
        words, tags, *features = map(list, zip(*rows, strict=True))
        if layout.brackets:
            tags = list(tags_of_brackets(tags))
        yield Sentence(words, tags, features, name or number)
    if not found:
        raise DataError(f"{file}: no sentence in this file; expected one word and its tag per line")
    reader.note(notes)
    if found == 1 and longest >= _LONG:
        notes.remark(
            "one_sentence",
            f"no blank line or other border between sentences: the whole file is one sentence of {longest:,} words",
            severity="suspicious",
        )


def _note_form(notes: FileNotes, form: TextForm) -> None:
    notes.encoding = form.shown
    if form.remark:
        notes.remark("encoding", form.remark)
    if form.line_end == "\r":
        notes.remark("line_ends", "lines end with a carriage return alone")


def _beginning(stream: BinaryIO, form: TextForm) -> str:
    """Return the first line of a stream that is not blank, or its beginning; the stream is left at its beginning."""
    text = stream.read(_START).decode(form.encoding, "ignore").lstrip("\ufeff \t\r\n")
    stream.seek(0)
    return text.split(form.line_end, 1)[0]


def _marks_documents(stream: BinaryIO, file: str, form: TextForm, layout: ColumnLayout) -> bool:
    """Return whether a file marks documents; the stream is left at its beginning."""
    rest = b""
    possible = form.encoding.startswith(("utf-16", "utf-32"))
    while not possible and (chunk := stream.read(_CHUNK)):
        possible = may_mark_document(rest + chunk)
        rest = chunk[-32:]
    stream.seek(0)
    marked = possible and any(layout.document_mark(line) is not None for _, line in text_lines(stream, file, form))
    stream.seek(0)
    return marked
