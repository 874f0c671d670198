"""Which files hold the data, and which split each is, told from the words in its name."""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_tagging.errors import DataError

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
    }
)
_DATA_SUFFIXES = _JSON_SUFFIXES | _PARQUET_SUFFIXES | _COLUMN_SUFFIXES
_NO_DATA = re.compile(r"(readme|licen[sc]e|notice|citation|changelog|contributing)\b", re.IGNORECASE)
# `save_to_disk` leaves one of these; both are JSON, and neither is data.
_SAVED_DATASET_FILES = ("dataset_dict.json", "state.json")


@dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """The files of one split, in the order they are read, all of one kind.

    Args:
        kind: "columns", "json" or "parquet".
        paths: The files.
    """

    kind: str
    paths: tuple[Path, ...]

    @property
    def place(self) -> str:
        """The files as a message names them."""
        shown = ", ".join(str(path) for path in self.paths[:3])
        return shown if len(self.paths) <= 3 else f"{shown} and {len(self.paths) - 3} more"


def split_in_name(name: str) -> str | None:
    """Finds the split that the words of a name speak of.

    Args:
        name: A file or split name: `eng.testa`, `en_ewt-ud-dev.conllu`, `train-00000-of-00003.parquet`.

    Returns:
        "train", "validation" or "test"; None where the name speaks of none.

    Raises:
        DataError: The name speaks of two.
    """
    splits = splits_in_name(name)
    if len(splits) > 1:
        raise DataError(
            f"{name!r} speaks of two splits, {' and '.join(splits)}; say which it is: --test_file FILE, "
            "or in training --train_file or --validation_file"
        )
    return splits[0] if splits else None


def splits_in_name(name: str) -> list[str]:
    """All splits that the words of a name speak of, sorted."""
    words = re.split(r"[^a-z]+", name.lower())
    return sorted({_SPLIT_OF_WORD[word] for word in words if word in _SPLIT_OF_WORD})


def looks_like_path(name: str) -> bool:
    """Whether a name that is not there was meant as a path, not as a name on the Hub."""
    suffix = Path(name).suffix.lower()
    known = suffix in _DATA_SUFFIXES or suffix.removeprefix(".") in _SPLIT_OF_WORD
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):  # owner/name, as on the Hub
        return known and Path(name).parent.is_dir()
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or known


def is_saved_dataset(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return any((folder / name).is_file() for name in _SAVED_DATASET_FILES)


def find_split_files(path: Path) -> dict[str, SplitFiles]:
    """Finds the data files of a folder, or takes a single file, and sorts them into splits.

    Args:
        path: A file or folder that exists.

    Returns:
        The files of each split that was found.

    Raises:
        DataError: No data in the folder, several files without a split in their names, or two kinds of file
            for one split.
    """
    if path.is_file():
        return {split_in_name(path.name) or "train": split_files([path])}
    candidates = sorted(file for file in path.iterdir() if _may_be_data(file))
    if not candidates and (path / "data").is_dir():  # how the Hub lays out a dataset of Parquet files
        return find_split_files(path / "data")
    named = {file: split for file in _without_raw_text(candidates) if (split := split_in_name(file.name))}
    data = [file for file in candidates if file in named or file.suffix.lower() in _DATA_SUFFIXES]
    if not data:
        raise DataError(
            f"{path}: no data files in this folder; expected files such as train.txt, dev.conllu, test.jsonl "
            f"or train.parquet{_listed(' beside: ', path)}"
        )
    if not named and len(data) > 1:
        raise DataError(
            f"{path}: none of {', '.join(file.name for file in data[:8])} has a split in its name (train, "
            "validation, test); say which is which: --test_file FILE, and in training --train_file and "
            "--validation_file"
        )
    named = named or {data[0]: "train"}
    found = {split: [file for file in named if named[file] == split] for split in SPLITS}
    for split, files in found.items():
        # Wider than the kinds: train.conllu beside train.txt is most likely the same text twice.
        if len({file.suffix.lower() for file in files}) > 1:
            raise _two_kinds(files, split)
    return {split: split_files(files, split=split) for split, files in found.items() if files}


def _without_raw_text(files: Sequence[Path]) -> list[Path]:
    """Leaves out x.txt beside x.conllu: a Universal Dependencies release has the running text there."""
    treebanks = {file.stem for file in files if file.suffix.lower() in (".conllu", ".conllup")}
    return [file for file in files if not (file.suffix.lower() == ".txt" and file.stem in treebanks)]


def files_by_flag(files: Mapping[str, str | Path | Sequence[str | Path] | None]) -> dict[str, SplitFiles]:
    """Checks the files that were given split by split.

    Args:
        files: Split to path, to paths in the order they are to be read, or to None.

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
            if path.is_dir():
                raise DataError(f"--{split}_file {path} is a folder; expected a file (a folder goes to --dataset)")
        found[split] = split_files(paths, split=split)
    return found


def split_files(paths: Sequence[Path], *, split: str = "train") -> SplitFiles:
    """Makes sure that the files of one split are of one kind and can be read; their order stays.

    Raises:
        DataError: They are not.
    """
    absolute = [path.expanduser().absolute() for path in paths]
    kinds = {_kind(path) for path in absolute}
    if len(kinds) > 1:
        raise _two_kinds(absolute, split)
    for index, path in enumerate(absolute):
        if path in absolute[:index]:
            raise DataError(f"{path} is given twice for the split {split}")
        if not os.access(path, os.R_OK):
            raise DataError(f"{path}: no permission to read this file")
    return SplitFiles(kind=kinds.pop(), paths=tuple(absolute))


def nearest_path(path: Path) -> Path | None:
    """The existing path whose name is most like that of a path which is not there."""
    folder = _nearest_folder(path)
    if not os.access(folder, os.R_OK):
        return None
    if path == folder:
        return None
    there = sorted(entry.name for entry in folder.iterdir())
    near = difflib.get_close_matches(path.relative_to(folder).parts[0], there, n=1)
    return folder / near[0] if near else None


def missing_path(path: Path) -> DataError:
    """The error for a path that is not there, with the nearest name that is."""
    near = nearest_path(path)
    hint = f"did you mean {near}?" if near else f"nothing in {_nearest_folder(path).absolute()} has a name like it"
    return DataError(f"{path} does not exist; {hint}")


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in [*path.parents, Path()] if folder.is_dir())


def _two_kinds(paths: Sequence[Path], split: str) -> DataError:
    names = ", ".join(path.name for path in paths)
    return DataError(f"{names}: two kinds of file for the split {split}; say which to read with --{split}_file")


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in _JSON_SUFFIXES:
        return "json"
    return "parquet" if suffix in _PARQUET_SUFFIXES else "columns"


def _may_be_data(file: Path) -> bool:
    return file.is_file() and not file.name.startswith((".", "_")) and not _NO_DATA.match(file.name)


def _listed(lead: str, folder: Path) -> str:
    names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    return lead + ", ".join(names[:8]) if names else ""
