"""Where the raw splits come from: files through a builder and its cache, or a folder of `save_to_disk`."""

import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.data_files import DataFilesDict, DataFilesList
from datasets.exceptions import DatasetsError
from datasets.fingerprint import Hasher
from datasets.packaged_modules.json.json import Json
from datasets.packaged_modules.parquet.parquet import Parquet
from datasets.utils._filelock import FileLock

from hf_tagging.data import column_layout, column_names, conll
from hf_tagging.data.column_layout import shortened
from hf_tagging.data.column_names import ColumnRequest
from hf_tagging.data.files import SPLITS, SplitFiles, splits_in_name
from hf_tagging.errors import DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RawSplit:
    """One split as its source has it.

    Args:
        dataset: The rows.
        place: The source as a message names it.
        tokens_column: The column of the words, None to find it.
        tags_column: The column of the tags, None to find it.
        word_features: Further columns to keep.
    """

    dataset: datasets.Dataset
    place: str
    tokens_column: str | int | None = None
    tags_column: str | int | None = None
    word_features: tuple[str, ...] = ()


class BuilderCache:
    """Runs builders in one cache folder; as a context, it takes back what it added when a DataError comes.

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
        self, builder_class: type[datasets.DatasetBuilder], files: SplitFiles, split: str, **config: Any
    ) -> datasets.Dataset:
        """Builds one split or finds it in the cache, by the files' paths, times and sizes and our code."""
        builder = builder_class(
            cache_dir=self.cache_dir,
            hash=_code_hash() if builder_class is conll.ConllBuilder else datasets.__version__,
            data_files=_data_files(files, split),
            **config,
        )
        if not Path(builder.cache_dir).exists():
            self._added.append(builder)
        processes = min(self.num_proc or 1, len(files.paths))
        builder.download_and_prepare(num_proc=processes if processes > 1 else None)
        if not builder.info.splits[split].num_examples:
            raise DataError(f"{files.place}: no rows; expected one sentence in each")
        return builder.as_dataset(split)


def read_files(files: SplitFiles, split: str, *, request: ColumnRequest, builders: BuilderCache) -> RawSplit:
    """Reads the files of one split.

    Raises:
        DataError: They cannot be read as what they are; the message has file and line.
    """
    if files.kind == "columns":
        dataset = builders.prepare(
            conll.ConllBuilder,
            files,
            split,
            task=request.task,
            tokens_column=request.tokens_column,
            tags_column=request.tags_column,
            separator=request.separator,
            word_features=request.word_features,
            sentence_start=request.sentence_start,
        )
        return RawSplit(
            dataset=dataset,
            place=files.place,
            tokens_column="tokens",
            tags_column="tags",
            word_features=request.word_features,
        )
    refuse_sentence_start(files.place, request)
    dataset = _read_json(files, split, builders) if files.kind == "json" else _read_parquet(files, split, builders)
    return RawSplit(
        dataset=dataset,
        place=files.place,
        tokens_column=request.tokens_column,
        tags_column=request.tags_column,
        word_features=request.word_features,
    )


def refuse_sentence_start(place: str, request: ColumnRequest) -> None:
    """Refuses to be told where sentences start in data that has one sentence per row.

    Raises:
        DataError: The request tells it.
    """
    if request.sentence_start != "blank":
        raise DataError(
            f"{place}: --sentence_start {request.sentence_start} is for column files; this data has one sentence per "
            "row, so leave it out"
        )


def read_saved(folder: Path) -> dict[str, datasets.Dataset]:
    """Reads a folder that `save_to_disk` wrote; a single Dataset is train unless it says which split it is.

    Raises:
        DataError: The folder is damaged, or has no split that we know.
    """
    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DataError(f"{folder}: a damaged dataset of save_to_disk: {innermost_cause(error)}") from error
    if isinstance(loaded, datasets.Dataset):
        loaded = {str(loaded.split or "train"): loaded}
    return named_splits(loaded, place=str(folder))


