"""Plans of comparisons: one YAML file of recipes and their arguments, checked in full before anything runs.

A run is a recipe with arguments, repeated for every seed and fold; where it names none, `task` and `model` choose one
that ships. Its own arguments win over those of `arguments`, and those of the command line win over both; a null removes
one of `arguments`. All are passed as flags of the recipe, so they win over its `config`.
"""

from __future__ import annotations

import difflib
import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from hf_tagging.atomic import json_text
from hf_tagging.data.files import ALSO_TEST
from hf_tagging.data.splitting import CUTS
from hf_tagging.errors import ConfigError
from hf_tagging.problems import FLAGS, KEYS
from hf_tagging.secrets import by_environment
from hf_tagging.training.config import RunConfig
from hf_tagging.training.config.checks import near_path
from hf_tagging.training.config.kinds import ENCODER, SCRATCH, Trains, recipe_that_trains, what_it_trains
from hf_tagging.training.config.reading import KINDS, read_command_line
from hf_tagging.training.config.scratch import ScratchConfig
from hf_tagging.training.folder import RunFolder
from hf_tagging.training.resuming import FREE_ARGUMENTS
from hf_tagging.training.settings import OF_DATA, plain_name, read_flags, replaced_data
from hf_tagging.training.yaml_files import Plain, compose_yaml, plain_value

