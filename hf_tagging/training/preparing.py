"""From words, tags and the name of a model to what a trainer needs: the steps that a recipe shows one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datasets import ClassLabel, Dataset, DatasetDict
from torch import nn
from transformers import PreTrainedTokenizerBase

from hf_tagging.data.aligned import AlignedSplit
from hf_tagging.data.in_memory import InMemory
from hf_tagging.data.loading import load_tagging_dataset
from hf_tagging.data.origin import origin_of
from hf_tagging.data.schema import PLAIN, TagSchema
from hf_tagging.errors import ConfigError, DataError, Problem
from hf_tagging.models.packing import unwrapped
from hf_tagging.tasks import NER, TASKS, Task, get_task, task_of_tags
from hf_tagging.training.config import DataConfig, EncoderConfig, RunConfig, ScratchConfig, TaggingConfig
from hf_tagging.training.config.checks import refuse
from hf_tagging.training.config.given import given_by
from hf_tagging.training.config.reading import ModelConfig
from hf_tagging.training.own_models import as_it_is, model_config, schema_of, with_adapters
from hf_tagging.training.randomness import seeded
from hf_tagging.training.run import TaggingRun

if TYPE_CHECKING:
    from peft import PeftConfig

Data = AlignedSplit | InMemory
"""A split: aligned, or with a sentence per row."""
IN_MEMORY = "in memory"
"""Name of data that came from no file; no name on the Hub has a space."""


# Arguments of the trainer that are looked at before anything else, with what to say of others.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "model": (
        (str, nn.Module, EncoderConfig, ScratchConfig),
        "a name, a folder, a model, an EncoderConfig or a ScratchConfig",
    ),
    "args": ((TaggingConfig,), "a TaggingConfig, which takes the arguments of TrainingArguments and more"),
    "data": ((DataConfig,), "a DataConfig"),
    "callbacks": ((list, tuple), "a list of callbacks"),
}


@dataclass(frozen=True)
class Prepared:
    """A model and its data.

    Args:
        model: The tagger.
        tokenizer: Of the model.
        schema: The tags, as the model has them.
        splits: Aligned, by name.
        run: The run.
        source: The tags as the data had them; None where it was aligned already.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    schema: TagSchema
    splits: dict[str, AlignedSplit]
    run: TaggingRun
    source: TagSchema | None = None


def find_task(task: str | Task | None, splits: Mapping[str, Data]) -> Task:
    """Return the task of data: as it is given, as the data knows it, or as its tags tell.

    Args:
        task: As given; None: left open.
        splits: By name.

    Raises:
        ConfigError: If it cannot be known.
    """
    if task is not None:
        return get_task(task)
    for split in splits.values():
        words = split.words if isinstance(split, AlignedSplit) else split
        if isinstance(words, Dataset):
            if origin := origin_of(words):
                return get_task(origin.task)
            tags = getattr(words.features.get("tags"), "feature", None)
            if isinstance(tags, ClassLabel) and all(tag == "O" or tag[:2] in ("B-", "I-") for tag in tags.names):
                return NER
    raise ConfigError(
        f"task: the data does not say what its tags are; give one of {', '.join(map(repr, TASKS))}, here or to "
        "load_tagging_dataset."
    )


def check_kinds(**given: object) -> None:
    """Check that arguments of the trainer are objects of the classes that it takes.

    Args:
        given: By name; None where an argument was left out.

    Raises:
        ConfigError: Naming each that is not, and what to give.
    """
    problems = []
    for name, (kinds, wanted) in _KINDS.items():
        value = given.get(name)
        if not isinstance(value, kinds) and (value is not None or name == "model"):
            found = f"the class {value.__name__}" if isinstance(value, type) else f"{type(value).__name__}"
            problems.append(Problem(name, value, f"expected {wanted}, found {found}"))
    refuse(problems)


