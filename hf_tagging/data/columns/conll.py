"""ConllBuilder, a `datasets` builder for column files: one word and its tags per line.

The formats are those of `hf_tagging.data.columns.layout`. Being a builder it is cached, memory-mapped, read by several
processes and streamed, as any dataset is.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import datasets
from datasets.builder import Key

from hf_tagging.data.builders import FileBuilder
from hf_tagging.data.columns.layout import (
    DOCUMENT_MARK,
    ColumnLayout,
    find_layout,
    is_blank,
)
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import BOM, shortened, text_form, text_lines
from hf_tagging.errors import DataError
from hf_tagging.tasks import NER

_DOCUMENT_LINE = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*-DOCSTART-(?!\w)|# newdoc\b)")
_NEW_DOCUMENT = re.compile(r"# newdoc\b")


@dataclass
class ConllConfig(datasets.BuilderConfig):
    """Configuration of `ConllBuilder`.

    Args:
        columns: Which columns are read, and how.
    """

    columns: ReadRequest = field(default_factory=lambda: ReadRequest(task=NER))


@dataclass(frozen=True)
class Sentence:
    """One sentence of a column file.

    Args:
        words: Its words.
        tags: Their tags. (words,)
        features: Values of each requested word feature. (columns, words)
        document: The running number of the document. A file without document marks has each sentence as a document
            of its own; sentences before the first mark are document 0.
    """

    words: list[str]
    tags: list[str]
    features: list[list[str]]
    document: int


class ConllBuilder(FileBuilder):
    """Builder that reads column files into `tokens`, `tags`, further columns (all strings) and `document_id`.

    Raises:
        DataError: When the data is generated, for anything that cannot be read as words and tags, with file
            and line.
    """

    BUILDER_CONFIG_CLASS = ConllConfig
    config: ConllConfig

    def _info(self) -> datasets.DatasetInfo:
        strings = datasets.List(datasets.Value("string"))
        columns = {"tokens": strings, "tags": strings, "document_id": datasets.Value("string")}
        features = datasets.Features(columns | dict.fromkeys(self.config.columns.word_features, strings))
        return datasets.DatasetInfo(features=features)

    def _generate_examples(
        self, local_files: list[str], files: list[str], stems: list[str]
    ) -> Iterator[tuple[Key, dict[str, Any]]]:
        for shard, (local_file, file, stem) in enumerate(zip(local_files, files, stems, strict=True)):
            # `open` is named in this module because datasets replaces it here for streaming.
            notes = FileNotes(file, "column file")
            with open(local_file, "rb") as stream:
                sentences = read_sentences(stream, file=file, request=self.config.columns, notes=notes)
                for index, sentence in enumerate(sentences):
                    row = {
                        "tokens": sentence.words,
                        "tags": sentence.tags,
                        "document_id": f"{stem}:{sentence.document}",
                    }
                    yield (
                        Key(shard, index),
                        row | dict(zip(self.config.columns.word_features, sentence.features, strict=True)),
                    )
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
    notes.encoding = form.shown
    if form.remark:
        notes.remark("encoding", form.remark)
    layout = find_layout(text_lines(stream, file, form), file=file, request=request)
    if layout.has_header:
        notes.remark("header", f"line {layout.first_line} names the columns")
    stream.seek(0)
    marked = any(_DOCUMENT_LINE.match(line) for line in stream)
    stream.seek(0)
    document, found = 0, False
    at_mentions = request.sentence_start == "mention"
    for rows in _sentences(text_lines(stream, file, form), file=file, layout=layout, at_mentions=at_mentions):
        if rows is None:
            document += 1
            continue
        document += not marked
        found = True
        words, tags, *features = map(list, zip(*rows, strict=True))
        yield Sentence(words, tags, features, document)
    if not found:
        raise DataError(f"{file}: no sentence in this file; expected one word and its tag per line")


def _sentences(
    lines: Iterable[tuple[int, str]], *, file: str, layout: ColumnLayout, at_mentions: bool
) -> Iterator[list[tuple[str, ...]] | None]:
    """Yield the rows of each sentence, each a word, its tag and its features; None at the start of a document."""
    rows: list[tuple[str, ...]] = []
    fresh = True  # no word since the last blank line: here, and only here, a comment may stand
    for number, line in lines:
        marks_document = _marks_document(line, layout, starts_sentence=fresh)
        if marks_document or is_blank(line):
            fresh = True
            if rows and (marks_document or not at_mentions):
                yield rows
                rows = []
            if marks_document:
                yield None
        elif layout.is_comment(line, starts_sentence=fresh) or (layout.has_header and number == layout.first_line):
            continue
        elif row := _row(line, file=file, number=number, layout=layout):
            if rows and at_mentions and row[0].startswith("@"):
                yield rows
                rows = []
            rows.append(row)
            fresh = False
    if rows:
        yield rows


def _marks_document(line: str, layout: ColumnLayout, *, starts_sentence: bool) -> bool:
    if line.startswith("#"):
        return (layout.conllu or starts_sentence) and bool(_NEW_DOCUMENT.match(line))
    return bool(DOCUMENT_MARK.match(line))


def _row(line: str, *, file: str, number: int, layout: ColumnLayout) -> tuple[str, ...] | None:
    """Return the word of a line with its tag and features; None for a CoNLL-U line without a word (`1-2`, `1.1`)."""
    fields = layout.fields(line)
    if len(fields) != layout.count:
        raise DataError(
            f"{file}, line {number}: {shortened(line)} has {_columns(len(fields))}; expected {layout.count}, "
            f"with {layout.separator_words} between them, as in line {layout.first_line}"
        )
    if layout.word_id is not None and not fields[layout.word_id].isdecimal():
        if re.fullmatch(r"\d+[-.]\d+", fields[layout.word_id]):
            return None
        raise DataError(
            f"{file}, line {number}: {shortened(line)} starts with {shortened(fields[layout.word_id])}; "
            "expected the number of a word, as in every CoNLL-U file"
        )
    tag = fields[layout.tags].strip(" ")
    if not tag:
        raise DataError(
            f"{file}, line {number}: {shortened(line)} has nothing in column {layout.tags}; expected a tag there"
        )
    row = (fields[layout.tokens], tag)
    return (*row, *(fields[position].strip(" ") for position in layout.features)) if layout.features else row


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"
