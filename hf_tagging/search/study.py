"""Study of a search: which trials there are, which one is next, and what became of each.

Optuna keeps the trials in an SQLite file in the folder of the search. Any number of processes may work on it: the next
trial is chosen by one of them at a time, and a trial belongs to the process that holds its lock. A trial that is
running in the file and whose lock is free was left behind by a process that has ended; the next one to ask takes it,
and its run goes on from its last checkpoint.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
from datasets import Dataset
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import DatabaseError

from hf_tagging.atomic import json_text
from hf_tagging.disk import check_writable, refusal
from hf_tagging.errors import DataError, OutputError
from hf_tagging.hub import first_line
from hf_tagging.locks import FolderLock
from hf_tagging.problems import argument
from hf_tagging.search.config import Search
from hf_tagging.search.space import Value
from hf_tagging.search.trial import Outcome
from hf_tagging.training.environment import describe_split
from hf_tagging.training.resuming import FREE_ARGUMENTS

STUDY = "study.db"
_NAME = "search"
_WAIT = 60.0  # seconds for another process to end its write
MOST_STARTS = 3  # of a trial whose processes die
_MOST_TWINS = 50  # drawn one after the other: the space has no other values
_SEEN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
# Epochs are reported in hundredths, because Optuna compares trials at whole steps.
_STEPS = 100


@dataclass(frozen=True)
class Taken:
    """A trial that belongs to this process until it is released.

    Args:
        trial: Of Optuna.
        values: Of all parameters.
        folder: Of its run.
        lock: Of the trial; None where another process holds it for this one.
        again: A process that has ended had begun it.
    """

    trial: Trial
    values: dict[str, Value]
    folder: Path
    lock: FolderLock | None
    again: bool

    @property
    def number(self) -> int:
        """Number of the trial, from 0."""
        return self.trial.number

    def release(self) -> None:
        """Let others take the trial, if it has not ended."""
        if self.lock is not None:
            self.lock.release()


class SearchStudy:
    """Trials of a search.

    Args:
        search: The search.

    Raises:
        OutputError: If the folder cannot be written, or holds a search that was asked something else.
    """

    def __init__(self, search: Search):
        self.search = search
        self.folder = search.output_dir
        check_writable(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.distributions = {name: parameter.distribution() for name, parameter in search.space.items()}
        with self._alone():
            self.study = self._opened()

    def _opened(self) -> optuna.Study:
        file = (self.folder / STUDY).absolute()
        # Not by the URL alone, in which characters of a folder would be a query ("?") or a template ("{").
        connect = partial(sqlite3.connect, file, timeout=_WAIT, check_same_thread=False)
        try:
            self.storage = optuna.storages.RDBStorage(f"sqlite:///{STUDY}", engine_kwargs={"creator": connect})
            study = optuna.create_study(
                storage=self.storage,
                study_name=_NAME,
                direction="maximize",
                load_if_exists=True,
                pruner=_pruner(self.search),
            )
        except DatabaseError as error:
            if refusal(error):
                raise
            raise OutputError(
                f"{file}: cannot be read as the study of a search ({first_line(error.orig or error)}). Move it away, "
                f"or choose another {argument('output_dir')}."
            ) from error
        asked = _asked(self.search)
        before = study.user_attrs.get("asked")
        if before is None:
            study.set_user_attr("asked", asked)
        elif changes := _changes(before, asked):
            raise OutputError(
                f"{self.folder}: holds a search that was asked something else:\n  "
                + "\n  ".join(changes)
                + f"\nNothing was started. Give the old values, or choose another {argument('output_dir')}."
            )
        return study

    # Trials

    @property
    def trials(self) -> list[FrozenTrial]:
        """Trials by number, without those whose values an earlier one has."""
        found = self.study.get_trials(deepcopy=False)
        return [t for t in found if t.state in _SEEN and "twin_of" not in t.user_attrs]

    def of_state(self, state: TrialState) -> list[FrozenTrial]:
        """Return the trials of a state: `COMPLETE`, `PRUNED`, `FAIL` or `RUNNING`."""
        return [trial for trial in self.trials if trial.state == state]

    @property
    def best(self) -> list[FrozenTrial]:
        """Trials that were trained to their end, the best first."""
        return sorted(self.of_state(TrialState.COMPLETE), key=lambda trial: (-_value(trial), trial.number))

    def state(self, number: int) -> TrialState:
        """Return the state of a trial."""
        return self.study.get_trials(deepcopy=False)[number].state

    def check_data(self, splits: Mapping[str, Dataset]) -> None:
        """Make sure that the words and tags are those of the earlier trials.

        Args:
            splits: Of the trials.

        Raises:
            DataError: If they are others.
        """
        now = {name: describe_split(split)["fingerprint"] for name, split in splits.items()}
        before = self.study.user_attrs.get("data", now)
        if before != now:
            raise DataError(
                f"{self.search.config.dataset_name}: the words or tags are not those that the search in {self.folder} "
                f"was started with. Give it the old data, or choose another {argument('output_dir')}."
            )
        self.study.set_user_attr("data", now)

    def path(self, number: int) -> Path:
        """Return the folder of the run of a trial."""
        return self.folder / "trials" / str(number)

    def take(self) -> Taken | None:
        """Return a trial to train: one that was left behind, or a new one; None where there are enough."""
        with self._alone():
            return self._left_behind() or self._new()

    def lent(self, number: int) -> Taken | None:
        """Return a trial that another process has taken for this one; None if it has ended.

        Args:
            number: Number of the trial.
        """
        found = self.study.get_trials(deepcopy=False)[number]
        if found.state != TrialState.RUNNING:
            return None
        again = bool(found.intermediate_values)
        return Taken(self._trial(found.number), dict(found.params), self.path(number), None, again)

    def _trial(self, number: int) -> Trial:
        """Return a trial that an earlier process has begun; `Study.ask` gives only new ones."""
        of_study = self.storage.get_study_id_from_name(_NAME)
        return Trial(self.study, self.storage.get_trial_id_from_study_id_trial_number(of_study, number))

    def _left_behind(self) -> Taken | None:
        for found in self.of_state(TrialState.RUNNING):
            lock = self._lock(found.number)
            if lock is None:
                continue
            starts = found.user_attrs.get("starts", 0)
            trial = self._trial(found.number)
            if found.params.keys() != self.distributions.keys():  # killed while its values were drawn
                trial.set_user_attr("twin_of", found.number)
                self.study.tell(trial, state=TrialState.FAIL)
                lock.release()
                continue
            if starts < MOST_STARTS:
                trial.set_user_attr("starts", starts + 1)
                return Taken(trial, dict(found.params), self.path(found.number), lock, again=True)
            self.fail(trial, f"its process ended {starts} times without a message (out of memory?)")
            lock.release()
        return None

    def _new(self) -> Taken | None:
        for _ in range(_MOST_TWINS):
            before = self.study.get_trials(deepcopy=False)
            if len(self.trials) >= self.search.options.trials:
                return None
            # A sampler of its own for each number: several processes draw different values, and a search that was
            # interrupted draws those that it would have drawn.
            self.study.sampler = _sampler(self.search, len(before))
            trial = self.study.ask(self.distributions)
            twin = next((t for t in before if t.params == trial.params and "twin_of" not in t.user_attrs), None)
            if twin is None:
                lock = self._lock(trial.number)
                if lock is None:
                    raise OutputError(
                        f"{self.path(trial.number)}: is in use. Move it away, and type the command again."
                    )
                trial.set_user_attr("starts", 1)
                return Taken(trial, dict(trial.params), self.path(trial.number), lock, again=False)
            trial.set_user_attr("twin_of", twin.number)
            if twin.state == TrialState.COMPLETE:
                self.study.tell(trial, _value(twin))
            else:
                self.study.tell(trial, state=TrialState.FAIL)
        return None

    @property
    def is_exhausted(self) -> bool:
        """True if there are fewer trials than asked for, because the space has no other values."""
        return len(self.trials) < self.search.options.trials

    def report(self, taken: Taken, epoch: float, value: float) -> str:
        """Note an evaluation; return why the trial is stopped early, empty to go on."""
        step = round(epoch * _STEPS)
        if step in self.study.get_trials(deepcopy=False)[taken.number].intermediate_values:
            return ""  # by the process that had begun it
        taken.trial.report(value, step)
        if not taken.trial.should_prune():
            return ""
        name = self.search.options.pruner
        than = "the median of earlier trials" if name == "median" else "what the best third of trials had"
        return f"{self.search.metric} {value:.4f} at epoch {epoch:.4g} is below {than}"

    def finish(self, taken: Taken, outcome: Outcome, seconds: float) -> None:
        """Note how a trial ended."""
        taken.trial.set_user_attr("epoch", outcome.epoch)
        taken.trial.set_user_attr("seconds", round(seconds, 1))
        if outcome.stopped:
            taken.trial.set_user_attr("reason", outcome.stopped)
            self.study.tell(taken.trial, state=TrialState.PRUNED)
        else:
            self.study.tell(taken.trial, outcome.value)

    def fail(self, trial: Trial, reason: str) -> None:
        """Note that a trial has failed; the search goes on."""
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.FAIL)

    def interrupted(self, taken: Taken) -> None:
        """Note that a trial was interrupted, and has not ended its process."""
        taken.trial.set_user_attr("starts", 0)

    def _lock(self, number: int) -> FolderLock | None:
        try:
            return FolderLock(self.path(number).with_name(f"{number}.taken"))
        except OutputError:
            return None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from choosing a trial meanwhile."""
        with open(self.folder / ".study.lock", "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _value(trial: FrozenTrial) -> float:
    return -math.inf if trial.value is None else trial.value


def _sampler(search: Search, number: int) -> BaseSampler:
    seed = search.options.sampler_seed * 100_003 + number
    return TPESampler(seed=seed, multivariate=True) if search.options.sampler == "tpe" else RandomSampler(seed=seed)


def _pruner(search: Search) -> BasePruner:
    grace = search.options.grace_epochs * _STEPS
    if search.options.pruner == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=grace)
    if search.options.pruner == "halving":
        return SuccessiveHalvingPruner(min_resource=grace, reduction_factor=3)
    return NopPruner()


def _asked(search: Search) -> dict[str, object]:
    """Return what makes figures of trials comparable: the arguments of the runs and the space."""
    arguments = json.loads(json_text(search.config.as_dict(), default=str))
    given = search.config.given - FREE_ARGUMENTS - search.space.keys()
    return {
        "arguments": {name: value for name, value in arguments.items() if name in given or name == "task"},
        "space": {name: parameter.written() for name, parameter in search.space.items()},
        "sampler": search.options.sampler,
        "sampler_seed": search.options.sampler_seed,
    }


def _changes(before: dict[str, object], now: dict[str, object]) -> Sequence[str]:
    old, new = _flat(before), _flat(now)
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    return [f"{name}: was {old.get(name, 'not given')}, is {new.get(name, 'not given')}" for name in names]


def _flat(asked: dict[str, object]) -> dict[str, object]:
    return {
        (name if key == "arguments" else f"search.{key}" + (f".{name}" if name else "")): value
        for key, part in asked.items()
        for name, value in (part.items() if isinstance(part, dict) else [("", part)])
    }
