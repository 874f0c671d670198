"""Parent process, and signals that ask this process to end.

A program that is asked to end by SIGINT (Ctrl-C), SIGTERM or SIGHUP gets a `Terminated` in its main thread, so that it
can say how to go on. While it trains, SIGTERM and SIGHUP, which schedulers send, are noted instead: the training saves
a checkpoint first. A second signal ends at once.

A process that a launcher has started ends with it. Linux tells of the launcher's death at once (a file descriptor of
the process, pidfd_open); elsewhere it is looked for every second. `PR_SET_PDEATHSIG` would tell of the death of the
*thread* that has started the process.
"""

from __future__ import annotations

import logging
import os
import re
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

from hf_tagging.errors import TaggingError

ASKING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PARENT = "HF_TAGGING_PARENT"  # in the environment of what `hf-tagging train` starts: its process id
PATIENCE = 60.0  # seconds that a process without its launcher gets to end by itself

# A terminal, a scheduler and a launcher may each hand on one and the same signal.
_ECHO = 1.0  # seconds
_MARKS = ("LOCAL_RANK", "ACCELERATE_MIXED_PRECISION")  # what torchrun and accelerate set for the processes they start
# Of two that they set together a shell may have exported one, which a launcher is not told by.
_PAIRS = (("LOCAL_RANK", "TORCHELASTIC_RUN_ID"), ("ACCELERATE_MIXED_PRECISION", "ACCELERATE_DYNAMO_BACKEND"))
_STARTED = os.getpid(), os.getppid()
# "[.../gloo/transport/tcp/pair.cc:537] Read error [10.0.0.2]:45745: Connection reset by peer. This is typically ..."
# "[.../gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.2]:45745. This is typically ..."
_GLOO = re.compile(r"gloo/transport/[^]]+\] (.*?)(?:\. |$)")

logger = logging.getLogger("hf_tagging")


class Terminated(KeyboardInterrupt):
    """Raised where the program is asked to end.

    Attributes:
        number: The signal's.
    """

    def __init__(self, number: int):
        super().__init__()
        self.number = number


class _State:
    def __init__(self) -> None:
        self.process = os.getpid()
        self.last = -_ECHO  # when a signal came
        self.is_put_off = False
        self.noted = 0


_state = _State()


def exit_code(error: KeyboardInterrupt) -> int:
    """Return the exit code that shells give to an end by a signal: 130, or 143 for SIGTERM and 129 for SIGHUP."""
    return 128 + getattr(error, "number", signal.SIGINT)


Handler = Callable[[int, FrameType | None], object] | int | None
"""Effect of a signal, as `signal.signal` takes and returns it."""


@contextmanager
def heard(*, restore: bool = False) -> Iterator[None]:
    """Raise `Terminated` where the program is asked to end. In other threads than the main one, nothing is changed.

    A signal that is ignored (``nohup``, the background of a shell) or that the program handles itself is left alone.
    Within another such block, nothing is changed either.

    Args:
        restore: Give the signals their former effect in any case, for a part of a program that may go on after one.
    """
    global _state
    if any(signal.getsignal(number) is _hear for number in ASKING) and _state.process == os.getpid():
        yield
        return
    _state = _State()
    before: dict[int, Handler] = {}
    if threading.current_thread() is threading.main_thread():
        usual = (signal.SIG_DFL, signal.default_int_handler)
        before = {number: signal.signal(number, _hear) for number in ASKING if signal.getsignal(number) in usual}
    try:
        yield
    finally:
        if restore or _state.last < 0:  # otherwise the program is about to end, and an echo may still come
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def put_off() -> Iterator[None]:
    """Note SIGTERM and SIGHUP for `asked` instead of raising; raise at the end what was not acted on.

    What fails after such a signal, a process that feeds the training and was ended by the same signal, is its outcome.
    """
    _state.is_put_off = True
    try:
        yield
    except TaggingError:
        raise
    except Exception as error:
        if not _state.noted:
            raise
        logger.warning("%s: %s", type(error).__name__, error)
        raise Terminated(_state.noted) from error
    finally:
        _state.is_put_off = False
    if _state.noted:
        raise Terminated(_state.noted)


def lost_process(error: BaseException) -> str:
    """Return what an error says of a broken connection to another process of the run; empty for other errors."""
    kinds = ("DistBackendError", "DistNetworkError")  # torch.distributed's; looked for by name, PyTorch loads slowly
    text = str(error).strip().partition("\n")[0]
    if type(error).__name__ in kinds:
        return text
    found = _GLOO.search(text) if isinstance(error, RuntimeError) else None
    return found[1] if found else ""


def stop_listening() -> None:
    """Let a program that is about to end do so: an echo of the signal would end it otherwise than its exit code says.

    Python gives every signal but the ignored ones its default effect before its last steps.
    """
    for number in ASKING:
        if signal.getsignal(number) is _hear:
            signal.signal(number, signal.SIG_IGN)


def asked() -> int:
    """Return the signal that was noted within `put_off`, or 0."""
    return _state.noted


def is_echo() -> bool:
    """Return whether a signal that comes now is one that came just before, handed on by somebody else."""
    now = time.monotonic()
    echo = now - _state.last < _ECHO
    _state.last = _state.last if echo else now
    return echo


def _hear(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _state.process:  # a forked child: as if nobody had listened
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    elif is_echo():
        return
    elif _state.is_put_off and not _state.noted and number != signal.SIGINT:
        _state.noted = number
    else:
        raise Terminated(number)


def set_by_launcher(name: str) -> bool:
    """Return whether accelerate or torchrun has set an environment variable for this process.

    They have if it is there now and was not there when they were started themselves.
    """
    if name not in os.environ or not any(mark in os.environ for mark in _MARKS):
        return False
    try:
        launcher = psutil.Process().parent()
        return launcher is None or name not in launcher.environ()
    except psutil.Error:  # it is somebody else's, or gone
        return True


def follow_parent() -> None:
    """End with the process that has started this one, if it is a launcher; called early, in the main thread.

    Raises:
        Terminated: If it is gone already.
    """
    named, parent = os.environ.pop(PARENT, ""), os.getppid()
    watched = {parent, int(named)} if named.isdecimal() else {parent}
    if not named and not any(all(map(set_by_launcher, pair)) for pair in _PAIRS):
        return
    is_left = os.getpid() == _STARTED[0] and parent != _STARTED[1]  # since this module was imported
    if is_left or not all(map(psutil.pid_exists, watched)):
        raise Terminated(signal.SIGTERM)
    threading.Thread(target=_end_with, args=(watched,), name="launcher", daemon=True).start()


def _end_with(processes: set[int]) -> None:
    """Wait until one of some processes is gone, then ask this one to end, and force it if it does not."""
    try:
        poll = select.poll()
        for process in processes:
            poll.register(os.pidfd_open(process), select.POLLIN)
        poll.poll()
    except (AttributeError, OSError):  # there are none (before Linux 5.3, macOS), or it is gone
        while all(map(psutil.pid_exists, processes)) and os.getppid() in processes:
            time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)
