"""Cases in processes of their own: a crash of the interpreter or a hang is seen, and is that of one case."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence

from hf_tagging.errors import TaggingError

_SECONDS = 10  # that a case may take; most take a hundredth of a second
_AT_A_TIME = 2
_HUNG = "the interpreter crashed, or it hung"


def run_forked(cases: Iterable[int], prepare: Callable[[int], tuple[str, Callable[[], object]]]) -> Iterator[str]:
    """Run cases and yield what goes wrong, a line each.

    Args:
        cases: Their seeds.
        prepare: Makes the input of a case, in a process of its own; gives the name that every message has to hold, and
            what is to be done with it, which returns or raises a `TaggingError`.
    """
    running: dict[int, tuple[int, int, float]] = {}  # by process: case, pipe, deadline
    waiting = iter(cases)
    while True:
        while len(running) < _AT_A_TIME and (case := next(waiting, None)) is not None:
            reader, writer = os.pipe()
            process = os.fork()
            if not process:
                os.close(reader)
                _attempt(prepare, case, writer)
            os.close(writer)
            running[process] = (case, reader, time.monotonic() + _SECONDS)
        if not running:
            return
        ended = [process for process in running if os.waitpid(process, os.WNOHANG)[0] or _is_late(process, running)]
        for process in ended:
            case, reader, _ = running.pop(process)
            told = os.read(reader, 1 << 16).decode("utf-8", "replace") if select.select([reader], [], [], 0)[0] else ""
            os.close(reader)
            if told != "fine":
                yield f"case {case}: {told or _HUNG}"
        time.sleep(0.002)


def _is_late(process: int, running: dict[int, tuple[int, int, float]]) -> bool:
    if time.monotonic() < running[process][2]:
        return False
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return True


def _attempt(prepare: Callable[[int], tuple[str, Callable[[], object]]], case: int, writer: int) -> None:
    """Runs one case and ends the process."""
    told = "fine"
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        name, attempt = prepare(case)
        try:
            attempt()
        except TaggingError as error:
            if name not in str(error):
                told = f"a message without the name {name}: {error}"
    except BaseException:
        told = traceback.format_exc()
    os.write(writer, told[-60_000:].encode("utf-8", "replace"))
    os._exit(0)


def run_in_batches(
    cases: Sequence[int], attempt: Callable[[int], str], *, size: int = 40, seconds: float = 90
) -> Iterator[tuple[int, str]]:
    """Run cases one after the other in processes of many, and yield each with what its attempt tells.

    A case at which the process ends, or that takes too long, is told as such, and the next process goes on behind it.

    Args:
        cases: Their seeds.
        attempt: Runs one, and tells in a line what came of it.
        size: Cases of a process.
        seconds: That a case may take.
    """
    at = 0
    while at < len(cases):
        batch = cases[at : at + size]
        reader, writer = os.pipe()
        process = os.fork()
        if not process:
            os.close(reader)
            _attempt_all(batch, attempt, writer)
        os.close(writer)
        done = 0
        with os.fdopen(reader, "rb", buffering=0) as stream:
            waiting = b""
            while done < len(batch):
                if not select.select([stream], [], [], seconds)[0] or not (chunk := stream.read(1 << 16)):
                    yield batch[done], _HUNG
                    done += 1
                    break
                *lines, waiting = (waiting + chunk).split(b"\n")
                for line in lines:
                    yield batch[done], line.decode("utf-8", "replace").replace("\0", "\n")
                    done += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        at += done


def _attempt_all(batch: Sequence[int], attempt: Callable[[int], str], writer: int) -> None:
    """Runs cases and ends the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for case in batch:
        try:
            told = attempt(case)
        except BaseException:
            told = traceback.format_exc()
        rest = told[-20_000:].replace("\n", "\0").encode("utf-8", "replace") + b"\n"
        while rest:
            rest = rest[os.write(writer, rest) :]
    os._exit(0)
