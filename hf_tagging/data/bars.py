"""Progress bars of Datasets and Transformers, on terminals alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bars_on_terminals() -> Iterator[None]:
    """Hide the libraries' progress bars for as long as the context lasts, unless standard error is a terminal.

    In a notebook or a log, each bar is two lines or more, for work that mostly takes less than a second. Works as a
    decorator, too.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        yield
        return
    with no_bars():
        yield


@contextmanager
def no_bars() -> Iterator[None]:
    """Hide the libraries' progress bars for as long as the context lasts: of work within other work, many times over.

    Works as a decorator, too.
    """
    import datasets  # here, since a tagger does without it
    from transformers.utils import logging

    of_datasets, of_transformers = not datasets.are_progress_bars_disabled(), logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if of_datasets:
            datasets.enable_progress_bars()
        if of_transformers:
            logging.enable_progress_bar()
