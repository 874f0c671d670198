"""One writer at a time: a lock on a folder that the kernel holds and that ends with the process that took it.

The lock is ``flock`` on a file in the folder. However a process ends, its lock ends with it, so nothing has to be
cleared away after a kill. Three things that would break this are dealt with here:

- *Forks.* A forked child shares its parent's locks, and would keep them when the parent is gone. Children that Python
  forks (of a `DataLoader`, of ``num_proc``) close the file at once; programs that are started do not inherit it.
- *Removal.* The file is removed by who holds the lock. Somebody may have opened it before: a lock counts only on the
  file that the folder still has.
- *Two locks in one process* on one folder are one lock, which ends with the last of them.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import stat
import sys
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hf_tagging.disk import check_writable, writing_to
from hf_tagging.errors import OutputError

if sys.platform != "win32":
    import fcntl

LOCK = ".hf-tagging.lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_TRIES = 1_000  # a file that is removed by its owner between two of our calls

logger = logging.getLogger("hf_tagging")


@dataclass
class _Held:
    descriptor: int
    made: list[Path]  # folders that were made for the file, the innermost first
    count: int = 1


_held: dict[Path, _Held] = {}
_guard = threading.RLock()


class FolderLock:
    """Keep a folder for this process alone to write into, until it is released or the process ends.

    Where the file system or the operating system has no such locks, a warning says so and nothing is held.

    Args:
        folder: Created if needed; removed on release if it is empty then.
        advice: What to type instead, a clause that follows "Wait for it, or".

    Raises:
        OutputError: If another process holds the lock, or the folder cannot be written into.
    """

    def __init__(self, folder: str | Path, *, advice: str = "choose another folder"):
        check_writable(folder)
        self.path = Path(os.path.realpath(folder))
        with _guard, writing_to(folder):
            if self.path in _held:
                _held[self.path].count += 1
            else:
                _held[self.path] = _take(Path(folder), self.path, advice)
        self._finalizer = weakref.finalize(self, _let_go, self.path)

    def release(self) -> None:
        """Let others write, and remove the lock's file. Releasing twice does no harm."""
        self._finalizer()

    def follow(self, folder: Path) -> None:
        """Take the lock along into a folder that is about to be renamed into the place of the locked one."""
        with suppress(OSError):  # without hard links, the folder is free from the renaming on
            os.link(self.path / LOCK, folder / LOCK)

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def _take(shown: Path, folder: Path, advice: str) -> _Held:
    made: list[Path] = []
    for _ in range(_TRIES):
        made += _make(folder)
        try:
            descriptor = _opened(folder / LOCK)
        except FileNotFoundError:  # who had made the folder has just removed it
            continue
        if not _flock(descriptor, shown):
            said = f"{shown} is being written by {_owner(descriptor)}. Wait for it, or {advice}."
            os.close(descriptor)
            raise OutputError(said)
        if _is_there(folder, descriptor):
            with suppress(OSError):  # a full disk, or another user's file: who holds it is only for messages
                _sign(descriptor)
            return _Held(descriptor, made)
        os.close(descriptor)
    raise OutputError(f"{shown}: its lock file {LOCK} comes and goes. Type the command again.")


_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def _opened(file: Path) -> int:
    """Open a lock's file, made if needed; one that another user has left, to be read alone, which locks as well."""
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | _NOFOLLOW, 0o666)
    except PermissionError:
        return os.open(file, os.O_RDONLY | os.O_NONBLOCK | _NOFOLLOW)


def _make(folder: Path) -> list[Path]:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _flock(descriptor: int, shown: Path) -> bool:
    """Lock a file; False where another process has it, True where there are no locks at all."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OutputError(f"{shown / LOCK}: is not a file. Remove it and type the command again.")
    if sys.platform == "win32":
        logger.warning("%s: cannot be locked on Windows. See that one process at a time writes into it", shown)
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise
        logger.warning("%s: its file system has no locks. See that one process at a time writes into it", shown)
    return True


def _is_there(folder: Path, descriptor: int) -> bool:
    """Return whether the folder's lock file is the one that is open."""
    try:
        return os.path.samestat(os.lstat(folder / LOCK), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    said = json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since})
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, said.encode())


def _owner(descriptor: int) -> str:
    """Return who holds a lock, as far as its file says so."""
    try:
        said = json.loads(os.read(descriptor, 1_000))
        return f"process {int(said['process'])} since {said['since']} (on {said['host']})"
    except (ValueError, KeyError, TypeError, OSError):  # it has not signed yet
        return "another process"


def _let_go(folder: Path) -> None:
    with _guard:
        held = _held.get(folder)
        if held is None:  # a forked child
            return
        held.count -= 1
        if held.count:
            return
        del _held[folder]
        with suppress(OSError):
            if _is_there(folder, held.descriptor):
                (folder / LOCK).unlink()
        os.close(held.descriptor)
        with suppress(OSError):  # they are not empty
            for made in held.made:
                made.rmdir()


def _forget() -> None:
    """Leave the locks to the parent of a forked process."""
    global _guard
    _guard = threading.RLock()  # the parent's may have been held by another thread
    for held in _held.values():
        os.close(held.descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
