"""Starting a recipe under `accelerate launch` and ending as it ends."""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from hf_tagging.errors import ConfigError


def launch(words: Sequence[str]) -> int:
    """Does what ``accelerate launch WORDS`` does, within this process, and gives the recipe's exit code.

    `accelerate launch` itself answers any failure of the recipe with a traceback of its own and exit code 1 (accelerate
    1.15, commands/launch.py), so that bad input and wrong usage could not be told apart.

    Args:
        words: As on the command line of `accelerate launch`.

    Raises:
        ConfigError: If accelerate refuses its own configuration.
        KeyboardInterrupt: After Ctrl-C, where several processes were started.
    """
    from accelerate.commands import launch as launcher
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger(launcher.__name__).setLevel(logging.ERROR)  # it lists the defaults that it took
    args = launcher.launch_command_parser().parse_args(list(words))
    try:
        with _interrupts_go_to_the_recipe():
            launcher.launch_command(args)
    except subprocess.CalledProcessError as error:
        return _shell_code(error.returncode)
    except ChildFailedError as error:  # of several processes
        return _shell_code(error.get_first_failure()[1].exitcode)
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from error  # its processes may have been ended before they could say so
        return 128 + int(error.sigval)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"accelerate: {error}") from error
    return 0


def run_script(words: Sequence[str]) -> int:
    """Runs a Python script as it is, and gives its exit code."""
    with _interrupts_go_to_the_recipe(), subprocess.Popen([sys.executable, *words]) as process:
        return _shell_code(process.wait())


@contextlib.contextmanager
def _interrupts_go_to_the_recipe() -> Iterator[None]:
    """Leaves Ctrl-C, which the terminal sends to both, to the recipe: it says how to go on, and this process waits.

    A handler that does nothing, because an ignored signal would be ignored by the recipe too.
    """
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _shell_code(code: int) -> int:
    """The exit code of a process as a shell gives it: 128 and the signal where one ended it."""
    return code if code >= 0 else 128 - code
