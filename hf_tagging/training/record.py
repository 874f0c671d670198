"""Shape of `run.json`: typed once here, and checked where it is read.

A record travels with its model, so it may come from an earlier version or from a stranger. Any key may be missing
(`total=False`), and everything in it is untrusted until `read_record` and `wrong_value` have accepted it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict, cast

from hf_tagging.atomic import inside
from hf_tagging.data.text_lines import shortened
from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import is_finite
from hf_tagging.tasks import TASKS

RECORD = "run.json"


class ArgumentsRecord(TypedDict, total=False):
    """Resolved arguments that later stages read by name; the file holds the others as well."""

    seed: int
    data_seed: int | None
    split_seed: int | None
    output_dir: str
    hub_model_id: str | None
    trust_remote_code: bool
    use_cpu: bool
    do_train: bool
    max_steps: int
    tokens_per_batch: int | str | None
    dataset: str | None
    dataset_config: str | None
    dataset_revision: str | None
    train_file: str | list[str] | None
    validation_file: str | list[str] | None
    test_file: str | list[str] | None
    also_test: str | list[str] | None
    validation_share: float | None
    test_share: float | None
    folds: int | None
    fold: int | None
    streaming: bool
    max_train_samples: int | None
    max_eval_samples: int | None
    model: str | None
    model_revision: str | None
    lora: bool
    lora_merge: bool
    encoder: str | None
    head: str | None
    characters: str | None
    word_features: list[str] | None
    word_vectors: str | None
    soup: list[str]
    trimmed: str
    case_dropout: float


class HardwareRecord(TypedDict, total=False):
    """Machine of a run."""

    machine: str
    processor: str
    cpus: int | None
    gpus: list[str]
    processes: int
    threads: int


class SplitRecord(TypedDict, total=False):
    """Size of a split and a fingerprint of its words and tags."""

    sentences: int
    words: int
    fingerprint: str


class RemarkRecord(TypedDict, total=False):
    """A remark about data, see `hf_tagging.data.notes.Remark`."""

    kind: str
    text: str
    severity: str
    count: int | None
    examples: list[str]


class DatasetRecord(TypedDict, total=False):
    """Data of a run.

    `reading` says how the files were read, as `hf_tagging.data.reading.ReadingReport` writes it; `findings` what was
    suspicious before training.

    `unseen_tags` counts, by split and tag, the words whose tag does not occur in the training split.
    """

    name: str | None
    splits: dict[str, SplitRecord]
    unseen_tags: dict[str, dict[str, int]]
    reading: dict[str, object]
    findings: list[RemarkRecord]


class SchemeRecord(TypedDict, total=False):
    """Scheme of the entity tags before and after conversion, and how many tags were repaired."""

    source: str
    target: str
    words: int
    repaired: int


class WordsRecord(TypedDict, total=False):
    """How the words of training were cut; see `hf_tagging.data.word_cut.WordCut`."""

    splitter: str | None
    shares: dict[str, float]
    given: bool


class AlignmentRecord(TypedDict, total=False):
    """Counts of `hf_tagging.data.alignment.AlignmentCounts` for one split."""

    sentences: int
    words: int
    windows: int
    windowed_sentences: int
    vanished_words: int
    shortened_words: int
    unknown_words: int
    unknown_examples: list[str]


class ParametersRecord(TypedDict, total=False):
    """Number of weights, and of those that were trained."""

    all: int
    trained: int


class VocabularyRecord(TypedDict, total=False):
    """Rows of an encoder's embedding matrix, and those that were trained, where they were not all."""

    rows: int
    trained: int


class SecondsRecord(TypedDict, total=False):
    """Wall time: of training since the run was last resumed, and of the whole command."""

    training: float
    all: float


class EnergyRecord(TypedDict, total=False):
    """Energy counters over training, or the power limit where the GPUs do not count."""

    processor_joules: float
    gpu_joules: float
    gpu_watts: float


class MemoryRecord(TypedDict, total=False):
    """Peak memory in bytes."""

    process: int
    gpu: int


class PartRecord(TypedDict, total=False):
    """A run of an average of runs; see `hf_tagging.soup.SoupPart`."""

    name: str
    validation: float
    averaged: bool
    seconds: float | None
    differs: dict[str, object]


class SoupRecord(TypedDict, total=False):
    """Average of the weights of runs; see `hf_tagging.soup.Soup`."""

    kind: str
    metric: str
    validation: dict[str, float]
    parts: list[PartRecord]


class SizeRecord(TypedDict, total=False):
    """Subwords of a tagger, and bytes of its weights; see `hf_tagging.inference.trimming.Size`."""

    subwords: int
    bytes: int


class AgreementRecord(TypedDict, total=False):
    """Tags of the same words before and after; see `hf_tagging.inference.trimming.Agreement`."""

    words: int
    equal: float
    score_difference: float
    before: float | None
    after: float | None


class TrimmedRecord(TypedDict, total=False):
    """Trimmed vocabulary; see `hf_tagging.trim.Trimmed`."""

    source: str
    before: SizeRecord
    after: SizeRecord
    used: int
    most_common: int
    metric: str
    agreement: dict[str, AgreementRecord]


