"""Progress, tables and errors of a command on a terminal: messages instead of tracebacks."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from hf_tagging.disk import drop_stdout, refusal, why_full, writing_to_stdout
from hf_tagging.errors import ConfigError, OutputError, TaggingError, printable
from hf_tagging.memory import LOADING, out_of_memory
from hf_tagging.problems import FLAGS, Spelling, spelled
from hf_tagging.processes import exit_code, follow_parent, heard, lost_process, stop_listening

OTHER_ENDED = "Another process of this run has ended, or its machine is out of reach ({said}). See what it said."
GO_ON = "The same command with --resume goes on from the last complete checkpoint."

T = TypeVar("T")


@contextlib.contextmanager
def plain_errors(*, interrupted: str = GO_ON, spelling: Spelling = FLAGS) -> Iterator[None]:
    """End the program with a message alone where a `TaggingError`, a full disk or a signal reaches it.

    Below `accelerate launch` or torchrun, the program also ends when these do.

    Args:
        interrupted: What to say after Ctrl-C, SIGTERM and SIGHUP, or where a disk was full.
        spelling: Of the names of arguments in messages: flags, unless some of them are positional.

    Exit codes: 2 for wrong usage (`ConfigError`), 1 for anything else that the user can mend, 130 for Ctrl-C, 143 for
    SIGTERM, 129 for SIGHUP. In a run of several processes the first one speaks for all; each speaks for itself
    when it is out of memory or its disk is full, which may end one process alone.
    """
    if sys.stdout is None:  # closed by the shell, as in `>&-`; what is printed then goes nowhere
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the program ends
    with heard(), spelled(spelling, in_all_threads=True):
        try:
            follow_parent()
            yield
            with quiet_end_of_pipe(), writing_to_stdout():
                pass  # what was printed is written now: at the end of the program it would fail without a message
        except ConfigError as error:
            _end(str(error), 2)
        except OutputError as error:
            _end(str(error), 1, on_any=bool(why_full(error)))
        except TaggingError as error:
            if (said := out_of_memory(error)) and said not in str(error):  # its cause, of which it makes a broken file
                _end(f"Out of memory ({said}). {LOADING}", 1, on_any=True)
            if why_full(error):
                _end(f"{refusal(error)} {interrupted}".rstrip(), 1, on_any=True)
            _end(str(error), 1, on_any=bool(said))
        except KeyboardInterrupt as error:
            stop_listening()
            code = exit_code(error)
            how = "Interrupted" if code == 130 else f"Ended by {signal.Signals(code - 128).name}"
            _end(f"{how}. {interrupted}".rstrip(), code)
        except Exception as error:
            if said := out_of_memory(error):
                _end(f"Out of memory ({said}). {LOADING}", 1, on_any=True)
            if said := lost_process(error):
                _end(f"{OTHER_ENDED.format(said=said)} {interrupted}".rstrip(), 1)
            if not (told := _stdout_refusal(error) or refusal(error)):
                raise
            _end(f"{told} {interrupted}".rstrip(), 1, on_any=True)


@contextlib.contextmanager
def quiet_end_of_pipe() -> Iterator[None]:
    """End without an error if the reader of standard output, such as `| head`, has closed it.

    A pipe to anything else that is broken, such as to a process that has died, stays an error.
    """
    try:
        yield
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        drop_stdout()


def read_text(path: Path, kind: type[TaggingError], *, advice: str) -> str:
    """Read a small text file that a person wrote.

    Args:
        path: The file.
        kind: Of the error.
        advice: What to do about one that is not in UTF-8, a sentence.

    Raises:
        TaggingError: Of the kind given, if it cannot be read or is not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        place = f"{error.reason} at byte {error.start:,}"
        raise kind(f"{path}: is not in UTF-8 ({place}). {advice}") from error
    except OSError as error:
        raise kind(f"{path}: cannot be read ({error.strerror or error}).") from error


def text_table(rows: Sequence[Sequence[str]], *, left: Collection[int] = (0,)) -> str:
    """Return rows as aligned columns of text, two blanks apart.

    Args:
        rows: Cells, the header among them. (rows, columns)
        left: Columns that are aligned at the left; the others are aligned at the right, as numbers are.

    Returns:
        Lines without trailing blanks. Wide characters count as two columns of a terminal, combining marks as none.
    """
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        blanks = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [c + blank if i in left else blank + c for i, (c, blank) in enumerate(zip(row, blanks, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """Return the number of columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(x) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(x) in "WF")
        for x in text
    )


class _PrintableLines(logging.Formatter):
    """A formatter of bare messages, in which quoted data cannot add escape sequences or lines."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), line_ends=bool(record.exc_info or "\n" in str(record.msg)))


def log_to_terminal() -> None:
    """Log warnings to standard error, their messages alone, unless logging is set up already."""
    handler = logging.StreamHandler()
    handler.setFormatter(_PrintableLines("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def track(items: Iterable[T], *, total: int, what: str) -> Iterator[T]:
    """Yield items, with a progress bar on standard error if that is a terminal.

    Args:
        items: Any.
        total: How many there are.
        what: What is done with them, a word.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as with_bar

    yield from with_bar(items, description=what, total=total, console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show what is being done while it lasts, on standard error if that is a terminal.

    Args:
        what: What is done, a few words.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(what)):
        yield


def _reader_is_gone() -> bool:
    """Return whether standard output has lost its reader; the error does not say which pipe it is about."""
    poll = select.poll()
    with contextlib.suppress(AttributeError, OSError, ValueError):  # a stand-in for the stream is no pipe
        poll.register(sys.stdout.fileno(), 0)  # errors are told in any case
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _stdout_refusal(error: Exception) -> str:
    """Return what the system says against standard output, if that is what an error is about; empty for any other."""
    if not isinstance(error, OSError) or error.filename is not None:
        return ""
    try:
        with contextlib.suppress(OSError), writing_to_stdout():  # of a reader that is gone, nothing is said
            return ""  # behind which it is flushed, and fails again
    except OutputError as told:
        return str(told)
    return ""


def _end(message: str, code: int, *, on_any: bool = False) -> None:
    """End with a message, said by the first process, or by any that it is about."""
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    if rank <= 0 or on_any:
        with contextlib.suppress(OSError):  # it may be on the full disk as well
            print(f"\nprocess {rank}: {message}" if rank > 0 else f"\n{message}", file=sys.stderr, flush=True)
    raise SystemExit(code)
