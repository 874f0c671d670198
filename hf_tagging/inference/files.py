"""Tagging a file of any size, in one stream from its lines to the lines written."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TextIO

from hf_tagging.atomic import destination, whole_file
from hf_tagging.data.files import is_parquet, missing_path
from hf_tagging.data.formats import format_of
from hf_tagging.data.formats.base import Format, Head
from hf_tagging.data.formats.text_entities import TEXT_ENTITIES
from hf_tagging.data.spool import STANDARD_INPUT, Spool, check_input
from hf_tagging.data.text_lines import shortened
from hf_tagging.disk import check_writable, expanded, writing_to, writing_to_stdout
from hf_tagging.errors import DataError, OutputError, printable
from hf_tagging.inference.cutting import Splitter, TextCutter
from hf_tagging.inference.exports import (
    STDOUT,
    check_folder,
    refuse_options_of_exports,
    tag_export,
    tagging_request,
    written_format,
)
from hf_tagging.inference.file_formats import FORMATS, check_format, detect_format, idle_text_column
from hf_tagging.inference.records import Record, read_columns
from hf_tagging.inference.results import WordLabels, joined, text_table
from hf_tagging.inference.text_records import csv_names, read_csv, read_jsonl, read_texts, text_record
from hf_tagging.inference.word_tagger import WordTagger
from hf_tagging.problems import argument, switch

logger = logging.getLogger(__name__)

STDIN = "-"
_TEXT_NAMES = ("text", "body", "content", "message", "sentence", "document", "tweet", "title")
_OTHER_SUFFIXES = {".parquet": "Parquet", ".arrow": "Arrow", ".feather": "Arrow"}


@dataclass(frozen=True)
class FileCounts:
    """Numbers of sentences and words that were tagged."""

    sentences: int
    words: int


def tag_file(
    tagger: WordTagger,
    source: str | Path,
    target: str | Path | None = None,
    *,
    format: str | None = None,
    tokens_column: str | int | None = None,
    text_column: str | None = None,
    separator: str | None = None,
    layer: str | None = None,
    encoding: str | None = None,
    splitter: str | Splitter | None = None,
    split_sentences: bool = True,
    overwrite: bool = False,
) -> FileCounts:
    """Tag a file of any size in constant memory.

    - ``column``: every line of a word comes back with the predicted tag as one more column at its end; comments, blank
      lines and ``-DOCSTART-`` lines come back as they are. A file of words alone will do. Nothing of it needs scores,
      so it is read as `Tagger.tag` reads, the other formats as `Tagger.label` does.
    - ``jsonl``: ``{"tokens": [...]}`` gets ``"tags"``; ``{"text": "..."}`` gets ``"words"`` with their places,
      ``"tags"`` and, from a tagger of entities, ``"entities"``. Other keys stay; a key of these names is replaced.
    - ``text``: every line is a text and becomes a line of JSON, as above.
    - ``csv``: a row of names and rows, one column of which is the text. Rows come back with all their columns and
      ``entities`` (from a tagger without entities: ``words`` and ``tags``), which holds JSON.
    - ``label-studio``, ``doccano``, ``prodigy``, ``brat`` and the other formats that documents are written in: an
      annotation tool's export comes back in the tool's format, with the predicted entities and, where it can hold them,
      their scores. What else the export has stays as it is. brat is a folder of files.

    Args:
        tagger: The tagger.
        source: The file or pipe to tag, in UTF-8; ``-`` is standard input.
        target: Where to write; it appears whole, or not at all. None or ``-``: standard output.
        format: One of these. Default: that of an annotation tool if the file begins like its exports, else by the
            suffix of `source`, or by its lines where the suffix does not say.
        tokens_column: Of columns, the one of the words, by name or position; of JSON Lines, their key; of an export
            whose tasks have several texts, the name of the one to tag.
        text_column: Of CSV, the column of the text, by name or position; of JSON Lines, its key.
        separator: Of columns: ``tab``, ``space`` or a literal. Default: found in the first line of data.
        layer: Of an export, the annotation layer that is read where it has several. Default: the first.
        encoding: Of an export's text files. Default: UTF-8, else detected if certain.
        splitter: How a text is cut into words, see `Tagger.tag_text`.
        split_sentences: Whether a text is tagged sentence by sentence, see `Tagger.tag_text`.
        overwrite: Replace `target` if it is there.

    A tagger that was trained with its sentences in context reads a text as a document, and columns and rows of words by
    their documents, as `load_tagging_dataset` finds them; sentences without a document are read alone.

    Raises:
        DataError: If `source` cannot be read; with the line.
        OutputError: If `target` is there and is not to be replaced, or cannot be written.
        ConfigError: If `format` is unknown.
    """
    check_paths(source, target, overwrite=overwrite, format=format)
    with Spool() as spool:
        path = _source(source)
        # Rows of JSON and lines of text are read once: tagged as they come, however long a pipe goes on. A socket
        # cannot be opened by its path.
        if format not in ("jsonl", "text") or path.is_socket():
            path = spool.file(path)
            _refuse_other_kinds(path)
        if form := _tool_format(path, format, text_column):
            counts = tag_export(
                tagger,
                form,
                path,
                target,
                request=tagging_request(tokens_column=tokens_column, layer=layer, encoding=encoding),
                splitter=splitter,
                split_sentences=split_sentences,
                overwrite=overwrite,
            )
            return FileCounts(*counts)
        refuse_options_of_exports(path, layer=layer, encoding=encoding)
        format = format or detect_format(path, text_column)
        cutter = tagger.cutter(splitter, split_sentences=split_sentences)
        records = read_records(
            path,
            format,
            cutter,
            tokens_column=tokens_column,
            text_column=text_column,
            separator=separator,
            documents=tagger.context_subwords > 0,
        )
        with _output(target) as output:
            return _tag_records(tagger, records, output, exact=format != "column")


def tag_text_to(
    tagger: WordTagger,
    text: str,
    target: str | Path | None = None,
    *,
    splitter: str | Splitter | None = None,
    split_sentences: bool = True,
    overwrite: bool = False,
) -> FileCounts:
    """Tag one text and write it as a line of JSON, as `tag_file` does with a file of one line.

    On a terminal it writes a table instead, for the person before it.

    Args:
        tagger: The tagger.
        text: The text.
        target: See `tag_file`.
        splitter: See `tag_file`.
        split_sentences: See `tag_file`.
        overwrite: See `tag_file`.
    """
    cutter = tagger.cutter(splitter, split_sentences=split_sentences)
    check_paths(None, target, overwrite=overwrite)
    with _output(target) as output:
        if output.isatty():
            tagged = tagger.tag_text(text, splitter=splitter, split_sentences=split_sentences)
            output.write(text_table(tagged))
            return FileCounts(len(cutter(text).starts), len(tagged.words))
        return _tag_records(tagger, [text_record(text, cutter)], output, exact=True)


def _tool_format(path: Path | None, format: str | None, text_column: str | None = None) -> Format | None:
    """Return the format of an annotation tool that a file is in, or is said to be in; None for any other file.

    Raises:
        ConfigError: There is no such format.
    """
    if format in FORMATS:
        return None
    if format is None:
        if path is None or text_column is not None:
            return None
        found = format_of(path)
        was_tagged = found is TEXT_ENTITIES and Head(path).has_keys("words", "tags")  # by `tag_file`
        return None if was_tagged else found
    form = written_format(format, beside=FORMATS)
    if text_column is not None:
        raise idle_text_column(text_column, argument("format", format))
    return form


def check_paths(
    source: str | Path | None, target: str | Path | None, *, overwrite: bool, format: str | None = None
) -> None:
    """Check that the input can be read and the output written, before a model is loaded.

    Raises:
        ConfigError: If there is no such format, or a folder is to be written and has no name.
        DataError: If `source` is not there or is a folder.
        OutputError: If `target` is there and is not to be replaced, or is no regular file, or cannot be written.
    """
    path = None if source is None else _source(source)
    if path is not None:
        check_input(path)
        if not path.exists():
            raise missing_path(path)
        if path.is_dir() and format_of(path) is None:
            raise DataError(f"{path} is a folder; expected a file, or a folder of brat's .txt and .ann files.")
        _refuse_other_kinds(path)
    form = _tool_format(path, format)
    if form is not None and form.write is None and form.write_folder is not None:
        check_folder(form, target, overwrite=overwrite)
        return
    if target is None or str(target) == STDOUT:
        if sys.stdout is None or getattr(sys.stdout, "name", None) == os.devnull:
            raise OutputError(f"Standard output is closed; give the name of a file as {argument('output')}.")
        return
    check_writable(Path(target).parent)
    if Path(target).is_dir():
        raise OutputError(f"{target} is a folder; expected the name of a file to write.")
    try:
        destination(target)
    except OutputError as error:
        raise OutputError(f"{error} Without {argument('output')}, standard output is written to.") from error
    if Path(target).exists() and not overwrite:
        raise OutputError(f"{target} is there already; give another name, or {switch('overwrite')} to replace it.")


def _source(source: str | Path) -> Path:
    return expanded(STANDARD_INPUT if str(source) == STDIN else source)


def _refuse_other_kinds(path: Path) -> None:
    """Refuse a file of a kind that `tag_file` does not read, before a model is loaded for it.

    Raises:
        DataError: If its name or its first bytes say so.
    """
    if path.is_file() and (is_parquet(path) or path.suffix.lower() in _OTHER_SUFFIXES):
        kind = "Parquet" if is_parquet(path) else _OTHER_SUFFIXES[path.suffix.lower()]
        raise DataError(
            f"{path}: is a file of {kind}, which is not read here. Expected columns (a word per line), JSON Lines "
            '("tokens" or "text" in each row) or plain text (a text per line), in UTF-8.'
        )


def read_records(
    path: Path,
    format: str,
    cutter: TextCutter,
    *,
    tokens_column: str | int | None = None,
    text_column: str | None = None,
    separator: str | None = None,
    documents: bool = False,
) -> Iterator[Record]:
    """Return the records of a file; see `tag_file`, and for `documents` `read_columns`."""
    if text_column is not None and tokens_column is not None:
        raise idle_text_column(text_column, argument("tokens_column"))
    check_format(format, text_column)
    if format == "csv":
        if text_column is None:
            raise _which_column(path)
        return read_csv(path, cutter, text_column=text_column, separator=separator)
    if format == "column":
        or_text = f" Plain text? {argument('format', 'text')}."
        return read_columns(
            path, tokens_column=tokens_column, separator=separator, documents=documents, otherwise=or_text
        )
    if format == "jsonl":
        tokens_key = None if tokens_column is None else str(tokens_column)
        return read_jsonl(path, cutter, tokens_key=tokens_key, text_key=text_column)
    return read_texts(path, cutter)


def _which_column(path: Path) -> DataError:
    names = csv_names(path)
    example = next((name for name in names if name.strip().lower() in _TEXT_NAMES), names[-1] if names else "NAME")
    return DataError(
        f"{path}: is CSV, with the columns {shortened(', '.join(names), 200)}. Which one is the text? Give "
        f"{argument('text_column', example)}, or another. A word per line? {argument('format', 'column')} "
        f"{argument('separator', ',')}. Plain text? {argument('format', 'text')}."
    )


def _tag_records(tagger: WordTagger, records: Iterable[Record], output: TextIO, *, exact: bool) -> FileCounts:
    """Write each record as soon as its block is tagged."""
    waiting: deque[Record] = deque()
    sentences = words = 0
    read: list[WordLabels] = []  # of the record in front
    most = 0  # sentences of a document

    def read_ahead(document: Iterable[Record]) -> Iterator[list[str]]:
        nonlocal most
        count = 0
        for record in document:
            waiting.append(record)
            yield from record.sentences
            count += sum(len(sentence) > 0 for sentence in record.sentences)
            most = max(most, count)

    documents = groupby(records, lambda record: object() if record.document is None else record.document)
    for labels in tagger.label_documents((read_ahead(document) for _, document in documents), exact=exact):
        read.append(labels)
        sentences += len(labels.ids) > 0
        words += len(labels.ids)
        if len(read) == len(waiting[0].sentences):
            written = waiting.popleft().render(tagger, joined(read))
            output.write(printable(written, line_ends=True) if output.isatty() else written)
            read = []
    if tagger.context_subwords and most == 1 and sentences > 1:
        logger.warning(
            "The model was trained with sentences in the context of their document, and the file marks no documents "
            "(by -DOCSTART- lines, # newdoc or a document_id): no sentence of it has a neighbour in its document, and "
            "each was read alone"
        )
    return FileCounts(sentences, words)


@contextlib.contextmanager
def _output(target: str | Path | None) -> Iterator[TextIO]:
    if target is None or str(target) == STDOUT:
        with writing_to_stdout():
            yield sys.stdout
        return
    with writing_to(target), whole_file(target) as file:
        yield file
