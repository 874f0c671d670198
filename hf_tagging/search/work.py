"""Trials one after the other, in this process or in several, until the study has as many as asked for."""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence

import torch
from datasets import Dataset
from optuna.trial import TrialState

from hf_tagging.atomic import whole_file
from hf_tagging.comparison.children import Child, Interrupts, end_children, start_child
from hf_tagging.disk import refusal
from hf_tagging.errors import ConfigError, OutputError, TaggingError
from hf_tagging.hub import first_line
from hf_tagging.problems import lines
from hf_tagging.search.config import Search
from hf_tagging.search.study import MOST_STARTS, SearchStudy, Taken
from hf_tagging.search.trial import load_splits, remove_weights, train_trial
from hf_tagging.training.startup import quiet_libraries

_LOOK = 0.5  # seconds between two looks at trials of other processes
_MOST_FAILURES = 5  # trials that fail before any has been trained


def work(search: Search) -> None:
    """Train trials until there are enough; wait for those of other processes, and take what they leave behind.

    Args:
        search: The search.

    Raises:
        DataError: If the data cannot be read, or has nothing to validate on.
        OutputError: If every trial fails.
    """
    study = SearchStudy(search)
    if len(study.trials) >= search.options.trials and not study.of_state(TrialState.RUNNING):
        return
    splits = prepare(study)
    while True:
        check_hope(study)
        if taken := study.take():
            train(study, taken, splits)
        elif study.of_state(TrialState.RUNNING):
            time.sleep(_LOOK)
        else:
            return


def prepare(study: SearchStudy) -> dict[str, Dataset]:
    """Quiet this process, and load the data of all trials.

    Args:
        study: The study, whose earlier trials had the same data.
    """
    quiet_libraries(is_main_process=True)
    logging.getLogger("hf_tagging").setLevel(logging.WARNING)
    splits = load_splits(study.search.config)
    study.check_data(splits)
    return splits


def train(
    study: SearchStudy,
    taken: Taken,
    splits: Mapping[str, Dataset],
    *,
    also: Callable[[float, float], None] = lambda epoch, value: None,
) -> None:
    """Train one trial; whatever it fails with is noted, and the search goes on.

    Args:
        study: The study.
        taken: The trial.
        splits: From `prepare`.
        also: Hears of each evaluation, too: epoch and figure.
    """
    search, began = study.search, time.monotonic()

    def report(epoch: float, value: float) -> str:
        also(epoch, value)
        return study.report(taken, epoch, value)

    values = describe(search, taken.values)
    say(f"trial {taken.number}{' goes on' if taken.again else ''}: {values}")
    try:
        config = search.trial(taken.values, taken.folder)
        taken.folder.mkdir(parents=True, exist_ok=True)
        outcome = train_trial(config, splits, report)
        study.finish(taken, outcome, time.monotonic() - began)
    except KeyboardInterrupt:
        study.interrupted(taken)
        raise
    except Exception as error:
        if refusal(error):  # by the disk, which the next trial would meet as well
            raise
        reason = _reason(error)
        if not isinstance(error, TaggingError):  # a fault of the program
            with whole_file(taken.folder.with_name(f"{taken.number}.error.txt")) as file:
                file.write(traceback.format_exc())
        study.fail(taken.trial, reason)
        say(f"trial {taken.number} failed: {reason}")
        return
    finally:
        _remove_weights_of_ended(study, taken)
        taken.release()
    seconds = time.monotonic() - began
    if outcome.stopped:
        say(f"trial {taken.number} stopped early: {outcome.stopped} ({seconds:.0f} s)")
    else:
        best = study.best[0]
        told = "the best so far" if best.number == taken.number else f"best: trial {best.number}, {best.value:.4f}"
        say(f"trial {taken.number}: {search.metric} {outcome.value:.4f} ({seconds:.0f} s); {told}")


def _reason(error: Exception) -> str:
    """Return why a trial has failed, in one line."""
    if isinstance(error, ConfigError):
        return "; ".join(lines(error.problems))
    return first_line(error) if isinstance(error, TaggingError) else f"{type(error).__name__}: {first_line(error)}"


