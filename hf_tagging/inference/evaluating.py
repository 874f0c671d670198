"""Scoring a tagger on tagged data, and any predictions file.

    words + gold tags ── load_tagging_dataset ──► words ──► Tagger ──► predicted tags
                              └── gold, written in the model's scheme ─────┴──► WordMetric, EntityMetric

Gold tags of entities are rewritten in the scheme of the model, as in its training, so that IOB1 data and a BIOES model
can be compared. Predictions are scored as the model wrote them; tags with other letters (BILOU, BMES) or without any
(``PER``) are spelled as the metrics spell them.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Unpack, cast

import numpy as np
from datasets import DatasetDict

from hf_tagging.console import track
from hf_tagging.data.alignment import vocabulary
from hf_tagging.data.documents import document_bounds
from hf_tagging.data.in_memory import InMemory
from hf_tagging.data.loading import load_tagging_dataset
from hf_tagging.data.prefixes import PLAIN, SCHEMES, UNSCORED, UNSCORED_ID, are_entities
from hf_tagging.data.request import ReadArguments
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.spool import Spool
from hf_tagging.data.tag_lists import detected, in_metric_letters, may_be_in, rewritten
from hf_tagging.disk import expanded
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.evaluation.figures import Figures
from hf_tagging.evaluation.metrics import Tags
from hf_tagging.evaluation.scoring import score
from hf_tagging.inference.evaluation import Evaluation, predictions_file
from hf_tagging.inference.tagged_lines import read_tagged_lines
from hf_tagging.inference.tagger import Tagger
from hf_tagging.inference.word_tagger import TaggerOptions, WordTagger
from hf_tagging.problems import argument
from hf_tagging.tasks import Task, get_task, task_of_tags
from hf_tagging.training.environment import describe_split
from hf_tagging.training.folder import RunFolder


class DataOptions(ReadArguments, total=False):
    """Options for reading words and gold tags; see `load_tagging_dataset`."""

    config_name: str | None
    train_file: str | Path | Sequence[str | Path] | None
    validation_file: str | Path | Sequence[str | Path] | None
    test_file: str | Path | Sequence[str | Path] | None
    num_proc: int | None
    cache_dir: str | Path | None


class EvaluationOptions(TaggerOptions, DataOptions, total=False):
    """Further arguments of `evaluate_tagger`."""


def evaluate_tagger(
    model: str | Path | Sequence[str | Path] | WordTagger,
    dataset: str | Path | InMemory | None = None,
    *,
    split: str | None = None,
    task: str | Task | None = None,
    scheme: str | None = None,
    dataset_revision: str | None = None,
    output: str | Path | None = None,
    **options: Unpack[EvaluationOptions],
) -> Evaluation:
    """Tag data that has gold tags, and score the result.

        print(evaluate_tagger("runs/ner", "conll2003").table())

    Args:
        model: Tagger, or a name or folder for `Tagger.from_pretrained`, or several, whose mean is scored.
        dataset: Data, or its name or path, see `load_tagging_dataset`; None if files are given, as `test_file`.
        split: Split to tag. Default: test, else validation, else the only one.
        task: Name of a task, or a `Task`. Default: that of the run in the folder, else NER or POS by the model's tags.
        scheme: Scheme of the gold tags: IOB1, IOB2 or BIOES. Default: detected in the data.
        dataset_revision: Branch, tag or commit of a dataset on the Hub.
        output: Folder that `write_evaluation` will write into; a split that has no file name is refused early.
        **options: Further arguments of `Tagger.from_pretrained` (its default precision is exact here) and of
            `load_tagging_dataset`.

    Raises:
        ConfigError: There is no such split, no tags are in the scheme, or the tagger leaves words without a tag
            (`min_confidence`).
        DataError: The data cannot be read, or model and data have no tag in common.
        ModelError: There is no such model.
        OutputError: The name of the split is not that of a file in `output`.
    """
    of_tagger, of_data = _parted(options)
    tagger = model if isinstance(model, WordTagger) else Tagger.from_pretrained(model, **of_tagger)
    folder = None if isinstance(model, WordTagger) else Path(model if isinstance(model, str | Path) else model[0])
    _check_complete(tagger)
    task = get_task(task) if task else task_of_model(folder, tagger.schema)
    _check_scheme(task, scheme)
    if of_data.get("splitter") is None:  # text of annotated spans is cut as the words of training were
        of_data["splitter"] = tagger.splitter
    splits = load_tagging_dataset(dataset, task=task, revision=dataset_revision, **of_data)
    split = _existing_split(splits, split)
    if output is not None:
        predictions_file(split, Path(output))
    # Entity types without prefixes look like parts of speech; only the task says that they are entities.
    own = tagger.schema
    if task.has_entities and own.scheme not in SCHEMES:
        own = TagSchema(own.tags, "IOB1")
    words = list(splits[split]["tokens"])
    gold, notes = _gold(splits, split, task, scheme, own)
    _check_common(own, gold, task)
    began = time.monotonic()
    documents = np.diff(document_bounds(splits[split])) if tagger.context_subwords else None
    predicted, rules = _tagged(tagger, words, own, task, documents)
    seconds = time.monotonic() - began
    known = None if folder is None or task.has_entities else _words_of_training(folder, splits)
    figures = score(task, predicted, gold, scheme=own.scheme, words=words, known_words=known)
    figures["words_per_second"] = figures["words"] / seconds if seconds else 0.0
    unknown = _unknown(figures, own)
    notes = (*notes, *_unscored(gold), *_told(unknown, task), *_alone(documents), *_ruled(rules))
    return Evaluation(task, split, figures, words, gold, predicted, unknown, notes, rules)


def _parted(options: EvaluationOptions) -> tuple[TaggerOptions, DataOptions]:
    """Return the options of the tagger and those of the data."""
    of_tagger = {name: value for name, value in options.items() if name in TaggerOptions.__annotations__}
    of_data = {name: value for name, value in options.items() if name not in of_tagger}
    return cast(TaggerOptions, of_tagger), cast(DataOptions, of_data)


def evaluate_model(model: str | Path | WordTagger, data: Mapping[str, Any], **options: Any) -> Evaluation:
    """Evaluate a tagger; deprecated, use `evaluate_tagger`.

    Args:
        model: See `evaluate_tagger`.
        data: Arguments of `load_tagging_dataset`.
        **options: Further arguments of `evaluate_tagger`.
    """
    message = "evaluate_model is now evaluate_tagger(model, dataset); the old name goes with the next release."
    warnings.warn(message, FutureWarning, stacklevel=2)
    if "batch_subwords" in options:
        options["tokens_per_batch"] = options.pop("batch_subwords")
    loading = dict(data)
    dataset, revision = loading.pop("name_or_path", None), loading.pop("revision", None)
    return evaluate_tagger(model, dataset, dataset_revision=revision, **options, **loading)


def evaluate_predictions(path: str | Path, *, task: str | Task | None = None, scheme: str | None = None) -> Evaluation:
    """Score any predictions file: columns, of which the last two are the gold and the predicted tag.

    Without `scheme`, the scheme is that of the gold tags. Predictions that cannot be in it (BIOES beside IOB2) are
    rewritten, with a note; this changes the strict figures only. Predictions that merely look like another scheme
    (``I-`` after ``O`` beside IOB2) are kept. With `scheme`, both columns are scored as they are. The figures are those
    of conlleval and of seqeval.

    Args:
        path: File with lines of ``word ... gold predicted`` and a blank line between sentences.
        task: Name of a task, or a `Task`. Default: NER or POS, detected from the tags.
        scheme: Scheme of both columns: IOB1, IOB2 or BIOES. Default: detected.

    Raises:
        DataError: The file cannot be read, or its tags are partly with and partly without prefixes.
        ConfigError: There is no such scheme, or the task has none.
    """
    path = expanded(path)
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
        task = task_of_tags(has_entities=bool(scheme) or are_entities({*chain(*gold, *predicted)} - {UNSCORED}))
    task = get_task(task)
    _check_scheme(task, scheme)
    if not task.has_entities:
        return Evaluation(task, name, score(task, predicted, gold), words, gold, predicted, {}, _unscored(gold))
    gold, predicted, scheme, note = _in_one_scheme(gold, predicted, scheme)
    figures = score(task, predicted, gold, scheme=scheme)
    notes = (*([note] if note else []), *_unscored(gold))
    return Evaluation(task, name, figures, words, gold, predicted, {}, notes)


def _in_one_scheme(gold: Tags, predicted: Tags, scheme: str | None) -> tuple[Tags, Tags, str, str]:
    """Return gold and predicted tags as they are scored, their scheme, and a note on what was changed or assumed."""
    own, other = (detected(tags, scheme) for tags in (gold, predicted))
    differ = own.scheme != other.scheme and own.entity_types and other.entity_types
    if differ and not may_be_in(own.scheme, predicted, other):
        predicted, repaired = rewritten(predicted, other, own.scheme)
        note = _conversion("predictions", other.scheme, own.scheme, repaired)
        return in_metric_letters(gold, own), predicted, scheme or own.scheme, note
    scheme = scheme or (own if own.entity_types else other).scheme
    note = (
        f"The gold tags are in {scheme} and the predictions look like {other.scheme}: both were read as {scheme}, in "
        "which the strict figures count an entity that begins or ends otherwise as wrong."
    )
    return in_metric_letters(gold, own), in_metric_letters(predicted, other), scheme, note if differ else ""


def _unscored(gold: Tags) -> tuple[str, ...]:
    """Return a note on words that are not annotated, where there are any."""
    count = sum(sentence.count(UNSCORED) for sentence in gold)
    return (f"Not scored, since they are not annotated: {count:,} of {sum(map(len, gold)):,} words.",) if count else ()


def _check_scheme(task: Task, scheme: str | None) -> None:
    if scheme and scheme not in SCHEMES:
        raise ConfigError(f"scheme: {scheme!r} is not one of {', '.join(SCHEMES)}.")
    if scheme and not task.has_entities:
        raise ConfigError(f"scheme: the tags of {task.title} (task {task.name}) have none. Leave it out.")


def _existing_split(dataset: DatasetDict, split: str | None) -> str:
    there = [str(name) for name in dataset]
    wanted = split or next((name for name in ("test", "validation") if name in there), there[0])
    if wanted not in there:
        raise ConfigError(f"{argument('split', wanted)}: the data has none of this name; it has {', '.join(there)}.")
    return wanted


def _gold(
    dataset: DatasetDict, split: str, task: Task, scheme: str | None, own: TagSchema
) -> tuple[Tags, tuple[str, ...]]:
    """Return the gold tags of a split, entities in the scheme of the model's tags, and notes on the change."""
    schema = TagSchema.detect(dataset, task=task)
    names = {**schema.id2label, UNSCORED_ID: UNSCORED}
    gold = [[names[label] for label in labels] for labels in dataset[split]["tags"]]
    if not task.has_entities:
        return gold, ()
    source = scheme or schema.scheme
    gold, repaired = rewritten(gold, TagSchema(schema.tags, source), own.scheme)
    if source == own.scheme and not repaired:
        return gold, ()
    return gold, (_conversion("gold tags", source, own.scheme, repaired),)


