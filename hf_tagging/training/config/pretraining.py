"""All arguments of pretraining a language model, and the stages that they are handed to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from datasets import DatasetDict
from transformers import PreTrainedTokenizerBase

from hf_tagging.data.aligned import AlignedSplit
from hf_tagging.data.alignment import align_dataset
from hf_tagging.data.masking import MASKED_SHARE
from hf_tagging.data.plain_text import NO_TAGS, load_text, without_tags
from hf_tagging.data.request import READ_OPTIONS
from hf_tagging.data.spool import input_problem
from hf_tagging.errors import ConfigError, Problem
from hf_tagging.models.language_model import LanguageModel, build_language_model, find_objective
from hf_tagging.problems import FLAGS, spelled
from hf_tagging.tasks import POS, Task
from hf_tagging.training.config.checks import near_path, refuse
from hf_tagging.training.config.data import DataConfig
from hf_tagging.training.config.given import Given, naming_unknown, remembering
from hf_tagging.training.config.models import ModelFacts
from hf_tagging.training.config.reading import ModelConfig, of_script, run_of
from hf_tagging.training.config.run import RunConfig
from hf_tagging.training.config.scratch import VOCABULARY, ScratchConfig, idle_problems
from hf_tagging.training.config.tagging import TaggingConfig
from hf_tagging.training.flags import make_parser, read_settings

PRETRAINING = Task(name="pretraining", title="language-model pretraining", has_entities=False, headline="loss")
TEXT_VALIDATION_SHARE = 0.05

Splitter = Callable[[str], list[tuple[int, int]]]

# Arguments that only taggers use.
_OF_TAGGERS = (
    "test_file", "also_test", "test_share", "folds", "fold", "scheme", "label_strategy", "case_dropout", "head",
    "layer_mix", "word_features", "do_predict", "class_weights", "label_smoothing_factor", "head_learning_rate",
    "calibrate", "batch_eval_metrics", "prediction_loss_only", "packing",
    "teacher", "teacher_temperature", "gold_weight",
)  # fmt: skip
_OF_VOCABULARIES = ("words", *VOCABULARY, "word_vectors")
_OF_DATASETS = (
    *("dataset", "dataset_config", "dataset_revision", "train_file", "validation_file"), *READ_OPTIONS,
)  # fmt: skip


@remembering
@dataclass
class TextConfig(DataConfig):
    """Where words come from, and which of them are predicted."""

    text_file: list[str] | None = field(
        default=None,
        metadata={"help": "Plain text, a sentence or paragraph a line, instead of tagging data. Of it "
        f"{TEXT_VALIDATION_SHARE:.0%} are held out unless validation_share says otherwise."},
    )  # fmt: skip
    objective: Literal["auto", "masked", "bidirectional"] = field(
        default="auto",
        metadata={"help": "Predict hidden words (masked), or each word from those before it and from those behind it "
        "(bidirectional). Default: bidirectional for rnn, lstm and gru, masked for all others."},
    )  # fmt: skip
    masked_share: float = field(default=MASKED_SHARE, metadata={"help": "Share of the words that masked predicts."})

    def __post_init__(self, given: Given | None) -> None:
        if self.text_file and self.validation_share is None:
            self.validation_share = TEXT_VALIDATION_SHARE
        problems = []
        if not 0 < self.masked_share < 1:
            problems.append(Problem("masked_share", self.masked_share, f"{self.masked_share} is not between 0 and 1"))
        for name in self.text_file or []:
            if reason := input_problem(name):
                problems.append(Problem("text_file", name, f"{reason}{near_path(Path(name))}"))
        try:
            super().__post_init__(given)
        except ConfigError as error:
            problems += error.problems
        refuse(problems)


@remembering
@dataclass
class StartConfig(ScratchConfig):
    """Model that is pretrained."""

    model: str | None = field(
        default=None,
        metadata={"help": "Go on with a BERT-family encoder (a name on the Hub, a folder, or `minilm`), a folder of an "
        "earlier pretraining, or a tagger from scratch. Default: a new model."},
    )  # fmt: skip

    @property
    def label(self) -> str:
        """Name of the model in the name of a folder."""
        return self.model or self.encoder

    @property
    def facts(self) -> ModelFacts:
        """Facts that defaults and rules depend on."""
        return ModelFacts(scratch=self.model is None)


@naming_unknown
@dataclass(frozen=True)
class PretrainingConfig(RunConfig):
    """All arguments of one pretraining.

    Args:
        task: `PRETRAINING`.
        data: Plain text, or tagging data whose tags are left out.
        model: A new model, or one to go on with.
        training: Arguments of training.
    """

    task: Task = PRETRAINING
    data: TextConfig = field(default_factory=TextConfig)
    model: StartConfig = field(default_factory=StartConfig)
    training: TaggingConfig = field(default_factory=TaggingConfig)

    @classmethod
    def from_command_line(
        cls,
        argv: Sequence[str] | None = None,
        *,
        task: Task | str | None = PRETRAINING,
        model: object = None,
        description: str | None = None,
    ) -> PretrainingConfig:
        """Read flags and, with ``--config FILE.yaml``, a YAML file; a flag wins over the file.

        Args:
            argv: Flags; None: those of the running script.
            task: `PRETRAINING` alone; a file or flag may name it as well.
            model: Not used: there is one kind.
            description: Printed by ``--help``, which ends the program.

        Raises:
            ConfigError: Listing every mistake.
        """
        with spelled(FLAGS):
            parser = make_parser((TextConfig, StartConfig, TaggingConfig), description)
            reading = read_settings(of_script(argv), parser, text_is_data=True)
            for setting in reading.take("task"):
                if setting.values != [PRETRAINING.name]:
                    reason = f"{' '.join(setting.values)}, but this recipe is for {PRETRAINING.name}; leave it out"
                    reading.problems.append(setting.problem(reason))
            reading.convert(parser)
            return run_of(PretrainingConfig, reading, PRETRAINING, TextConfig, StartConfig)

    @staticmethod
    def contradictions(
        task: Task, kind: type[ModelConfig], model: ModelFacts | None, given: Mapping[str, object]
    ) -> Iterator[Problem]:
        """Yield arguments that contradict each other or have no effect; see `RunConfig.contradictions`."""

        def idle(names: Sequence[str], reason: str, fix: str = "leave it out") -> Iterator[Problem]:
            return (Problem(name, given[name], reason, fix) for name in names if name in given)

        yield from idle(_OF_TAGGERS, "only taggers have a use for it")
        yield from idle_problems(given)
        if given.get("model"):
            yield from idle(_OF_VOCABULARIES, "the model has its words already")
        else:
            yield from _objective_problems(given)
        metric = str(given.get("metric_for_best_model", "loss"))
        if metric.removeprefix("eval_") != "loss":
            reason = f"{metric!r} is not loss, with which perplexity falls"
            yield Problem("metric_for_best_model", metric, reason)
        if given.get("text_file"):
            yield from idle(_OF_DATASETS, "does not go with text_file", "leave one of them out")

    @property
    def dataset_name(self) -> str:
        """Name of the text in messages, in the record and in the default folder."""
        return Path(self.data.text_file[0]).name if self.data.text_file else super().dataset_name

    def load_words(self, split_words: Splitter) -> DatasetDict:
        """Load plain text, or the words of tagging data.

        Args:
            split_words: Splits a line of text into words.
        """
        data = self.data
        if not data.text_file:
            return without_tags(self._load(POS))  # it asks for tags; any will do
        return load_text(
            data.text_file,
            split_words,
            validation_share=data.validation_share,
            seed=self.split_seed,
            num_proc=data.num_proc,
        )

    def build_language_model(self, dataset: DatasetDict) -> LanguageModel:
        """Build or load the model that is pretrained, with its tokenizer and collator; set the seed before.

        Args:
            dataset: Its training split gives the vocabulary of a new model.
        """
        model = self.model
        return build_language_model(
            dataset,
            objective=self.data.objective,
            masked_share=self.data.masked_share,
            seed=self.training.seed,
            **model.words_read,
            parts=model.parts,
            given=self.given,
            max_length=self.data.max_length,
            model=model.model,
            revision=model.model_revision,
            trust_remote_code=model.trust_remote_code,
        )

    def align_words(self, dataset: DatasetDict, tokenizer: PreTrainedTokenizerBase) -> dict[str, AlignedSplit]:
        """Align words and subwords; labels say which subwords may be predicted.

        Args:
            dataset: From `load_words`.
            tokenizer: From `build_language_model`.
        """
        data = self.data
        return align_dataset(
            dataset, tokenizer, NO_TAGS, overlap=data.window_overlap, label_strategy="all", num_proc=data.num_proc
        )


def _objective_problems(given: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with what a new model is to predict."""
    try:
        chosen = find_objective(
            given.get("objective", "auto"),
            encoder=given.get("encoder", "lstm"),
            bidirectional=given.get("bidirectional", True),
            context=given.get("context", 0),
        )
    except ConfigError as error:
        yield from error.problems
        return
    if chosen == "bidirectional" and "masked_share" in given:
        reason = "goes with objective masked, and this one is bidirectional"
        yield Problem("masked_share", given["masked_share"], reason, "leave it out")