def _remove_weights_of_ended(study: SearchStudy, taken: Taken) -> None:
    if study.state(taken.number) != TrialState.RUNNING:
        remove_weights(taken.folder)


def check_hope(study: SearchStudy) -> None:
    """Refuse to go on where the first trials have all failed.

    Args:
        study: The study.

    Raises:
        OutputError: With the reason of the last failure.
    """
    failed = study.of_state(TrialState.FAIL)
    if len(failed) >= _MOST_FAILURES and len(failed) == len(study.trials) - len(study.of_state(TrialState.RUNNING)):
        raise OutputError(
            f"All of {len(failed)} trials have failed, the last with: {failed[-1].user_attrs.get('reason')}. What they "
            f"print: {study.folder}/trials/NUMBER.log. Mend it and choose another output_dir."
        )


def describe(search: Search, values: Mapping[str, int | float | str]) -> str:
    """Return values of parameters in one line."""
    return ", ".join(f"{name} {search.space[name].shown(value)}" for name, value in values.items())


def work_in_parallel(search: Search, workers: int, argv: Sequence[str]) -> None:
    """Start several processes that each do `work`; one that dies is replaced, and its trial goes on.

    Args:
        search: The search.
        workers: Number of processes. Where there are several GPUs, they take turns.
        argv: Arguments of this command without the number of workers.

    Raises:
        OutputError: If one of them ends with an error.
    """
    study = SearchStudy(search)
    running: list[Child] = []
    gpus = _gpus()

    def start(number: int) -> None:
        secrets = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if len(gpus) > 1 else {}
        log = study.folder / f"worker-{number + 1}.log"
        command = [sys.executable, "-m", "hf_tagging.search.worker", *argv]
        busy = "an earlier command's process is still at work. Wait for it, or end it."
        running.append(start_child(command, log, parallel=workers, secrets=secrets, busy=busy))

    say(f"{workers} processes; what they print: {study.folder}/worker-NUMBER.log")
    with Interrupts() as interrupts:
        try:
            for number in range(workers):
                start(number)
            told: set[int] = set()
            deaths = ended = 0
            while running:
                time.sleep(_LOOK)
                interrupts.check()
                tell_news(study, told)
                if len(told) > ended:
                    deaths, ended = 0, len(told)
                for place, child in enumerate(running):
                    if child.popen.poll() is not None:
                        _check_end(child)
                        running.pop(place)
                        if child.popen.returncode < 0:
                            deaths += 1
                            _check_deaths(deaths, workers, child)
                            start(place)
                        break
        except BaseException:
            end_children(running, interrupts)
            raise
    tell_news(study, told)


def _check_end(child: Child) -> None:
    if child.popen.returncode < 0:
        say(f"A process {child.why_it_failed()}; another one goes on with its trial")
    elif child.popen.returncode:
        raise OutputError(f"A process of the search failed: {child.why_it_failed()} (see {child.log})")


def _check_deaths(deaths: int, workers: int, last: Child) -> None:
    """Refuse to replace processes for ever that end before they have a trial; one that they had would have failed."""
    if deaths > MOST_STARTS * workers:
        raise OutputError(
            f"{deaths} processes have ended before any trial did, the last one {last.why_it_failed()} "
            f"(see {last.log}). If memory is short, give fewer workers."
        )


def tell_news(study: SearchStudy, told: set[int]) -> None:
    """Print a line for each trial that has ended since the last call.

    Args:
        study: The study.
        told: Numbers of the trials that need no line; those of this call are added.
    """
    for trial in study.trials:
        if trial.state != TrialState.RUNNING and trial.number not in told:
            told.add(trial.number)
            what = f"{study.search.metric} {trial.value:.4f}" if trial.state == TrialState.COMPLETE else ""
            say(f"trial {trial.number}: {what or trial.user_attrs.get('reason', 'failed')}")


def _gpus() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    return [str(number) for number in range(torch.cuda.device_count())]


def say(line: str) -> None:
    """Print a line at once: another process may print the next."""
    print(line, flush=True)
