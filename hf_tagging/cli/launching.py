"""Starting a recipe under `accelerate launch` and ending as it ends."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

import psutil

from hf_tagging.errors import ConfigError
from hf_tagging.processes import ASKING, PARENT, Terminated


def launch(words: Sequence[str]) -> int:
    """Do what ``accelerate launch WORDS`` does, within this process, and return the recipe's exit code.

    `accelerate launch` itself answers any failure of the recipe with a traceback of its own and exit code 1 (accelerate
    1.15, commands/launch.py), so that bad input and wrong usage could not be told apart; ended by a signal, it leaves
    the recipe behind.

    Args:
        words: As on the command line of `accelerate launch`.

    Raises:
        ConfigError: If accelerate refuses its own configuration.
        Terminated: If the recipe was ended by a signal before it could say so, or was one of several processes.
    """
    from accelerate.commands import launch as launcher
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger(launcher.__name__).setLevel(logging.ERROR)  # it lists the defaults that it took
    args = launcher.launch_command_parser().parse_args(list(words))
    try:
        with _signals_go_to(args.training_script):
            launcher.launch_command(args)
    except subprocess.CalledProcessError as error:
        return _shell_code(error.returncode)
    except ChildFailedError as error:  # of several processes
        return _shell_code(error.get_first_failure()[1].exitcode)
    except SignalException as error:
        raise Terminated(error.sigval) from error
    except (ValueError, ImportError) as error:
        raise ConfigError(f"accelerate: {error}") from error
    return 0


def run_script(words: Sequence[str]) -> int:
    """Run a Python script as it is, and return its exit code."""
    with _signals_go_to(words[0]), subprocess.Popen([sys.executable, *words]) as process:
        return _shell_code(process.wait())


@contextmanager
def _signals_go_to(recipe: str) -> Iterator[None]:
    """Hand signals on to a recipe, which says how to go on, while this process waits; the recipe ends with it.

    A signal that is ignored here is ignored by the recipe, too. Several processes are started by torch, which has
    handlers of its own for as long as they run.
    """
    before = {number: signal.getsignal(number) for number in ASKING}
    os.environ[PARENT] = str(os.getpid())
    try:
        for number in ASKING:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, partial(_hand_on, recipe))
        yield
    finally:
        del os.environ[PARENT]
        for number, handler in before.items():
            signal.signal(number, handler)


def _hand_on(recipe: str, number: int, frame: FrameType | None) -> None:
    """Send a signal to what this process has started, and end where the recipe is not among it.

    Before it starts the recipe, accelerate asks other programs about the machine, and goes on when they are ended.
    """
    is_started = False
    for process in psutil.Process().children():
        with suppress(psutil.Error):  # it is gone
            is_started |= recipe in process.cmdline()
            process.send_signal(number)
    if not is_started:
        raise Terminated(number)


def _shell_code(code: int) -> int:
    """Return the exit code of a process as a shell gives it: 128 and the signal where one ended it.

    Raises:
        Terminated: If one ended it that asks for the end; the process could not say any more how to go on.
    """
    if -code in ASKING:
        raise Terminated(-code)
    return code if code >= 0 else 128 - code
