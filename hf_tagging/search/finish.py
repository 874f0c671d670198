"""End of a search: the winner, its run as a YAML file, and what mattered."""

from __future__ import annotations

import logging
import shlex
import time
from collections import Counter
from datetime import date
from pathlib import Path
from statistics import fmean, stdev

import optuna
from optuna.trial import TrialState

from hf_tagging.atomic import remove_left_behind, whole_file, write_json
from hf_tagging.comparison.result import NAMES
from hf_tagging.errors import OutputError, printable
from hf_tagging.locks import FolderLock
from hf_tagging.search.config import Search
from hf_tagging.search.finalists import Winner, find_winner, write_run
from hf_tagging.search.page import search_page
from hf_tagging.search.result import SearchResult, TrialResult
from hf_tagging.search.study import STUDY, SearchStudy
from hf_tagging.search.trial import remove_weights
from hf_tagging.search.work import describe, say
from hf_tagging.training.config.kinds import ENCODER, SCRATCH, recipe_that_trains
from hf_tagging.training.config.scratch import ScratchConfig

BEST, PAGE, DATA = "best.yaml", "search.html", "search.json"
_STATES = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "stopped early", TrialState.FAIL: "failed"}


def finish(search: Search, *, parallel: int = 1) -> SearchResult:
    """Train the best trials again, and write `best.yaml`, `search.html` and `search.json`.

    Args:
        search: A search whose trials have ended.
        parallel: Runs at a time.

    Raises:
        OutputError: If no trial was trained to its end, or another process is finishing the search.
    """
    study = SearchStudy(search)
    logging.getLogger("hf_tagging").setLevel(logging.WARNING)  # which the last run has lowered
    with _lock_when_free(study.folder):
        for trial in study.trials:
            remove_weights(study.path(trial.number))  # of a process that ended in between
        counts = Counter(_STATES[trial.state] for trial in study.trials)
        told = ", ".join(f"{counts[state]} {state}" for state in _STATES.values())
        say(f"\n{len(study.trials)} trials: {told}")
        if study.is_exhausted:
            say(f"The space has no further values: {len(study.trials)} of {search.options.trials} trials.")
        for reason, count in _reasons(study).items():
            say(f"  failed {count} x: {printable(reason)}")
        if not study.best:
            raise OutputError(f"No trial was trained to its end. What they print: {study.folder}/trials/NUMBER.log")
        name = NAMES.get(search.metric, search.metric)
        winner = find_winner(study, parallel=parallel)
        result = SearchResult(
            task=search.config.task.name,
            metric=search.metric,
            metric_name=name,
            space={name: parameter.written() for name, parameter in search.space.items()},
            trials=tuple(_trial_results(study)),
            best=winner.trial.number,
            validation=winner.validation,
            test=winner.test,
            importances=_importances(study),
        )
        _write(study, winner, result)
        _tell(study, result)
    return result


def _lock_when_free(folder: Path) -> FolderLock:
    """Return the lock on the folder, once no other process finishes the same search."""
    said = False
    while True:
        try:
            return FolderLock(folder)
        except OutputError:
            if not said:
                say("Another process trains the best trials again; waiting for it.")
            said = True
            time.sleep(1)


def _reasons(study: SearchStudy) -> Counter[str]:
    return Counter(str(trial.user_attrs.get("reason", "")) for trial in study.of_state(TrialState.FAIL))


def _trial_results(study: SearchStudy) -> list[TrialResult]:
    return [
        TrialResult(
            number=trial.number,
            state=_STATES[trial.state],
            value=trial.value,
            epoch=trial.user_attrs.get("epoch"),
            seconds=trial.user_attrs.get("seconds"),
            reason=str(trial.user_attrs.get("reason", "")),
            values={name: study.search.space[name].shown(value) for name, value in trial.params.items()},
            raw=dict(trial.params),
        )
        for trial in study.trials
    ]


def _importances(study: SearchStudy) -> dict[str, float]:
    """Return how much each parameter mattered, as shares of 1; empty where that cannot be told."""
    if len({trial.value for trial in study.best}) < 2:
        return {}
    try:
        return optuna.importance.get_param_importances(study.study)
    except (RuntimeError, ValueError):  # too few trials, or values that do not differ
        return {}


def _write(study: SearchStudy, winner: Winner, result: SearchResult) -> None:
    search, folder = study.search, study.folder
    kind = SCRATCH if isinstance(search.config.model, ScratchConfig) else ENCODER
    recipe = recipe_that_trains(search.config.task.name, kind)
    command = f"recipes/{recipe.name}" if recipe else "RECIPE"
    head = [
        f"Trial {result.best} of {len(result.trials)}, the best of {folder / STUDY} on {date.today().isoformat()}.",
        f"Validation {result.metric_name}: {winner.trial.value:.4f} in the trial"
        + (f", {spread(result.validation)}." if result.validation else ", not trained again with further seeds."),
    ]
    if result.test:
        head.append(f"Test {result.metric_name}: {spread(result.test)}.")
    head.append(f"  python {command} --config {shlex.quote(str(folder / BEST))}")
    remove_left_behind(folder / BEST, folder / PAGE, folder / DATA)
    write_run(folder / BEST, search.run_settings(winner.trial.params), head)
    write_json(folder / DATA, result.as_dict(), default=None)
    with whole_file(folder / PAGE) as file:
        file.write(search_page(result, search))


def _tell(study: SearchStudy, result: SearchResult) -> None:
    best = next(trial for trial in result.trials if trial.number == result.best)
    raw = study.study.get_trials(deepcopy=False)[result.best].params
    say(f"\nbest: trial {result.best}, validation {result.metric_name} {best.value:.4f}: {describe(study.search, raw)}")
    if result.validation:
        say(f"  again, validation {result.metric_name} {spread(result.validation)}")
    if result.test:
        say(f"  test {result.metric_name} {spread(result.test)}")
    if result.importances:
        say("what mattered: " + ", ".join(f"{name} {share:.0%}" for name, share in result.importances.items()))
    say(f"\nWritten to {study.folder}: {BEST}, {PAGE}, {DATA}")


def spread(figures: dict[int, float]) -> str:
    """Return mean and standard deviation of the figures of several seeds.

    Args:
        figures: By seed.
    """
    values, seeds = list(figures.values()), ", ".join(map(str, figures))
    deviation = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
    return f"{fmean(values):.4f}{deviation} with seed{'s' * (len(values) > 1)} {seeds}"
