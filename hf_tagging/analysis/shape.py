"""Types of an analysis: plain numbers, texts and lists, which go into JSON as they are.

A part that cannot be computed holds `missing`, the reason, and nothing else.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from hf_tagging.training.record import History, RulesRecord

Span = tuple[int, int, str]
"""Start, end and tag of an entity or a word in its sentence; a list after JSON."""


class Estimate(TypedDict):
    """A figure with its 95 % interval; None where there are too few sentences for one."""

    name: str
    value: float
    low: float | None
    high: float | None


class TagRow(TypedDict):
    """Scores and counts of one tag or entity type; `cost` is the number of errors it takes part in."""

    tag: str
    precision: float
    recall: float
    f1: float
    gold: int
    predicted: int
    correct: int
    cost: int


class Confusion(TypedDict):
    """Confusion matrix of the costliest tags: gold in rows, predicted in columns."""

    tags: list[str]
    counts: list[list[int]]
    left_out: int


class GroupRow(Estimate):
    """Score of one part of a split, and how many items it has."""

    count: int


class Group(TypedDict, total=False):
    """Scores of a split by length, casing or what occurs in training."""

    missing: str
    title: str
    unit: str
    metric: str
    counted: str
    note: str | None
    rows: list[GroupRow]


class ErrorRow(TypedDict, total=False):
    """Count of one kind of error; `gold` and `predicted` are the entities it accounts for."""

    kind: str
    name: str
    count: int
    share: float
    gold: int
    predicted: int
    explain: str


class Error(TypedDict):
    """One error of a sentence; None where a side has no entity."""

    kind: str
    gold: Span | None
    predicted: Span | None


class Heat(TypedDict):
    """Contribution of every word of a sentence to one of its predicted tags: the probability lost without it."""

    word: int
    tag: str
    values: list[float]


class WrongSentence(TypedDict):
    """A sentence with errors; `number` counts from 1. Some have the reason of their first predicted error as `heat`."""

    number: int
    words: list[str]
    gold: list[Span]
    predicted: list[Span]
    errors: list[Error]
    heat: NotRequired[Heat]


class Examples(TypedDict):
    """Sentences with errors, and how many were left out for lack of room."""

    sentences: list[WrongSentence]
    left_out: int


class Bin(TypedDict):
    """One bin of the reliability diagram."""

    low: float
    high: float
    confidence: float
    accuracy: float
    words: int


class Calibration(TypedDict, total=False):
    """Reliability diagram and expected calibration error over words."""

    missing: str
    bins: list[Bin]
    ece: float
    words: int


class ThresholdRow(TypedDict):
    """What is kept of predicted items if those with a lower score are left out; recall is of all gold items."""

    threshold: float
    kept: int
    coverage: float
    precision: float | None
    recall: float | None


class Uncalibrated(TypedDict):
    """Expected calibration errors without the temperature that is folded into the model."""

    temperature: float
    words: float | None
    items: float | None


class Confidence(TypedDict, total=False):
    """Calibration of the scores of predicted entities, or else words, and what thresholds keep of them."""

    missing: str
    items: str
    count: int
    ece: float
    before: Uncalibrated | None
    rows: list[ThresholdRow]


class SuspectRow(TypedDict):
    """A word whose gold tag is likely wrong, with the words around it."""

    number: int
    word: int
    text: str
    gold: str
    predicted: str
    score: float
    context: list[str]
    at: int


class Suspects(TypedDict, total=False):
    """Likely annotation errors, the likeliest first."""

    missing: str
    rows: list[SuspectRow]
    method: str


class Analysis(TypedDict, total=False):
    """Everything that a report shows; `analyse` fills in all of it."""

    name: str
    task: str
    split: str
    scheme: str | None
    sentences: int
    words: int
    entities: int | None
    headline: list[Estimate]
    rules: RulesRecord | None
    tags: list[TagRow]
    confusion: Confusion
    history: History
    groups: list[Group]
    errors: list[ErrorRow]
    examples: Examples
    calibration: Calibration
    confidence: Confidence
    suspects: Suspects