_TOP = ("output_dir", "seeds", "reference", "split", "launcher", "parallel", "folds", "arguments", "runs")
_SPLITS = ("test", "validation", ALSO_TEST)
_OURS = {  # arguments of a recipe that the plan sets itself, and where it says so
    "seed": "give seeds: [1, 2, 3]",
    "fold": "give folds: N beside runs",
    "folds": "give folds: N beside runs",
    "output_dir": "give output_dir beside runs",
    "resume": "every run is resumed anyway",
    "overwrite": "remove the run's folder instead",
    "resume_from_checkpoint": "every run is resumed anyway",
}
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclass(frozen=True)
class Job:
    """One process: a run with a seed and possibly a fold.

    Args:
        name: Name of the run.
        seed: Seed of the weights.
        fold: Fold that is the test set.
        folder: Folder of the run.
        command: Command line, without a token.
        arguments: Arguments as `run.json` will have them, except for defaults that follow from device and launcher.
        secrets: Additional environment variables of the process.
        given: Names of the arguments that the plan sets; None: all.
    """

    name: str
    seed: int
    fold: int | None
    folder: Path
    command: tuple[str, ...]
    arguments: Mapping[str, object]
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    given: frozenset[str] | None = None

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}" + ("" if self.fold is None else f", fold {self.fold}")

    @property
    def log(self) -> Path:
        """Log file of the process."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def finished(self) -> bool:
        """True if the run is finished."""
        return (RunFolder(self.folder).record() or {}).get("status") == "finished"

    def changes(self) -> list[str]:
        """Return the arguments of the run in the folder that differ from the plan.

        Only arguments that were given, then or now, are compared: defaults may follow from the device or the launcher
        of the run (bf16), which this process need not have.
        """
        record = RunFolder(self.folder).record() or {}
        there: Mapping[str, object] = record.get("arguments", {})
        given, before = self.arguments if self.given is None else self.given, record.get("given")
        before = before if isinstance(before, list) else []
        names = [n for n in self.arguments if n in there and n not in FREE_ARGUMENTS and there[n] != self.arguments[n]]
        names = [n for n in names if n in given or n in before]
        return [f"{name}: was {there[name]!r}, is {self.arguments[name]!r}" for name in sorted(names)]


@dataclass(frozen=True)
class Plan:
    """A comparison to run."""

    output_dir: Path
    split: str
    reference: str
    parallel: int
    jobs: tuple[Job, ...]

    @property
    def runs(self) -> dict[str, list[Path]]:
        """Folders of each run by name."""
        return {name: [job.folder for job in self.jobs if job.name == name] for name in dict.fromkeys(self._names)}

    @property
    def _names(self) -> list[str]:
        return [job.name for job in self.jobs]


def read_plan(path: Path, *, output_dir: Path | None = None, flags: Sequence[str] = ()) -> Plan:
    """Read the plan of a comparison and check every argument of every run.

    Args:
        path: A YAML file.
        output_dir: Output folder; wins over the one in the file.
        flags: Flags for every run; they win over the file.

    Raises:
        ConfigError: With all mistakes.
    """
    problems: list[str] = []
    given, common = _read_file(path, problems)
    for name in given.keys() - set(_TOP):
        problems.append(f"{path}: {name}: there is no such key{_near(name, _TOP)}")
    extra, wrong = read_flags(list(flags))
    problems += map(FLAGS.line, wrong)
    reader = _Reader(
        problems=problems,
        output_dir=output_dir or Path(_text(given, "output_dir", f"runs/{path.stem}", problems)),
        seeds=_whole_numbers("seeds", given.get("seeds", ["1"]), problems),
        folds=_number(given, "folds", None, 2, problems),
        launcher=_launcher(given.get("launcher"), problems),
        common=common,
        extra={flag.name: [*flag.values] for flag in extra},
    )
    jobs = reader.jobs(given.get("runs"))
    names = list(dict.fromkeys(name for name in _mapping("runs", given.get("runs"), [])))
    reference = _text(given, "reference", names[0] if names else "", problems)
    if names and reference not in names:
        problems.append(f"reference: {reference!r} is not one of the runs {', '.join(names)}{_near(reference, names)}")
    split = _text(given, "split", "test", problems)
    if split not in _SPLITS:
        problems.append(f"split: {split!r} is not one of {', '.join(_SPLITS)}{_near(split, _SPLITS)}")
    problems += _unscored(split, reader.parsed)
    parallel = _number(given, "parallel", 1, 1, problems) or 1
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(f"{count} with {path}:\n  " + "\n  ".join(problems) + "\nNothing was started.")
    return Plan(reader.output_dir, split, reference, parallel, tuple(jobs))


@dataclass
class _Reader:
    """Reader of the runs of a plan, which collects mistakes in `problems`."""

    problems: list[str]
    output_dir: Path
    seeds: list[int]
    folds: int | None
    launcher: list[str]
    common: dict[str, Plain]
    extra: dict[str, Plain]

    def __post_init__(self) -> None:
        self.parsed: dict[str, RunConfig] = {}  # of every run that could be read

    def jobs(self, runs: Plain) -> list[Job]:
        if not runs:
            self.problems.append("runs: there are none; give each as NAME: {task: pos, model: minilm, ...}")
        self._refuse("arguments", self.common)
        self._refuse("the command line", self.extra)
        jobs = [job for name, run in _mapping("runs", runs, self.problems).items() for job in self._run(name, run)]
        tasks = {name: parsed.task.name for name, parsed in self.parsed.items()}
        if len(set(tasks.values())) > 1:
            listed = ", ".join(f"{name} is {task}" for name, task in tasks.items())
            self.problems.append(f"runs: of different tasks cannot be compared: {listed}")
        return jobs

    def _run(self, name: str, run: Plain) -> list[Job]:
        place = f"runs.{name}"
        if not _NAME.fullmatch(name):
            self.problems.append(f"{place}: names a folder: begin with a letter or digit, go on with those, _ . + -")
        own = _arguments(place, run, self.problems)
        recipe, seeds = own.pop("recipe", None), own.pop("seeds", None)
        arguments = self._merge(place, own)
        self._refuse(place, own)
        chosen = self.seeds if seeds is None else _whole_numbers(f"{place}.seeds", seeds, self.problems)
        trains = self._trains(place, recipe, arguments)
        if trains is None:
            return []
        flags = [word for key, value in arguments.items() for word in (f"--{key}", *_words(value))]
        parsed = self._parse(place, trains, flags)
        if parsed is None:
            return []
        if any(getattr(parsed.data, cut) for cut in CUTS) and not parsed.given & {"split_seed", "data_seed"}:
            # Drawn with its own seed, every run would be tested on other sentences.
            flags += ["--split_seed", str(self.seeds[0] if self.seeds else 1)]
            parsed = self._parse(place, trains, flags) or parsed
        self.parsed[name] = parsed
        file = recipe if isinstance(recipe, str) else self._recipe(place, parsed)
        if file is None:
            return []
        return [self._job(name, file, seed, fold, flags, parsed) for seed in chosen for fold in self._folds]

    def _merge(self, place: str, own: dict[str, Plain]) -> dict[str, Plain]:
        """Return the arguments of a run: the common ones, its own over them, those of the command line over all."""
        given = [name for name, value in own.items() if value is not None]  # a null takes away its own name alone
        merged = replaced_data(self.common, given) | own
        merged = replaced_data(merged, self.extra) | self.extra
        arguments: dict[str, Plain] = {name: value for name, value in merged.items() if value is not None}
        files = sorted(arguments.keys() & {"validation_file", "test_file"})
        lost = sorted(OF_DATA & self.common.keys() - merged.keys())
        if files and lost and not arguments.keys() & {"train_file", "dataset"}:
            self.problems.append(
                f"{place}: {', '.join(files)}: a run with files of its own reads no other data, so {', '.join(lost)} "
                "of `arguments` would be ignored; give train_file too"
            )
        return arguments

    @property
    def _folds(self) -> list[int | None]:
        return [None] if self.folds is None else [*range(self.folds)]

    def _recipe(self, place: str, parsed: RunConfig) -> str | None:
        """Return the recipe that ships for a run which names its task alone."""
        kind = SCRATCH if isinstance(parsed.model, ScratchConfig) else ENCODER
        found = recipe_that_trains(parsed.task.name, kind)
        if found is None:
            self.problems.append(f"{place}: no recipe that ships trains {parsed.task.name}; give recipe: FILE.py")
            return None
        here = Path.cwd()
        return str(found.relative_to(here) if found.is_relative_to(here) else found)

    def _trains(self, place: str, recipe: Plain, arguments: Mapping[str, Plain]) -> Trains | None:
        if recipe is None and arguments.keys() & {"task", "config"}:
            return Trains(None, None)
        if not isinstance(recipe, str):
            self.problems.append(
                f"{place}: has no task; give task: pos or task: ner (and model: scratch for a tagger from scratch), or "
                "recipe: recipes/pos_baseline.py"
            )
            return None
        if not Path(recipe).is_file():
            self.problems.append(f"{place}.recipe: {recipe} is not there{near_path(Path(recipe))}")
            return None
        return what_it_trains(Path(recipe)) or Trains(None, None)  # its arguments say what it trains

    def _parse(self, place: str, trains: Trains, flags: list[str]) -> RunConfig | None:
        folds = [] if self.folds is None else ["--folds", str(self.folds), "--fold", "0"]
        kind = KINDS[trains.kind] if trains.kind else None
        try:
            return read_command_line(
                RunConfig,
                [*flags, *folds, "--resume"],
                task=trains.task,
                model=kind,
                description=None,
                spelling=KEYS,
            )
        except ConfigError as error:
            self.problems += [f"{place}: {KEYS.line(problem)}" for problem in error.problems]
            return None

    def _job(self, name: str, recipe: str, seed: int, fold: int | None, flags: Sequence[str], parsed: RunConfig) -> Job:
        folder = self.output_dir / name / (f"seed-{seed}" + ("" if fold is None else f"-fold-{fold}"))
        cut = [] if fold is None else ["--folds", str(self.folds), "--fold", str(fold)]
        ours = ["--seed", str(seed), *cut, "--output_dir", str(folder), "--resume"]
        arguments = json.loads(json_text(parsed.as_dict(), default=str)) | {"seed": seed, "fold": fold}
        words, secrets = by_environment([*flags, *ours])
        given = parsed.given | {"seed", "fold"}
        return Job(name, seed, fold, folder, (*self.launcher, recipe, *words), arguments, secrets, given)

    def _refuse(self, place: str, arguments: Iterable[str]) -> None:
        for name in arguments:
            if name in _OURS and (name not in ("fold", "folds") or self.folds is not None):
                self.problems.append(f"{place}: {name} is set for every run; {_OURS[name]}")


def _read_file(path: Path, problems: list[str]) -> tuple[dict[str, Plain], dict[str, Plain]]:
    """Return the file as strings, lists and mappings, with values as they are written, and its `arguments`."""
    node = compose_yaml(path, named_by="config")
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"--config {path}: expected output_dir, seeds, runs ...; see recipes/configs/compare.")
    _find_twins(node, path, problems)
    try:
        given = plain_value(node)
    except ConfigError as error:
        raise ConfigError(f"--config {path}, {error}") from error
    assert isinstance(given, dict)
    return given, _arguments("arguments", given.get("arguments"), problems)


def _find_twins(node: yaml.Node, path: Path, problems: list[str]) -> None:
    """Collect keys that occur twice in a mapping: YAML would take the last and drop the other."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                problems.append(f"{path}, line {key.start_mark.line + 1}: {key.value}: occurs twice")
            seen.add(str(key.value))
            _find_twins(value, path, problems)


