"""Reading texts that are not annotated, or whose annotation does not matter, from any kind of file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from datasets import DatasetDict

from hf_tagging.data.files import is_parquet, is_saved_dataset, missing_path
from hf_tagging.data.folders import find_split_files
from hf_tagging.data.formats import FORMATS, format_of
from hf_tagging.data.formats.base import Document, Format
from hf_tagging.data.formats.word_documents import document_of_words
from hf_tagging.data.json_rows import json_rows
from hf_tagging.data.loading import load_tagging_dataset
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.spool import Spool, check_input
from hf_tagging.data.text_lines import shortened
from hf_tagging.disk import expanded
from hf_tagging.errors import DataError
from hf_tagging.inference.exports import log_notes, read_export, refuse_options_of_exports, tagging_request
from hf_tagging.inference.file_formats import check_format, detect_format
from hf_tagging.inference.records import read_columns, read_lines
from hf_tagging.inference.text_records import csv_head, csv_rows
from hf_tagging.problems import argument
from hf_tagging.tasks import Task

_TEXT = "text"


def read_documents(
    path: str | Path,
    *,
    input_format: str | None = None,
    text_column: str | None = None,
    tokens_column: str | None = None,
    layer: str | None = None,
    encoding: str | None = None,
) -> Iterator[Document]:
    """Read texts from an export of an annotation tool, a table, JSON Lines, columns or plain text.

    Args:
        path: The file. Of a plain text file, every line is a text; of columns, every sentence.
        input_format: text, column, jsonl or csv. Default: by the suffix and the first lines, or that of an export.
        text_column: Column of the texts in CSV, their key in JSON Lines. Default: "text".
        tokens_column: Name of the text in an export whose tasks have several.
        layer: Annotation layer of an export that has several. Default: the first.
        encoding: Of an export's text files. Default: UTF-8, else detected if certain.

    Yields:
        The texts, with annotated spans where the file has them.

    Raises:
        DataError: The file cannot be read, with file and line.
        ConfigError: There is no such format, or an option is given that does not go with the file.
    """
    if input_format is not None:
        check_format(input_format, text_column, option="input_format")
    path = expanded(path)
    check_input(path)
    if not path.exists():
        raise missing_path(path)
    form = format_of(path) if input_format is None else None
    if form is None and (path.is_dir() or is_parquet(path)):
        raise DataError(
            f"{path}: expected a file of texts: plain text, CSV, JSON Lines, or an annotation tool's export."
        )
    if form:
        request = tagging_request(tokens_column=tokens_column, layer=layer, encoding=encoding)
        yield from _of_export(form, path, request)
        return
    refuse_options_of_exports(path, tokens_column=tokens_column, layer=layer, encoding=encoding)
    read = {"csv": _of_table, "jsonl": _of_json, "text": _of_lines, "column": _of_columns}
    yield from read[input_format or _detected(path, text_column)](path, text_column)


def _detected(path: Path, text_column: str | None) -> str:
    suffix = path.suffix.lower()
    if suffix == ".csv" or (text_column is not None and suffix == ".tsv"):
        return "csv"
    return "jsonl" if text_column is not None else detect_format(path, option="input_format")


def annotated_texts(path: str | Path, *, task: Task, text_column: str | None = None) -> Iterator[str]:
    """Read the texts of an annotated corpus in any format that is read; words of columns are joined by blanks.

    Args:
        path: A file, a folder of files or a saved dataset.
        task: Of the tags.
        text_column: As of `read_documents`.

    Raises:
        DataError: It cannot be read, with file and line.
    """
    path = expanded(path)
    if not path.is_dir() and not is_parquet(path):
        yield from _of_gold(read_documents(path, text_column=text_column))
        return
    with Spool() as spool:
        found = {} if path.is_dir() and is_saved_dataset(path) else find_split_files(path, spool)
        if not any(files.kind in FORMATS for files in found.values()):
            yield from _of_rows(load_tagging_dataset(path, task=task))
            return
        for files in found.values():
            if files.kind not in FORMATS:
                yield from _of_rows(load_tagging_dataset(task=task, train_file=[str(file) for file in files.paths]))
                continue
            for file in files.paths:
                yield from _of_gold(_of_export(FORMATS[files.kind], file, tagging_request()))


def _of_export(form: Format, path: Path, request: ReadRequest) -> Iterator[Document]:
    notes = FileNotes(str(path), form.title)
    yield from read_export(form, path, notes, request)
    log_notes(notes)


def _of_gold(documents: Iterable[Document]) -> Iterator[str]:
    """Yield the texts that somebody has annotated, or has answered otherwise, as in Prodigy."""
    for document in documents:
        if not document.unused or document.source.get("answer") is not None:
            yield document.text


def _of_rows(dataset: DatasetDict) -> Iterator[str]:
    """Yield the words of rows with an annotated one, joined by blanks."""
    for split in dataset.values():
        for words, tags in zip(split["tokens"], split["tags"], strict=True):
            if any(tag is not None and tag >= 0 for tag in tags):
                yield " ".join(words)


def _of_json(path: Path, text_column: str | None) -> Iterator[Document]:
    for place, row, text in json_rows(path):
        key = text_column or _TEXT
        value, words = (row.get(key), row.get("tokens")) if isinstance(row, dict) else (None, None)
        if isinstance(row, dict) and isinstance(value, str):
            rest = {name: part for name, part in row.items() if name != key}
            yield Document(text=value, spans=[], place=place, extra=rest)
        elif isinstance(words, list) and text_column is None and all(isinstance(word, str) for word in words):
            yield document_of_words([[str(word) for word in words]], [], place=place)
        else:
            wanted = f"an object with {key!r}, a string" + ("" if text_column else ", or 'tokens', a list of strings")
            raise DataError(f"{path}, {place}: {shortened(text)}; expected {wanted}. Another key: {_naming('KEY')}.")


def _of_lines(path: Path, _: str | None) -> Iterator[Document]:
    for number, line in read_lines(path):
        yield Document(text=line, spans=[], place=f"line {number}")


def _of_columns(path: Path, _: str | None) -> Iterator[Document]:
    for record in read_columns(path, otherwise=""):
        (words,) = record.sentences
        if words:
            yield document_of_words([words], [])


def _of_table(path: Path, text_column: str | None) -> Iterator[Document]:
    """Yield the rows of a CSV file, whose first line names the columns."""
    column = text_column or _TEXT
    separator, names, place = csv_head(path, column)
    for number, row in csv_rows(path, names, separator):
        rest = {name: value for index, (name, value) in enumerate(zip(names, row, strict=True)) if index != place}
        yield Document(text=row[place], spans=[], place=f"line {number}", extra=rest)


def _naming(example: str) -> str:
    return argument("text_column", example)
