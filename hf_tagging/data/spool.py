"""Input that can be read once, such as a pipe, copied into a file that can be read as often as needed."""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path
from types import TracebackType

from hf_tagging.disk import expanded, why_full
from hf_tagging.errors import DataError, OutputError, TaggingError

logger = logging.getLogger(__name__)

STANDARD_INPUT = "/dev/stdin"
DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
"""Matches the path of an open file of this process, such as a process substitution of a shell."""
_KINDS = ((stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"), (stat.S_ISSOCK, "a socket"))


class Spool:
    """Regular files in the place of pipes, for as long as the context lasts.

    A FIFO, a process substitution or standard input is copied once, under its own name in a temporary folder; a regular
    file stays where it is. Messages of errors that leave the context name what was given.
    """

    def __init__(self) -> None:
        self._folders: list[Path] = []
        self._given: dict[Path, Path] = {}  # what was given, by its copy
        self._seen: dict[tuple[int, int], Path] = {}  # the same, by device and number: a pipe may have several names

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, TaggingError) and error.args:
            message = str(error.args[0])
            for copy, given in self._given.items():
                message = message.replace(str(copy), str(given))
            error.args = (message, *error.args[1:])

    def file(self, path: str | Path) -> Path:
        """Return a path that can be read as often as needed.

        Args:
            path: A file or a pipe; ``~`` is expanded. A folder, or what is not there, is given back as it is.

        Raises:
            DataError: For a device or a socket, a pipe that was spooled before, or one that several processes would
                share.
            OutputError: If the copy cannot be written.
        """
        path = expanded(path)
        if not is_pipe(path):
            return _behind_descriptor(path)
        status = path.stat()
        first = self._seen.setdefault((status.st_dev, status.st_ino), path)
        if path in self._given.values() or first != path:
            same = f", also as {first}," if first != path else ""
            raise DataError(f"{path} is given twice{same} and can be read once; write it to a file first.")
        check_input(path)
        logger.info("%s can be read once: it is copied into a temporary file", path)
        folder = Path(tempfile.mkdtemp(prefix="hf-tagging-"))
        self._folders.append(folder)
        copy = folder / (path.name or "input")
        self._given[copy] = path
        _copy(path, copy)
        return copy

    def rewritten(self, path: Path, lines: Iterable[str], *, part: str = "") -> Path:
        """Write a file again in another form, under its own name in a temporary folder.

        Args:
            path: As `file` returns it.
            lines: Of the new file.
            part: Name of the part of the file that these lines are, for messages.

        Raises:
            OutputError: If the copy cannot be written.
        """
        folder = Path(tempfile.mkdtemp(prefix="hf-tagging-"))
        self._folders.append(folder)
        copy = folder / (path.name or "input")
        given = self.given(path)
        self._given[copy] = Path(f"{given}, {part}") if part else given
        try:
            with open(copy, "w", encoding="utf-8") as stream:
                stream.writelines(lines)
        except OSError as error:
            if full := why_full(error, folder):
                raise OutputError(
                    f"{folder}: cannot be written ({full}): {path} is written there as rows. Set TMPDIR to a folder on "
                    "a disk with room for it."
                ) from error
            raise
        return copy

    def given(self, path: Path) -> Path:
        """Return what was given to `file`, for the path that it returned."""
        return self._given.get(path, path)


def is_pipe(path: Path) -> bool:
    """Return whether a path can be read only once.

    A terminal ends with Ctrl-D, and `/dev/null` at once: as standard input or behind an open file, where a shell has
    put them, they are read. A name that leads to one is a mistake.

    Raises:
        DataError: It is a device or a socket, which may have no end; or standard input, which is closed.
    """
    if sys.stdin is None and _own(path) == "/dev/fd/0":  # by now, another file may have its number
        raise DataError("Standard input is closed; give a file or a pipe.")
    try:
        status = path.stat()
    except (OSError, ValueError):
        return False  # the reader says what is wrong with it
    mode, opened = status.st_mode, DESCRIPTOR.fullmatch(_own(path))
    for is_kind, what in _KINDS:
        if is_kind(mode) and not (opened and (what == "a socket" or _has_end(status, int(opened[1])))):
            raise DataError(f"{path} is {what}, not a file; give a file or a pipe.")
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _has_end(status: os.stat_result, descriptor: int) -> bool:
    """Return whether a device is a terminal, which a descriptor has open, or `/dev/null`."""
    return stat.S_ISCHR(status.st_mode) and (status.st_rdev == os.stat(os.devnull).st_rdev or os.isatty(descriptor))


def check_input(path: Path) -> None:
    """Refuse what has no end, and a pipe in a run of several processes: one would read it, the others find it empty.

    Raises:
        DataError: It is a device, a socket, or a pipe where there are several processes.
    """
    if is_pipe(path) and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DataError(
            f"{path} is a pipe, which only one of the {os.environ['WORLD_SIZE']} processes could read; write it to a "
            "file first."
        )


def input_problem(name: str | Path) -> str | None:
    """Return why a file cannot be read as input, before anything is loaded for it; None where it can."""
    path = expanded(name)
    try:
        check_input(path)
    except DataError as error:
        return str(error).removesuffix(".")  # a clause may follow
    if not path.exists():
        return f"{name} is not there"
    return f"{name} is a folder; expected a file" if path.is_dir() else None


def _own(path: Path) -> str:
    """Return the path of an open file of this process as `/dev/fd/N`; any other as it is."""
    return "/dev/fd/0" if str(path) == STANDARD_INPUT else str(path)


def _behind_descriptor(path: Path) -> Path:
    """Return the file that `/dev/stdin` or `/dev/fd/N` was redirected from: worker processes have other descriptors."""
    if not DESCRIPTOR.fullmatch(_own(path)):
        return path
    real = Path(os.path.realpath(path))
    return real if real.exists() and real.samefile(path) else path


def _copy(source: Path, target: Path) -> None:
    try:
        stream = open_input(source)
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror}).") from error
    try:
        with stream, open(target, "wb") as copy:
            while chunk := stream.read1(1 << 20):  # of a terminal, a line; `read` would want Ctrl-D twice
                copy.write(chunk)
    except OSError as error:
        if full := why_full(error, target.parent):
            raise OutputError(
                f"{target.parent}: cannot be written ({full}): {source} is copied there. Set TMPDIR to a folder on a "
                "disk with room for it."
            ) from error
        raise DataError(f"{source}: cannot be read ({error.strerror}).") from error


def open_input(source: Path) -> BufferedReader:
    """Open a file or pipe; a descriptor of this process is read itself, as a socket cannot be opened by its path.

    Raises:
        OSError: As the system raises it.
    """
    found = DESCRIPTOR.fullmatch(_own(source))
    return os.fdopen(os.dup(int(found[1])), "rb") if found else open(source, "rb")
