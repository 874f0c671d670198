"""How a command ends: with its message, not with a traceback."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from hf_tagging.errors import ConfigError, TaggingError

GO_ON = "The same command with --resume goes on from the last complete checkpoint."


@contextlib.contextmanager
def plain_errors(*, interrupted: str = GO_ON) -> Iterator[None]:
    """Ends the program with a message alone where a `TaggingError` or Ctrl-C reaches it.

    Args:
        interrupted: What to say after Ctrl-C.

    Exit codes: 2 for wrong usage (`ConfigError`), 1 for anything else that the user can mend, 130 for Ctrl-C. In a run
    of several processes the first one speaks for all.
    """
    try:
        yield
    except ConfigError as error:
        _end(str(error), 2)
    except TaggingError as error:
        _end(str(error), 1)
    except KeyboardInterrupt:
        _end(f"Interrupted. {interrupted}", 130)


def _end(message: str, code: int) -> None:
    if int(os.environ.get("LOCAL_RANK", "0")) <= 0:
        print(f"\n{message}", file=sys.stderr, flush=True)
        _hush_launcher()
    raise SystemExit(code)


def _hush_launcher() -> None:
    """Ends `accelerate launch` before it prints a traceback of its own over our message.

    Its one-process launcher answers any exit code but 0 with a CalledProcessError, unless it was started with
    ``--quiet`` (accelerate 1.15, commands/launch.py, simple_launcher). This can go when that becomes its default.
    """
    import psutil

    try:
        launcher = psutil.Process().parent()
        words = launcher.cmdline() if launcher else []
        if launcher and "launch" in words and any("accelerate" in os.path.basename(word) for word in words[:4]):
            launcher.terminate()
    except psutil.Error:
        return  # it is gone, or not ours: then there is nothing to hush
