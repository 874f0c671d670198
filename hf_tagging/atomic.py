"""Files that appear whole: written beside their place, then renamed into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def whole_file(path: str | Path, *, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Opens a text file that takes its name only when it is complete.

    Whatever ends the block early, Ctrl-C included, leaves the old file as it was and no trace of the new one.

    Args:
        path: The file; its folder is made if needed.
        encoding: Of the text.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with open(partial, "w", encoding=encoding, newline="\n") as handle:
            yield handle
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
