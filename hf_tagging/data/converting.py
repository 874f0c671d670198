"""Corpora from any format that is read to any that is written.

What the target cannot hold is counted in the notes of the conversion. Sentences of words become texts in which words
are joined by blanks and sentences by line breaks; texts become sentences of words as for training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from hf_tagging.atomic import whole_file, whole_folder
from hf_tagging.data.conversion_losses import counting_losses
from hf_tagging.data.documents import count_documents
from hf_tagging.data.files import SplitFiles, is_saved_dataset
from hf_tagging.data.folders import find_split_files
from hf_tagging.data.formats import FORMATS, TARGETS
from hf_tagging.data.formats.base import Document, Format, Record, Span, TaggedSentence
from hf_tagging.data.formats.builder import check_separated
from hf_tagging.data.formats.records import read_records
from hf_tagging.data.formats.spans import sentences_of
from hf_tagging.data.formats.word_documents import document_of_words, entities_of
from hf_tagging.data.loading import load_tagging_dataset, read_request
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.reading import reading_report
from hf_tagging.data.replacing import check_no_file, check_target
from hf_tagging.data.request import ReadArguments, ReadRequest
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.splitters import get_splitter
from hf_tagging.data.spool import Spool
from hf_tagging.disk import expanded, writing_to
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.problems import argument
from hf_tagging.tasks import Task, get_task

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass
class Converted:
    """Outcome of a conversion.

    Args:
        path: The file or folder that was written.
        format: Name of its format.
        splits: Split to the number of texts or sentences, and of entities.
        notes: How each file was read, and what could not be written.
    """

    path: Path
    format: str
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[FileNotes] = field(default_factory=list)


def convert(
    source: str | Path,
    target: str | Path,
    *,
    to: str,
    task: str | Task = "ner",
    overwrite: bool = False,
    **reading: Unpack[ReadArguments],
) -> Converted:
    """Write a corpus in another format.

    Args:
        source: A file, a folder, or a name on the Hub: whatever `load_tagging_dataset` reads.
        target: The file to write. A folder for several splits, with a file of each, and for formats of many files.
        to: Name of the format: one of `hf_tagging.data.formats.TARGETS`.
        task: Task whose tags are read.
        overwrite: Replace `target`.
        **reading: How words and tags are read, as `load_tagging_dataset` takes it.

    Returns:
        What was written, and what could not be.

    Raises:
        ConfigError: There is no such format or task.
        DataError: The source cannot be read, or the format cannot hold it.
        OutputError: The target is there and is not to be replaced, or cannot be written.
    """
    if to not in TARGETS:
        raise ConfigError(f"{argument('to', to)}: expected one of {', '.join(TARGETS)}")
    form, target = TARGETS[to], Path(target)
    task = get_task(task)
    if not task.has_entities and form.write_sentences is None:
        there = ", ".join(name for name, known in TARGETS.items() if known.write_sentences)
        raise ConfigError(f"{argument('to', to)}: holds entities, and {task.title} has none; expected one of {there}")
    check_target(form, target, source=Path(source), overwrite=overwrite)
    converted = Converted(target, to)
    request = read_request(task, reading)
    with Spool() as spool, writing_to(target):
        splits = _splits(source, spool, request, reading, converted.notes)
        _write(splits, form, target, request, converted)
    return converted


@dataclass(frozen=True)
class _Split:
    """Records of a split, to be read once.

    Args:
        records: The records.
        format: What they are read from, None for words with tags.
    """

    records: Iterator[Record]
    format: Format | None = None


def _splits(
    source: str | Path, spool: Spool, request: ReadRequest, reading: ReadArguments, notes: list[FileNotes]
) -> dict[str, _Split]:
    """Return the splits of a corpus: the records of its format, or the words with tags that are loaded."""
    path = expanded(source)
    files: dict[str, SplitFiles] = {}
    if path.exists() and not (path.is_dir() and is_saved_dataset(path)):
        files = find_split_files(path, spool)
    if files and all(found.kind in FORMATS for found in files.values()):
        return {split: _of_format(found, request, notes) for split, found in files.items()}
    dataset = load_tagging_dataset(source, task=request.task, **reading)
    if report := reading_report(dataset):
        notes += [file for split in report.splits.values() for file in split]
    schema = TagSchema.detect(dataset, task=request.task)
    if request.task.has_entities:
        dataset, schema, _ = schema.convert(dataset, to="IOB2")
    return {str(split): _Split(_loaded(part, schema.tags, request.task)) for split, part in dataset.items()}


def _of_format(files: SplitFiles, request: ReadRequest, notes: list[FileNotes]) -> _Split:
    form = FORMATS[files.kind]
    own = [FileNotes(name, form.title) for name in files.names]
    notes += own

    def records() -> Iterator[Record]:
        for path, name, kept in zip(files.paths, files.names, own, strict=True):
            for record in read_records(form, path, name, request, kept):
                if isinstance(record, Document) and record.words is None and request.splitter is None:
                    check_separated(record, kept)
                yield record

    return _Split(records(), form)


def _loaded(part: Dataset, tags: tuple[str, ...], task: Task) -> Iterator[Record]:
    """Yield the sentences of a loaded split; names of documents only where documents have several sentences.

    A row that has kept its text is a text of its own.
    """
    marked = count_documents(part) < len(part)
    for row in part:
        names = [None if tag is None or tag < 0 else tags[tag] for tag in row["tags"]]
        sentence = TaggedSentence(words=row["tokens"], tags=names, id=row["document_id"] if marked else None)
        has_text = task.has_entities and row.get("text") is not None
        yield sentence if not has_text else _of_text(sentence, row["text"], row["starts"], row["ends"])


def _of_text(sentence: TaggedSentence, text: str, starts: list[int], ends: list[int]) -> Document:
    entities = entities_of(sentence.tags)
    return Document(
        text=text,
        spans=[Span(starts[first], ends[last], kind) for first, last, kind in entities],
        words=list(zip(starts, ends, strict=True)),
        sentences=[(0, len(text))],
        unknown=tuple((starts[i], ends[i]) for i, tag in enumerate(sentence.tags) if tag is None),
        id=sentence.id,
    )


def _write(splits: dict[str, _Split], form: Format, target: Path, request: ReadRequest, converted: Converted) -> None:
    with ExitStack() as stack:
        several = len(splits) > 1
        if several:
            check_no_file(target)
        folder = stack.enter_context(whole_folder(target)) if several or form.write_folder else None
        for split, part in splits.items():
            notes = FileNotes(str(target / f"{split}{form.suffix}") if several else str(target), form.title)
            converted.notes.append(notes)
            counts = converted.splits[split] = {"records": 0, "entities": 0}
            records = counting_losses(part.records, part.format, form, notes)
            if form.write_folder is not None and folder is not None:
                inner = folder / split if several else folder
                inner.mkdir(exist_ok=True)
                form.write_folder(_counted(_documents(records), counts), inner, notes)
                continue
            path = folder / f"{split}{form.suffix}" if folder is not None else target
            with whole_file(path) as stream:
                if form.write_sentences is not None:
                    form.write_sentences(_counted_tags(_sentences(records, request, notes), counts), stream, notes)
                elif form.write is not None:
                    whole = "texts" in form.holds or part.format is form
                    documents = _documents(records) if whole else _of_sentences(_sentences(records, request, notes))
                    form.write(_counted(documents, counts), stream, notes)
        if not all(counts["records"] for counts in converted.splits.values()):
            raise DataError(f"{converted.notes[0].file}: nothing to write: no text or sentence is annotated")


def _documents(records: Iterable[Record]) -> Iterator[Document]:
    """Yield records as texts: sentences of one document that follow each other become one."""
    for name, group in groupby(records, key=lambda record: (isinstance(record, Document), record.id)):
        if name[0] or name[1] is None:
            for record in group:
                yield record if isinstance(record, Document) else _joined([record])
        else:
            yield _joined([record for record in group if isinstance(record, TaggedSentence)])


def _joined(sentences: list[TaggedSentence]) -> Document:
    entities, unknown, begin = [], [], 0
    for sentence in sentences:
        entities += [(begin + first, begin + last, kind) for first, last, kind in entities_of(sentence.tags)]
        unknown += [begin + index for index, tag in enumerate(sentence.tags) if tag is None]
        begin += len(sentence.words)
    words = [sentence.words for sentence in sentences]
    return document_of_words(words, entities, unknown=unknown, id=sentences[0].id, place=sentences[0].place)


def _sentences(records: Iterable[Record], request: ReadRequest, notes: FileNotes) -> Iterator[TaggedSentence]:
    """Yield records as sentences of words with tags, as they are for training."""
    split = get_splitter(request.splitter)
    for record in records:
        if isinstance(record, TaggedSentence):
            yield record
        else:
            yield from sentences_of(record, split=split, misfit=request.misfit, notes=notes)


def _of_sentences(sentences: Iterable[TaggedSentence]) -> Iterator[Document]:
    return (_joined([sentence]) for sentence in sentences)


def _counted(documents: Iterable[Document], counts: dict[str, int]) -> Iterator[Document]:
    for document in documents:
        counts["records"] += 1
        counts["entities"] += len(document.spans)
        yield document


def _counted_tags(sentences: Iterable[TaggedSentence], counts: dict[str, int]) -> Iterator[TaggedSentence]:
    for sentence in sentences:
        counts["records"] += 1
        counts["entities"] += len(entities_of(sentence.tags))
        yield sentence
