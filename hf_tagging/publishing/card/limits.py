"""Limits of a model card: what the run left out, shortened or repaired, and what the report found.

A finding needs evidence: at least 30 words, entities or errors and, where two groups are compared, 95 % intervals that
do not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hf_tagging.analysis.shape import Analysis, Calibration, ErrorRow, Group, GroupRow, TagRow
from hf_tagging.data.word_cut import MIXED_BELOW
from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import is_finite
from hf_tagging.publishing import provenance
from hf_tagging.publishing.card.reading import suspicious
from hf_tagging.tasks import POS, get_task
from hf_tagging.training.record import AlignmentRecord, RunRecord, WordsRecord

_ENOUGH = 30  # words, entities or errors
_WORST_TAGS = 3


@dataclass(frozen=True)
class Repaired:
    """Tags that were invalid in a scheme and were repaired."""

    scheme: str | None
    count: int
    words: int | None


@dataclass(frozen=True)
class ChangedSplit:
    """Sentences and words that alignment cut or replaced."""

    name: str
    is_scored: bool
    counts: list[tuple[str, int]]


@dataclass(frozen=True)
class LimitsView:
    """Limits to know before using the model."""

    partial: list[tuple[str, str, int]]
    changed: list[ChangedSplit]
    unchanged: list[str]
    word_features: list[str]
    repaired: Repaired | None
    unseen_tags: list[tuple[str, int]]
    suspicious: list[str]
    other_words: tuple[str, str] | None
    is_bioes: bool
    is_conll_pos: bool
    is_sample: bool


class Bound(NamedTuple):
    """A group's score with its interval."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class WeakGroup:
    """Worst and best part of a group, whose intervals do not overlap."""

    title: str
    unit: str | None
    metric: str | None
    worst: Bound
    best: Bound


@dataclass(frozen=True)
class FrequentError:
    """Kind of most errors."""

    name: str
    count: int
    total: int
    explain: str

    @property
    def share(self) -> float:
        """Its share of all errors."""
        return self.count / self.total


class Miscalibration(NamedTuple):
    """Expected calibration error, with mean score and accuracy."""

    error: float
    words: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class FindingsView:
    """Findings of the report."""

    split: str
    classes: str
    costly: list[TagRow]
    frequent: FrequentError | None
    weak: list[WeakGroup]
    calibration: Miscalibration | None


def limits_view(record: RunRecord, results: Results) -> LimitsView:
    """Return the limits that follow from the record of a run.

    Args:
        record: Record of the run, with `task` and `arguments`.
        results: Figures by split.
    """
    trained, splits = provenance.trained(record), provenance.splits(record, results)
    limits = {
        ("training", "max_train_samples"): provenance.limit(record, "max_train_samples") if trained else None,
        ("evaluation", "max_eval_samples"): provenance.limit(record, "max_eval_samples"),
    }
    changed, unchanged = _aligned(record.get("alignment") or {}, results)
    scheme, unseen = record.get("scheme") or {}, (record.get("dataset") or {}).get("unseen_tags") or {}
    count = scheme.get("repaired")
    return LimitsView(
        partial=[(use, key, limit) for (use, key), limit in limits.items() if limit],
        changed=changed,
        unchanged=unchanged,
        word_features=record["arguments"].get("word_features") or [],
        repaired=Repaired(scheme.get("source"), count, scheme.get("words")) if count else None,
        unseen_tags=[(split, sum(tags.values())) for split, tags in unseen.items() if tags] if trained else [],
        suspicious=suspicious(record),
        other_words=_other_words(record.get("words") or {}) if trained else None,
        is_bioes=scheme.get("target") == "BIOES",
        is_conll_pos=get_task(record["task"]) == POS and provenance.is_conll2003(record, splits),
        is_sample=provenance.is_sample(record, splits),
    )


def _other_words(words: WordsRecord) -> tuple[str, str] | None:
    """Return the splitter of text, and the share of training words that it gives back, where these are few."""
    name, shares = words.get("splitter"), words.get("shares") or {}
    share = shares.get(name) if isinstance(name, str) and isinstance(shares, dict) else None
    return (str(name), f"{share:.0%}") if is_finite(share) and share < MIXED_BELOW else None


