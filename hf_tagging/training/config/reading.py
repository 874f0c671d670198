"""Runs read from flags and YAML: which task, which kind of model, and the arguments of both."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from transformers import HfArgumentParser

from hf_tagging.disk import expanded
from hf_tagging.errors import ConfigError, Problem
from hf_tagging.problems import FLAGS, KEYS, Spelling, spelled
from hf_tagging.tasks import TASKS, Task, get_task
from hf_tagging.training.config.checks import did_you_mean
from hf_tagging.training.config.data import DataConfig
from hf_tagging.training.config.encoder import EncoderConfig
from hf_tagging.training.config.kinds import ENCODER, SCRATCH, kind_of
from hf_tagging.training.config.models import ModelFacts
from hf_tagging.training.config.scratch import ScratchConfig
from hf_tagging.training.config.tagging import TaggingConfig
from hf_tagging.training.flags import Reading, make_parser, read_settings
from hf_tagging.training.settings import Setting, over, read_yaml

ModelConfig = EncoderConfig | ScratchConfig
Kind = type[EncoderConfig] | type[ScratchConfig]
KINDS: dict[str, Kind] = {ENCODER: EncoderConfig, SCRATCH: ScratchConfig}

Data = TypeVar("Data", bound=DataConfig, contravariant=True)
Model = TypeVar("Model", bound=ModelConfig, contravariant=True)
Run = TypeVar("Run", covariant=True)


class RunClass(Protocol[Data, Model, Run]):
    """Class of a run, which is made of its parts once they are read."""

    def __call__(self, task: Task, data: Data, model: Model, training: TaggingConfig, /) -> Run:
        """Make a run."""

    def contradictions(
        self, task: Task, kind: type[Model], model: ModelFacts | None, given: Mapping[str, Any], /
    ) -> Iterator[Problem]:
        """Yield arguments that contradict each other or have no effect."""


def read_command_line(
    run: RunClass[DataConfig, ModelConfig, Run],
    argv: Sequence[str] | None,
    *,
    task: Task | str | None,
    model: Kind | None,
    description: str | None,
    spelling: Spelling = FLAGS,
) -> Run:
    """Read a run; see `RunConfig.from_command_line`.

    Args:
        run: Class of the run.
        argv: Flags; None: those of the running script.
        task: Task of the script, None for any.
        model: Kind of model of the script, None for any.
        description: Printed by ``--help``.
        spelling: Of arguments in messages.
    """
    with spelled(spelling):
        help_of = _parser(model or EncoderConfig, description)
        reading = read_settings(of_script(argv), help_of)
        # Where all came from a file, what to do is said as lines of it.
        of_file = spelling is FLAGS and reading.settings and all(setting.place for setting in reading.settings)
        with spelled(KEYS) if of_file else nullcontext():
            return _read_run(run, reading, task, model)


def read_file(run: RunClass[DataConfig, ModelConfig, Run], path: str | Path, overrides: Mapping[str, Any]) -> Run:
    """Read a run; see `RunConfig.from_yaml`.

    Args:
        run: Class of the run.
        path: YAML file.
        overrides: Arguments by name, which win over the file.
    """
    with spelled(KEYS):
        settings, problems = read_yaml(expanded(path))
        wins = [_setting(name, value) for name, value in overrides.items() if value is not None]
        reading = Reading(over([s for s in settings if s.name not in overrides], wins), problems)
        return _read_run(run, reading, None, None)


def read_given(run: RunClass[DataConfig, ModelConfig, Run], settings: Sequence[Setting]) -> Run:
    """Read a run from settings, such as those of a file with some of them replaced.

    Args:
        run: Class of the run.
        settings: The last one of a name counts.

    Raises:
        ConfigError: See `RunConfig.from_command_line`.
    """
    with spelled(KEYS):
        return _read_run(run, Reading(list(settings), []), None, None)


def of_script(argv: Sequence[str] | None) -> Sequence[str]:
    """Return flags: as given, or those of the running script.

    Raises:
        ConfigError: If no script is running: a notebook's command line is that of its kernel.
    """
    if argv is not None:
        return argv
    if not hasattr(sys.modules["__main__"], "__file__"):
        raise ConfigError(
            "No script is running whose flags could be read. Give argv=[...], or make a RunConfig of its parts."
        )
    return sys.argv[1:]


def task_of(reading: Reading, task: Task | str | None) -> Task | None:
    """Take the task out of settings; what is wrong with it is added to their problems.

    Args:
        reading: Settings.
        task: That they have to agree with, None for any.
    """
    settings = reading.take("task")
    found = None if task is None else get_task(task)
    for setting in settings:
        name = " ".join(setting.values)
        if name not in TASKS:
            reason = f"{name!r} is not one of {', '.join(TASKS)}{did_you_mean(name, TASKS)}"
            reading.problems.append(setting.problem(reason))
        elif found is not None and found.name != name:
            where = "this recipe is" if task is not None else f"{settings[0].place or 'a flag'} says it is"
            reading.problems.append(setting.problem(f"{name}, but {where} for {found.name}; leave one of them out"))
        else:
            found = TASKS[name]
    if found is None and not settings:
        reading.problems.append(Problem("task", None, "is missing", f"give {' or '.join(TASKS)}"))
    return found


def _read_run(
    run: RunClass[DataConfig, ModelConfig, Run], reading: Reading, task: Task | str | None, of_script: Kind | None
) -> Run:
    """Make a run of settings, as the model that they ask for takes them."""
    found = task_of(reading, task)
    asked = kind_of((s.name, " ".join(s.values)) for s in reading.settings)
    kind = of_script or KINDS[asked]
    if kind is ScratchConfig:  # the word says that nothing is started from
        reading.settings = [s for s in reading.settings if (s.name, s.values) != ("model", [SCRATCH])]
    parser = _parser(kind, None)
    reading.convert(parser, hint=_of_other(kind, fixed=of_script is not None))
    return run_of(run, reading, found, DataConfig, kind)


def run_of(
    run: RunClass[Data, Model, Run], reading: Reading, task: Task | None, data_kind: type[Data], model_kind: type[Model]
) -> Run:
    """Make a run of settings that were converted.

    Args:
        run: Class of the run.
        reading: Settings.
        task: None if it is not known, and reported already.
        data_kind: Class of the arguments of data.
        model_kind: Class of the arguments of the model.

    Raises:
        ConfigError: Listing everything that is wrong with them.
    """
    problems: list[Problem] = []
    data = reading.build(data_kind, problems)
    model = reading.build(model_kind, problems)
    training = reading.build(TaggingConfig, problems)
    if task and data and model and training and not reading.problems:
        try:
            return run(task, data, model, training)
        except ConfigError as error:
            problems += error.problems
    elif task:
        problems += run.contradictions(task, model_kind, model.facts if model else None, reading.values)
    reading.refuse(problems)
    raise AssertionError("a run that is refused has problems")


def _parser(kind: Kind, description: str | None) -> HfArgumentParser:
    parser = make_parser((DataConfig, kind, TaggingConfig), description)
    parser.add_argument("--task", choices=tuple(TASKS), help="What the tags are; most recipes know it.")
    return parser


def _of_other(kind: Kind, *, fixed: bool) -> Callable[[str], str]:
    """Return what to say of a name that only the other kind of model has."""
    other: Kind = ScratchConfig if kind is EncoderConfig else EncoderConfig
    names = {f.name for f in fields(other)} - {f.name for f in fields(kind)}
    what = f"is for {'pretrained encoders' if kind is ScratchConfig else 'taggers from scratch'}"
    if fixed:
        what += ", which this recipe does not train; leave it out"
    else:
        what += "; leave it out" if kind is ScratchConfig else f"; give model {SCRATCH} with it"
    return lambda name: what if name in names else ""


def _setting(name: str, value: Any) -> Setting:
    """Return a value of Python as a setting."""
    if isinstance(value, Task):
        value = value.name
    items = value if isinstance(value, list | tuple) else [getattr(value, "value", value)]
    texts = [json.dumps(item) if isinstance(item, bool | dict) else str(item) for item in items]
    return Setting(name, texts, is_list=isinstance(value, list | tuple))