def prepare(
    model: str | nn.Module | ModelConfig,
    args: TaggingConfig,
    splits: Mapping[str, InMemory],
    *,
    task: Task,
    data: DataConfig | None = None,
    processing_class: PreTrainedTokenizerBase | None = None,
    peft_config: PeftConfig | None = None,
    run: TaggingRun | None = None,
    own_figures: bool = False,
) -> Prepared:
    """Load or build a model for data, and align the data for it.

    Args:
        model: A name, a folder, a config, or a model that is taken as it is.
        args: Arguments of training.
        splits: Words and tags, by the name of the split.
        task: The task of the tags.
        data: How words become windows; None: as by default.
        processing_class: Tokenizer of a model that is an object.
        peft_config: Adapters to be trained in the place of the model's weights.
        run: The run that was started; then its arguments count, and `data` is not read.
        own_figures: The caller computes figures too, by one of which the best checkpoint may be kept.

    Raises:
        ConfigError: If the arguments do not go together.
        DataError: If the data is none of words and tags, or the model does not know its tags.
    """
    dataset = as_words_and_tags(splits, task)
    if run is None:
        if "train" not in splits and "do_train" not in given_by(args).names:
            args = replace(args, do_train=False)
        parts = (_data_config(dataset, data), model_config(model, peft_config), args)
        run = TaggingRun(RunConfig(task, *parts, own_figures=own_figures))
    config = run.arguments
    with run.main_process_first():
        found, source, schema = _with_schema(dataset, model, run)
    if isinstance(model, nn.Module):
        tagger, tokenizer = as_it_is(model, processing_class, schema)
    else:
        with seeded(config.training.seed):
            plain = config if peft_config is None else replace(config, model=model_config(model))
            tagger, tokenizer = plain.build_model(found, schema)
    if peft_config is not None:
        with seeded(config.training.seed):
            tagger = with_adapters(tagger, peft_config)
    with run.main_process_first():
        aligned = run.note_alignment(config.align(found, tokenizer, schema, tagger))
    return Prepared(tagger, tokenizer, schema, aligned, run, source)


def prepare_aligned(
    model: str | nn.Module | ModelConfig,
    args: TaggingConfig,
    splits: Mapping[str, Data],
    *,
    task: str | Task | None = None,
    data: DataConfig | None = None,
    processing_class: PreTrainedTokenizerBase | None = None,
    peft_config: PeftConfig | None = None,
    run: TaggingRun | None = None,
    schema: TagSchema | None = None,
    own_figures: bool = False,
) -> Prepared:
    """Take a model as it is, with the splits that were aligned for it.

    Args:
        model: A model as an object.
        args: Arguments of training.
        splits: Aligned, by name.
        task: The task of the tags; None: as the scheme of the model tells.
        data: Arguments of data in the record of the run.
        processing_class: Tokenizer of the model.
        peft_config: Adapters to be trained in the place of the model's weights.
        run: The run that was started; then its arguments count.
        schema: The tags; None: those of the model.
        own_figures: The caller computes figures too, by one of which the best checkpoint may be kept.

    Raises:
        ConfigError: If a split is not aligned, or the model is no object or has no tokenizer.
    """
    aligned = {name: split for name, split in splits.items() if isinstance(split, AlignedSplit)}
    if len(aligned) < len(splits):
        raise ConfigError(
            "train_dataset, eval_dataset, test_dataset: one is aligned and another is not; give all of one kind."
        )
    if not isinstance(model, nn.Module) or processing_class is None:
        raise ConfigError(
            "model, processing_class: aligned splits are made for a tokenizer; give it, and its model as an object, as "
            "load_encoder returns them."
        )
    if peft_config is not None:
        model = with_adapters(model, peft_config)
    schema = schema or TagSchema.from_config(unwrapped(model).config)
    if run is None:
        of = get_task(task) if task else task_of_tags(has_entities=schema.scheme != PLAIN)
        chosen = given_by(args).names | set(given_by(args).defaults)
        if own_figures and "metric_for_best_model" not in chosen:
            args = replace(args, metric_for_best_model="loss")  # the one figure that is known to be there
        run = TaggingRun(RunConfig(of, data or DataConfig(), model_config(model), args, own_figures=own_figures))
        with run.main_process_first():
            run.note_other_tags({name: split.words for name, split in aligned.items()})
    return Prepared(model, processing_class, schema, aligned, run)


