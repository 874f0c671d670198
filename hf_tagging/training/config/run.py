"""All arguments of one run, from Python, from flags or from YAML, and the stages that they are handed to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import compress
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from torch import nn
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from hf_tagging.data.aligned import AlignedSplit
from hf_tagging.data.alignment import align_dataset
from hf_tagging.data.case_dropout import drop_case
from hf_tagging.data.documents import check_context
from hf_tagging.data.files import ALSO_TEST, looks_like_path
from hf_tagging.data.loading import load_tagging_dataset
from hf_tagging.data.other_tags import OtherTags, read_other_tags
from hf_tagging.data.plain_text import add_text
from hf_tagging.data.schema import SCHEMES, TagSchema
from hf_tagging.data.splitters import get_splitter
from hf_tagging.data.window_plans import DEFAULT_CONTEXT
from hf_tagging.errors import ConfigError, Problem
from hf_tagging.models.baseline import build_baseline
from hf_tagging.models.encoder import load_encoder, saved_schema
from hf_tagging.models.packing import unwrapped
from hf_tagging.secrets import is_secret
from hf_tagging.tasks import Task, get_task
from hf_tagging.training.config.data import DataConfig
from hf_tagging.training.config.encoder import EncoderConfig
from hf_tagging.training.config.given import given_values, naming_unknown, with_defaults
from hf_tagging.training.config.models import (
    ModelFacts,
    facts_of,
    loss_problems,
    metric_problems,
    teacher_problems,
    training_defaults,
)
from hf_tagging.training.config.reading import Kind, ModelConfig, read_command_line, read_file
from hf_tagging.training.config.scratch import ScratchConfig, idle_problems
from hf_tagging.training.config.streaming import streaming_defaults, streaming_problems
from hf_tagging.training.config.tagging import TaggingConfig
from hf_tagging.training.former import FormerConfig


@naming_unknown
@dataclass(frozen=True)
class RunConfig(FormerConfig):
    """All arguments of one run.

    What was left to its default follows from the task and the model: learning rates, the figure that picks the best
    checkpoint, the output folder.

    Args:
        task: `POS`, `NER` or a task of your own.
        data: Where words and tags come from.
        model: A pretrained encoder, or the parts of a tagger from scratch.
        training: Arguments of training.
        own_figures: Figures come from a `compute_metrics` of the caller's own, and any of them may pick the best
            checkpoint.

    Raises:
        ConfigError: For arguments that contradict each other or would have no effect.
    """

    task: Task
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=EncoderConfig)
    training: TaggingConfig = field(default_factory=TaggingConfig)
    own_figures: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", get_task(self.task))
        given = self.given_values
        if self.own_figures:
            given.pop("metric_for_best_model", None)
        if problems := list(self.contradictions(self.task, type(self.model), self.model.facts, given)):
            raise ConfigError(problems)
        values = given_values(self.training)
        defaults = training_defaults(self.task, self.model.facts, values)
        if self.data.streaming:
            defaults |= streaming_defaults(values)
        seed = values.get("seed", self.training.seed)
        folder = {} if "output_dir" in values else {"output_dir": self._default_folder(seed)}
        object.__setattr__(self, "training", with_defaults(self.training, defaults | folder))

    @classmethod
    def from_command_line(
        cls,
        argv: Sequence[str] | None = None,
        *,
        task: Task | str | None = None,
        model: Kind | None = None,
        description: str | None = None,
    ) -> RunConfig:
        """Read flags and, with ``--config FILE.yaml``, a YAML file; a flag wins over the file.

        Args:
            argv: Flags; None: those of the running script.
            task: Task of the script; a flag or file that names another one is refused. None: as they say.
            model: Kind of model of the script, likewise.
            description: Printed by ``--help``, which ends the program.

        Raises:
            ConfigError: Listing every unknown name, wrong type, bad choice, missing path and contradiction, each with
                the nearest name that would be right.
        """
        return read_command_line(RunConfig, argv, task=task, model=model, description=description)

    @classmethod
    def from_yaml(cls, path: str | Path, **overrides: Any) -> RunConfig:
        """Read a YAML file.

        Args:
            path: Lines of ``name: value``, ``task`` and ``model`` among them.
            overrides: Arguments by name, which win over the file.

        Raises:
            ConfigError: See `from_command_line`.
        """
        return read_file(RunConfig, path, overrides)

    @staticmethod
    def contradictions(
        task: Task, kind: type[ModelConfig], model: ModelFacts | None, given: Mapping[str, Any]
    ) -> Iterator[Problem]:
        """Yield arguments that contradict each other or have no effect.

        Args:
            task: Of the run.
            kind: Of its model.
            model: Facts of its model; None where its own arguments are wrong, and reported already.
            given: All given arguments of the run, by name.
        """
        if "metric_for_best_model" in given:
            yield from metric_problems(task, given)
        yield from teacher_problems(given)
        if issubclass(kind, ScratchConfig):
            yield from idle_problems(given)
        yield from streaming_problems(given, scratch=issubclass(kind, ScratchConfig))
        if given.get("do_train") is False:
            untrained = given.get("case_dropout", 0) > 0, given.get("casing") == "markers"
            for name in compress(("case_dropout", "casing"), untrained):
                yield Problem(name, given[name], "nothing is trained", "leave it out")
        if given.get(ALSO_TEST) and given.get("do_predict") is False:
            yield Problem(
                ALSO_TEST, given[ALSO_TEST], "do_predict is off, so that no test split is tagged", "leave it out"
            )
        if model is not None:
            yield from loss_problems(model, given)

    @property
    def given_values(self) -> dict[str, Any]:
        """Arguments that were given, by name."""
        return {n: v for part in (self.data, self.model, self.training) for n, v in given_values(part).items()}

    @property
    def given(self) -> frozenset[str]:
        """Names of the arguments that were given."""
        return frozenset(self.given_values)

    @property
    def named_dataset(self) -> str | None:
        """Dataset to load; None where the data is given split by split, so that the default dataset is not meant."""
        data = self.data
        files = data.train_file or data.validation_file or data.test_file
        return None if files and "dataset" not in given_values(data) else data.dataset

    @property
    def dataset_name(self) -> str:
        """Name of the data in messages, in the record and in the default folder."""
        data = self.data
        files = data.train_file or data.test_file or data.validation_file or [data.dataset]
        return self.named_dataset or Path(files[0]).name

    @property
    def split_seed(self) -> int:
        """Seed that draws what is held out: its own, that of the order of batches, or the run's."""
        named = (self.data.split_seed, self.training.data_seed)
        return next((seed for seed in named if seed is not None), self.training.seed)

    def load_dataset(self) -> DatasetDict:
        """Load words and tags, see `load_tagging_dataset`, and the text that a teacher tags."""
        found, data = self._load(self.task), self.data
        if not data.text_file:
            return found
        return add_text(found, data.text_file, get_splitter(data.splitter), num_proc=data.num_proc)

    def load_other_tags(self, dataset: Mapping[str, Dataset]) -> OtherTags | None:
        """Load the other tags of the test split that `also_test` names; see `hf_tagging.data.other_tags`.

        Args:
            dataset: Splits that they are to fit, whole.

        Raises:
            DataError: If they do not fit.
        """
        data = self.data
        if not data.also_test:
            return None
        cut = next((name for name in ("folds", "test_share") if getattr(data, name) is not None), "")
        return read_other_tags(
            data.also_test,
            dataset,
            task=self.task,
            place=self.dataset_name,
            cut=cut,
            num_proc=data.num_proc,
            **data.reading(),
        )

    def saved_schema(self) -> TagSchema | None:
        """Return the tags of a model that is a tagger already; see `hf_tagging.models.saved_schema`."""
        model = self.model
        return saved_schema(
            model.model,
            revision=model.model_revision,
            trust_remote_code=model.trust_remote_code,
            scheme=self.data.scheme if self.task.has_entities else None,
        )

    def scheme(self, saved: TagSchema | None) -> str:
        """Return the scheme that the model writes: the given one, that of a tagger it starts from, or IOB2."""
        return self.data.scheme or (saved.scheme if saved and saved.scheme in SCHEMES else "IOB2")

    def build_model(self, dataset: DatasetDict, schema: TagSchema) -> tuple[nn.Module, PreTrainedTokenizerBase]:
        """Load the encoder, or build the tagger from scratch, with its tokenizer; set the seed before.

        Args:
            dataset: Its training split gives the vocabulary of a tagger from scratch.
            schema: The tags.
        """
        model = self.model
        if isinstance(model, ScratchConfig):
            return build_baseline(
                dataset,
                schema,
                **model.words_read,
                parts=model.parts,
                given=self.given,
                max_length=self.data.max_length,
                model=model.model,
                revision=model.model_revision,
                trust_remote_code=model.trust_remote_code,
                keep_head=not self.training.do_train,
            )
        return load_encoder(
            model.model,
            schema,
            revision=model.model_revision,
            trust_remote_code=model.trust_remote_code,
            max_length=self.data.max_length,
            attn_implementation=model.attn_implementation,
            dropout=model.head_dropout,
            freeze_layers=model.freeze_layers,
            lora=model.lora_options,
            keep_head=not self.training.do_train,
            head=model.head,
            casing=model.casing,
        )

    def align(
        self,
        dataset: DatasetDict,
        tokenizer: PreTrainedTokenizerBase,
        schema: TagSchema,
        model: nn.Module,
    ) -> dict[str, AlignedSplit]:
        """Align words and subwords, with -100 where a subword carries no label; see `align_dataset`.

        The model's config keeps how much context a sentence is read with, for whoever tags with it.

        Args:
            dataset: Words and tags.
            tokenizer: From `build_model`.
            schema: The tags.
            model: From `build_model`; its config holds the values of further columns.

        Raises:
            ConfigError: If the loss of the model is not a sum over words, and is to be weighed as one.
            DataError: If sentences are to be learned in context, and none has any.
        """
        if problems := list(loss_problems(facts_of(model), self.given_values)):
            raise ConfigError(problems, where="the arguments")
        data = self.data
        read = dict(dataset)
        if data.case_dropout and "train" in read:
            read["train"] = drop_case(read["train"], data.case_dropout, seed=self.training.seed)
        if context := self._keep_context(unwrapped(model).config, tokenizer):
            check_context(dataset)
        splits = align_dataset(
            DatasetDict(read),
            tokenizer,
            schema,
            overlap=data.window_overlap,
            context=context,
            label_strategy=data.label_strategy,
            word_features=getattr(model.config, "word_features", None),
            num_proc=data.num_proc,
        )
        # What is said of the training words, in the report for one, is said of the words as they were given.
        return {name: replace(split, words=dataset[name]) for name, split in splits.items()}

    def _keep_context(self, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
        """Return the subwords of context on each side: as given, or as a model was trained; its config keeps them."""
        trained = getattr(config, "context_subwords", None) or 0
        model = self.model
        if isinstance(model, ScratchConfig) or model.context is None:
            return trained
        if model.context == "none":
            context = 0
        elif model.context_subwords is None:
            context = trained or min(DEFAULT_CONTEXT, tokenizer.model_max_length // 8)
        else:
            context = model.context_subwords
        if context != trained:
            config.context_subwords = context or None
        return context

    def as_dict(self) -> dict[str, Any]:
        """Return every argument with its value, as JSON can hold it; tokens and keys are masked."""
        merged: dict[str, Any] = {"task": self.task.name}
        for part in (self.data, self.model):
            merged.update({f.name: getattr(part, f.name) for f in fields(part)})
        merged |= self.training.to_dict()
        return {name: "***" if is_secret(name) and value else value for name, value in merged.items()}

    def _load(self, task: Task) -> DatasetDict:
        data = self.data
        return load_tagging_dataset(
            self.named_dataset,
            task=task.name,
            config_name=data.dataset_config,
            revision=data.dataset_revision,
            train_file=data.train_file,
            validation_file=data.validation_file,
            test_file=data.test_file,
            word_features=self.model.word_features if isinstance(self.model, ScratchConfig) else None,
            validation_share=data.validation_share,
            test_share=data.test_share,
            folds=data.folds,
            fold=data.fold,
            seed=self.split_seed,
            streaming=data.streaming,
            num_proc=data.num_proc,
            **data.reading(),
        )

    def _default_folder(self, seed: object) -> str:
        """Name a folder after what is trained on what, with which seed and fold: such runs lie side by side."""
        names = [self.task.name, self.model.label, _without_suffix(self.dataset_name), f"seed-{seed}"]
        names += [] if self.data.fold is None else [f"fold-{self.data.fold}"]
        slugs = [re.sub(r"[^A-Za-z0-9._]+", "-", Path(name).name).strip("-.") for name in names]
        return str(Path("runs") / "-".join(filter(None, slugs)))


def _without_suffix(name: str) -> str:
    return Path(name).stem if looks_like_path(name) or Path(name).is_file() else name