def _mapping(place: str, value: Plain, problems: list[str]) -> dict[str, Plain]:
    if value is None or isinstance(value, dict):
        return dict(value or {})
    problems.append(f"{place}: expected lines of `name: value`, got {value!r}")
    return {}


def _arguments(place: str, value: Plain, problems: list[str]) -> dict[str, Plain]:
    """Return a mapping of arguments with underscores in their names: train-file is train_file."""
    given = _mapping(place, value, problems)
    named = {plain_name(name): content for name, content in given.items()}
    if len(named) < len(given):
        twice = [name for name in given if plain_name(name) != name and plain_name(name) in given]
        problems.append(f"{place}: {', '.join(twice)}: occurs twice, with a dash and without")
    return named


def _text(given: dict[str, Plain], name: str, default: str, problems: list[str]) -> str:
    value = given.get(name)
    if value is None or isinstance(value, str):
        return value or default
    problems.append(f"{name}: expected one word, got {value!r}")
    return default


def _number(given: dict[str, Plain], name: str, default: int | None, least: int, problems: list[str]) -> int | None:
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or not value.isdecimal() or int(value) < least:
        problems.append(f"{name}: {value!r} is not a whole number from {least} up")
        return default
    return int(value)


def _whole_numbers(place: str, value: Plain, problems: list[str]) -> list[int]:
    texts = value if isinstance(value, list) else [value]
    numbers = [int(text) for text in texts if isinstance(text, str) and text.isdecimal()]
    if not texts or len(numbers) < len(texts):
        problems.append(f"{place}: {value!r} is not a list of whole numbers, as [1, 2, 3]")
        return []
    if len(set(numbers)) < len(numbers):
        problems.append(f"{place}: a seed occurs twice")
    return list(dict.fromkeys(numbers))


