"""Data files and their splits, which are read from the words in file names."""

import difflib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_tagging.data.formats import format_of
from hf_tagging.data.formats.base import Head
from hf_tagging.data.formats.brat import is_brat
from hf_tagging.data.json_shapes import WHOLE, shape_of
from hf_tagging.data.names_files import is_names_file
from hf_tagging.data.other_data import other_data, refuse_other_data
from hf_tagging.data.spool import DESCRIPTOR, Spool
from hf_tagging.data.tables.sniff import delimiter_of
from hf_tagging.data.text_lines import BOM
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
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
_DATA_SUFFIXES = _JSON_SUFFIXES | _PARQUET_SUFFIXES | _COLUMN_SUFFIXES | _TABLE_SUFFIXES
_NO_DATA = re.compile(r"(readme|licen[sc]e|notice|citation|changelog|contributing)\b", re.IGNORECASE)
_PARQUET_MARK = b"PAR1"
_PROBED = 1 << 12  # bytes that tell what a file is
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
    """

    kind: str
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    shapes: tuple[str, ...] = ()
    left_out: tuple[tuple[str, ...], ...] = ()

    @property
    def place(self) -> str:
        """Files as messages name them."""
        shown = ", ".join(str(path) for path in self.paths[:3])
        return shown if len(self.paths) <= 3 else f"{shown} and {len(self.paths) - 3} more"


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
    known = suffix in _DATA_SUFFIXES or suffix.removeprefix(".") in _SPLIT_OF_WORD
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):  # owner/name, as on the Hub
        return known and Path(name).parent.is_dir()
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or known


def is_saved_dataset(folder: Path) -> bool:
    """Return whether a folder was written by `save_to_disk`."""
    return any((folder / name).is_file() for name in _SAVED_DATASET_FILES)


def find_split_files(path: Path, spool: Spool) -> dict[str, SplitFiles]:
    """Find the data files of a folder, or take a single file, and sort them into splits.

    Args:
        path: A file, pipe or folder that exists.
        spool: Where a pipe is copied to.

    Returns:
        The files of each split that was found.

    Raises:
        DataError: No data in the folder, several files without a split in their names, or two kinds of file
            for one split.
    """
    if not path.is_dir():
        return splits_in_json(path, spool) or {split_in_name(path.name) or "train": split_files([path], spool)}
    if corpus := _brat_splits(path, spool):
        return corpus
    candidates = sorted(file for file in path.iterdir() if _may_be_data(file))
    if not any(_is_data(file) for file in candidates):
        return _in_folders(path, spool)
    named = {file: split for file in _without_raw_text(candidates) if (split := split_in_name(file.name))}
    data = [file for file in candidates if file in named or _is_data(file)]
    if not named and len(data) > 1:
        raise DataError(
            f"{path}: none of {', '.join(file.name for file in data[:8])} has a split in its name (train, "
            f"validation, test); say which is which: {argument('test_file', 'FILE')}, and in training "
            f"{argument('train_file')} and {argument('validation_file')}"
        )
    if not named and (found := splits_in_json(data[0], spool)):
        return found
    if named:
        _refuse_unnamed([file for file in candidates if file not in named], named)
    return _by_split(named or {data[0]: "train"}, spool)


def _by_split(named: Mapping[Path, str], spool: Spool) -> dict[str, SplitFiles]:
    """Return files by their split.

    Raises:
        DataError: Two kinds of file for one split.
    """
    found = {split: [file for file in named if named[file] == split] for split in SPLITS}
    for split, files in found.items():
        # Wider than the kinds: train.conllu beside train.txt is most likely the same text twice.
        if len({file.suffix.lower() for file in files}) > 1:
            raise _two_kinds(files, split)
    return {split: split_files(files, spool, split=split) for split, files in found.items() if files}


def _brat_splits(path: Path, spool: Spool) -> dict[str, SplitFiles]:
    """Return the splits of a brat corpus: folders of pairs named after splits, or pairs; empty for anything else.

    Raises:
        DataError: There are several folders of pairs, and it cannot be told which split each of them is.
    """
    if is_brat(path):
        named = {file: split_in_name(file.name) for file in sorted(path.glob("*.ann"))}
        if not all(named.values()):
            return {split_in_name(path.name) or "train": split_files([path], spool)}
        files = {split: [file for file in named if named[file] == split] for split in SPLITS}
        return {split: split_files(files[split], spool, split=split) for split in SPLITS if files[split]}
    folders = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and is_brat(folder)]
    splits = {folder: split_in_name(folder.name) for folder in folders}
    if len(folders) > 1 and not all(splits.values()):
        names = ", ".join(folder.name for folder in folders if not splits[folder])
        raise DataError(
            f"{path}: folders of brat annotations, but no split in the name of {names}; expected folders such as "
            f"train, dev and test, or say which is which: {argument('train_file', 'FOLDER')}"
        )
    of_split: dict[str, list[Path]] = {}
    for folder in folders:
        of_split.setdefault(splits[folder] or "train", []).append(folder)
    return {split: split_files(of_split[split], spool, split=split) for split in SPLITS if split in of_split}


def _in_folders(path: Path, spool: Spool) -> dict[str, SplitFiles]:
    """Find the files of a folder that has none itself: in folders that are named after splits, or in its only folder.

    Raises:
        DataError: There are none, or several folders that may be meant.
    """
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith((".", "_")))
    holding = {folder: files for folder in folders if (files := _data_of(folder))}
    splits = {folder: splits_in_name(folder.name) for folder in holding}
    if named := {folder: found[0] for folder, found in splits.items() if len(found) == 1}:
        twice = [folder.name for folder in named if list(named.values()).count(named[folder]) > 1]
        if twice or len(named) < len(holding):
            odd = ", ".join(twice or [folder.name for folder in holding if folder not in named])
            raise DataError(
                f"{path}: a folder for each split, and {odd} beside or twice; say which files belong to which with "
                f"{argument('train_file')}, {argument('validation_file')} and {argument('test_file')}"
            )
        return _by_split({file: split for folder, split in named.items() for file in holding[folder]}, spool)
    below = list(holding) or [folder for folder in folders if any(map(_data_of, _folders_of(folder)))]
    if len(below) > 1 and (path / "data") not in below:
        listed = ", ".join(folder.name for folder in below[:12]) + (", ..." if len(below) > 12 else "")
        raise DataError(
            f"{path}: no data files here, but in the folders {listed}; choose one of them: give "
            f"{argument('dataset', str(below[0]))}, or several files with {argument('train_file')}"
        )
    if below:  # how the Hub lays out a dataset of Parquet files: in data
        return find_split_files(path / "data" if path / "data" in below else below[0], spool)
    raise DataError(
        f"{path}: no data files in this folder; expected files such as train.txt, dev.conllu, test.jsonl "
        f"or train.parquet{_listed(' beside: ', path)}"
    )


def _folders_of(folder: Path) -> list[Path]:
    return [inner for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith((".", "_"))]


def _data_of(folder: Path) -> list[Path]:
    """Return the data files of a folder, in order."""
    files = sorted(file for file in folder.iterdir() if _may_be_data(file)) if os.access(folder, os.R_OK) else []
    return [file for file in _without_raw_text(files) if _is_data(file)]


def _is_data(file: Path) -> bool:
    """Return whether a file is data by its name."""
    known = file.suffix.lower() in _DATA_SUFFIXES or bool(other_data(file))
    return known or bool(splits_in_name(file.name))


def _refuse_unnamed(files: Sequence[Path], named: Mapping[Path, str]) -> None:
    """Refuse data files that belong to no split, and log other files (a list of labels, settings).

    Raises:
        DataError: For the first ones.
    """
    data = [file for file in files if _holds_rows(file)]
    if others := [file.name for file in files if file not in data]:
        logger.warning("%s: not read, since its name has no split in it", ", ".join(others))
    if data:
        given = {split: [str(file) for file in named if named[file] == split] for split in SPLITS}
        typed = " ".join(argument(f"{split}_file", paths) for split, paths in given.items() if paths)
        raise DataError(
            f"{', '.join(str(file) for file in data[:8])}: no split in the name, beside files that have one in theirs, "
            f"so it would be left out. Name all files: {typed}, and where this belongs; or move it elsewhere."
        )


def _holds_rows(file: Path) -> bool:
    """Return whether a file begins like words and tags: with rows of JSON or Parquet, or several columns."""
    beginning = _beginning(file).removeprefix(BOM)
    lines = beginning.split(b"\n")[: -1 if len(beginning) == _PROBED else None]
    if _kind(file) == "parquet":
        return is_parquet(file)
    if _kind(file) == "json":
        first = next((line for line in lines if line.strip()), None)  # None: it is longer than what was read
        return begins_like_json(file) and (beginning.lstrip().startswith(b"[") or first is None or _is_row(first))
    words = [line for line in lines if line.strip() and not line.startswith((b"#", b"-DOCSTART-"))]
    counts = {len(line.split()) for line in words}
    return len(words) > 2 and len(counts) == 1 and counts.pop() > 1


def _is_row(line: bytes) -> bool:
    """Return whether a line is a JSON object with a list in it; settings are printed over several lines."""
    try:
        return any(isinstance(value, list) for value in json.loads(line).values())
    except (ValueError, AttributeError, RecursionError):
        return False


def _without_raw_text(files: Sequence[Path]) -> list[Path]:
    """Leave out x.txt beside x.conllu, the running text of a Universal Dependencies release."""
    treebanks = {file.stem for file in files if file.suffix.lower() in (".conllu", ".conllup")}
    return [file for file in files if not (file.suffix.lower() == ".txt" and file.stem in treebanks)]


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
        paths = [Path(name).expanduser() for name in ([value] if isinstance(value, str | Path) else value)]
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
    absolute = [path.expanduser().absolute() for path in paths]
    for index, path in enumerate(absolute):
        if path in absolute[:index]:
            raise DataError(f"{path} is given twice for the split {split}")
        if not os.access(path, os.R_OK):
            raise DataError(f"{path}: no permission to read this file")
    files = [spool.file(path) for path in absolute]
    for path in files:
        refuse_other_data(path)
    kinds = {kind or _kind(path) for path in files}
    if len(kinds) > 1:
        raise _two_kinds(absolute, split)
    if kinds == {"json"}:
        return _json_files(files, spool, split)
    return SplitFiles(kind=kinds.pop(), paths=tuple(files), names=tuple(str(spool.given(path)) for path in files))


def _json_files(files: Sequence[Path], spool: Spool, split: str) -> SplitFiles:
    """Return JSON files as files of an object per sentence.

    Raises:
        DataError: A file holds several splits, and this one is not among them.
    """
    paths, shapes, left_out = [], [], []
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
    kinds = {_kind(path) for path in paths}
    if len(kinds) > 1:
        raise _two_kinds(files, split)
    return SplitFiles(
        kind=kinds.pop(),
        paths=tuple(paths),
        names=tuple(str(spool.given(path)) for path in paths),
        shapes=tuple(shapes),
        left_out=tuple(left_out),
    )


def splits_in_json(path: Path, spool: Spool) -> dict[str, SplitFiles] | None:
    """Return the files of each split that one JSON file holds by name; None for any other file."""
    if not path.is_file() or not os.access(path, os.R_OK) or _kind(path) != "json":
        return None
    shape = shape_of(path, splits_in_name)
    if shape is None or WHOLE in shape.rows:
        return None
    named = {splits_in_name(key)[0] for key in shape.rows}
    return {split: _json_files([path], spool, split) for split in SPLITS if split in named}


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


def _two_kinds(paths: Sequence[Path], split: str) -> DataError:
    names = ", ".join(path.name for path in paths)
    return DataError(
        f"{names}: two kinds of file for the split {split}; say which to read with {argument(f'{split}_file')}"
    )


def _kind(path: Path) -> str:
    """Return the name of a file's format, or else its kind by its suffix, or by its first bytes without a known one."""
    if form := format_of(path):
        return form.name
    suffix = path.suffix.lower()
    if suffix in _JSON_SUFFIXES or (suffix not in _DATA_SUFFIXES and begins_like_json(path)):
        return "json"
    if suffix in _PARQUET_SUFFIXES or (suffix not in _DATA_SUFFIXES and is_parquet(path)):
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
    return _beginning(path).startswith(_PARQUET_MARK)


def begins_like_json(path: Path) -> bool:
    """Return whether a file begins with a JSON object on a line of its own, or with an array of objects."""
    first = _beginning(path).removeprefix(BOM).lstrip()
    if first.startswith(b"["):
        return first[1:].lstrip()[:1] == b"{"
    # A column file may begin with a brace as well, as a word; a quoted key follows none there.
    return first.startswith(b"{") and first[1:].lstrip()[:1] == b'"'


def _beginning(path: Path) -> bytes:
    if not path.is_file():
        return b""  # what is read of a pipe is gone
    try:
        with open(path, "rb") as stream:
            return stream.read(_PROBED)
    except OSError:
        return b""  # who reads the file says why it cannot be read


def _may_be_data(file: Path) -> bool:
    if not (file.is_file() or file.is_fifo()) or file.name.startswith((".", "_")):
        return False
    return not _NO_DATA.match(file.name) and not is_names_file(file)


def _listed(lead: str, folder: Path) -> str:
    names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    return lead + ", ".join(names[:8]) if names else ""
