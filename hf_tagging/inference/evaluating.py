"""How good a tagger is on tagged data, whoever made the two; or how good predictions are, whoever made them.

    words + gold tags ── load_tagging_dataset ──► words ──► Tagger ──► predicted tags
                              └── gold, written in the model's scheme ─────┴──► WordMetric, EntityMetric

Gold tags of entities are rewritten in the scheme of the model, as in its training, so that IOB1 data and a BIOES model
meet. Predictions are scored as the model wrote them; tags with other letters (BILOU, BMES) or without any (``PER``) are
spelled as the metrics spell them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from hf_tagging.atomic import inside, read_json, remove_left_behind, write_json
from hf_tagging.console import track
from hf_tagging.data.alignment import vocabulary
from hf_tagging.data.loading import load_tagging_dataset
from hf_tagging.data.prefixes import PLAIN, SCHEMES, are_entities
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.spool import Spool
from hf_tagging.data.tag_lists import detected, in_metric_letters, may_be_in, rewritten
from hf_tagging.disk import check_writable, writing_to
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.evaluation.figures import Figures, Results
from hf_tagging.evaluation.metrics import Tags
from hf_tagging.evaluation.predictions import results_table, write_predictions
from hf_tagging.evaluation.scoring import score
from hf_tagging.inference.reading import Precision
from hf_tagging.inference.tagged_lines import read_tagged_lines
from hf_tagging.inference.tagger import Tagger
from hf_tagging.locks import FolderLock
from hf_tagging.tasks import Task, get_task, task_of_tags
from hf_tagging.training.environment import describe_split
from hf_tagging.training.folder import RECORD, RunFolder

RESULTS, PREDICTIONS = "results.json", "predictions"


@dataclass(frozen=True)
class Evaluation:
    """Predictions beside gold tags, and what they score.

    Args:
        task: The task whose metric scored them.
        split: What was tagged: a split of the data, or the name of a file of predictions.
        figures: What `WordMetric` or `EntityMetric` says, and `words_per_second` where a model tagged.
        words: (sentences, words)
        gold: As they were scored. (sentences, words)
        predicted: As they were scored. (sentences, words)
        unknown: Tags, or entity types, that the data has and the model does not: how many words, or entities, bear
            them. No such word or entity can be right.
        notes: What else a reader of the figures has to know, a sentence each.
    """

    task: Task
    split: str
    figures: Figures
    words: Tags
    gold: Tags
    predicted: Tags
    unknown: dict[str, int]
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", get_task(self.task))

    @property
    def results(self) -> Results:
        """The figures by split, as `results.json` of a run holds them."""
        return {self.split: self.figures}

    def table(self) -> str:
        """The figures for a terminal, and under them what has to be known of them."""
        return "\n".join([results_table(self.task, self.results), *(["", *self.notes] if self.notes else [])])

    def as_dict(self) -> dict[str, Any]:
        """All but the words and tags, as JSON can hold it."""
        return {
            "task": self.task.name,
            "split": self.split,
            "figures": self.figures,
            "unknown": self.unknown,
            "notes": list(self.notes),
        }


def evaluate_model(
    model: str | Path | Tagger,
    data: Mapping[str, Any],
    *,
    split: str | None = None,
    task: str | Task | None = None,
    scheme: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    device: str | None = None,
    dtype: str | None = None,
    tokens_per_batch: int | None = None,
    precision: Precision | None = None,
    output: str | Path | None = None,
) -> Evaluation:
    """Tags data that has tags already, and scores the one by the other.

    Args:
        model: A tagger, or what `Tagger.from_pretrained` loads: the folder of a run or an export, any other folder with
            a token-classification model, a name on the Hub.
        data: What `load_tagging_dataset` is to be called with, but for the task: `name_or_path`, `test_file` ...
        split: Of the data. Default: test, else validation, else the only one that there is.
        task: Name of a task, or a `Task`. Default: that of the run in the folder, else NER or POS by the model's tags.
        scheme: Of the gold tags: IOB1, IOB2 or BIOES. Default: found in the data.
        revision: Of a name on the Hub.
        trust_remote_code: Run code that comes with the model.
        device: See `Tagger`.
        dtype: See `Tagger.from_pretrained`.
        tokens_per_batch: See `Tagger`.
        precision: See `Tagger`; the default is ``"exact"``.
        output: The folder that `write_evaluation` is to write into, if it is: what it would refuse is refused early.

    Raises:
        ConfigError: For a split that is not there, or a scheme that nothing is written in.
        DataError: If the data cannot be read, or model and data have no tag in common.
        ModelError: If there is no such model.
        OutputError: For a split whose name cannot be that of a file in `output`.
    """
    if isinstance(model, Tagger):
        tagger = model
    else:
        tagger = Tagger.from_pretrained(
            model,
            revision=revision,
            trust_remote_code=trust_remote_code,
            device=device,
            dtype=dtype,
            tokens_per_batch=tokens_per_batch,
            precision=precision,
        )
    task = get_task(task) if task else _task_of(model, tagger.schema)
    _check_scheme(task, scheme)
    dataset = load_tagging_dataset(**data, task=task)
    split = _existing_split(dataset, split)
    if output is not None:
        _file_of(split, Path(output))
    # Entity types without prefixes cannot be told from parts of speech by themselves; the task tells.
    own = tagger.schema
    if task.has_entities and own.scheme not in SCHEMES:
        own = TagSchema(own.tags, "IOB1")
    words = list(dataset[split]["tokens"])
    gold, notes = _gold(dataset, split, task, scheme, own)
    _check_common(own, gold, task)
    began = time.monotonic()
    predicted = _tagged(tagger, words, own, task)
    seconds = time.monotonic() - began
    known = None if isinstance(model, Tagger) or task.has_entities else _words_of_training(Path(model), dataset)
    figures = score(task, predicted, gold, scheme=own.scheme, words=words, known_words=known)
    figures["words_per_second"] = figures["words"] / seconds if seconds else 0.0
    unknown = _unknown(figures, own)
    return Evaluation(task, split, figures, words, gold, predicted, unknown, (*notes, *_told(unknown, task)))


def evaluate_predictions(path: str | Path, *, task: str | Task | None = None, scheme: str | None = None) -> Evaluation:
    """Scores predictions of anybody's: a file of columns whose last two are the gold and the predicted tag.

    Without `scheme`, it is that of the gold tags. Predictions that cannot be in it (BIOES beside IOB2) are rewritten,
    and a note says so: that changes no figure but the strict ones. Predictions that only look like another scheme
    (``I-`` after ``O`` beside IOB2) stay as they are. With `scheme`, both columns are in it and are scored as they
    stand. The figures are those of conlleval and of seqeval.

    Args:
        path: Lines of ``word ... gold predicted``, a blank line between sentences.
        task: Name of a task, or a `Task`. Default: NER or POS by the look of the tags.
        scheme: IOB1, IOB2 or BIOES.

    Raises:
        DataError: If the file cannot be read, or its tags are partly with and partly without prefixes.
        ConfigError: If there is no such scheme, or the task has none.
    """
    path = Path(path).expanduser()
    with Spool() as spool:
        words, gold, predicted = read_tagged_lines(spool.file(path))
    try:
        return _scored(path.stem, words, gold, predicted, task=task, scheme=scheme)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _scored(
    name: str, words: Tags, gold: Tags, predicted: Tags, *, task: str | Task | None, scheme: str | None
) -> Evaluation:
    if task is None:
        task = task_of_tags(has_entities=bool(scheme) or are_entities({*chain(*gold, *predicted)}))
    task = get_task(task)
    _check_scheme(task, scheme)
    notes: tuple[str, ...] = ()
    written = ""
    if task.has_entities:
        gold_schema, other = (detected(tags, scheme) for tags in (gold, predicted))
        differ = gold_schema.scheme != other.scheme and gold_schema.entity_types and other.entity_types
        if differ and not may_be_in(gold_schema.scheme, predicted, other):
            predicted, repaired = rewritten(predicted, other, gold_schema.scheme)
            notes = (_conversion("predictions", other.scheme, gold_schema.scheme, repaired),)
        else:
            scheme = scheme or (gold_schema if gold_schema.entity_types else other).scheme
            predicted = in_metric_letters(predicted, other)
            if differ:
                notes = (
                    f"The gold tags are in {scheme} and the predictions look like {other.scheme}: both were read as "
                    f"{scheme}, in which the strict figures count an entity that begins or ends otherwise as wrong.",
                )
        gold, written = in_metric_letters(gold, gold_schema), scheme or gold_schema.scheme
    figures = score(task, predicted, gold, scheme=written)
    return Evaluation(task, name, figures, words, gold, predicted, {}, notes)


def check_evaluation_folder(
    folder: str | Path, *, overwrite: bool = False, predictions: str | Path | None = None
) -> None:
    """Makes sure that an evaluation may be written into a folder, before a model is loaded for it.

    Args:
        folder: Where to.
        overwrite: What is there of an evaluation may be replaced.
        predictions: A file that is to be scored; it is not replaced in any case.

    Raises:
        OutputError: If it is the folder of a run, holds results or predictions that are not to be replaced, or cannot
            be written.
    """
    folder = Path(folder)
    if os.path.isfile(folder):
        raise OutputError(f"--output {folder} is a file; expected a folder.")
    for path in (folder, folder / PREDICTIONS):
        check_writable(path)
    if (folder / RECORD).exists():
        raise OutputError(f"--output {folder} holds a run, with results of its own. Give another folder.")
    if predictions and Path(predictions).resolve().is_relative_to((folder / PREDICTIONS).resolve()):
        raise OutputError(f"--output {folder} holds the file of --predictions. Give another folder.")
    there = [path for path in (folder / RESULTS, *sorted((folder / PREDICTIONS).glob("*.conll"))) if path.exists()]
    if there and not overwrite:
        raise OutputError(f"{there[0]} is there already; give another folder, or --overwrite to replace it.")


def write_evaluation(evaluation: Evaluation, folder: str | Path, *, overwrite: bool = False) -> None:
    """Writes ``predictions/SPLIT.conll`` and ``results.json`` as a run has them, each file whole.

    Args:
        evaluation: What to write.
        folder: Where to.
        overwrite: Replace what is there; predictions that an earlier evaluation has written for another split go.

    Raises:
        OutputError: If something is there that is not to be replaced, or the folder cannot be written, or is being
            written by another process.
    """
    folder = Path(folder)
    check_evaluation_folder(folder, overwrite=overwrite)
    file = _file_of(evaluation.split, folder)
    with FolderLock(folder), writing_to(folder):
        remove_left_behind(file, folder / RESULTS)
        write_predictions(file, evaluation.words, evaluation.gold, evaluation.predicted)
        for old in _predictions_of_before(folder):  # as long as results.json names them
            if old != file:
                old.unlink(missing_ok=True)
        write_json(folder / RESULTS, evaluation.results, default=None)


def _file_of(split: str, folder: Path) -> Path:
    """Return where the predictions of a split are written.

    Raises:
        OutputError: If its name is none of a file; data may name its splits as it likes.
    """
    file = folder / PREDICTIONS / f"{split}.conll"
    if inside(folder / PREDICTIONS, file.name) != file:
        raise OutputError(f"{split!r}: a split of this name has no file in {folder}. Rename it.")
    return file


def _predictions_of_before(folder: Path) -> list[Path]:
    """The files of predictions that the results in a folder are of; nobody else's."""
    splits = read_json(folder / RESULTS)  # maybe none, or not ours
    there = (path for path in (folder / PREDICTIONS).glob("*.conll") if inside(folder, f"{PREDICTIONS}/{path.name}"))
    return [path for path in there if isinstance(splits, dict) and path.stem in splits]