def _aligned(alignment: dict[str, AlignmentRecord], results: Results) -> tuple[list[ChangedSplit], list[str]]:
    """Return the splits that alignment changed, and the names of those known to be unchanged."""
    changed, unchanged = [], []
    for split, counts in alignment.items():
        named = {
            "sentences longer than a window, read in overlapping windows": counts.get("windowed_sentences"),
            "words without subwords, read as the unknown token": counts.get("vanished_words"),
            "words longer than a window, cut to their beginning": counts.get("shortened_words"),
            "words that the tokenizer does not know at all, read as the unknown token": counts.get("unknown_words", 0),
        }
        if found := [(what, count) for what, count in named.items() if count]:
            changed.append(ChangedSplit(split, split in results, found))
        elif all(count == 0 for count in named.values()):
            unchanged.append(split)
    return changed, unchanged


def findings_view(analysis: Analysis | None) -> FindingsView | None:
    """Return the findings of a report; None where there are none.

    Args:
        analysis: Analysis of the model's predictions; any key may be missing or None.
    """
    if not analysis:
        return None
    rows = [row for row in analysis.get("tags") or [] if row.get("cost") and (row.get("gold") or 0) >= _ENOUGH]
    view = FindingsView(
        split=analysis.get("split") or "evaluated",
        classes=get_task(analysis["task"]).classes.capitalize() if analysis.get("task") else "Tags",
        costly=sorted(rows, key=lambda row: -row["cost"])[:_WORST_TAGS],
        frequent=_frequent_error(analysis.get("errors") or []),
        weak=[found for group in analysis.get("groups") or [] if (found := _weak_group(group))],
        calibration=_miscalibration(analysis.get("calibration") or {}),
    )
    return view if view.costly or view.frequent or view.weak or view.calibration else None


def _frequent_error(errors: Sequence[ErrorRow]) -> FrequentError | None:
    """Return the kind of most errors; None where there is only one kind, or too few errors."""
    total = sum(error.get("count") or 0 for error in errors)
    if len(errors) < 2 or total < _ENOUGH:
        return None
    most = max(errors, key=lambda error: error.get("count") or 0)
    return FrequentError(
        most.get("name") or most.get("kind") or "", most.get("count") or 0, total, most.get("explain") or ""
    )


def _weak_group(group: Group) -> WeakGroup | None:
    """Return the worst and the best part of a group if they differ by more than chance."""
    rows = [r for r in group.get("rows") or [] if is_finite(r.get("value")) and (r.get("count") or 0) >= _ENOUGH]
    if len(rows) < 2:
        return None
    worst, best = (_bound(edge(rows, key=lambda row: row["value"])) for edge in (min, max))
    if worst is None or best is None or worst.value >= best.value or worst.high >= best.low:
        return None
    is_numbered = any(character.isdigit() for character in worst.name)
    unit = group.get("unit") if is_numbered else None
    return WeakGroup(group.get("title") or "", unit, group.get("metric"), worst, best)


def _bound(row: GroupRow) -> Bound | None:
    """Return a row with its interval; None where it has none."""
    low, high = row.get("low"), row.get("high")
    if not (is_finite(low) and is_finite(high)):
        return None
    return Bound(str(row.get("name")), float(row["value"]), float(low), float(high))


def _miscalibration(calibration: Calibration) -> Miscalibration | None:
    bins = [bin_ for bin_ in calibration.get("bins") or [] if bin_.get("words")]
    words, error = sum(bin_["words"] for bin_ in bins), calibration.get("ece")
    if not is_finite(error) or words < _ENOUGH:
        return None
    confidence = sum(bin_["confidence"] * bin_["words"] for bin_ in bins) / words
    accuracy = sum(bin_["accuracy"] * bin_["words"] for bin_ in bins) / words
    return Miscalibration(float(error), words, confidence, accuracy)