class RulesRecord(TypedDict, total=False):
    """Rules beside the model, and what they change; see `hf_tagging.rule_effects.RuleEffects`."""

    rules: int
    split: str
    metric: str
    sentences: int
    changed: int
    before: float
    after: float


History = list[dict[str, float]]
"""The evaluations during training, in order: epoch, step, loss and figures."""


class RunRecord(TypedDict, total=False):
    """Content of `run.json`."""

    task: str
    status: str
    reason: str
    started: str
    finished: str
    command: list[str]
    arguments: ArgumentsRecord
    given: list[str]
    seed: int
    versions: dict[str, str]
    hardware: HardwareRecord
    git_revision: str | None
    dataset: DatasetRecord
    scheme: SchemeRecord
    words: WordsRecord
    alignment: dict[str, AlignmentRecord]
    parameters: ParametersRecord
    vocabulary: VocabularyRecord
    teacher: str
    parts: dict[str, object]
    context_subwords: int
    tokens_per_batch: int | None
    resumed_from: str | None
    seconds: SecondsRecord
    energy: EnergyRecord
    calibration: dict[str, float]
    memory: MemoryRecord
    own_code: bool
    model_bytes: int
    files: list[str]
    history: History
    soup: SoupRecord
    trimmed: TrimmedRecord
    rules: RulesRecord
    results: Results


def read_record(file: Path) -> tuple[RunRecord | None, str]:
    """Read a `run.json`.

    Args:
        file: The file; it need not exist.

    Returns:
        The record, and what is wrong with the file. Both are empty where there is no file.
    """
    if not file.exists():
        return None, ""
    if not file.is_file():  # reading a pipe would block
        return None, "is not a file"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None, "is damaged"
    if not _is_record(content):
        return None, "is damaged, or of another version"
    record = cast(RunRecord, content)
    # The file travels with the folder: others may have written it.
    if outside := [name for name in record["files"] if inside(file.parent, name) is None]:
        return None, f"is damaged: it lists {outside[0]!r}, which is not a file of this folder"
    return record, ""


def _is_record(content: object) -> bool:
    """Check the parts that a run itself reads before it resumes or replaces another."""
    if not isinstance(content, dict) or not {"task", "status", "arguments", "files"} <= content.keys():
        return False
    files = content["files"]
    if not (isinstance(files, list) and all(isinstance(name, str) for name in files)):
        return False
    hardware, dataset = content.get("hardware", {}), content.get("dataset", {})
    parts = (content["arguments"], content.get("versions", {}), hardware, dataset)
    return (
        all(isinstance(part, dict) for part in parts)
        and isinstance(dataset.get("splits", {}), dict)
        and type(hardware.get("processes", 1)) is int
        and type(content.get("tokens_per_batch")) in (int, type(None))
    )


def wrong_value(record: RunRecord) -> str:
    """Check the values that comparisons and reports read from a record.

    Args:
        record: The result of `read_record`.

    Returns:
        What is wrong with the first bad value; empty where all are good.
    """
    task: object = record["task"]
    if not isinstance(task, str):
        return f"is damaged: task is of type {type(task).__name__}; expected one of {', '.join(TASKS)}"
    if task not in TASKS:
        registered = f"is not one of {', '.join(TASKS)}; register it first, with hf_tagging.register_task()"
        return f"is of the task {shortened(task)}, which {registered}"
    for fits, kind, places in _VALUES:
        for place in places.split():
            *above, last = place.split(".")
            value: object = record
            for key in above:
                value = {} if value is None else value.get(key) if isinstance(value, Mapping) else value
            if value is None:
                continue
            if not isinstance(value, Mapping):
                return f"is damaged: {'.'.join(above)} is of type {type(value).__name__}; expected an object"
            if (found := value.get(last)) is not None and not fits(found):
                return f"is damaged: {place} is of type {type(found).__name__}; expected {kind}"
    return ""


def _is_history(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


# Any of these may be missing or null.
_VALUES: tuple[tuple[Callable[[object], bool], str, str], ...] = (
    (lambda value: type(value) is int, "a whole number",
     "arguments.seed arguments.fold arguments.folds context_subwords hardware.processes hardware.threads"),
    (is_finite, "a finite number",
     "parameters.all model_bytes seconds.training memory.process memory.gpu "
     "results.test.words_per_second results.validation.words_per_second results.also_test.words_per_second "
     "soup.validation.greedy soup.validation.uniform "
     "trimmed.before.subwords trimmed.before.bytes trimmed.after.subwords trimmed.after.bytes trimmed.used "
     "trimmed.most_common rules.rules rules.sentences rules.changed rules.before rules.after"),
    (lambda value: isinstance(value, str), "a string",
     "arguments.hub_model_id scheme.target trimmed.source rules.split rules.metric"),
    (lambda value: isinstance(value, list), "a list", "hardware.gpus"),
    (_is_history, "a list of objects", "history dataset.findings soup.parts"),
)  # fmt: skip
