"""Formats of files of words or texts, told by the suffix of a file or by its lines."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

from hf_tagging.data.columns.layout import is_blank
from hf_tagging.data.columns.marks import DOCUMENT_MARK
from hf_tagging.data.files import begins_like_json
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.inference.records import read_lines
from hf_tagging.problems import argument

FORMATS = ("column", "jsonl", "text", "csv")
_FORMAT_OF_SUFFIX = {
    **dict.fromkeys(
        (".conll", ".conllu", ".conllup", ".iob", ".iob2", ".bio", ".bioes", ".ner", ".pos", ".tsv"), "column"
    ),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".text", ".md"), "text"),
    ".csv": "csv",
}
_PROBED_LINES = 200


def check_format(format: str, text_column: str | None, *, option: str = "format") -> None:
    """Make sure that a format is one of `FORMATS`, and has columns if one is named.

    Args:
        format: The format.
        text_column: Column of the texts, or None.
        option: Name of the argument of the format, for the error.

    Raises:
        ConfigError: Otherwise.
    """
    if format not in FORMATS:
        raise ConfigError(f"{argument(option, format)}: expected one of {', '.join(FORMATS)}.")
    if text_column is not None and format in ("column", "text"):
        raise idle_text_column(text_column, argument(option, format))


def idle_text_column(text_column: str, beside: str) -> ConfigError:
    """Return the error of a column of texts beside an option that has none."""
    return ConfigError(
        f"{argument('text_column', text_column)}: goes with CSV and JSON Lines, and not with {beside}. Leave one out."
    )


def detect_format(path: Path, text_column: str | None = None, *, option: str = "format") -> str:
    """Return which of `FORMATS` a file is in, by its suffix or its lines.

    Args:
        path: The file.
        text_column: Column of the texts, which columns of words have not.
        option: Name of the argument that says it, for the error.

    Raises:
        DataError: They do not tell.
    """
    known = _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if known != "jsonl" and (known is None or text_column is not None) and begins_like_json(path):
        return "jsonl"  # a pipe, mostly, of whatever name
    if text_column is not None and known != "jsonl":
        return "csv"
    return known or _format_of_lines(path, option)


def _format_of_lines(path: Path, option: str) -> str:
    """Tell columns from text for suffixes such as ``.txt``, which are used for both: columns are as many in every line.

    Raises:
        DataError: If the file is empty, or the first lines do not tell. A wrong guess would give wrong tags without an
            error.
    """
    lines = [line for _, line in islice(read_lines(path), _PROBED_LINES) if not is_blank(line)]
    if lines and DOCUMENT_MARK.match(lines[0]):
        return "column"
    counts = Counter(len(line.split()) for line in lines if not line.startswith("#"))
    most = max(counts.values(), default=0) / max(1, counts.total())
    if most > 0.9 and counts.total() >= 5:
        return "column"
    if most <= 0.5 and counts:
        return "text"
    if not counts:
        what = "there is no word in its first lines" if lines or path.stat().st_size else "the file is empty"
        raise DataError(
            f"{path}: {what}; expected columns, JSON Lines or plain text. With {argument(option)}, it is "
            "tagged as it is."
        )
    raise DataError(
        f"{path}: its suffix and its first lines do not tell whether it holds columns (a word per line) or plain text "
        f"(a text per line). Give {argument(option, 'column')} or {argument(option, 'text')}."
    )
