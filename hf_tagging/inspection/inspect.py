"""Inspection of a dataset: how it was read, what is in it, and what is wrong, suspicious or worth knowing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from hf_tagging.data.in_memory import InMemory
from hf_tagging.data.inventory import inventory
from hf_tagging.data.loading import load_tagging_dataset
from hf_tagging.data.notes import Remark, Severity
from hf_tagging.data.origin import origin_of
from hf_tagging.data.prefixes import are_entities
from hf_tagging.data.reading import ReadingReport, reading_report
from hf_tagging.errors import ConfigError
from hf_tagging.inspection.checks import FURTHER, QUICK, accepted, ranked, run_checks, without_told
from hf_tagging.inspection.contents import ShownSentence, SplitContents, contents, first_sentences
from hf_tagging.inspection.corpus import Corpus
from hf_tagging.inspection.fit import Reader, model_fit
from hf_tagging.inspection.html import inspection_html
from hf_tagging.tasks import NER, POS, TASKS, Task, get_task


@dataclass(frozen=True)
class Inspection:
    """What was found in a dataset, without training.

    Args:
        task: Name of the task.
        scheme: Scheme of the entity tags; "plain" for a task without entities.
        splits: What each split holds.
        remarks: All of them, from wrong to worth knowing.
        sentences: The first ones of each split.
        reading: How the files were read; None for data that was not loaded from any.
        model: Name of the model that words were held against, if one was given.
        window: Subwords of its window.
    """

    task: str
    scheme: str
    splits: dict[str, SplitContents]
    remarks: list[Remark]
    sentences: list[ShownSentence]
    reading: ReadingReport | None = None
    model: str | None = None
    window: int | None = None

    def of_severity(self, severity: Severity) -> list[Remark]:
        """Return the remarks that are "wrong", "suspicious" or a "note"."""
        return [remark for remark in self.remarks if remark.severity == severity]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return asdict(self) | {"reading": self.reading.as_dict() if self.reading else None}

    def __str__(self) -> str:
        lines = [f"{self.task}, {self.scheme}"]
        for name, split in self.splits.items():
            lines.append(f"{name}: {split.sentences:,} sentences, {split.words:,} words, {split.frequent(8)}")
        return "\n".join([*lines, *(f"{remark.severity}: {remark}" for remark in self.remarks)])

    def _repr_html_(self) -> str:
        return inspection_html(self.splits, self.sentences, self.remarks, self.reading)


def inspect_dataset(
    dataset: InMemory | DatasetDict | str | Path,
    model: str | None = None,
    *,
    task: str | Task | None = None,
    sentences: int = 3,
    model_revision: str | None = None,
    trust_remote_code: bool = False,
) -> Inspection:
    """Check words and tags without training: leaks, odd tags, missing borders, lost characters, unknown words.

        inspect_dataset(load_tagging_dataset("corpus/", task="ner"), model="minilm")

    Args:
        dataset: From `load_tagging_dataset`, or what that reads.
        model: Encoder or tagger whose tokenizer and window the words are held against.
        task: "pos", "ner" or a registered task. Default: that of the dataset, or by its tags.
        sentences: How many sentences of each split to show.
        model_revision: Branch, tag or commit of a model on the Hub.
        trust_remote_code: Run code that comes with the model.

    Raises:
        DataError: If the data cannot be read.
        ConfigError: If the task is not known and the tags do not tell.
        ModelError: If there is no such model.
    """
    known = _task_of(dataset) if task is None else get_task(task)
    if not isinstance(dataset, DatasetDict) or any(origin_of(split) is None for split in dataset.values()):
        if known is None:
            raise ConfigError(f"task: the data does not say what its tags are; give one of {', '.join(TASKS)}.")
        dataset = load_tagging_dataset(dataset, task=known)
    assert isinstance(dataset, DatasetDict)
    known = known or _task_of(dataset) or POS
    corpus, report = Corpus.of(dataset, known), reading_report(dataset)
    counted = inventory(dataset, task=known).splits  # anew: rows may have been chosen since it was loaded
    found = [remark for _, remark in report] if report else []
    found += without_told(run_checks(corpus, (*QUICK, *FURTHER)), found)
    reader = Reader.of(model, revision=model_revision, trust_remote_code=trust_remote_code) if model else None
    if reader:
        found += model_fit(corpus, reader)
    found += _cut_off(corpus)
    return Inspection(
        known.name,
        corpus.schema.scheme,
        {name: contents(split, counted[name]) for name, split in corpus.splits.items()},
        ranked(found, accepted(dataset)),
        [shown for split in corpus.splits.values() for shown in first_sentences(corpus, split, sentences)],
        report,
        model,
        reader.aligner.max_length if reader else None,
    )


def _task_of(dataset: object) -> Task | None:
    """Return the task that a dataset was loaded for, or that its tags tell."""
    splits = dataset.values() if isinstance(dataset, dict) else [dataset]
    for split in splits:
        if isinstance(split, Dataset):
            if origin := origin_of(split):
                return get_task(origin.task)
            names = getattr(getattr(split.features.get("tags"), "feature", None), "names", None)
            if names:
                return NER if are_entities(names) else POS
    return None


def _cut_off(corpus: Corpus) -> list[Remark]:
    return [
        Remark(
            "looked_at",
            f"{split.name}: the first {len(split):,} of {split.rows:,} sentences were looked at",
        )
        for split in corpus.splits.values()
        if not split.is_whole
    ]
