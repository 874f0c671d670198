"""Sources of raw splits: files, read by a cached builder, or a folder of `save_to_disk`."""

import contextlib
import hashlib
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import datasets
import pyarrow.parquet as pq
import xxhash
from datasets.data_files import DataFilesDict, DataFilesList
from datasets.fingerprint import Hasher
from datasets.packaged_modules.json.json import Json
from datasets.packaged_modules.parquet.parquet import Parquet

from hf_tagging.data.builders import FileBuilder, kept_notes
from hf_tagging.data.columns.conll import ConllBuilder
from hf_tagging.data.files import SPLITS, SplitFiles, splits_in_name
from hf_tagging.data.formats import FORMATS
from hf_tagging.data.formats.base import Format
from hf_tagging.data.formats.builder import FormatBuilder
from hf_tagging.data.json_rows import check_rows
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest, given_options
from hf_tagging.data.splitters import splitter_version
from hf_tagging.data.tables.builder import TableBuilder
from hf_tagging.disk import why_full
from hf_tagging.errors import DataError, TaggingError
from hf_tagging.foreign.datasets import lock_file
from hf_tagging.memory import out_of_memory
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

_CODE = Path(__file__).parent
_Noted = tuple[datasets.Dataset, tuple[FileNotes, ...]]  # rows, and how each file was read


@dataclass(frozen=True, kw_only=True)
class RawSplit:
    """One split with the columns of its source.

    Args:
        dataset: The rows.
        place: The source as a message names it.
        request: What is read of it.
        notes: How each file was read.
        is_read: A builder of this package has read the columns, and noted which; else they are those of the source.
        paths: The files as they were given, none for data from elsewhere.
    """

    dataset: datasets.Dataset
    place: str
    request: ReadRequest
    notes: tuple[FileNotes, ...] = ()
    is_read: bool = False
    paths: tuple[Path, ...] = ()


class BuilderCache:
    """A cache folder for builders; as a context manager, it removes what it added if a DataError is raised.

    Args:
        cache_dir: The folder; None is the one of `datasets`.
        num_proc: Processes to read the files of a split with.
    """

    def __init__(self, *, cache_dir: str | None = None, num_proc: int | None = None) -> None:
        self.cache_dir = cache_dir
        self.num_proc = num_proc
        self._added: list[datasets.DatasetBuilder] = []

    def __enter__(self) -> "BuilderCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, DataError):
            for builder in self._added:
                _remove(builder)

    def prepare(
        self,
        builder_class: type[datasets.DatasetBuilder],
        files: SplitFiles,
        split: str,
        *,
        check: Callable[[Path], object] | None = None,
        **config: Any,
    ) -> tuple[datasets.Dataset, tuple[FileNotes, ...]]:
        """Build one split, or load it from the cache by file names, file content and our code; with its notes.

        Args:
            builder_class: Reads the files.
            files: Of the split.
            split: Its name.
            check: Looks at each file before the builder does, where nothing is in the cache.
            config: For the builder.
        """
        builder = builder_class(
            cache_dir=self.cache_dir,
            hash=_version(config) if issubclass(builder_class, FileBuilder) else datasets.__version__,
            data_files=DataFilesDict({split: _Files(files)}),
            **config,
        )
        if not Path(builder.cache_dir).exists():
            self._added.append(builder)
            for path in files.paths if check else ():
                check(path)  # type: ignore[misc]  # there is one
        processes = min(self.num_proc or 1, len(files.paths))
        builder.download_and_prepare(num_proc=processes if processes > 1 else None)
        if not builder.info.splits[split].num_examples:
            raise DataError(f"{files.place}: no rows; expected one sentence in each")
        return builder.as_dataset(split), tuple(kept_notes(builder, files.names))

    def load(self, name: str, *args: Any, **options: Any) -> datasets.DatasetDict:
        """Load a dataset from the Hub or its local cache, see `datasets.load_dataset`.

        Args:
            name: Its repository.
            args: Of `load_dataset`.
            options: Likewise.
        """
        found = datasets.load_dataset(name, *args, cache_dir=self.cache_dir, num_proc=self.num_proc, **options)
        assert isinstance(found, datasets.DatasetDict)
        return found


