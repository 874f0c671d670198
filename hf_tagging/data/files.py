"""Data files and their splits, which are read from the words in file names."""

import difflib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_tagging.data.formats import format_of
from hf_tagging.data.formats.base import Head
from hf_tagging.data.json_shapes import WHOLE, shape_of
from hf_tagging.data.other_data import refuse_other_data
from hf_tagging.data.spool import DESCRIPTOR, Spool
from hf_tagging.data.tables.sniff import delimiter_of
from hf_tagging.data.text_lines import BOM
from hf_tagging.disk import expanded
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
ALSO_TEST = "also_test"
"""Name of other tags of the test split where splits are named: in results, records, cards and predictions."""
_SPLIT_OF_WORD = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "devel": "validation",
    "testa": "validation",  # CoNLL-2003 names its development set eng.testa
    "test": "test",
    "testb": "test",
}
_JSON_SUFFIXES = frozenset({".jsonl", ".json", ".ndjson"})
_PARQUET_SUFFIXES = frozenset({".parquet"})
_COLUMN_SUFFIXES = frozenset(
    {
        ".txt",
        ".tsv",
        ".conll",
        ".conllu",
        ".conllup",
        ".iob",
        ".iob2",
        ".bio",
        ".bioes",
        ".ner",
        ".pos",
        ".tags",
        ".ann",
        ".spacy",
    }
)
_TABLE_SUFFIXES = frozenset({".csv"})
DATA_SUFFIXES = _JSON_SUFFIXES | _PARQUET_SUFFIXES | _COLUMN_SUFFIXES | _TABLE_SUFFIXES
_PARQUET_MARK = b"PAR1"
PROBED = 1 << 12  # bytes that tell what a file is
# `save_to_disk` leaves one of these; both are JSON, and neither is data.
_SAVED_DATASET_FILES = ("dataset_dict.json", "state.json")


@dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """Files of one split, in reading order and all of one kind.

    Args:
        kind: "columns", "table", "json", "parquet", or the name of a format of `hf_tagging.data.formats`.
        paths: The files.
        names: Names for the cache; for a pipe, the pipe itself, since its copy has another path each time.
        shapes: Of JSON files that were no rows, what they were, in words; empty strings for others.
        left_out: Of the same, keys that are not read.
        other_splits: Of the same, splits in the file beside the one that is read, where nobody reads them.
    """

    kind: str
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    shapes: tuple[str, ...] = ()
    left_out: tuple[tuple[str, ...], ...] = ()
    other_splits: tuple[tuple[str, ...], ...] = ()

    @property
    def place(self) -> str:
        """Files as messages name them."""
        shown = ", ".join(str(path) for path in self.paths[:3])
        return shown if len(self.paths) <= 3 else f"{shown} and {len(self.paths) - 3} more"


def tagged_split(name: str) -> str:
    """Return the split whose words are tagged where a split is named: `also_test` has those of `test`."""
    return "test" if name == ALSO_TEST else name


def split_in_name(name: str) -> str | None:
    """Return the split named by the words of a file name.

    Args:
        name: A file or split name: `eng.testa`, `en_ewt-ud-dev.conllu`, `train-00000-of-00003.parquet`.

    Returns:
        "train", "validation" or "test"; None if the name has no such word.

    Raises:
        DataError: The name has words for two splits.
    """
    splits = splits_in_name(name)
    if len(splits) > 1:
        raise DataError(
            f"{name!r} names two splits, {' and '.join(splits)}; say which it is: "
            f"{argument('test_file', 'FILE')}, or in training {argument('train_file')} or {argument('validation_file')}"
        )
    return splits[0] if splits else None


def splits_in_name(name: str) -> list[str]:
    """Return all splits named by the words of a file name, sorted."""
    words = re.split(r"[^a-z]+", name.lower())
    return sorted({_SPLIT_OF_WORD[word] for word in words if word in _SPLIT_OF_WORD})


def looks_like_path(name: str) -> bool:
    """Return whether a name that does not exist was meant as a path rather than as a name on the Hub."""
    suffix = Path(name).suffix.lower()
    known = suffix in DATA_SUFFIXES or suffix.removeprefix(".") in _SPLIT_OF_WORD
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):  # owner/name, as on the Hub
        return known and Path(name).parent.is_dir()
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or known


def is_saved_dataset(folder: Path) -> bool:
    """Return whether a folder was written by `save_to_disk`."""
    return any((folder / name).is_file() for name in _SAVED_DATASET_FILES)


def files_by_flag(files: Mapping[str, str | Path | Sequence[str | Path] | None], spool: Spool) -> dict[str, SplitFiles]:
    """Check the files that were given for each split.

    Args:
        files: Split to path, to paths in the order they are to be read, or to None.
        spool: Where pipes are copied to.

    Returns:
        The files of each split that was given.

    Raises:
        DataError: A file is not there or is a folder, is given twice, or a split has two kinds of file.
    """
    found = {}
    for split, value in files.items():
        if not value:
            continue
        paths = [expanded(name) for name in ([value] if isinstance(value, str | Path) else value)]
        for path in paths:
            if not path.exists():
                raise missing_path(path)
            if path.is_dir() and format_of(path) is None:
                given = argument(f"{split}_file", str(path))
                raise DataError(f"{given} is a folder; expected a file (a folder goes to {argument('dataset')})")
        found[split] = split_files(paths, spool, split=split)
    return found


