"""Folders and disks that are written to: asked before any work is done for them, and named where they refuse."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from hf_tagging.errors import OutputError, TaggingError

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file became larger than is allowed",
}
# What a person's own folders and disks answer; none of it is a bug.
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.ESTALE}
# Libraries that write outside Python give no number, but the system's words, or fail at the file.
_WORDS = {
    errno.ENOSPC: r"os error 28|No space left on device|not enough (?:free )?disk space|database or disk is full",
    errno.EDQUOT: r"os error 122|Disk quota exceeded",
    errno.EFBIG: r"os error 27|File too large",
}
_TORCH = re.compile(r"inline_container\.cc|PytorchStreamWriter failed")  # which says neither why nor where
_LITTLE = 64 * 2**20  # bytes that are free on a disk that may have been full a moment ago
_CACHES = ("HF_DATASETS_CACHE", "HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME")
_asked: dict[str, None] = {}  # folders that this process writes, for errors that name none


def expanded(path: str | Path) -> Path:
    """Return a path with its ``~`` expanded; one of a user that is not known stays, and is not there.

    Args:
        path: A path, as a user has written it.
    """
    return Path(os.path.expanduser(path))  # Path.expanduser() raises a RuntimeError for such a user


def check_writable(folder: str | Path) -> None:
    """Make sure that a folder can be made and written into, before any work is done for it; leaves no trace.

    A file is made in the nearest folder that is there: the permissions do not tell of a full or read-only disk.

    Args:
        folder: It need not be there.

    Raises:
        OutputError: If it cannot, with the reason.
    """
    with writing_to(folder):
        if os.path.islink(folder):
            os.stat(folder)  # one that leads nowhere cannot be made a folder
        path = Path(os.path.realpath(folder))
        with contextlib.suppress(FileNotFoundError):
            os.lstat(path)
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        longest = os.pathconf(there, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
        if any(len(os.fsencode(part)) > longest for part in path.relative_to(there).parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        tempfile.TemporaryFile(dir=there).close()
        _asked[str(path)] = None


@contextlib.contextmanager
def writing_to(path: str | Path) -> Iterator[None]:
    """Say in a message what the system says against a file or folder that is written.

    Raises:
        OutputError: For any OSError, and for a ValueError about the path.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({why_full(error, path) or reason(error)}).") from error
    except ValueError as error:
        if "null byte" not in str(error):
            raise
        raise OutputError(f"{str(path)!r}: cannot be written ({error}).") from error


@contextlib.contextmanager
def writing_to_stdout() -> Iterator[None]:
    """Flush standard output at the end, and say in a message what the system says against it.

    A broken pipe stays a `BrokenPipeError`: whoever reads may have read enough.

    Raises:
        OutputError: For any other OSError of the system's that names no file. What was not written by then is dropped,
            or it would fail once more at the end of the program.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        why = why_full(error, _behind_stdout()) or reason(error)
        drop_stdout()
        raise OutputError(f"Standard output cannot be written ({why}).") from error


def _behind_stdout() -> str:
    """Return the file, device or pipe that a shell has redirected standard output to."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.path.realpath(f"/dev/fd/{sys.stdout.fileno()}")
    return os.devnull


def drop_stdout() -> None:
    """Let whatever is still to be written to standard output go nowhere."""
    with contextlib.suppress(OSError, ValueError):  # a stand-in for the stream has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reason(error: OSError) -> str:
    """Return what the system says, in its own words."""
    return error.strerror or str(error)


def refusal(error: BaseException) -> str:
    """Return what disk or folder has refused to be written or read, in a sentence; empty for any other error.

    Args:
        error: Whatever a command has ended with; what it was raised from is looked at too.
    """
    if full := why_full(error):
        return f"{full[0].upper()}{full[1:]}."
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _REFUSED and cause.filename is not None:
            return f"{os.fsdecode(cause.filename)}: {reason(cause)}."
    return ""


def why_full(error: BaseException, place: str | Path | None = None) -> str:
    """Return which disk is full, a quota or a limit reached, and how much is free; empty for any other error.

    Where the error names no file, it is the fullest disk of those that are written: the folders that `check_writable`
    was asked about, the caches, the folder for temporary files, and where a shell has redirected standard output to.

    Args:
        error: It, or what it was raised from, may be of Python, of safetensors, tokenizers, PyTorch or pyarrow.
        place: What was written, if that is known.
    """
    caches = [os.environ[name] for name in _CACHES if os.environ.get(name)]
    places = [place] if place else [*_asked, *caches, tempfile.gettempdir(), _behind_stdout()]
    found = next(((number, cause) for cause in _causes(error) if (number := _number(cause, places)) is not None), None)
    if found is None:
        return ""
    number, cause = found
    name = getattr(cause, "filename", None)
    limit = _limit() if number == errno.EFBIG else ""
    room = limit or _room([os.fsdecode(name)] if isinstance(name, str | bytes) else places)
    return f"{_FULL[number]}; {room}" if room else _FULL[number]


def _number(error: BaseException, places: Iterable[str | Path]) -> int | None:
    """Return which of `_FULL` an error is."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return error.errno
    if isinstance(error, TaggingError):  # it quotes data; what it was raised from is looked at by itself
        return None
    text = str(error)
    found = next((n for n, words in _WORDS.items() if re.search(words, text, re.IGNORECASE)), None)
    if found is None and isinstance(error, RuntimeError) and _TORCH.search(text) and "Reader" not in text:
        if _limit():
            return errno.EFBIG
        return errno.ENOSPC if any(_free(place)[0] < _LITTLE for place in places) else None
    return found


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _room(places: Iterable[str | Path]) -> str:
    """Return the fullest of the disks that places are on, and how much of it is free; a device or pipe is on none."""
    rooms = [(*_free(place), place) for place in places if not _is_stream(place)]
    if not rooms:
        return ""
    free, total, place = min(rooms, key=lambda found: found[0])
    return f"{free / 1e6:,.1f} of {total / 1e6:,.1f} MB are free where {place} is"


def _free(place: str | Path) -> tuple[int, int]:
    """Return how many bytes are free where something is, or is to be, and how many there are."""
    path = Path(os.path.realpath(place))
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    usage = shutil.disk_usage(there)
    return usage.free, usage.total


def _is_stream(place: str | Path) -> bool:
    try:
        mode = os.stat(place).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _limit() -> str:
    """Return the limit on the size of files that a shell has set; empty where there is none."""
    try:
        import resource
    except ImportError:  # no POSIX
        return ""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return "" if limit == resource.RLIM_INFINITY else f"ulimit -f allows {limit:,} bytes"