def read_files(files: SplitFiles, split: str, *, request: ReadRequest, builders: BuilderCache) -> RawSplit:
    """Read the files of one split.

    Raises:
        DataError: They cannot be read as what they are; the message has file and line.
    """
    if files.kind == "table":
        refuse_column_options(files.place, request, ["sentence_start"])
    elif files.kind != "columns":
        refuse_column_options(files.place, request)
    dataset, notes = _read(files, split, request, builders)
    is_read = files.kind not in ("json", "parquet")
    named = replace(request, tokens_column="tokens", tags_column="tags") if is_read else request
    return RawSplit(
        dataset=dataset,
        place=files.place,
        request=named,
        notes=notes,
        is_read=is_read,
        paths=tuple(map(Path, files.names)),
    )


def _read(files: SplitFiles, split: str, request: ReadRequest, builders: BuilderCache) -> _Noted:
    """Read files with the builder of their kind."""
    if files.kind in ("json", "parquet"):
        return (_read_json if files.kind == "json" else _read_parquet)(files, split, builders)
    if files.kind in FORMATS:
        with reading_files(files, FORMATS[files.kind].title):
            return builders.prepare(FormatBuilder, files, split, format=files.kind, request=request)
    asked = "\t" if request.separator == "tab" else request.separator
    is_table = files.kind == "table" and (asked is None or (len(asked) == 1 and asked != " "))
    builder, kind = (TableBuilder, "a table") if is_table else (ConllBuilder, "columns")
    with reading_files(files, kind):
        return builders.prepare(builder, files, split, request=request)


def refuse_column_options(
    place: str, request: ReadRequest, options: Sequence[str] = ("sentence_start", "separator", "comment")
) -> None:
    """Refuse options of column files for data of another kind, where they would do nothing.

    Args:
        place: The data as a message names it.
        request: What is asked for.
        options: Those that do nothing there.

    Raises:
        DataError: One of them is set.
    """
    given = given_options(request)
    for option in options:
        if option in given:
            raise DataError(
                f"{place}: {argument(option, str(given[option]))} is for column files; this data has one sentence per "
                "row, so leave it out"
                if option == "sentence_start"
                else f"{place}: {argument(option, str(given[option]))} is for column files and tables; it does nothing "
                "here, so leave it out"
            )


def read_saved(folder: Path) -> dict[str, datasets.Dataset]:
    """Read a folder written by `save_to_disk`; a single Dataset is train unless it names its split.

    Raises:
        DataError: The folder is damaged, or has no split that we know.
    """
    try:
        loaded = datasets.load_from_disk(str(folder))
        for part in loaded.values() if isinstance(loaded, dict) else [loaded]:
            part.data.validate(full=True)  # Arrow reads what offsets point to, be it outside of the file
    except Exception as error:  # whatever the libraries stumble over in damaged files
        if why_full(error):
            raise
        _refuse_for_memory(error, str(folder), "a dataset")
        raise DataError(f"{folder}: a damaged dataset of save_to_disk: {innermost_cause(error)}") from error
    if isinstance(loaded, datasets.Dataset):
        loaded = {str(loaded.split or "train"): loaded}
    return named_splits(loaded, place=str(folder))


def named_splits(loaded: Mapping[str, datasets.Dataset], *, place: str) -> dict[str, datasets.Dataset]:
    """Map split names to train, validation and test: exact names first, then words in names; a single split is train.

    Raises:
        DataError: No split has a known name, or two have names for the same split.
    """
    found: dict[str, list[str]] = {split: [split] for split in SPLITS if split in loaded}
    for name in loaded:
        spoken = splits_in_name(name)
        if len(spoken) == 1 and spoken[0] not in loaded:
            found.setdefault(spoken[0], []).append(name)
    if not found and len(loaded) == 1:
        found = {"train": list(loaded)}
    if not found or any(len(names) > 1 for names in found.values()):
        raise DataError(
            f"{place}: cannot tell which of the splits {', '.join(loaded)} are train, validation and test; "
            f"save them under these names, or give files with {argument('train_file')}"
        )
    used = {names[0] for names in found.values()}
    if left_out := [name for name in loaded if name not in used]:
        logger.info("%s: left out the splits %s", place, ", ".join(left_out))
    return {split: loaded[found[split][0]] for split in SPLITS if split in found}


def _read_json(files: SplitFiles, split: str, builders: BuilderCache) -> _Noted:
    with reading_files(files, "JSON Lines"):
        dataset, notes = builders.prepare(Json, files, split, check=check_rows, parse_agent_traces=False)
        dataset.data.validate(full=True)  # the loader lets bytes through that are not UTF-8
    for i, note in enumerate(notes):
        note.format = (files.shapes[i] if files.shapes else "") or "rows of JSON"
        if files.left_out and files.left_out[i]:
            note.remark("left_out", f"keys beside the data, not read: {', '.join(files.left_out[i])}")
        if files.other_splits and files.other_splits[i]:
            others = ", ".join(files.other_splits[i])
            text = f"splits that the file holds beside {split}, not read from it: {others}"
            note.remark("other_splits", text, severity="suspicious")
    return dataset, notes


