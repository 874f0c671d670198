"""Reading a file of a format: its records, with what is the same for every format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hf_tagging.data.formats.base import Format, Record
from hf_tagging.data.formats.span_prefixes import without_prefixes
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest, given_options
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_OF_FILES = ("tokens_column", "tags_column", "separator", "comment", "encoding", "layer")  # some formats take some


def read_records(form: Format, path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Record]:
    """Yield the records of a file: options without effect are refused, and types with prefixes read as tags.

    Args:
        form: Format of the file.
        path: The file.
        file: Its name for messages.
        request: What is read, and how.
        notes: Of the file, filled in.

    Raises:
        DataError: For anything that the format cannot have, with file and place.
    """
    check_options(form, file, request)
    yield from without_prefixes(form.read(path, file, request, notes), notes)


def check_options(form: Format, file: str, request: ReadRequest) -> None:
    """Refuse options that a format does not take, instead of ignoring them.

    Args:
        form: Format of the file.
        file: Its name for messages.
        request: What is read, and how.

    Raises:
        DataError: One is given.
    """
    given = given_options(request)
    for name in _OF_FILES:
        if name in given and name not in form.takes:
            taken = ", ".join(argument(option) for option in _OF_FILES if option in form.takes)
            raise DataError(
                f"{file}: {argument(name, given[name])} is not for {form.title}"
                f"{f', which takes {taken}' if taken else ''}; leave it out"
            )
