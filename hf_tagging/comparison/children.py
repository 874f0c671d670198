"""Child processes of a command that starts many: in sessions of their own, with a locked log, ended together.

POSIX only. A child's log is locked while any of its processes lives, so that none is started twice, even after the
command that had started it was killed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hf_tagging.errors import OutputError
from hf_tagging.processes import ASKING, Handler, Terminated, is_echo
from hf_tagging.training.environment import cores

_PATIENCE = 10.0  # seconds that a child gets to end by itself
_TO_SAVE = 25.0  # and to end a step and save a checkpoint before; schedulers often give 30
_LAST_LINES = 200
_ERROR = re.compile(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b.*")


@dataclass
class Child:
    """A process that was started.

    Args:
        popen: The process, which leads a session.
        log: File that it prints to.
        began: When, as `time.monotonic` says.
        log_offset: Where its output begins in the log.
    """

    popen: subprocess.Popen[bytes]
    log: Path
    began: float
    log_offset: int

    @property
    def seconds(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.began

    @property
    def is_alive(self) -> bool:
        """True while it or one of its own children lives: a launcher may exit before its processes do."""
        return self.popen.poll() is None or not is_free(self.log)

    def why_it_failed(self) -> str:
        """Return the reason of its failure in one line."""
        with open(self.log, "rb") as log:
            log.seek(self.log_offset)
            return why_it_failed(log.read().decode(errors="replace"), self.popen.returncode)


def start_child(command: Sequence[str], log: Path, *, parallel: int, secrets: Mapping[str, str], busy: str) -> Child:
    """Start a process in its own session, so that it can be ended with all its processes.

    Args:
        command: Command line.
        log: File that its output is added to.
        parallel: Number of children at a time, which share the cores.
        secrets: Further environment variables.
        busy: What to say where the log is locked, a sentence.

    Raises:
        OutputError: If another process writes the log.
    """
    environment = os.environ | secrets
    if parallel > 1:  # otherwise each would take all cores
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // parallel)))
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        if not _lock(file):
            raise OutputError(f"{log}: {busy}")
        file.write(f"$ {shlex.join(command)}\n\n".encode())
        file.flush()
        offset = file.tell()
        # The lock goes with the open file to the process and its children, and ends with the last of them.
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    return Child(popen, log, time.monotonic(), offset)


def end_children(children: Sequence[Child], interrupts: Interrupts) -> None:
    """End children: forward the signal, then terminate, then kill; another signal shortens the wait.

    SIGTERM and SIGHUP let a run save a checkpoint first.

    Args:
        children: Those that may be alive.
        interrupts: What has come.
    """
    first = interrupts.number
    steps = [(first, _PATIENCE if first == signal.SIGINT else _TO_SAVE), (signal.SIGTERM, _PATIENCE)]
    for number, patience in (*steps, (signal.SIGKILL, _PATIENCE)):
        for child in children:
            if number == signal.SIGKILL or child.is_alive:
                with suppress(ProcessLookupError):
                    os.killpg(child.popen.pid, number)
        deadline, heard = time.monotonic() + patience, interrupts.count
        while any(c.is_alive for c in children) and time.monotonic() < deadline and interrupts.count == heard:
            time.sleep(0.05)


class Interrupts:
    """Record Ctrl-C, SIGTERM and SIGHUP instead of raising, which could lose a child that is being started."""

    def __init__(self) -> None:
        self.count = 0
        self.number = int(signal.SIGINT)  # the first that came
        self._before: dict[int, Handler] = {}

    def __enter__(self) -> Interrupts:
        for number in ASKING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if not is_echo():
            self.number = self.number if self.count else number
            self.count += 1

    def check(self) -> None:
        """Raise a recorded signal."""
        if self.count:
            raise Terminated(self.number)


def why_it_failed(printed: str, code: int) -> str:
    """Return the reason of a failure in one line: the last error, or else the last line.

    Args:
        printed: Output of the run.
        code: Exit code; below 0, the signal that ended it.
    """
    if code < 0:
        return f"ended by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
    lines = [line.rstrip() for line in printed.rstrip().split("\n")[-_LAST_LINES:]]
    if any(line.startswith("Traceback") for line in lines):
        errors = [line for line in lines if _ERROR.fullmatch(line)]
        if errors:
            return errors[-1]
    # Our own errors are a message behind an empty line, of one line or more.
    start = max((i for i, line in enumerate(lines) if not line), default=-1)
    return " ".join(" ".join(lines[start + 1 :]).split()) or f"ended with exit code {code}"


def is_free(log: Path) -> bool:
    """Return whether no living process writes a log.

    Args:
        log: The file; it is created if needed.
    """
    with open(log, "ab") as file:
        return _lock(file)


def _lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
