"""Comparison of existing runs: same data, scores, cost, and significance of differences.

Seeds of a run are one row, whose score is their mean. Folds are parts of one test set: a seed counts when all its folds
are there, and their sentences are joined.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TypedDict

from hf_tagging.comparison.result import Comparison, Cost, Interval, Row
from hf_tagging.comparison.runs import Run, check_same_data, find_runs, name_of, read_run
from hf_tagging.data.files import tagged_split
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


def compare_runs(
    runs: Mapping[str, Sequence[str | Path]] | Sequence[str | Path] | str | Path,
    *,
    split: str = "test",
    reference: str | Path | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    problems: Mapping[Path, str] | None = None,
) -> Comparison:
    """Compare finished runs: scores over seeds and folds, intervals, differences and cost.

        compare_runs(["runs/ner-bert", "runs/ner-lstm"])

    Args:
        runs: Output folders of runs, or folders of such folders: runs that differ in seed or fold alone become one
            row. Or a mapping of names to the folders of each run.
        split: "test", "validation" or "also_test" (the other tags of the test split).
        reference: Name or folder of the run to compare with. Default: the first.
        resamples: Number of bootstrap samples for the intervals, and of permutations for the p-values.
        level: Confidence level of the intervals.
        seed: Seed of the resampling.
        problems: Reasons why the runs in some folders failed, if known.

    Returns:
        The comparison; `print` it, or show it in Jupyter.

    Raises:
        ConfigError: If there are no runs, a folder holds none, `reference` is not one of the runs, or two folders hold
            the same seed of a run.
        DataError: If two runs were scored on different words or gold tags.
    """
    named = _named(runs)
    if not named:
        raise ConfigError("runs: there are none to compare; give the folders of finished runs.")
    chosen = _reference(reference, named)
    failures = problems or {}
    read = {name: [read_run(folder, split, failures.get(folder)) for folder in dirs] for name, dirs in named.items()}
    check_same_data([run for group in read.values() for run in group if run.counts], split)
    whole = {name: _whole_seeds(name, group) for name, group in read.items()}
    counts = {name: sum_seeds(list(seeds.values())) for name, seeds in whole.items() if seeds}
    samples = _resample(counts, chosen, resamples, level, seed)
    rows = tuple(_row(name, read[name], whole[name], split, failures, samples.get(name)) for name in named)
    first = next(iter(counts.values()), None)
    return Comparison(
        task=first.task.name if first else None,
        split=split,
        reference=chosen,
        rows=rows,
        sentences=len(first) if first else 0,
        resamples=resamples,
        level=level,
    )


def _named(runs: Mapping[str, Sequence[str | Path]] | Sequence[str | Path] | str | Path) -> dict[str, list[Path]]:
    if isinstance(runs, Mapping):
        return {name: list(map(Path, folders)) for name, folders in runs.items()}
    return find_runs([Path(folder) for folder in ([runs] if isinstance(runs, str | Path) else runs)])


def _reference(reference: str | Path | None, runs: Mapping[str, Sequence[Path]]) -> str:
    """Return the name of the run to compare with."""
    if reference is None:
        return next(iter(runs))
    return reference if isinstance(reference, str) and reference in runs else name_of(Path(reference), runs)


def _whole_seeds(name: str, runs: Sequence[Run]) -> dict[int, SentenceCounts]:
    """Return the counts of each seed that has all its folds, with the folds joined."""
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


class _Resampled(TypedDict, total=False):
    """Fields of a row that come from resampling."""

    interval: Interval
    difference: float
    difference_interval: Interval
    p_value: float


def _resample(
    counts: dict[str, SentenceCounts], reference: str, resamples: int, level: float, seed: int
) -> dict[str, _Resampled]:
    """Return the resampled fields of each row; all runs share the same samples of sentences."""
    if not counts:
        return {}
    samples = dict(zip(counts, bootstrap_scores(list(counts.values()), resamples=resamples, seed=seed).T, strict=True))
    found: dict[str, _Resampled] = {name: {"interval": interval(s, level)} for name, s in samples.items()}
    for name in counts.keys() - {reference} if reference in counts else ():
        found[name]["difference"] = counts[name].score - counts[reference].score
        found[name]["difference_interval"] = interval(samples[name] - samples[reference], level)
        found[name]["p_value"] = approximate_randomization(
            counts[name], counts[reference], resamples=resamples, seed=seed
        )
    return found


def _row(
    name: str,
    runs: Sequence[Run],
    seeds: dict[int, SentenceCounts],
    split: str,
    failures: Mapping[Path, str],
    resampled: _Resampled | None,
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
        **(resampled or {}),
    )


def _cost(runs: Sequence[Run], split: str) -> Cost:
    """Return the cost of a run. Resumed seeds, whose full time is unknown, count only where there are no others."""
    records = [run.record for run in runs]
    unbroken = [record for record in records if not record.get("resumed_from")]
    memory = [record.get("memory") or {} for record in records]
    results = [record.get("results") or {} for record in records]
    speed = [(figures.get(tagged_split(split)) or {}).get("words_per_second") for figures in results]
    return Cost(
        parameters=_whole_mean((record.get("parameters") or {}).get("all") for record in records),
        model_bytes=_whole_mean(record.get("model_bytes") for record in records),
        training_seconds=_mean((record.get("seconds") or {}).get("training") for record in unbroken or records),
        resumed=bool(records) and not unbroken,
        words_per_second=_mean(speed),
        memory_bytes=max((m["process"] for m in memory if m.get("process") is not None), default=None),
        gpu_memory_bytes=max((m["gpu"] for m in memory if m.get("gpu") is not None), default=None),
        hardware="; ".join(dict.fromkeys(filter(None, map(describe_hardware, runs)))),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _whole_mean(values: Iterable[float | None]) -> int | None:
    mean = _mean(values)
    return None if mean is None else round(mean)


def describe_hardware(run: Run) -> str:
    """Return the hardware of a run in a few words, such as ``2 x NVIDIA H200`` or ``x86_64, 2 threads``."""
    hardware, processes = run.record.get("hardware") or {}, (run.record.get("hardware") or {}).get("processes") or 1
    gpus = Counter(map(str, (hardware.get("gpus") or [])[:processes]))
    if gpus and not run.arguments.get("use_cpu"):
        return ", ".join(f"{n} x {gpu}" if n > 1 else gpu for gpu, n in gpus.items())
    threads = hardware.get("threads")
    parts = [str(hardware.get("processor") or ""), f"{threads} thread{'s' * (threads != 1)}" if threads else ""]
    return ", ".join(filter(None, [*parts, f"{processes} processes" if processes > 1 else ""]))
