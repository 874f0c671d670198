"""Files of a corpus: found below folders or on the Hub, and recognized by their names and first bytes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import xxhash

from hf_tagging.annotating.lines import csv_rows
from hf_tagging.annotating.request import AnnotationRequest
from hf_tagging.data.files import (
    beginning_of,
    begins_like_json,
    is_parquet,
    is_saved_dataset,
    looks_like_path,
    missing_path,
)
from hf_tagging.data.hub_source import load_hub
from hf_tagging.data.sources import BuilderCache
from hf_tagging.data.spool import is_pipe
from hf_tagging.data.text_lines import BOM, other_kind, shortened
from hf_tagging.disk import expanded
from hf_tagging.errors import DataError
from hf_tagging.inference.file_formats import detect_format
from hf_tagging.inference.text_records import csv_separators
from hf_tagging.problems import argument

_KIND_OF_SUFFIX = {
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".arrow", ".feather"), "arrow"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".txt", ".text", ".md"), "text"),
}
_SAMPLE = 1 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A file of the corpus.

    Args:
        path: Where it is.
        kind: See `InputFormat`.
        separator: Of CSV.
        names: Of the columns of CSV.
    """

    path: Path
    kind: str
    separator: str = ""
    names: tuple[str, ...] = ()


def find_sources(request: AnnotationRequest) -> list[Source]:
    """Return the files of a corpus in the order that they are annotated in.

    Raises:
        DataError: A file is not there, is of no kind that is read, or is given twice.
    """
    sources = [source for name in request.input for source in _of_name(name, request)]
    places = [_place(source.path) for source in sources]
    if len(set(places)) < len(places):
        twice = next(sources[i].path for i, place in enumerate(places) if place in places[:i])
        raise DataError(f"{twice} is given twice. Give it once.")
    output = _written(request)
    if inside := next((place for place in places if place.is_relative_to(output)), None):
        raise DataError(f"{inside} is in the folder that is written. Give another {argument('output')}.")
    return sources


def _place(path: Path) -> Path:
    """Return a path without links and ``..``, but for its last part: in a cache, two names may lead to one file."""
    return Path(os.path.realpath(path.parent), path.name)


def _written(request: AnnotationRequest) -> Path:
    return Path(os.path.realpath(expanded(request.output)))