def split_files(paths: Sequence[Path], spool: Spool, *, split: str = "train", kind: str | None = None) -> SplitFiles:
    """Check that the files of a split are readable and of one kind; their order is kept.

    Args:
        paths: Of files and pipes that exist.
        spool: Where pipes are copied to.
        split: Its name, for messages.
        kind: Of the files, whatever they are called. Default: by their names and how they begin.

    Raises:
        DataError: They are not.
    """
    absolute = [expanded(path).absolute() for path in paths]
    for index, path in enumerate(absolute):
        if path in absolute[:index]:
            raise DataError(f"{path} is given twice for the split {split}")
        if not os.access(path, os.R_OK):
            raise DataError(f"{path}: no permission to read this file")
    files = [spool.file(path) for path in absolute]
    for path in files:
        refuse_other_data(path)
    kinds = {kind or kind_of(path) for path in files}
    if len(kinds) > 1:
        raise two_kinds(absolute, split)
    if kinds == {"json"}:
        return json_files(files, spool, split)
    return SplitFiles(kind=kinds.pop(), paths=tuple(files), names=tuple(str(spool.given(path)) for path in files))


def json_files(files: Sequence[Path], spool: Spool, split: str, *, every_split: bool = False) -> SplitFiles:
    """Return JSON files as files of an object per sentence.

    Args:
        files: The files.
        spool: Where they are rewritten.
        split: To read where they hold several.
        every_split: The others are read as well.

    Raises:
        DataError: A file holds several splits, and this one is not among them.
    """
    paths, shapes, left_out, other_splits = [], [], [], []
    for path in files:
        shape = shape_of(path, splits_in_name)
        key = WHOLE
        if shape and WHOLE not in shape.rows:
            keys = [name for name in shape.rows if splits_in_name(name) == [split]]
            if len(keys) != 1:
                raise DataError(
                    f"{path}: holds the splits {', '.join(shape.rows)}; expected one of them to be {split}. Give the "
                    f"file with {argument('dataset')} to read all of them"
                )
            key = keys[0]
        paths.append(spool.rewritten(path, shape.lines(key, file=str(path)), part=key) if shape else path)
        shapes.append(shape.title if shape else "")
        left_out.append(shape.left_out if shape else ())
        other_splits.append(tuple(name for name in shape.rows if name != key) if shape and not every_split else ())
    kinds = {kind_of(path) for path in paths}
    if len(kinds) > 1:
        raise two_kinds(files, split)
    return SplitFiles(
        kind=kinds.pop(),
        paths=tuple(paths),
        names=tuple(str(spool.given(path)) for path in paths),
        shapes=tuple(shapes),
        left_out=tuple(left_out),
        other_splits=tuple(other_splits),
    )


def nearest_path(path: Path) -> Path | None:
    """Return the existing path whose name is most similar to that of a missing path."""
    folder = _nearest_folder(path)
    if not os.access(folder, os.R_OK):
        return None
    if path == folder:
        return None
    there = sorted(entry.name for entry in folder.iterdir() if entry.exists())  # no link that leads nowhere
    near = difflib.get_close_matches(path.relative_to(folder).parts[0], there, n=1)
    return folder / near[0] if near else None


def missing_path(path: Path) -> DataError:
    """Return the error for a missing path, with the most similar name that exists."""
    if DESCRIPTOR.fullmatch(str(path)):
        return DataError(
            f"{path} is not open here: a process substitution does not reach the processes that are started from "
            "here; write it to a file first."
        )
    if path.is_symlink():
        return DataError(f"{path} is a link to {os.readlink(path)}, which does not exist; give the file itself.")
    near = nearest_path(path)
    hint = f"did you mean {near}?" if near else f"nothing in {_nearest_folder(path).absolute()} has a name like it"
    return DataError(f"{path} does not exist; {hint}")


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in [*path.parents, Path()] if folder.is_dir())


def two_kinds(paths: Sequence[Path], split: str) -> DataError:
    """Return the error for files of several kinds that are one split."""
    names = ", ".join(path.name for path in paths)
    return DataError(
        f"{names}: two kinds of file for the split {split}; say which to read with {argument(f'{split}_file')}"
    )


def kind_of(path: Path) -> str:
    """Return the name of a file's format, or else its kind by its suffix, or by its first bytes without a known one."""
    if form := format_of(path):
        return form.name
    suffix = path.suffix.lower()
    if suffix in _JSON_SUFFIXES or (suffix not in DATA_SUFFIXES and begins_like_json(path)):
        return "json"
    if suffix in _PARQUET_SUFFIXES or (suffix not in DATA_SUFFIXES and is_parquet(path)):
        return "parquet"
    return "table" if path.is_file() and is_table(path) else "columns"


def is_table(path: Path) -> bool:
    """Return whether a file begins like a table with commas, semicolons or tabs, regardless of its name."""
    head = Head(path)
    marked = head.start.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.start.decode("utf-16", "replace") if marked else head.text
    return delimiter_of(text, path=path, whole=path.stat().st_size <= len(head.start)) is not None


def is_parquet(path: Path) -> bool:
    """Return whether a file begins like Parquet, regardless of its name."""
    return beginning_of(path).startswith(_PARQUET_MARK)


def begins_like_json(path: Path) -> bool:
    """Return whether a file begins with a JSON object on a line of its own, or with an array of objects."""
    first = beginning_of(path).removeprefix(BOM).lstrip()
    if first.startswith(b"["):
        return first[1:].lstrip()[:1] == b"{"
    # A column file may begin with a brace as well, as a word; a quoted key follows none there.
    return first.startswith(b"{") and first[1:].lstrip()[:1] == b'"'


def beginning_of(path: Path) -> bytes:
    """Return the first bytes of a file, as many as tell what it is; none of what is no file."""
    if not path.is_file():
        return b""  # what is read of a pipe is gone
    try:
        with open(path, "rb") as stream:
            return stream.read(PROBED)
    except OSError:
        return b""  # who reads the file says why it cannot be read
