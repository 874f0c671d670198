"""Trials as Ray Tune schedules them: on the cores and GPUs of one machine, or of a cluster.

The study is the same as without Ray: Optuna chooses the values, decides which trial is stopped early and keeps the
figures, in the folder of the search, which all machines have to share. Ray Tune places the trials on free resources,
and starts one again whose process or machine has died; its run goes on from its last checkpoint.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import cast

import ray
from datasets import Dataset
from optuna.trial import TrialState
from ray import tune
from ray.tune.search import Searcher

from hf_tagging.errors import OutputError
from hf_tagging.hub import first_line
from hf_tagging.problems import argument
from hf_tagging.search.command import arguments
from hf_tagging.search.config import Search, read_search
from hf_tagging.search.study import SearchStudy, Taken
from hf_tagging.search.trial import remove_weights
from hf_tagging.search.work import check_hope, describe, prepare, say, tell_news, train
from hf_tagging.training.environment import cores

_FINISHED = cast(dict[str, object], Searcher.FINISHED)  # a string, which Ray's own types leave out
_MOST_FAILURES = 2  # processes of a trial that may die


class StudySearcher(Searcher):
    """Gives the trials of a study to Ray Tune.

    Args:
        study: The study; it stays in this process.
    """

    def __init__(self, study: SearchStudy):
        super().__init__()
        self.error: OutputError | None = None
        self._study = study
        self._taken: dict[str, Taken] = {}
        self._told = {trial.number for trial in study.trials if trial.state != TrialState.RUNNING}

    def suggest(self, trial_id: str) -> dict[str, object] | None:
        """Return the number and the values of the next trial, or that there are enough."""
        try:
            check_hope(self._study)
        except OutputError as error:
            self.error = error
            return _FINISHED
        taken = self._study.take()
        if taken is None:
            return _FINISHED
        self._taken[trial_id] = taken
        say(f"trial {taken.number}{' goes on' * taken.again}: {describe(self._study.search, taken.values)}")
        return {"number": taken.number, "values": dict(taken.values)}

    def on_trial_result(self, trial_id: str, result: dict[str, object]) -> None:
        """Do nothing: the trial itself has told the study."""

    def on_trial_complete(self, trial_id: str, result: dict[str, object] | None = None, error: bool = False) -> None:
        """Note a trial that has failed without a message, and let its lock go."""
        taken = self._taken.pop(trial_id)
        if self._study.state(taken.number) == TrialState.RUNNING:
            reason = f"its process ended {_MOST_FAILURES + 1} times without a message (out of memory?)"
            self._study.fail(taken.trial, reason)
        remove_weights(taken.folder)
        taken.release()
        tell_news(self._study, self._told)

    def interrupted(self) -> None:
        """Note that the trials that are running now are to go on."""
        for taken in self._taken.values():
            self._study.interrupted(taken)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the study is on the disk."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: see `save`."""


def work_with_ray(search: Search, workers: int, argv: Sequence[str]) -> None:
    """Train trials until there are enough.

    With `RAY_ADDRESS` in the environment, the cluster there is used; else this machine.

    Args:
        search: The search.
        workers: Trials at a time.
        argv: Arguments of this command.

    Raises:
        DataError: If the data cannot be read, or has nothing to validate on.
        OutputError: If every trial fails, or Ray cannot be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported anywhere
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is ours
    study = SearchStudy(search)
    prepare(study)  # what is wrong with the data is said here, and once
    searcher = StudySearcher(study)
    _start_ray(workers)
    try:
        has = ray.cluster_resources()
        share: dict[str, float] = {"gpu": 1} if has.get("GPU") else {"cpu": max(1, int(has.get("CPU", 1)) // workers)}
        tune.Tuner(
            tune.with_resources(partial(_train_one, argv=list(argv), folder=str(Path.cwd())), share),
            tune_config=tune.TuneConfig(
                search_alg=searcher, num_samples=-1, max_concurrent_trials=workers, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name="ray",
                storage_path=str(study.folder.resolve()),
                failure_config=tune.FailureConfig(max_failures=_MOST_FAILURES),
                verbose=0,
            ),
        ).fit()
    except KeyboardInterrupt:
        searcher.interrupted()
        raise
    finally:
        ray.shutdown()
    if searcher.error:
        raise searcher.error


def _start_ray(workers: int) -> None:
    cluster = os.environ.get("RAY_ADDRESS")
    try:
        ray.init(
            address=cluster or "local",  # without an address, Ray would join any cluster that it finds here
            num_cpus=None if cluster else max(cores(), workers),
            include_dashboard=None if cluster else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray has no class of errors for it
        advice = f"Look at RAY_ADDRESS and the machine's load, or give {argument('engine', 'optuna')}."
        raise OutputError(f"Ray could not be started ({first_line(error)}). {advice}") from error


def _train_one(config: dict[str, object], *, argv: list[str], folder: str) -> None:
    """Train one trial in a process of Ray; see `hf_tagging.search.work.train`."""
    os.chdir(folder)  # paths are from where the command was typed; Ray Tune has gone elsewhere
    study, splits = _opened(tuple(argv))
    taken = study.lent(int(str(config["number"])))
    if taken is not None:
        train(study, taken, splits, also=lambda epoch, value: tune.report({study.search.metric: value, "epoch": epoch}))


@cache
def _opened(argv: tuple[str, ...]) -> tuple[SearchStudy, dict[str, Dataset]]:
    """Return the study and the data; a process that trains several trials reads them once."""
    args, flags = arguments(argv)
    study = SearchStudy(read_search(args.config, output_dir=args.output_dir, flags=flags))
    return study, prepare(study)