def _tagged(
    tagger: WordTagger,
    words: Sequence[Sequence[str]],
    schema: TagSchema,
    task: Task,
    documents: np.ndarray | None,
) -> tuple[Tags, Tags]:
    """Return tags of sentences, which are read by their documents where these are given as sizes, and their rules."""
    names = schema.spelled if task.has_entities else schema.tags
    sizes = [1] * len(words) if documents is None else documents.tolist()
    sentences = iter(words)
    stream = tagger.label_documents([*islice(sentences, size)] for size in sizes)
    tags: Tags = []
    rules: Tags = []
    for labels in track(stream, total=len(words), what="Tagging"):
        tags.append([names[label] for label in labels.ids])
        rules.append(labels.rules.tolist())
    return tags, rules if tagger.rules is not None else []


def _check_complete(tagger: WordTagger) -> None:
    """Refuse a tagger that leaves words without a tag; words of entities that are left out are ``O``."""
    if tagger.min_confidence > 0 and not (tagger.schema.entity_types and "O" in tagger.schema.tags):
        raise ConfigError(
            f"{argument('min_confidence', tagger.min_confidence)}: leaves words without a tag, which cannot be scored. "
            "Give a tagger without it."
        )


def _check_common(own: TagSchema, gold: Tags, task: Task) -> None:
    """Refuse a model and data without common tags: every figure would be near 0 without an explanation."""
    theirs, ours = {*chain(*gold)} - {UNSCORED}, {*own.tags}
    if task.has_entities:
        theirs, ours = {*TagSchema(tuple(theirs), own.scheme).entity_types}, {*own.entity_types}
    if theirs and not theirs & ours:
        raise DataError(
            f"The model and the data have none of their {task.classes} in common: {_some(ours)} and {_some(theirs)}. "
            f"Is it the right column ({argument('tags_column')}), the right task ({argument('task')}), the right model?"
        )


