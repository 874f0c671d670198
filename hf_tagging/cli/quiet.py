"""Libraries that speak up for errors only: a command says itself what it does."""

from __future__ import annotations

import logging
import sys


def quiet_libraries() -> None:
    """Leaves the warnings of this package, on standard error, and the bars where that is a terminal."""
    import datasets
    import transformers

    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    transformers.logging.set_verbosity_error()
    datasets.logging.set_verbosity(logging.CRITICAL)  # what it logs before it raises, our messages say with the place
    transformers.logging.disable_progress_bar()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