def _check_scheme(task: Task, scheme: str | None) -> None:
    if scheme and scheme not in SCHEMES:
        raise ConfigError(f"scheme: {scheme!r} is not one of {', '.join(SCHEMES)}.")
    if scheme and not task.has_entities:
        raise ConfigError(f"scheme: the tags of {task.title} (task {task.name}) have none. Leave it out.")


def _existing_split(dataset: DatasetDict, split: str | None) -> str:
    there = [str(name) for name in dataset]
    wanted = split or next((name for name in ("test", "validation") if name in there), there[0])
    if wanted not in there:
        raise ConfigError(f"--split {wanted}: the data has none of this name; it has {', '.join(there)}.")
    return wanted


def _gold(
    dataset: DatasetDict, split: str, task: Task, scheme: str | None, own: TagSchema
) -> tuple[Tags, tuple[str, ...]]:
    """The gold tags of a split, of entities in the scheme of the model's tags, and what is to be said of it."""
    schema = TagSchema.detect(dataset, task=task)
    gold = [[schema.tags[label] for label in labels] for labels in dataset[split]["tags"]]
    if not task.has_entities:
        return gold, ()
    source = scheme or schema.scheme
    gold, repaired = rewritten(gold, TagSchema(schema.tags, source), own.scheme)
    if source == own.scheme and not repaired:
        return gold, ()
    return gold, (_conversion("gold tags", source, own.scheme, repaired),)