def task_of_model(folder: Path | None, schema: TagSchema) -> Task:
    """Return the task that a run in a folder was trained for; for any other model, the one that its tags suggest."""
    record = None if folder is None else RunFolder(folder).record()
    name = (record or {}).get("task")
    return get_task(name) if isinstance(name, str) else task_of_tags(has_entities=schema.scheme != PLAIN)


def _words_of_training(folder: Path, dataset: DatasetDict) -> frozenset[str] | None:
    """Return the words of the data's training split if the run in a folder was trained on it, else None."""
    record = RunFolder(folder).record()
    facts = ((record or {}).get("dataset") or {}).get("splits", {}).get("train")
    if not facts or "train" not in dataset or describe_split(dataset["train"]) != facts:
        return None
    return vocabulary(dataset["train"])


def _unknown(figures: Figures, own: TagSchema) -> dict[str, int]:
    known = {*own.entity_types} if "per_type" in figures else {*own.tags}
    rows = figures.get("per_type") or figures.get("per_tag") or {}
    return {name: row["support"] for name, row in rows.items() if name not in known and row["support"]}


def _alone(documents: np.ndarray | None) -> list[str]:
    """Return a note on sentences without the context that their model was trained with."""
    if documents is None or documents.max(initial=0) > 1:
        return []
    return [
        "The model was trained with sentences in the context of their document, and no sentence of this data has a "
        "neighbour in its document: each was read alone."
    ]


def _ruled(rules: Tags) -> list[str]:
    """Return a note on words that rules have tagged."""
    if not rules:
        return []
    names = [*chain.from_iterable(rules)]
    words, ruled = len(names), len([*filter(None, names)])
    return [f"Rules beside the model have decided or changed the tags of {ruled:,} of {words:,} words."]


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
