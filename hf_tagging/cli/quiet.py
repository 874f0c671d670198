"""Libraries that speak up for errors only: a command says itself what it does."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

from hf_tagging.console import log_to_terminal


@contextlib.contextmanager
def errors_only(name: str) -> Iterator[None]:
    """Keep a logger from warning within the block, where a command says itself what it would warn of."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def quiet_libraries() -> None:
    """Leaves the warnings of this package, on standard error, and the bars where that is a terminal."""
    import datasets
    import transformers

    log_to_terminal()
    transformers.logging.set_verbosity_error()
    datasets.logging.set_verbosity(logging.CRITICAL)  # what it logs before it raises, our messages say with the place
    transformers.logging.disable_progress_bar()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