def _tagged(tagger: Tagger, words: Sequence[Sequence[str]], schema: TagSchema, task: Task) -> Tags:
    names = schema.spelled if task.has_entities else schema.tags
    labelled = track(tagger.label_stream(words, exact=True), total=len(words), what="Tagging")
    return [[names[label] for label in labels.ids] for labels in labelled]


def _check_common(own: TagSchema, gold: Tags, task: Task) -> None:
    """Refuses a model and data that speak of different things: every figure would be near 0 without a word why."""
    theirs, ours = {*chain(*gold)}, {*own.tags}
    if task.has_entities:
        theirs, ours = {*TagSchema(tuple(theirs), own.scheme).entity_types}, {*own.entity_types}
    if theirs and not theirs & ours:
        raise DataError(
            f"The model and the data have none of their {task.classes} in common: {_some(ours)} and {_some(theirs)}. "
            "Is it the right column (--tags_column), the right task (--task), the right model?"
        )


def _task_of(model: str | Path | Tagger, schema: TagSchema) -> Task:
    """Return the task that a run in a folder was trained for; for any other model, the one that its tags suggest."""
    record = None if isinstance(model, Tagger) else RunFolder(Path(model)).record()
    name = (record or {}).get("task")
    return get_task(name) if isinstance(name, str) else task_of_tags(has_entities=schema.scheme != PLAIN)