def _launcher(value: Plain, problems: list[str]) -> list[str]:
    """Return the words before a recipe; the program is also searched for beside this Python."""
    if not value:
        return [sys.executable]
    words = [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
    if len(words) < len(value):
        problems.append(f"launcher: {value!r} is not a list of words, as [accelerate, launch]")
        return []
    beside = Path(sys.executable).parent / words[0]
    program = shutil.which(words[0]) or (str(beside) if beside.is_file() else None)
    if program is None:
        problems.append(f"launcher: there is no program {words[0]}")
    return [program or words[0], *words[1:]]


def _words(value: Plain) -> list[str]:
    """Return a value as words of a command line; a mapping becomes JSON."""
    return [v if isinstance(v, str) else json.dumps(v) for v in (value if isinstance(value, list) else [value])]


def _unscored(split: str, parsed: dict[str, RunConfig]) -> list[str]:
    """Return problems with runs that would write no predictions for the compared split."""
    flag = {"test": "do_predict", "validation": "do_eval"}.get(split, "do_predict")
    off = [name for name, arguments in parsed.items() if not getattr(arguments.training, flag)]
    problems = [f"runs.{name}: {flag} is false, so there would be nothing to compare on {split}" for name in off]
    without = [name for name, arguments in parsed.items() if split == ALSO_TEST and not arguments.data.also_test]
    return problems + [f"runs.{name}: {split} names no file, so there would be nothing to compare" for name in without]


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""
