"""Pretraining of language models: its arguments, and its trainer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hf_tagging.data.masking import MASKED_SHARE
from hf_tagging.data.spool import input_problem
from hf_tagging.errors import ConfigError
from hf_tagging.models.language_model import find_objective
from hf_tagging.training.arguments import DataConfig, TaggingConfig
from hf_tagging.training.baseline_arguments import ScratchConfig, useless
from hf_tagging.training.flags import build, did_you_mean, make_parser, read_values, refuse
from hf_tagging.training.parsing import (
    FROM_SCRATCH,
    RunConfig,
    missing_paths,
    name_output,
    pushes_in_between,
    reconcile,
)

TASK = "pretraining"
TEXT_VALIDATION_SHARE = 0.05
# What only taggers have a use for.
_OF_TAGGERS = (
    "test_file", "test_share", "folds", "fold", "scheme", "label_strategy", "head", "layer_mix", "word_features",
    "do_predict", "class_weights", "label_smoothing_factor", "head_learning_rate", "batch_eval_metrics",
    "prediction_loss_only", "packing",
)  # fmt: skip
_OF_VOCABULARIES = ("words", "min_count", "max_words", "lowercase", "fold_digits", "fold_tweets", "word_vectors")
_OF_DATASETS = (
    "dataset", "dataset_config", "dataset_revision", "train_file", "validation_file", "tokens_column", "tags_column",
    "separator", "sentence_start", "tag_names",
)  # fmt: skip


@dataclass
class TextConfig(DataConfig):
    """Where words come from, and what of them is predicted."""

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

    def __post_init__(self) -> None:
        if self.text_file and self.validation_share is None:
            self.validation_share = TEXT_VALIDATION_SHARE
        problems = [] if 0 < self.masked_share < 1 else [f"masked_share: {self.masked_share} is not between 0 and 1"]
        try:
            super().__post_init__()
        except ConfigError as error:
            problems += str(error).splitlines()
        if problems:
            raise ConfigError("\n".join(problems))


@dataclass
class StartConfig(ScratchConfig):
    """What is pretrained."""

    model: str | None = field(
        default=None,
        metadata={"help": "Go on with a BERT-family encoder (a name on the Hub, a folder, or `minilm`), a folder of an "
        "earlier pretraining, or a tagger from scratch. Default: a new model."},
    )  # fmt: skip

    @property
    def label(self) -> str:
        """What the model is called in the name of a folder."""
        return self.model or self.encoder


@dataclass(frozen=True)
class PretrainingConfig(RunConfig):
    """All arguments of one pretraining."""

    data: TextConfig
    model: StartConfig

    @property
    def dataset_name(self) -> str:
        """What the text is called in messages, in the record and in the default folder."""
        return Path(self.data.text_file[0]).name if self.data.text_file else super().dataset_name

    def loading(self) -> dict[str, Any]:
        """What `load_tagging_dataset` is to be called with. It asks for tags; any will do."""
        return super().loading() | {"task": "pos"}

    def text(self) -> dict[str, Any]:
        """What `load_text` is to be called with, beside the splitter."""
        share, processes = self.data.validation_share, self.data.num_proc
        return {"files": self.data.text_file, "validation_share": share, "seed": self.split_seed, "num_proc": processes}

    def language_model(self) -> dict[str, Any]:
        """What `build_language_model` is to be called with, beside the dataset."""
        options = {name: value for name, value in self.baseline().items() if name != "keep_head"}
        data = self.data
        return options | {"objective": data.objective, "masked_share": data.masked_share, "seed": self.training.seed}

    def alignment(self) -> dict[str, Any]:
        """What `align_dataset` is to be called with: labels say which subwords may be predicted."""
        return super().alignment() | {"label_strategy": "all"}


def parse_pretraining(argv: Sequence[str] | None = None, *, description: str | None = None) -> PretrainingConfig:
    """Reads flags and, with ``--config FILE.yaml``, a YAML file, as `parse_arguments` does.

    Args:
        argv: Flags; default: those of the command line.
        description: Printed by ``--help``, which ends the program.

    Raises:
        ConfigError: Listing every mistake.
    """
    parts: tuple[Any, ...] = (TextConfig, StartConfig, TaggingConfig)
    parser = make_parser(parts, description, metric_for_best_model="loss")
    values, problems = read_values(parser, argv)
    given = frozenset(values)
    problems += [*_contradictions(values), *missing_paths(values), *pushes_in_between(values)]
    reconcile("baseline", values)
    if not values.get("model"):
        values = FROM_SCRATCH | values
    data, model, training = (build(part, parser, values, problems) for part in parts)
    refuse(problems)
    arguments = PretrainingConfig(TASK, data, model, training, given)
    name_output(arguments)
    return arguments


def _contradictions(values: dict[str, Any]) -> Iterable[str]:
    """What was given and cannot be, or would have no effect."""
    yield from (f"{name}: only taggers have a use for it; leave it out" for name in _OF_TAGGERS if name in values)
    yield from useless(values)
    if values.get("model"):
        yield from (f"{n}: the model has its words already; leave it out" for n in _OF_VOCABULARIES if n in values)
    else:
        facts = {name: values[name] for name in ("bidirectional", "context") if name in values}
        try:
            chosen = find_objective(values.get("objective", "auto"), encoder=values.get("encoder", "lstm"), **facts)
            if chosen == "bidirectional" and "masked_share" in values:
                yield "masked_share: goes with objective masked, and this one is bidirectional; leave it out"
        except ConfigError as error:
            yield str(error)
    if values.get("metric_for_best_model", "loss").removeprefix("eval_") != "loss":
        yield f"metric_for_best_model: {values['metric_for_best_model']!r} is not loss, with which perplexity falls"
    if not values.get("text_file"):
        return
    yield from (f"{n}: does not go with text_file; leave one of them out" for n in _OF_DATASETS if n in values)
    for name in values["text_file"]:
        if problem := input_problem(name):
            yield f"text_file: {problem}{did_you_mean(Path(name))}"
