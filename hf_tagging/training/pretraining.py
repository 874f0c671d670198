"""Pretraining of language models: its arguments, and its trainer."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.utils import send_to_device
from torch import nn
from transformers import (
    EvalPrediction,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from hf_tagging.data.alignment import IGNORED, AlignedSplit
from hf_tagging.data.masking import MASKED_SHARE, LanguageModelCollator
from hf_tagging.data.plain_text import NO_TAGS
from hf_tagging.data.spool import input_problem
from hf_tagging.errors import ConfigError
from hf_tagging.evaluation.figures import Figures, Results
from hf_tagging.models.language_model import find_objective
from hf_tagging.models.precision import exact
from hf_tagging.training.arguments import DataConfig, TaggingConfig
from hf_tagging.training.baseline_arguments import ScratchConfig, useless
from hf_tagging.training.flags import build, did_you_mean, make_parser, read_values, refuse
from hf_tagging.training.losses import word_loss
from hf_tagging.training.parsing import (
    FROM_SCRATCH,
    RunConfig,
    missing_paths,
    name_output,
    pushes_in_between,
    reconcile,
)
from hf_tagging.training.trainer import TaggingTrainer

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


class PretrainingTrainer(TaggingTrainer):
    """Trains a language model: a `TaggingTrainer` whose labels are words.

    The loss is the sum over all predictions divided by their number in the whole step. Evaluation is over the same
    predictions each time, whatever the batches: their words are hidden once.

    Args:
        model: From `build_language_model`.
        args: The Trainer's arguments and ours.
        tokenizer: Saved beside the model.
        splits: `train` and, if there is one, `validation`.
        collator: Makes the batches.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        args: TaggingConfig,
        tokenizer: PreTrainedTokenizerBase,
        splits: dict[str, AlignedSplit],
        collator: LanguageModelCollator,
    ):
        args = copy.copy(args)
        args.packing = False  # hidden words are drawn by the collator, window by window
        super().__init__(model=model, args=args, schema=NO_TAGS, tokenizer=tokenizer, splits=splits)
        self.data_collator = collator
        self.args.remove_unused_columns = False  # the collator knows what it needs, the model's signature does not
        self.compute_metrics = perplexity
        if self.train_dataset is not None:
            self.train_dataset = splits["train"].features.select_columns(["input_ids", "labels", "length"])
        if self.validation is not None:
            self.eval_dataset = collator.fixed(self.validation.features)
        self.add_callback(_CountEpochs(collator))
        if self.compute_loss_func is not None:
            self.compute_loss_func = _encoder_loss

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Loss and perplexity of the validation split; see `Trainer.evaluate`.

        Args:
            eval_dataset: Other examples, from `LanguageModelCollator.fixed`.
            ignore_keys: See `Trainer.evaluate`.
            metric_key_prefix: What stands before each name.
        """
        return Trainer.evaluate(self, eval_dataset, ignore_keys, metric_key_prefix)

    def held_out(self) -> Results:
        """Loss in nats, perplexity and number of predictions for the validation split, if there is one."""
        if self.validation is None:
            return {}
        figures = self.evaluate(metric_key_prefix="validation")
        measured: Figures = {
            "loss": figures["validation_loss"],
            "perplexity": figures["validation_perplexity"],
            "predictions": int(figures["validation_predictions"]),
        }
        return {"validation": measured}

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Any, Any, Any]:
        """Runs a batch; returns summed losses (batch,) and the number of predictions (batch,)."""
        inputs = send_to_device(inputs, self.args.device)
        with torch.no_grad(), exact(model), self.compute_loss_context_manager():
            if self._own_loss:
                losses = model(**inputs).losses  # (batch, words, predictions)
            else:
                logits = model(**{name: value for name, value in inputs.items() if name != "labels"}).logits
                losses = _losses(logits, inputs["labels"])  # (batch, subwords)
        counts = (inputs["labels"] != IGNORED).flatten(1).sum(1)
        return None, losses.float().flatten(1).sum(1), counts


class _CountEpochs(TrainerCallback):
    """Tells the collator which epoch it is, before its first batch is fetched."""

    def __init__(self, collator: LanguageModelCollator):
        self.collator = collator

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.collator.epoch = int((state.epoch or 0) + 1e-6)


def _encoder_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    """`word_loss`, 0 where chance has hidden no word of a small step."""
    count = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
    return word_loss(outputs, labels, torch.as_tensor(count).clamp(min=1))


def _losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of each label, 0 where there is none. (batch, subwords)"""
    chosen = labels != IGNORED  # before the softmax: a table of all words' scores in float32 is large
    found = F.cross_entropy(logits[chosen].float(), labels[chosen], reduction="none")
    return found.new_zeros(labels.shape).masked_scatter(chosen, found)


def perplexity(outcome: EvalPrediction) -> dict[str, float]:
    """Loss per prediction in nats, its exponential, and how many predictions there were."""
    losses, counts = (_joined(side) for side in (outcome.predictions, outcome.label_ids))
    predictions = int(counts.sum())
    loss = float(losses.sum(dtype=np.float64)) / max(predictions, 1)
    return {"loss": loss, "perplexity": math.exp(min(loss, 700)), "predictions": predictions}


def _joined(parts: Any) -> np.ndarray:
    return np.concatenate(parts) if isinstance(parts, list) else np.asarray(parts)
