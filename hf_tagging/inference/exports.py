"""Exports of annotation tools: tagged, and written back in the tool's own format with predictions."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_tagging.atomic import whole_file, whole_folder
from hf_tagging.data.formats import FORMATS
from hf_tagging.data.formats.base import Document, Format, TaggedSentence
from hf_tagging.data.formats.records import check_options
from hf_tagging.data.formats.word_documents import document_of_words
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.replacing import check_target
from hf_tagging.data.request import ReadRequest
from hf_tagging.disk import writing_to, writing_to_stdout
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.inference.cutting import Splitter, TextCutter
from hf_tagging.inference.documents import Rows, tag_rows, word_rows
from hf_tagging.problems import argument
from hf_tagging.tasks import NER

if TYPE_CHECKING:
    from hf_tagging.inference.word_tagger import WordTagger

logger = logging.getLogger(__name__)

STDOUT = "-"


def written_formats() -> tuple[str, ...]:
    """Return the names of the formats that documents are written in."""
    return tuple(name for name, form in FORMATS.items() if takes_documents(form))


def takes_documents(form: Format) -> bool:
    """Return whether documents are written in a format, as against words with tags alone, or nothing."""
    return form.write is not None or form.write_folder is not None


def written_format(name: str, *, beside: Sequence[str] = ()) -> Format:
    """Return a format that documents are written in by its name, with hyphens or underscores.

    Args:
        name: The name.
        beside: Formats that are taken in its place, for the message.

    Raises:
        ConfigError: There is none of this name, or it is only read.
    """
    form = FORMATS.get(name.replace("_", "-"))
    if form is None or not takes_documents(form):
        raise ConfigError(f"{argument('format', name)}: expected one of {', '.join((*beside, *written_formats()))}.")
    return form


def check_folder(form: Format, target: str | Path | None, *, overwrite: bool) -> Path:
    """Return the folder that a format of several files is written to.

    Raises:
        ConfigError: None is named.
        OutputError: It is a file, or holds something else than an earlier export that is to be replaced.
    """
    if target is None or target == STDOUT:
        raise ConfigError(f"{form.title} is a folder of files. Give its name: {argument('output', 'FOLDER')}")
    folder = Path(target)
    check_target(form, folder, overwrite=overwrite)
    return folder


def tagging_request(
    *, tokens_column: str | int | None = None, layer: str | None = None, encoding: str | None = None
) -> ReadRequest:
    """Return how an export is read to be tagged: what is annotated need not be right, it gives way.

    Args:
        tokens_column: Name of the text where a task has several.
        layer: Annotation layer where a file has several.
        encoding: Of text files. Default: UTF-8, else detected.
    """
    return ReadRequest(task=NER, tokens_column=tokens_column, layer=layer, encoding=encoding, misfit="drop")


def refuse_options_of_exports(path: Path, **options: str | int | None) -> None:
    """Refuse options that apply to exports alone for any other file, instead of ignoring them.

    Raises:
        ConfigError: One is given.
    """
    for name, value in options.items():
        if value is not None:
            raise ConfigError(
                f"{argument(name, value)}: goes with exports of annotation tools, and {path} is none. Leave it out."
            )


def read_export(form: Format, path: Path, notes: FileNotes, request: ReadRequest | None = None) -> Iterator[Document]:
    """Read a file as documents; sentences of words become texts with blanks between the words.

    Args:
        form: Format of the file.
        path: The file, or the folder of a format with several files.
        notes: Filled in.
        request: How it is read. Default: `tagging_request` without options.

    Raises:
        DataError: It is not in the format, with file and line.
    """
    request = request or tagging_request()
    check_options(form, str(path), request)
    for record in form.read(path, str(path), request, notes):
        if isinstance(record, TaggedSentence):
            record = document_of_words([record.words], [], id=record.id, place=record.place)
        yield record


def write_export(
    form: Format, documents: Iterable[Document], target: str | Path | None, notes: FileNotes, *, overwrite: bool = False
) -> None:
    """Write documents in a format; the file or folder appears whole, or not at all.

    Args:
        form: The format.
        documents: Written as they come.
        target: File to write, or the folder of a format with several files. None or "-": standard output.
        notes: What the format cannot hold is counted in them.
        overwrite: Replace an existing folder.

    Raises:
        ConfigError: The format has several files, and there is no folder for them.
        OutputError: The target cannot be written.
    """
    if form.write is None:
        assert form.write_folder is not None
        place = check_folder(form, target, overwrite=overwrite)
        with writing_to(place), whole_folder(place) as folder:
            form.write_folder(documents, folder, notes)
        return
    if target is None or target == STDOUT:
        with writing_to_stdout():
            form.write(documents, sys.stdout, notes)
        return
    with writing_to(target), whole_file(target) as file:
        form.write(documents, file, notes)


def tag_export(
    tagger: WordTagger,
    form: Format,
    path: Path,
    target: str | Path | None,
    *,
    request: ReadRequest | None = None,
    splitter: str | Splitter | None = None,
    split_sentences: bool = True,
    overwrite: bool = False,
) -> tuple[int, int]:
    """Tag the texts of an export and write it back with the predictions, in constant memory where its lines allow it.

    Label Studio gets the predictions beside the annotations that a task has; in other formats they are the only spans,
    and texts that had others are counted in a warning.

    Args:
        tagger: The tagger.
        form: Format of the export.
        path: File or folder of the export.
        target: As of `write_export`.
        request: As of `read_export`.
        splitter: How a text is cut into words, see `Tagger.tag_text`.
        split_sentences: Whether a text is tagged sentence by sentence, see `Tagger.tag_text`.
        overwrite: Replace an existing target.

    Returns:
        Number of rows of words, and of words, that were tagged.
    """
    if not takes_documents(form):
        raise DataError(
            f"{path}: is {form.title}, which predictions are not written in. Export it as one of "
            f"{', '.join(written_formats())}, or give {argument('format', 'jsonl')} to get JSON Lines."
        )
    notes = FileNotes(str(path), form.title)
    cutter, counts = tagger.cutter(splitter, split_sentences=split_sentences), TagCounts()
    documents = tag_rows(tagger, counts.counted(read_export(form, path, notes, request), cutter))
    write_export(form, documents, target, notes, overwrite=overwrite)
    if counts.annotated and "predictions" not in form.holds:
        notes.count(
            "replaced",
            "texts with annotated spans: the predicted ones are in their place",
            severity="suspicious",
            by=counts.annotated,
        )
    log_notes(notes)
    return counts.rows, counts.words


def is_annotated(document: Document) -> bool:
    """Return whether somebody has annotated a document, be it with no span at all, as far as its format tells."""
    answered = document.source.get("answer") is not None  # Prodigy's
    judged = not document.unused and any(document.source.get(key) for key in ("annotations", "completions"))
    return bool(document.spans) or answered or judged


def log_notes(notes: FileNotes) -> None:
    """Log what was found while reading and writing: suspicious remarks as warnings."""
    for remark in notes.remarks:
        logger.log(logging.INFO if remark.severity == "note" else logging.WARNING, "%s: %s", notes.file, remark)


class TagCounts:
    """Counts of what passes on its way to a tagger: documents that had spans, rows of words, and words."""

    def __init__(self) -> None:
        self.rows = self.words = self.annotated = 0

    def counted(self, documents: Iterable[Document], cutter: TextCutter) -> Iterator[tuple[Document, Rows]]:
        """Yield documents with their rows of words, which are counted."""
        for document in documents:
            rows = word_rows(document, cutter)
            self.rows += len(rows)
            self.words += sum(map(len, rows))
            self.annotated += bool(document.spans)
            yield document, rows
