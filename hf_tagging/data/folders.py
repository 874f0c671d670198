"""Folders of data: which of their files are which split, by names of files and of folders."""

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hf_tagging.data.files import (
    DATA_SUFFIXES,
    PROBED,
    SPLITS,
    SplitFiles,
    beginning_of,
    begins_like_json,
    is_parquet,
    json_files,
    kind_of,
    split_files,
    split_in_name,
    splits_in_name,
    two_kinds,
)
from hf_tagging.data.formats.brat import is_brat
from hf_tagging.data.json_shapes import WHOLE, shape_of
from hf_tagging.data.names_files import is_names_file
from hf_tagging.data.other_data import other_data
from hf_tagging.data.spool import Spool
from hf_tagging.data.text_lines import BOM
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

_NO_DATA = re.compile(r"(readme|licen[sc]e|notice|citation|changelog|contributing)\b", re.IGNORECASE)


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
            raise two_kinds(files, split)
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
    known = file.suffix.lower() in DATA_SUFFIXES or bool(other_data(file))
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
    beginning = beginning_of(file).removeprefix(BOM)
    lines = beginning.split(b"\n")[: -1 if len(beginning) == PROBED else None]
    if kind_of(file) == "parquet":
        return is_parquet(file)
    if kind_of(file) == "json":
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


def splits_in_json(path: Path, spool: Spool) -> dict[str, SplitFiles] | None:
    """Return the files of each split that one JSON file holds by name; None for any other file."""
    if not path.is_file() or not os.access(path, os.R_OK) or kind_of(path) != "json":
        return None
    shape = shape_of(path, splits_in_name)
    if shape is None or WHOLE in shape.rows:
        return None
    named = {splits_in_name(key)[0] for key in shape.rows}
    return {split: json_files([path], spool, split, every_split=True) for split in SPLITS if split in named}


def _may_be_data(file: Path) -> bool:
    if not (file.is_file() or file.is_fifo()) or file.name.startswith((".", "_")):
        return False
    return not _NO_DATA.match(file.name) and not is_names_file(file)


def _listed(lead: str, folder: Path) -> str:
    names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    return lead + ", ".join(names[:8]) if names else ""