def _words_of_training(folder: Path, dataset: DatasetDict) -> frozenset[str] | None:
    """The words of the data's training split, if it is what the run in a folder was trained on; else None."""
    record = RunFolder(folder).record()
    facts = ((record or {}).get("dataset") or {}).get("splits", {}).get("train")
    if not facts or "train" not in dataset or describe_split(dataset["train"]) != facts:
        return None
    return vocabulary(dataset["train"])


def _unknown(figures: Figures, own: TagSchema) -> dict[str, int]:
    known = {*own.entity_types} if "per_type" in figures else {*own.tags}
    rows = figures.get("per_type") or figures.get("per_tag") or {}
    return {name: row["support"] for name, row in rows.items() if name not in known and row["support"]}


def _told(unknown: dict[str, int], task: Task) -> list[str]:
    if not unknown:
        return []
    counts = ", ".join(f"{name} ({count:,})" for name, count in unknown.items())
    return [f"{task.classes.capitalize()} that the model does not have, with their {task.items}: {counts}."]


def _conversion(what: str, source: str, target: str, repaired: int) -> str:
    change = f"The {what} are in {source} and were written as {target}" if source != target else ""
    count = f"{repaired:,} of the {what} were invalid in {source} and were repaired" if repaired else ""
    return "; ".join(filter(None, [change, count])) + "."


def _some(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:5]) + (" ..." if len(shown) > 5 else "")