def _read_parquet(files: SplitFiles, split: str, builders: BuilderCache) -> _Noted:
    with reading_files(files, "Parquet"):
        names = {path: _class_names(datasets.Features.from_arrow_schema(pq.read_schema(path))) for path in files.paths}
        first = files.paths[0]
        for path in files.paths:
            # The loader would cast one file's ids to another's names without a word.
            if names[path] != names[first]:
                raise DataError(f"{path}: other ClassLabel names than in {first}; expected the same in every file")
        dataset, notes = builders.prepare(Parquet, files, split)
        dataset.data.validate(full=True)
        return dataset, tuple(replace(note, format="Parquet") for note in notes)


def _class_names(features: datasets.Features) -> dict[str, list[str]]:
    items = {name: getattr(feature, "feature", feature) for name, feature in features.items()}
    return {name: item.names for name, item in items.items() if isinstance(item, datasets.ClassLabel)}


@contextlib.contextmanager
def reading_files(files: SplitFiles, kind: str) -> Iterator[None]:
    """Turn any error of a library about a damaged file into one message.

    Raises:
        DataError: For every error but our own and those of a full disk, which is not the files' fault.
    """
    try:
        yield
    except TaggingError:
        raise
    except Exception as error:
        if why_full(error):
            raise
        _refuse_for_memory(error, files.place, kind)
        raise DataError(f"{files.place}: cannot be read as {kind}: {innermost_cause(error)}") from error


def _refuse_for_memory(error: Exception, place: str, kind: str) -> None:
    """Raise a message of its own if an error means that memory is exhausted: the files need not be damaged."""
    if said := out_of_memory(error):
        raise DataError(
            f"{place}: reading it as {kind} takes more memory than there is ({said}). It is damaged, or too large for "
            "this machine."
        ) from error


class _Files(DataFilesList):
    """Files taken literally, not as patterns (a name may hold brackets); the cache knows them by name and content."""

    def __init__(self, files: SplitFiles):
        form = FORMATS.get(files.kind)
        super().__init__([str(path) for path in files.paths], [_hashes(path, form) for path in files.paths])
        self.names = files.names

    def __reduce__(self) -> tuple[Any, ...]:
        return DataFilesList, ([*self.names], self.origin_metadata)  # what is hashed


def _hashes(path: Path, form: Format | None) -> tuple[str, ...]:
    """Return the hash of a file; names and hashes where a format reads several files for a path."""
    beside = form.beside(path) if form else []
    if not beside:
        return (content_hash(path),)
    return tuple(part for file in beside for part in (file.name, content_hash(file)))


def content_hash(path: Path) -> str:
    """Return a hash of the content of a file, independent of its time and size."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, xxhash.xxh3_128).hexdigest()


def _version(config: Mapping[str, Any]) -> str:
    """Return a hash of all that reads a file: our code, and the package that splits its text."""
    request = config.get("request")
    of_splitter = splitter_version(request.splitter) if isinstance(request, ReadRequest) else ""
    return str(Hasher.hash((_code_hash(), of_splitter))) if of_splitter else _code_hash()


@cache
def _code_hash() -> str:
    """Return a hash of all reading code, so that results of an older parser are not taken from the cache."""
    return Hasher.hash([path.read_bytes() for path in sorted(_CODE.rglob("*.py"))])


def _remove(builder: datasets.DatasetBuilder) -> None:
    """Remove a builder's cache folder, its lock files, and folders that become empty."""
    folder = Path(builder.cache_dir)
    root = next(parent for parent in folder.parents if parent.name == builder.name).parent
    shutil.rmtree(folder, ignore_errors=True)
    locks = [
        root / (folder.as_posix().replace("/", "_") + ".lock"),
        *(folder.with_name(folder.name + end) for end in ("_builder.lock", ".incomplete_info.lock")),
    ]
    for lock in locks:
        if lock.parent.is_dir():
            lock_file(lock).unlink(missing_ok=True)
    for parent in folder.parents:
        if parent == root or (parent.exists() and any(parent.iterdir())):
            break
        if parent.exists():
            parent.rmdir()


def innermost_cause(error: BaseException) -> str:
    """Return the innermost cause of a library's error, in one line."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return re.sub(r"\s+", " ", str(error)).strip()[:300] or type(error).__name__