def _with_schema(
    dataset: DatasetDict, model: str | nn.Module | ModelConfig, run: TaggingRun
) -> tuple[DatasetDict, TagSchema, TagSchema]:
    """Return the data as the model writes its tags, the tags as the data had them, and as the model has them."""
    assert run.task is not None
    config, found = run.arguments, run.select(dataset)
    saved = schema_of(model) if isinstance(model, nn.Module) else config.saved_schema()
    if not found:  # nothing to train on: a tagger that is only evaluated
        if saved is None:
            raise ConfigError("model: without training it has to be a tagger, and this one has no tags; give another.")
        return found, saved, saved
    source = schema = TagSchema.detect(found, task=run.task)
    if run.task.has_entities:
        found, schema, conversion = source.convert(found, to=config.scheme(saved))
        run.note_conversion(conversion)
    found, schema = schema.adopt(found, saved)
    return found, source, schema


def as_words_and_tags(splits: Mapping[str, InMemory], task: Task) -> DatasetDict:
    """Return splits with one inventory of tags, as `load_tagging_dataset` returns them.

    Args:
        splits: By name; what it has returned stays as it is.
        task: The task of the tags.
    """
    inventories = [
        tuple(split.features["tags"].feature.names)
        for split in splits.values()
        if isinstance(split, Dataset) and origin_of(split) is not None and "tags" in split.features
    ]
    if len(inventories) == len(splits) and len(set(inventories)) <= 1:
        return DatasetDict(splits)
    return load_tagging_dataset(dict(splits), task=task)


def align_further(prepared: Prepared, data: InMemory, name: str) -> AlignedSplit:
    """Align another split for a model: its tags are written as the model writes them.

    Args:
        prepared: The model.
        data: Words and tags.
        name: What the split is called.

    Raises:
        DataError: If it has tags that the model does not know.
    """
    run = prepared.run
    assert run.task is not None
    with run.main_process_first():
        return run.note_alignment({name: _aligned_further(prepared, data, name, run.task)})[name]


def _aligned_further(prepared: Prepared, data: InMemory, name: str, task: Task) -> AlignedSplit:
    run, schema = prepared.run, prepared.schema
    found = as_words_and_tags({"test" if name not in ("train", "validation") else name: data}, task)
    found = DatasetDict({name: next(iter(found.values()))})
    if (limit := run.arguments.data.max_eval_samples) is not None:
        found = DatasetDict({n: split.select(range(min(limit, len(split)))) for n, split in found.items()})
    run.note_data(found)
    source = TagSchema.detect(found, task=task)
    if prepared.source is not None and prepared.source.tags == source.tags:
        source = prepared.source  # a short split may not show its scheme
    if task.has_entities:
        found, source, conversion = source.convert(found, to=schema.scheme)
        run.note_conversion(conversion)
    found, adopted = source.adopt(found, schema)
    if adopted.tags != schema.tags:
        unknown = sorted(set(adopted.tags) - set(schema.tags))
        raise DataError(
            f"{name}: the model does not know the tags {', '.join(unknown[:6])}. Load training and {name} data by one "
            "call of load_tagging_dataset, so that they have one inventory of tags."
        )
    return run.arguments.align(found, prepared.tokenizer, schema, prepared.model)[name]


def _data_config(dataset: DatasetDict, data: DataConfig | None) -> DataConfig:
    """Return how data is read and aligned: as given, and with the arguments that it was loaded with."""
    origin = next(filter(None, map(origin_of, dataset.values())), None)
    loaded = dict(origin.arguments) if origin else {}
    if not any(name in loaded for name in ("dataset", "train_file", "validation_file", "test_file")):
        loaded["dataset"] = IN_MEMORY
    return DataConfig(**loaded) if data is None else replace(data, **loaded)
