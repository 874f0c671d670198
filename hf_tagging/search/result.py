"""Result of a search: its trials, the best of them, and how much each parameter mattered."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from hf_tagging.search.space import Value


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Args:
        number: Number of the trial, from 0.
        state: "finished", "stopped early" or "failed".
        value: Figure of the validation split; of one that was stopped early, the last.
        epoch: Epoch of that figure.
        seconds: Wall time.
        reason: Why it was stopped early or has failed.
        values: Value of each parameter, as it is shown.
        raw: The same as the study keeps them.
    """

    number: int
    state: str
    value: float | None
    epoch: float | None
    seconds: float | None
    reason: str
    values: dict[str, str]
    raw: dict[str, Value]


@dataclass(frozen=True)
class SearchResult:
    """A search that is finished.

    Args:
        task: Name of the task.
        metric: Figure that was searched for.
        metric_name: How it is called in tables.
        space: Parameters as they are written.
        trials: By number.
        best: Number of the best trial.
        validation: Figure of the validation split by seed, where the best trial was trained again.
        test: Figure of the test split, likewise.
        importances: Share of each parameter in what differs between trials, the largest first.
    """

    task: str
    metric: str
    metric_name: str
    space: dict[str, str]
    trials: tuple[TrialResult, ...]
    best: int
    validation: dict[int, float]
    test: dict[int, float]
    importances: dict[str, float]

    def as_dict(self) -> dict[str, object]:
        """Return everything, for JSON."""
        return asdict(self)
