"""Files that appear whole: written beside their place, synced, then renamed into it."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TextIO, TypeAlias

from hf_tagging.errors import OutputError

PARTIAL = ".partial"  # the end of the name of a file that is being written
_OLD = ".old"  # and of a folder that is being replaced


@contextmanager
def whole_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to fill, and rename it to `path` once it is complete.

    For writers that open a file by its name; others use `whole_file`. The temporary file is new, has a name that cannot
    be guessed, and is synced to disk before it is renamed. Anything that ends the block early, Ctrl-C included, leaves
    the old file as it was and removes the new one. A symbolic link stays one: the file that it leads to is replaced.

    Args:
        path: The file; its folder is created if needed. Permissions are those of the file that is replaced, else those
            that the umask gives.

    Raises:
        OutputError: If `path` is a folder, a device, a pipe or a link that leads to itself. Nothing is written.
        OSError: As the system raises it.
    """
    target = destination(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{_beside(target)}{PARTIAL}")
    mode = _mode(target)
    _create(partial, mode)
    try:
        yield partial
        sync(partial)
        if mode is not None:
            os.chmod(partial, mode)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync(target.parent)


@contextmanager
def whole_file(path: str | Path, *, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Open a text file that takes its name only when it is complete; see `whole_path`.

    Args:
        path: The file; its folder is created if needed.
        encoding: Encoding of the text.

    Raises:
        OutputError: If `path` is not a place for a regular file.
        OSError: As the system raises it.
    """
    with whole_path(path) as partial, open(partial, "w", encoding=encoding, newline="\n") as handle:
        yield handle


def place(source: Path, path: str | Path) -> None:
    """Move a complete file to where it belongs, at once; see `whole_path`.

    Its permissions become those of the file that it replaces, or those that the umask gives: libraries write some files
    for their owner alone.

    Args:
        source: The file; on the same disk it is renamed.
        path: Where to.

    Raises:
        OutputError: If `path` is not a place for a regular file.
        OSError: As the system raises it.
    """
    with whole_path(path) as partial:
        mode = stat.S_IMODE(partial.stat().st_mode)
        try:
            os.replace(source, partial)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copyfile(source, partial)  # a link leads to another disk
            source.unlink()
        os.chmod(partial, mode)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder to fill, which takes the place of `path` once it is complete.

    Anything that ends the block early leaves the old folder as it was and removes the new one. A symbolic link stays
    one: the folder that it leads to is replaced.

    Args:
        path: The folder; it need not be there. All that is in it goes.

    Raises:
        OSError: As the system raises it.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    name = _beside(target)
    staging, old = target.with_name(f"{name}{PARTIAL}"), target.with_name(f"{name}{_OLD}")
    staging.mkdir()
    try:
        yield staging
        for file in sorted(staging.rglob("*")):
            sync(file)
        sync(staging)
        if os.path.lexists(target):
            os.rename(target, old)
        os.rename(staging, target)
        sync(target.parent)
    finally:
        if old.exists() and not os.path.lexists(target):
            os.rename(old, target)
        for leftover in (staging, old):
            remove(leftover)


@contextmanager
def staged_file(path: Path) -> Iterator[TextIO]:
    """Open a text file in a folder of `whole_folder`, which syncs all of its files at its end: for many small ones."""
    with open(path, "w", encoding="utf-8", newline="\n") as handle:
        yield handle


def remove_left_behind(*paths: str | Path) -> None:
    """Remove what a writer that was killed has left beside files or folders; give back a folder that it had moved away.

    Nobody else may be writing them: ask for the lock of the folder before.

    Args:
        paths: What `whole_path` or `whole_folder` was called with.

    Raises:
        OSError: As the system raises it.
    """
    for target in (Path(os.path.realpath(path)) for path in paths):
        pattern = re.compile(re.escape(_begin(target)) + rf"[0-9a-f]{{12}}({re.escape(PARTIAL)}|{_OLD})")
        beside = target.parent.iterdir() if target.parent.is_dir() else ()
        left = {path for path in beside if pattern.fullmatch(path.name)}
        for old in (path for path in left if path.suffix == _OLD and path.with_suffix(PARTIAL) in left):
            _give_back(old, target)  # the new folder is there still: it had not taken its place
        for path in left:
            remove(path)


def _give_back(old: Path, target: Path) -> None:
    """Move what is in a folder back to where it was; there may be the file of a lock by now."""
    target.mkdir(exist_ok=True)
    for path in old.iterdir():
        if not os.path.lexists(target / path.name):
            os.rename(path, target / path.name)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there; of a link the link alone."""
    while path.is_dir() and not path.is_symlink():
        with suppress(FileNotFoundError):  # another process removes it as well
            shutil.rmtree(path)
    path.unlink(missing_ok=True)


Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""A value that a JSON file holds, as `json.loads` gives it."""


def read_json(path: Path) -> Json:
    """Return what a JSON file holds; None where there is none, or nothing that can be read: not text, nested too deep.

    For files that a program has written and that can be done without; a file of a person's wants a message.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def write_json(path: str | Path, content: object, *, default: Callable[[object], object] | None = str) -> None:
    """Write strict JSON, whole; see `json_text` and `whole_file`."""
    text = json_text(content, default=default)  # before the file is opened: what cannot be written leaves no trace
    with whole_file(path) as file:
        file.write(text + "\n")


def json_text(
    content: object,
    *,
    indent: int | None = 2,
    default: Callable[[object], object] | None = None,
    ascii_only: bool = False,
    separators: tuple[str, str] | None = None,
) -> str:
    """Return strict JSON (RFC 8259), in which NaN and infinity, which it cannot hold, are null.

    Args:
        content: Mappings, sequences, strings, numbers, booleans and None.
        indent: Spaces per level; None: one line.
        default: Converts anything else, as in `json.dumps`.
        ascii_only: Escape all other characters.
        separators: Between items, and between names and values, as in `json.dumps`.
    """
    dumps = partial(
        json.dumps, indent=indent, ensure_ascii=ascii_only, allow_nan=False, default=default, separators=separators
    )
    try:
        return dumps(content)
    except ValueError:  # rarely is a number not finite; looking for it takes longer than writing
        return dumps(_finite(content))


def destination(path: str | Path) -> Path:
    """Return the file that a write to `path` replaces, symbolic links followed.

    Raises:
        OutputError: If there is something else than a regular file.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        if not os.path.exists(path):
            return target
        mode = os.stat(path).st_mode  # of a link of the kernel's, whose end has no name, as /dev/stdout is
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}).") from error
    if stat.S_ISREG(mode):
        return target
    kind = next((name for test, name in _KINDS if test(mode)), "a device")
    raise OutputError(f"{path}: is {kind}, not a file, and is left as it is. Give the name of a file.")


def inside(folder: str | Path, name: str) -> Path | None:
    """Return the path of `name` in `folder`, or None if it is not a relative name that stays inside.

    Names that come out of a file (a record, a manifest, an archive) are not to be trusted: no absolute name, no ``..``,
    no drive, and no subfolder that is a link to the outside. The last part may be a link, as in the cache of the Hub;
    removing it removes the link.

    Args:
        folder: The folder.
        name: A name with ``/`` between its parts.
    """
    parts = PurePosixPath(name).parts
    windows = PureWindowsPath(name)
    if not parts or "\0" in name or ".." in {*parts, *windows.parts} or parts[0] == "/" or windows.anchor:
        return None
    root, path = Path(folder), Path(folder, *parts)
    end = Path(os.path.realpath(path.parent))
    if not end.is_relative_to(os.path.realpath(root)) or any(map(os.path.islink, (end, *end.parents))):
        return None  # a link is left where links lead in a circle
    return path


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on disk.

    Raises:
        OSError: If the disk is full or failing. A file system that has no such call is not waited for, nor is a folder
            that may be written and not listed.
    """
    if path.is_dir() and os.name == "nt":  # which opens no folders
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)


def give_usual_mode(path: Path) -> None:
    """Give a file the permissions that the umask gives to new files; safetensors writes files for the owner alone."""
    umask = os.umask(0o077)
    os.umask(umask)
    os.chmod(path, 0o666 & ~umask)


_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISLNK, "a link that leads to itself"),
)


def _beside(target: Path) -> str:
    """Return a new name, without its end, for what is to replace a file or folder."""
    return f"{_begin(target)}{secrets.token_hex(6)}"


def _begin(target: Path) -> str:
    """Return what the names of all that is to replace a file or folder begin with."""
    begin = os.fsencode(target.name)[:200].decode("utf-8", "ignore")  # a limit of bytes, which may cut a character
    return f".{begin}."


def _mode(path: Path) -> int | None:
    """Return the permissions of a file; None where there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _create(path: Path, mode: int | None) -> None:
    """Create an empty file that was not there, which its owner can fill whatever the permissions are to be."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    if mode is not None:
        os.chmod(path, mode | 0o600)


def _finite(content: object) -> object:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {_finite(key): _finite(value) for key, value in content.items()}
    return [_finite(item) for item in content] if isinstance(content, list | tuple) else content