def named_splits(loaded: Mapping[str, datasets.Dataset], *, place: str) -> dict[str, datasets.Dataset]:
    """Gives splits our names: an exact name wins, others go by their words, a single one without is train.

    Raises:
        DataError: No split has a name that we know, or two speak of the same.
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
            "save them under these names, or give files with --train_file"
        )
    used = {names[0] for names in found.values()}
    if left_out := [name for name in loaded if name not in used]:
        logger.info("%s: left out the splits %s", place, ", ".join(left_out))
    return {split: loaded[found[split][0]] for split in SPLITS if split in found}


def _read_json(files: SplitFiles, split: str, builders: BuilderCache) -> datasets.Dataset:
    for path in files.paths:
        if not path.stat().st_size:
            raise DataError(f"{path}: the file is empty; expected one JSON object per line")
    try:
        dataset = builders.prepare(Json, files, split, parse_agent_traces=False)
        dataset.data.validate(full=True)  # the loader lets bytes through that are not UTF-8
        return dataset
    except (DatasetsError, pa.ArrowException, ValueError) as error:
        for path in files.paths:
            _find_broken_line(path)
        raise DataError(f"{files.place}: cannot be read as JSON Lines: {innermost_cause(error)}") from error


def _find_broken_line(path: Path) -> None:
    """Looks for the line that made the loader fail; it names none itself."""
    with open(path, "rb") as stream:
        for number, raw in enumerate(stream, start=1):
            if number == 1 and raw.lstrip().startswith(b"["):
                return  # one array over the whole file: the loader's own message has the position
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                row = json.loads(line) if line else {}
                json.dumps(row, ensure_ascii=False).encode()  # a lone surrogate is JSON, but no text
            except ValueError as error:
                shown = shortened(raw.decode("utf-8", "backslashreplace").strip())
                raise DataError(f"{path}, line {number}: {shown} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}: {shortened(line)} is no JSON object with tokens and tags")


def _read_parquet(files: SplitFiles, split: str, builders: BuilderCache) -> datasets.Dataset:
    try:
        names = {path: _class_names(datasets.Features.from_arrow_schema(pq.read_schema(path))) for path in files.paths}
        first = files.paths[0]
        for path in files.paths:
            # The loader would cast one file's ids to another's names without a word.
            if names[path] != names[first]:
                raise DataError(f"{path}: other ClassLabel names than in {first}; expected the same in every file")
        dataset = builders.prepare(Parquet, files, split)
        dataset.data.validate(full=True)
        return dataset
    except (DatasetsError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{files.place}: cannot be read as Parquet: {innermost_cause(error)}") from error


def _class_names(features: datasets.Features) -> dict[str, list[str]]:
    items = {name: getattr(feature, "feature", feature) for name, feature in features.items()}
    return {name: item.names for name, item in items.items() if isinstance(item, datasets.ClassLabel)}


def _data_files(files: SplitFiles, split: str) -> DataFilesDict:
    """The files as they are, not as patterns (a name may hold brackets), with what tells a changed one."""
    stats = [path.stat() for path in files.paths]
    origin = [(str(stat.st_mtime_ns), str(stat.st_size)) for stat in stats]
    return DataFilesDict({split: DataFilesList([str(path) for path in files.paths], origin)})


@cache
def _code_hash() -> str:
    """What was parsed by an older parser is not taken from the cache."""
    return Hasher.hash([Path(str(module.__file__)).read_bytes() for module in (conll, column_layout, column_names)])


def _remove(builder: datasets.DatasetBuilder) -> None:
    """Removes a builder's cache folder, its lock files, and the folders that this leaves empty."""
    folder = Path(builder.cache_dir)
    root = next(parent for parent in folder.parents if parent.name == builder.name).parent
    shutil.rmtree(folder, ignore_errors=True)
    locks = [
        root / (folder.as_posix().replace("/", "_") + ".lock"),
        *(folder.with_name(folder.name + end) for end in ("_builder.lock", ".incomplete_info.lock")),
    ]
    for lock in locks:
        if lock.parent.is_dir():
            Path(FileLock(str(lock)).lock_file).unlink(missing_ok=True)
    for parent in folder.parents:
        if parent == root or (parent.exists() and any(parent.iterdir())):
            break
        if parent.exists():
            parent.rmdir()


def innermost_cause(error: BaseException) -> str:
    """The innermost cause of a library's error, in one line."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return re.sub(r"\s+", " ", str(error)).strip()[:300] or type(error).__name__
