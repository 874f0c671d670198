"""Start of a command that trains, step by step. Making a trainer in Python does none of this."""

from __future__ import annotations

import logging
import sys
import warnings

import datasets
import transformers
from accelerate import PartialState
from transformers import set_seed

from hf_tagging.console import log_to_terminal
from hf_tagging.training.environment import keep_freed_memory, use_cores
from hf_tagging.training.machines import watch_machines
from hf_tagging.training.parsing import RunConfig
from hf_tagging.training.pushing import prepare_repository
from hf_tagging.training.run import TaggingRun


def start_run(config: RunConfig) -> TaggingRun:
    """Start the run of a command: its process, its folder, its repository on the Hub, its seed.

    Args:
        config: All arguments of the run.

    Raises:
        OutputError: If another process is writing into `output_dir`, or it holds a run and neither `resume` nor
            `overwrite` is set, or the Hub refuses the repository.
        ConfigError: If the run to be resumed had other arguments.
    """
    watch_machines()
    state = PartialState()
    quiet_libraries(is_main_process=state.is_main_process)
    use_cores(config.training.use_cpu)
    keep_freed_memory()
    run = TaggingRun(config)
    run.open()
    try:
        if config.training.push_to_hub and state.is_main_process:
            prepare_repository(config.training)
    except BaseException:
        run.release()
        raise
    set_seed(config.training.seed)
    return run


def quiet_libraries(*, is_main_process: bool) -> None:
    """Leave the terminal to our own lines and the bar; the libraries report errors only.

    Args:
        is_main_process: Whether this process logs; the others report errors only.
    """
    log_to_terminal()
    logging.getLogger("hf_tagging").setLevel(logging.INFO if is_main_process else logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)  # of the libraries among themselves
    transformers.logging.set_verbosity_error()
    datasets.logging.set_verbosity(logging.CRITICAL)  # what it logs before it raises, our messages say with the place
    transformers.logging.disable_progress_bar()  # of loading and saving weights; training has its own
    if not (is_main_process and sys.stderr.isatty()):
        datasets.disable_progress_bars()