def fingerprint(path: Path) -> str:
    """Return a hash of a file's size and of its first, middle and last mebibyte: quick for a file of any size."""
    size = path.stat().st_size
    digest = xxhash.xxh3_128(str(size).encode())
    with open(path, "rb") as stream:
        for place in sorted({0, max(0, size // 2 - _SAMPLE // 2), max(0, size - _SAMPLE)}):
            stream.seek(place)
            digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()


def _of_name(name: str, request: AnnotationRequest) -> Iterator[Source]:
    path = expanded(name).absolute()
    if path.is_dir():
        if is_saved_dataset(path):
            yield from (Source(file, "arrow") for file in _saved(path, request.split))
        else:
            yield from (_source(file, request) for file in _below(path, _written(request)))
    elif path.exists() or path.is_symlink():
        yield _source(path, request)
    elif looks_like_path(name) or (os.sep in str(expanded(name).parent) and expanded(name).parent.is_dir()):
        raise missing_path(expanded(name))
    else:
        yield from _of_hub(name, request)


def _of_hub(name: str, request: AnnotationRequest) -> Iterator[Source]:
    """Yield the files that `datasets` has in its cache of a dataset on the Hub, or puts there."""
    splits = load_hub(
        name,
        config_name=request.dataset_config,
        revision=request.dataset_revision,
        builders=BuilderCache(),
    )
    split = _chosen(list(splits), request.split, name)
    for file in splits[split].cache_files:
        yield Source(Path(file["filename"]), "arrow")


def _chosen(splits: list[str], asked: str | None, place: str) -> str:
    if asked is None and len(splits) == 1:
        return splits[0]
    if asked not in splits:
        given = f"{argument('split', asked)}: there is no such split" if asked else "several splits"
        raise DataError(
            f"{place}: {given}; it has {', '.join(splits)}. Give {argument('split', splits[0])}, or another."
        )
    return asked


def _saved(folder: Path, asked: str | None) -> list[Path]:
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(path.name for path in folder.iterdir() if (path / "state.json").is_file())
        folder = folder / _chosen(splits, asked, str(folder))
    return sorted(folder.glob("*.arrow"))


def _below(folder: Path, output: Path) -> list[Path]:
    """Return the files of a corpus below a folder, but for those that are written; warn of others."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not _place(path).is_relative_to(output)
    )
    files = [path for path in found if path.is_file() and path.suffix.lower() in _KIND_OF_SUFFIX]
    if not files:
        raise DataError(f"{folder}: has no file that is read here ({', '.join(_KIND_OF_SUFFIX)}).")
    others = [path for path in found if path.is_symlink() if path.is_dir() or not path.exists()]
    others += [path for path in found if path.is_file() and path.suffix.lower() not in _KIND_OF_SUFFIX]
    if others:
        known = ", ".join(_KIND_OF_SUFFIX)
        logger.warning("%s: left out %s. What is read ends with %s", folder, _some(others, folder), known)
    return files


def _some(paths: list[Path], folder: Path) -> str:
    """Return the first few names in a folder, and the number of the others."""
    names = [str(path.relative_to(folder)) for path in paths[:3]]
    more = len(paths) - len(names)
    return shortened(", ".join(names), 300) + (f" and {more:,} more" if more else "")


def _source(path: Path, request: AnnotationRequest) -> Source:
    if not path.exists():
        raise missing_path(path)
    if is_pipe(path):
        raise DataError(f"{path} is a pipe, which could not be read again after an interruption. Write it to a file.")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path}: no permission to read this file.")
    kind = request.input_format or _kind(path)
    _refuse_unreadable(path, kind)
    if kind != "csv":
        return Source(path, kind)
    separator, names = _csv_head(path, request)
    return Source(path, kind, separator, names)


def _kind(path: Path) -> str:
    if is_parquet(path):
        return "parquet"
    known = _KIND_OF_SUFFIX.get(path.suffix.lower())
    if known is None and begins_like_json(path):
        return "jsonl"
    if known == "text":
        _refuse_columns(path)
    if known is None:
        if hint := other_kind(beginning_of(path)):
            raise DataError(f"{path}: is not UTF-8 text; {hint}.")
        raise DataError(
            f"{path}: its name does not tell what it is. Give {argument('input_format', 'text')}, or jsonl, csv, "
            "parquet or arrow."
        )
    return known


def _refuse_columns(path: Path) -> None:
    """Refuse a file with a word per line, whose lines are no texts."""
    try:
        looks = detect_format(path)
    except DataError:  # it is empty, or does not tell
        return
    if looks == "column":
        raise DataError(
            f"{path}: looks like columns, with a word per line; hf-tagging predict tags such files. If each line is a "
            f"text: {argument('input_format', 'text')}."
        )


def _refuse_unreadable(path: Path, kind: str) -> None:
    """Refuse a file of which no row could be read."""
    start = beginning_of(path)
    if kind in ("text", "jsonl", "csv"):
        if hint := other_kind(start):
            raise DataError(f"{path}: is not UTF-8 text; {hint}.")
        if kind == "jsonl" and start.removeprefix(BOM).lstrip().startswith(b"["):
            raise DataError(
                f"{path}: is a JSON array; expected an object per line. With jq: jq -c '.[]' {path.name} > rows.jsonl"
            )


def _csv_head(path: Path, request: AnnotationRequest) -> tuple[str, tuple[str, ...]]:
    """Return the separator of a CSV file and the names of its columns."""
    wanted = request.text_column or request.tokens_column or "text"
    found = {separator: _first_row(path, separator) for separator in csv_separators(request.separator)}
    separator, names = max(found.items(), key=lambda item: (wanted in item[1], len(item[1])))
    if not names and path.stat().st_size:
        raise DataError(f"{path}, line 1: does not name columns; expected CSV in UTF-8 with a first line of names.")
    if twice := next((name for i, name in enumerate(names) if name in names[:i]), None):
        raise DataError(f"{path}, line 1: names the column {shortened(twice)} twice.")
    return separator, names


def _first_row(path: Path, separator: str) -> tuple[str, ...]:
    with open(path, "rb") as stream:
        first = next(csv_rows(separator)(stream, 1), None)
    return tuple(first.value) if first is not None and isinstance(first.value, list) else ()
