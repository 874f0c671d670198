"""Compares runs that exist: were they asked the same, what did each score and cost, and is a difference more than luck?

Seeds of a run are one row: its score is their mean. Folds are parts of one test: a seed counts when all its folds are
there, and their sentences stand one after another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from hf_tagging.comparison.runs import Run, check_same_data, read_run
from hf_tagging.errors import ConfigError
from hf_tagging.evaluation.statistics import (
    RESAMPLES,
    SentenceCounts,
    approximate_randomization,
    bootstrap_scores,
    interval,
    join_folds,
    sum_seeds,
)
from hf_tagging.tasks import get_task

Interval = tuple[float, float]


@dataclass(frozen=True)
class Cost:
    """What a run took: means over its seeds and folds, memory the most of any. None where it was not recorded."""

    parameters: int | None = None
    model_bytes: int | None = None
    training_seconds: float | None = None
    resumed: bool = False  # then the seconds are those since it was last resumed
    words_per_second: float | None = None
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    hardware: str = ""


@dataclass(frozen=True)
class Row:
    """A run over all its seeds.

    Args:
        name: Of the run.
        seeds: Those that are finished.
        problems: What is to be said of the others.
        failed: Whether any of them failed, rather than being unfinished.
        scores: One for each seed.
        score: Their mean.
        deviation: Their standard deviation (n - 1); None for one seed.
        interval: Bootstrap interval of the score.
        difference: What the score is above the reference's.
        difference_interval: Its bootstrap interval, sentences paired.
        p_value: Two-sided, of the difference.
        cost: What it took.
        curves: For each seed and fold, the evaluations while it was trained.
    """

    name: str
    seeds: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()
    failed: bool = False
    scores: tuple[float, ...] = ()
    score: float | None = None
    deviation: float | None = None
    interval: Interval | None = None
    difference: float | None = None
    difference_interval: Interval | None = None
    p_value: float | None = None
    cost: Cost = field(default_factory=Cost)
    curves: tuple[list[dict[str, Any]], ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Runs side by side; `rows` in the order in which they were given."""

    task: str | None  # None while no run is finished
    split: str
    reference: str
    rows: tuple[Row, ...]
    sentences: int = 0
    resamples: int = RESAMPLES
    level: float = 0.95

    @property
    def metric(self) -> str:
        """The name of the score."""
        return get_task(self.task).score_name if self.task else "score"


def compare_runs(
    runs: Mapping[str, Sequence[Path]],
    *,
    split: str = "test",
    reference: str | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    problems: Mapping[Path, str] | None = None,
) -> Comparison:
    """Compares runs over their seeds and folds with one of them.

    Args:
        runs: The folders of each run, by name.
        split: ``"test"`` or ``"validation"``.
        reference: The run to compare with; default: the first.
        resamples: Samples for the intervals, and swaps for the p-values.
        level: Of the intervals.
        seed: Of the resampling.
        problems: Why the runs in some of the folders failed.

    Raises:
        ConfigError: If there is no run `reference`, or two folders hold the same seed of a run.
        DataError: If two runs were not asked the same.
    """
    reference = next(iter(runs)) if reference is None else reference
    if reference not in runs:
        raise ConfigError(f"reference: {reference!r} is not one of the runs: {', '.join(runs)}.")
    failures = problems or {}
    read = {name: [read_run(folder, split, failures.get(folder)) for folder in dirs] for name, dirs in runs.items()}
    check_same_data([run for group in read.values() for run in group if run.counts], split)
    whole = {name: _whole_seeds(name, group) for name, group in read.items()}
    counts = {name: sum_seeds(list(seeds.values())) for name, seeds in whole.items() if seeds}
    figures = _resample(counts, reference, resamples, level, seed)
    rows = tuple(_row(name, read[name], whole[name], split, failures, figures.get(name, {})) for name in runs)
    first = next(iter(counts.values()), None)
    return Comparison(
        first.task.name if first else None, split, reference, rows, len(first) if first else 0, resamples, level
    )


def _whole_seeds(name: str, runs: Sequence[Run]) -> dict[int, SentenceCounts]:
    """The counts of each seed whose folds are all there, these joined."""
    seeds: dict[int, dict[int, tuple[Run, SentenceCounts]]] = defaultdict(dict)
    for run in runs:
        if run.counts is not None:
            same, _ = seeds[run.arguments["seed"]].setdefault(run.fold or 0, (run, run.counts))
            if same is not run:
                raise ConfigError(f"{same.folder} and {run.folder} are the same seed of {name}: give one of them.")
    whole = {}
    for seed, folds in sorted(seeds.items()):
        parts = [counts for _, (_, counts) in sorted(folds.items())]
        if len(parts) == (folds[min(folds)][0].arguments.get("folds") or 1):
            whole[seed] = join_folds(parts)
    return whole


