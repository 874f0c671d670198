"""File of a search: the arguments of a run, and a section `search` with the space and how it is searched.

Everything is checked before anything is loaded: each value of a list and of a short range in steps, and both ends of
other ranges, is given to the config of a run, with the first values of all other parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from hf_tagging.data.splitting import CUTS
from hf_tagging.errors import ConfigError, Problem
from hf_tagging.problems import FLAGS, KEYS, spelled
from hf_tagging.search.space import Parameter, Space, Value, read_parameter, values_to_check
from hf_tagging.training.config import RunConfig
from hf_tagging.training.config.checks import did_you_mean
from hf_tagging.training.config.reading import read_given
from hf_tagging.training.settings import Setting, over, read_flags, read_yaml
from hf_tagging.training.yaml_files import Plain, compose_yaml, plain_value

SECTION = "search"
SAMPLERS = ("tpe", "random")
PRUNERS = ("median", "halving", "none")
# Arguments of a run that a search sets itself or has no use for.
_REFUSED = {
    "resume": "every trial is resumed anyway",
    "overwrite": "remove the folder of the search instead",
    "resume_from_checkpoint": "every trial is resumed anyway",
    "metric_for_best_model": "trials are compared by the headline figure of the task",
    "push_to_hub": "push the best run, when it is found",
    "do_train": "a trial trains",
    "do_eval": "the best trials are compared on the validation split",
}
_OF_TEST = ("also_test", "do_predict")  # trials see nothing of the test split
_FOR_TRIALS = {"resume": "true", "disable_tqdm": "true", "do_predict": "false"}


@dataclass(frozen=True)
class Options:
    """Section `search` of the file, without the space.

    Args:
        trials: Number of trials, those that were stopped early or have failed among them.
        sampler: Choice of the next values: `tpe` (tree-structured Parzen estimators) or `random`.
        pruner: When a trial is stopped early: `median` (below the median of earlier trials after as many epochs),
            `halving` (not among the best third after 1, 3, 9, ... times as many epochs) or `none`.
        grace_epochs: Epochs that every trial gets.
        sampler_seed: Seed of the sampler.
        finalists: Number of the best trials that are trained again.
        seeds: Seeds that they are trained with; none: the best trial is taken as it is.
    """

    trials: int = 20
    sampler: str = "tpe"
    pruner: str = "median"
    grace_epochs: int = 1
    sampler_seed: int = 0
    finalists: int = 1
    seeds: tuple[int, ...] = (1, 2, 3)


@dataclass(frozen=True)
class Search:
    """A search as its file and flags ask for it.

    Args:
        path: The file.
        output_dir: Folder of the search.
        options: How it is searched.
        space: Parameters by name.
        settings: Arguments of every run.
        config: A run with the first value of each parameter.
    """

    path: Path
    output_dir: Path
    options: Options
    space: Space
    settings: tuple[Setting, ...]
    config: RunConfig = field(repr=False)

    @property
    def metric(self) -> str:
        """Figure of the validation split that is searched for."""
        return self.config.task.headline

    def run_settings(self, values: Mapping[str, Value]) -> list[Setting]:
        """Return the arguments of a run with some values, as they would be written in its file."""
        return [*self.settings, *_chosen(self.space, values), *_split_seed(self.config)]

    def trial(self, values: Mapping[str, Value], folder: Path) -> RunConfig:
        """Return the run of a trial, which sees nothing of the test split.

        Args:
            values: Of all parameters.
            folder: Of the run.

        Raises:
            ConfigError: If the values do not go together.
        """
        settings = [s for s in self.run_settings(values) if s.name not in _OF_TEST]
        ours = {**_FOR_TRIALS, "output_dir": str(folder)}
        return read_given(RunConfig, [*settings, *(Setting(name, [text]) for name, text in ours.items())])


def read_search(path: Path, *, output_dir: Path | None = None, flags: Sequence[str] = ()) -> Search:
    """Read a search, and check its space with the config of a run.

    Args:
        path: A YAML file.
        output_dir: Folder of the search; wins over the one in the file.
        flags: Arguments of every run; they win over the file.

    Raises:
        ConfigError: With all mistakes.
    """
    with spelled(KEYS):
        written, problems = read_yaml(path, named_by="config")
    given, wrong = read_flags(list(flags))
    problems += wrong
    settings = over([s for s in written if s.name != SECTION], given)
    section = {} if problems else _section(path, problems)
    options, space = _read_options(section, path, problems), _read_space(section, path, problems)
    for setting in settings:
        if setting.name in _REFUSED:
            problems.append(setting.problem(f"{_REFUSED[setting.name]}; leave it out"))
        if setting.name in space:
            where = space[setting.name].place
            problems.append(setting.problem(f"is given, and searched in {where}; leave one of them out"))
    folders = [setting for setting in settings if setting.name == "output_dir"]
    folder = output_dir or Path(folders[-1].values[0] if folders else f"runs/search-{path.stem}")
    settings = [setting for setting in settings if setting.name != "output_dir"]
    config = None if problems else _checked(settings, space, problems)
    if config is None or problems:
        with spelled(FLAGS if flags else KEYS):
            raise ConfigError(_different(problems), where=str(path), advice="Nothing was started.")
    return Search(path, folder, options, space, tuple(settings), config)


def _different(problems: Iterable[Problem]) -> list[Problem]:
    kept: list[Problem] = []
    for problem in problems:
        kept += [] if problem in kept else [problem]
    return kept


def _chosen(space: Space, values: Mapping[str, Value]) -> list[Setting]:
    return [setting for name, value in values.items() if (setting := space[name].setting(value))]


def _split_seed(config: RunConfig) -> list[Setting]:
    """Return a seed for what is drawn from the training data: trained with other seeds, a run keeps its split."""
    drawn = any(getattr(config.data, cut) for cut in CUTS)
    return [Setting("split_seed", [str(config.split_seed)])] if drawn and config.data.split_seed is None else []


def _section(path: Path, problems: list[Problem]) -> dict[str, tuple[yaml.Node, str]]:
    """Return the keys of the section `search`, each with its value and place."""
    root = compose_yaml(path, named_by="config")
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    node = next((value for key, value in pairs if key.value == SECTION), None)
    if not isinstance(node, yaml.MappingNode):
        fix = "give search: with trials and a space below it, as recipes/configs/search/quickstart.yaml"
        problems.append(Problem(SECTION, None, "is missing" if node is None else "is not a mapping", fix))
        return {}
    return _keys(node, path, problems)


def _keys(node: yaml.MappingNode, path: Path, problems: list[Problem]) -> dict[str, tuple[yaml.Node, str]]:
    found: dict[str, tuple[yaml.Node, str]] = {}
    for key, value in node.value:
        place = f"{path}, line {key.start_mark.line + 1}"
        name = str(key.value).replace("-", "_")
        if name in found:
            problems.append(Problem(name, None, "occurs twice", place=place))
        found[name] = value, place
    return found


def _read_options(section: Mapping[str, tuple[yaml.Node, str]], path: Path, problems: list[Problem]) -> Options:
    known = [*(f.name for f in fields(Options)), "space"]
    values: dict[str, object] = {}
    for name, (node, place) in section.items():
        if name not in known:
            problems.append(Problem(name, None, f"there is no such key{did_you_mean(name, known)}", place=place))
            continue
        written = None if name == "space" else plain_value(node)
        if written is None:
            continue
        if (value := _option(name, written)) is None:
            problems.append(Problem(name, written, f"{written!r} is not {_EXPECTED[name]}", place=place))
        else:
            values[name] = value
    return Options(**values)  # type: ignore[arg-type]  # each was converted by `_option`


_EXPECTED = {
    "trials": "a whole number from 1 up",
    "finalists": "a whole number from 1 up",
    "grace_epochs": "a whole number from 1 up",
    "sampler_seed": "a whole number from 0 up",
    "seeds": "a list of different whole numbers, as [1, 2, 3]",
    "sampler": f"one of {', '.join(SAMPLERS)}",
    "pruner": f"one of {', '.join(PRUNERS)}",
}


def _option(name: str, written: Plain) -> object:
    """Return the value of a key of the section; None where it is not what is expected."""
    if name in ("sampler", "pruner"):
        return written if written in (SAMPLERS if name == "sampler" else PRUNERS) else None
    if name == "seeds":
        texts = written if isinstance(written, list) else [written]
        seeds = [int(text) for text in texts if isinstance(text, str) and text.isdecimal()]
        return tuple(seeds) if len(set(seeds)) == len(texts) else None
    if not isinstance(written, str) or not written.isdecimal():
        return None
    return int(written) if int(written) >= (name != "sampler_seed") else None


def _read_space(
    section: Mapping[str, tuple[yaml.Node, str]], path: Path, problems: list[Problem]
) -> dict[str, Parameter]:
    node, place = section.get("space", (None, str(path)))
    if not isinstance(node, yaml.MappingNode) or not node.value:
        if section:
            fix = "give lines such as `learning_rate: {low: 1e-5, high: 1e-3, log: true}`"
            problems.append(Problem("search.space", None, "has no argument", fix, place=place))
        return {}
    space: dict[str, Parameter] = {}
    for name, (value, line) in _keys(node, path, problems).items():
        try:
            found = read_parameter(name, plain_value(value), line)
        except ConfigError as error:
            found = Problem("", None, f"{path}, {error}")
        if isinstance(found, Problem):
            problems.append(found)
        else:
            space[name] = found
    return space


def _checked(settings: list[Setting], space: Space, problems: list[Problem]) -> RunConfig | None:
    """Return a run with the first values of the space; what its config says against any is added to the problems."""
    first: RunConfig | None = None
    for values in values_to_check(space):
        try:
            config = read_given(RunConfig, [*settings, *_chosen(space, values)])
            first = first or config
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            if first is None:
                return None
    if first is not None and str(getattr(first.training.eval_strategy, "value", "")) == "no":
        problems.append(Problem("eval_strategy", "no", "trials are compared by evaluations", "leave it out"))
    return first
