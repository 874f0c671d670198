"""The best trials again, each with several seeds: a comparison on the validation split, and the test figures of one.

The comparison is an ordinary one: its file and those of the runs are left in the folder of the search, and
`recipes/compare.py` goes on with it as well.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml
from datasets import DatasetDict
from optuna.trial import FrozenTrial

from hf_tagging.atomic import whole_file
from hf_tagging.comparison.plan import read_plan
from hf_tagging.comparison.runner import carry_out
from hf_tagging.inference.evaluating import evaluate_tagger
from hf_tagging.search.study import SearchStudy
from hf_tagging.training.config import RunConfig
from hf_tagging.training.settings import Setting

FINALISTS = "finalists"
_PLAIN = re.compile(r"[A-Za-z0-9_./+-][\w./+-]*")
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True)
class Winner:
    """Trial that is the best, and the figures of its runs by seed.

    Args:
        trial: Of the study.
        validation: Figure of the validation split by seed; empty where it was not trained again.
        test: Figure of the test split by seed; empty without a test split, or where it was not trained again.
    """

    trial: FrozenTrial
    validation: dict[int, float]
    test: dict[int, float]


def find_winner(study: SearchStudy, *, parallel: int) -> Winner:
    """Train the best trials again with each seed, and return the best of them.

    Args:
        study: A study with a trial that was trained to its end.
        parallel: Runs at a time.

    Raises:
        OutputError: If their folder holds runs of other arguments.
    """
    options = study.search.options
    trials = study.best[: options.finalists]
    if not options.seeds:
        return Winner(trials[0], {}, {})
    plan = _write_plan(study, trials, parallel)
    comparison = carry_out(read_plan(plan))
    scores = {row.name: row for row in comparison.rows if row.score is not None}
    if not scores:
        return Winner(trials[0], {}, {})
    name = max(scores, key=lambda name: scores[name].score or 0.0)
    winner = next(trial for trial in trials if _name(trial) == name)
    validation = dict(zip(scores[name].seeds, scores[name].scores, strict=True))
    return Winner(winner, validation, _test_figures(study, winner, list(validation)))


def _name(trial: FrozenTrial) -> str:
    return f"trial-{trial.number}"


def _write_plan(study: SearchStudy, trials: Sequence[FrozenTrial], parallel: int) -> Path:
    """Write the comparison's file and those of its runs; return the former."""
    folder = study.folder / FINALISTS
    runs = []
    for trial in trials:
        config = folder / f"{_name(trial)}.yaml"
        settings = [s for s in study.search.run_settings(trial.params) if s.name not in ("seed", "also_test")]
        head = [f"Trial {trial.number} of {study.folder}: validation {study.search.metric} {trial.value:.4f}."]
        write_run(config, [*settings, Setting("do_predict", ["false"])], head)
        runs.append(f"  {_name(trial)}: {{config: {_scalar(str(config))}}}")
    plan = study.folder / f"{FINALISTS}.yaml"
    with whole_file(plan) as file:
        file.write(
            "# The best trials of a search, trained again with further seeds.\n"
            f"#   python recipes/compare.py --config {shlex.quote(str(plan))}\n"
            f"output_dir: {_scalar(str(folder))}\n"
            f"seeds: [{', '.join(map(str, study.search.options.seeds))}]\n"
            f"split: validation\nparallel: {parallel}\nruns:\n" + "\n".join(runs) + "\n"
        )
    return plan


def _test_figures(study: SearchStudy, trial: FrozenTrial, seeds: Sequence[int]) -> dict[int, float]:
    """Score the runs of the winner on the test split, unless the study has their figures."""
    kept = study.study.user_attrs.get("test", {})
    if kept.get("trial") == trial.number and set(kept["figures"]) == {str(seed) for seed in seeds}:
        return {int(seed): figure for seed, figure in kept["figures"].items()}
    config = study.search.config
    dataset = config.load_dataset()
    if "test" not in dataset:
        return {}
    test = dataset["test"]
    if config.data.max_eval_samples is not None:
        test = test.select(range(min(config.data.max_eval_samples, len(test))))
    folder = study.folder / FINALISTS / _name(trial)
    figures = {seed: _score(folder / f"seed-{seed}", DatasetDict(test=test), config) for seed in seeds}
    study.study.set_user_attr("test", {"trial": trial.number, "figures": figures})
    return figures


def _score(folder: Path, dataset: DatasetDict, config: RunConfig) -> float:
    found = evaluate_tagger(folder, dict(dataset), split="test", task=config.task, device=config.training.device)
    return cast(Mapping[str, float], found.figures)[config.task.headline]


def write_run(path: Path, settings: Iterable[Setting], head: Sequence[str]) -> None:
    """Write the YAML file of a run.

    Args:
        path: The file.
        settings: Arguments; the last one of a name counts.
        head: Comment, a line each.
    """
    lines = {setting.name: _line(setting) for setting in settings}
    with whole_file(path) as file:
        file.write("\n".join([*(f"# {line}" for line in head), *lines.values()]) + "\n")


def _line(setting: Setting) -> str:
    if setting.is_list or len(setting.values) > 1:
        return f"{setting.name}: [{', '.join(map(_scalar, setting.values))}]"
    text = setting.values[0] if setting.values else "true"  # a flag without a value
    return f"{setting.name}: {text if _is_mapping(text) else _scalar(text)}"


def _is_mapping(text: str) -> bool:
    """Return whether a value was a mapping, which settings hold as JSON."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _scalar(text: str) -> str:
    """Return a text as YAML; numbers and truth values are read as they are written, and need no quotes."""
    if _PLAIN.fullmatch(text) and text not in _NULLS:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', width=10**9, allow_unicode=True)
    return quoted.strip()