def _resample(
    counts: dict[str, SentenceCounts], reference: str, resamples: int, level: float, seed: int
) -> dict[str, dict[str, Any]]:
    """The fields of each row that come of resampling; all runs are resampled together."""
    if not counts:
        return {}
    samples = dict(zip(counts, bootstrap_scores(list(counts.values()), resamples=resamples, seed=seed).T, strict=True))
    figures: dict[str, dict[str, Any]] = {name: {"interval": interval(s, level)} for name, s in samples.items()}
    for name in counts.keys() - {reference} if reference in counts else ():
        figures[name] |= {
            "difference": counts[name].score - counts[reference].score,
            "difference_interval": interval(samples[name] - samples[reference], level),
            "p_value": approximate_randomization(counts[name], counts[reference], resamples=resamples, seed=seed),
        }
    return figures


def _row(
    name: str,
    runs: Sequence[Run],
    seeds: dict[int, SentenceCounts],
    split: str,
    failures: Mapping[Path, str],
    figures: dict[str, Any],
) -> Row:
    finished = [run for run in runs if run.counts is not None]
    counted = [run for run in finished if run.arguments["seed"] in seeds]
    scores = tuple(counts.score for counts in seeds.values())
    problems = [f"{run.folder.name}: {run.problem}" for run in runs if run.problem]
    short = sorted({run.arguments["seed"] for run in finished} - seeds.keys())
    problems += [f"seed {seed}: not all folds are there" for seed in short]
    ended = [run for run in runs if run.problem and (run.is_damaged or run.record.get("status") == "finished")]
    return Row(
        name=name,
        seeds=tuple(seeds),
        problems=tuple(problems),
        failed=bool(ended) or any(run.folder in failures for run in runs),
        scores=scores,
        score=fmean(scores) if scores else None,
        deviation=stdev(scores) if len(scores) > 1 else None,
        cost=_cost(counted, split),
        curves=tuple(run.record.get("history") or [] for run in counted),
        **figures,
    )


def _cost(runs: Sequence[Run], split: str) -> Cost:
    """What the runs took. Of resumed ones the full time is not known: they count only where there are no others."""
    unbroken = [run for run in runs if not run.record.get("resumed_from")]
    memory = [_values(runs, "memory", device) for device in ("process", "gpu")]
    return Cost(
        parameters=_whole_mean(_values(runs, "parameters", "all")),
        model_bytes=_whole_mean(_values(runs, "model_bytes")),
        training_seconds=_mean(_values(unbroken or runs, "seconds", "training")),
        resumed=bool(runs) and not unbroken,
        words_per_second=_mean(_values(runs, "results", split, "words_per_second")),
        memory_bytes=max(memory[0], default=None),
        gpu_memory_bytes=max(memory[1], default=None),
        hardware="; ".join(dict.fromkeys(filter(None, map(describe_hardware, runs)))),
    )


def _values(runs: Sequence[Run], *path: str) -> list[Any]:
    """What stands at a place in the runs' records, where there is something."""
    found = []
    for run in runs:
        value: Any = run.record
        for key in path:
            value = (value or {}).get(key)
        found += [] if value is None else [value]
    return found


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _whole_mean(values: Sequence[float]) -> int | None:
    return round(fmean(values)) if values else None


def describe_hardware(run: Run) -> str:
    """A run's hardware in a few words, such as ``2 x NVIDIA H200`` or ``x86_64, 2 threads``."""
    hardware, processes = run.record.get("hardware") or {}, (run.record.get("hardware") or {}).get("processes") or 1
    gpus = Counter(map(str, (hardware.get("gpus") or [])[:processes]))
    if gpus and not run.arguments.get("use_cpu"):
        return ", ".join(f"{n} x {gpu}" if n > 1 else gpu for gpu, n in gpus.items())
    threads = hardware.get("threads")
    parts = [str(hardware.get("processor") or ""), f"{threads} thread{'s' * (threads != 1)}" if threads else ""]
    return ", ".join(filter(None, [*parts, f"{processes} processes" if processes > 1 else ""]))
