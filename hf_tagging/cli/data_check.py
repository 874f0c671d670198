"""The data of configs that are validated: read from this machine and its cache, and checked as a run checks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from hf_tagging.cli.quiet import errors_only, quiet_libraries
from hf_tagging.comparison.plan import Job
from hf_tagging.console import working
from hf_tagging.data.hub_source import UnreachableData
from hf_tagging.data.reading import reading_report
from hf_tagging.hub import cache_only
from hf_tagging.inspection.checks import check_before_training
from hf_tagging.tasks import get_task
from hf_tagging.training.config import DataConfig, RunConfig


@dataclass(frozen=True)
class DataCheck:
    """What a check of the data of a config has found.

    Args:
        name: Of the data.
        read: Its splits with their sentences; None where it is not on this machine.
        suspicious: What a run will warn of.
    """

    name: str
    read: dict[str, int] | None
    suspicious: list[str]

    def lines(self) -> list[str]:
        """Return what to print, a line each."""
        if self.read is None:
            return [f"{self.name}: not looked at, it is on the Hub and not in the cache"]
        sizes = ", ".join(f"{split} {count:,}" for split, count in self.read.items())
        return [f"{self.name}: read, sentences of {sizes}", *(f"  suspicious: {text}" for text in self.suspicious)]


def check_data(config: RunConfig) -> DataCheck:
    """Read the data of a run and check it as the run would; the Hub is not asked.

    Args:
        config: All arguments of the run.

    Raises:
        DataError: If it cannot be read, or looks wrong.
    """
    quiet_libraries()
    try:
        with errors_only("hf_tagging"), cache_only(), working("Reading the data"):
            dataset = config.load_dataset()
            config.load_other_tags(dataset)
            found = check_before_training(
                dataset, config.task, place=config.dataset_name, accept=config.data.accept or ()
            )
    except UnreachableData:
        return DataCheck(config.dataset_name, None, [])
    report = reading_report(dataset)
    told = [remark for _, remark in report if remark.severity == "suspicious"] if report else []
    sizes = {str(split): len(rows) for split, rows in dataset.items()}
    return DataCheck(config.dataset_name, sizes, list(dict.fromkeys(map(str, (*told, *found)))))


def check_jobs(jobs: Iterable[Job]) -> list[DataCheck]:
    """Check the data of a comparison, each once.

    Args:
        jobs: Its processes.

    Raises:
        DataError: See `check_data`.
    """
    return [check_data(config) for config in _distinct(jobs)]


def _distinct(jobs: Iterable[Job]) -> Iterator[RunConfig]:
    """Yield a config for each kind of data that is read, whatever is trained on it."""
    names = {field.name for field in fields(DataConfig)} - {"max_length", "window_overlap", "scheme", "label_strategy"}
    seen: set[str] = set()
    for job in jobs:
        given = job.arguments if job.given is None else job.given
        values = {name: job.arguments[name] for name in names if name in given and name in job.arguments}
        task = get_task(str(job.arguments["task"]))
        config = RunConfig(task, DataConfig(**values))  # type: ignore[arg-type]  # as a config has checked them
        if (key := repr((task.name, sorted((n, v) for n, v in values.items() if n != "fold")))) not in seen:
            seen.add(key)
            yield config
