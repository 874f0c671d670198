"""Two sides of everything that trains: ours as `recipes/ner_bert.py` builds it, and the stock `Trainer`.

The stock side is what the Transformers course and most scripts write: `AutoModelForTokenClassification`, the loop over
`word_ids()`, `DataCollatorForTokenClassification`, and `TrainingArguments` at their defaults. Both start from the same
weights: the tag head is drawn with the same seed.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from common import synchronize
from datasets import Dataset, DatasetDict
from seqeval.metrics import f1_score
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    EvalPrediction,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback

from hf_tagging.data import TagSchema
from hf_tagging.data.aligned import IGNORED, AlignedSplit
from hf_tagging.errors import ConfigError
from hf_tagging.models import resolve_model
from hf_tagging.models.encoder import quiet
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training import EncoderConfig, RunConfig

ONE_EPOCH = ("--eval_strategy", "no", "--save_strategy", "no", "--num_train_epochs", "1")


class Counting(Trainer):
    """A Trainer that counts the sentences and subwords it trains on, and times them from a step on.

    Sentences are counted by their first special token, subwords as what is no padding, so that it does not matter how
    they are batched. Nothing is read from a GPU before the end.
    """

    _counted: list[torch.Tensor] | None = None  # None: it is trained without a clock
    _warm_up = 0

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **options: Any) -> torch.Tensor:
        """Counts a batch, then trains on it."""
        if self._counted is not None and self.state.global_step >= self._warm_up:
            tokenizer: Any = self.processing_class
            ids = inputs["input_ids"]  # (batch, subwords)
            real = ids != (tokenizer.pad_token_id or 0)
            starts = real[:, 0] if tokenizer.cls_token_id is None else ids == tokenizer.cls_token_id
            self._counted.append(torch.stack([starts.sum(), real.sum()]))
        return super().training_step(model, inputs, *rest, **options)

    def train_timed(self, warm_up: int) -> dict[str, float]:
        """Trains to the end.

        Args:
            warm_up: Steps that do not count.

        Returns:
            Sentences and subwords per second over the other steps, of all processes together.

        Raises:
            ConfigError: If there are no other steps.
        """
        self._counted, self._warm_up = [], warm_up
        clock = _Clock(warm_up)
        self.add_callback(clock)
        self.train()
        if not self._counted or clock.began is None:
            raise ConfigError(
                f"--sentences: they make {self.state.global_step} steps, and the first {warm_up} do not count. Give "
                "more sentences, or a smaller --warm_up."
            )
        sentences, subwords = self.accelerator.reduce(torch.stack(self._counted).sum(0), "sum").tolist()
        seconds = clock.ended - clock.began
        return {"sentences_per_second": sentences / seconds, "subwords_per_second": subwords / seconds}


class OurTrainer(Counting, TaggingTrainer):
    """`TaggingTrainer`, counted, and the splits that it was made of."""

    splits: dict[str, AlignedSplit]


class StockTrainer(Counting):
    """`Trainer`, counted, and the features that it was made of."""

    features: dict[str, Dataset]


class _Clock(TrainerCallback):
    """Notes when the steps that do not count have ended, and when the last one has."""

    def __init__(self, warm_up: int):
        self.warm_up = warm_up
        self.began: float | None = None
        self.ended = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Looks whether every step counts."""
        self._look(args, state)

    def on_step_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Looks at the time after the steps that matter."""
        self._look(args, state)

    def _look(self, args: TrainingArguments, state: Any) -> None:
        if state.global_step in (self.warm_up, state.max_steps):
            synchronize(args.device.type)
            self.ended = time.perf_counter()
            self.began = self.ended if state.global_step == self.warm_up else self.began


def our_trainer(
    dataset: DatasetDict,
    schema: TagSchema,
    *,
    model: str,
    device: str,
    seed: int,
    folder: str,
    flags: Sequence[str] = ONE_EPOCH,
) -> OurTrainer:
    """Our side, as `recipes/ner_bert.py` builds it of its flags.

    Args:
        dataset: Splits of words and tags in the schema.
        schema: The tags.
        model: An encoder.
        device: ``"cpu"`` or ``"cuda"``.
        seed: Of weights and order.
        folder: For what it writes.
        flags: Of the recipe, as on the command line.
    """
    given = ["--model", model, "--seed", str(seed), "--output_dir", folder, "--disable_tqdm", "true"]
    args = RunConfig.from_command_line(
        [*given, *(["--use_cpu"] if device == "cpu" else []), *flags], task="ner", model=EncoderConfig
    )
    set_seed(args.training.seed)
    encoder, tokenizer = args.build_model(dataset, schema)
    splits = args.align(dataset, tokenizer, schema, encoder)
    trainer = OurTrainer(
        model=encoder,
        args=args.training,
        train_dataset=splits.get("train"),
        eval_dataset=splits.get("validation"),
        processing_class=tokenizer,
        task="ner",
    )
    trainer.splits = splits
    return trainer


def stock_trainer(
    dataset: DatasetDict, schema: TagSchema, *, model: str, device: str, seed: int, folder: str, **options: Any
) -> StockTrainer:
    """Return the peer's side: the stock Trainer at its defaults, over the usual features.

    Args:
        dataset: Splits of words and tags in the schema.
        schema: The tags.
        model: An encoder.
        device: ``"cpu"`` or ``"cuda"``.
        seed: Of weights and order.
        folder: For what it writes.
        options: Of `TrainingArguments`.
    """
    warnings.filterwarnings("ignore", message=".*pin_memory.*")  # a default that PyTorch warns of without a GPU
    set_seed(seed)
    source = resolve_model(model)
    tokenizer = AutoTokenizer.from_pretrained(source)
    with quiet():
        encoder = AutoModelForTokenClassification.from_pretrained(
            source,
            num_labels=len(schema.tags),
            id2label=schema.id2label,
            label2id=schema.label2id,
            ignore_mismatched_sizes=True,  # of a model that tags with other tags, as ours does
            dtype=torch.float32,
        )
    features = {name: usual_features(split, tokenizer) for name, split in dataset.items()}
    args = TrainingArguments(
        folder, **({"save_strategy": "no"} | options), seed=seed, use_cpu=device == "cpu", disable_tqdm=True
    )
    trainer = StockTrainer(
        model=encoder,
        args=args,
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        train_dataset=features.get("train"),
        eval_dataset=features.get("validation"),
        compute_metrics=partial(usual_metrics, schema.tags),
    )
    trainer.features = features
    trainer.remove_callback(PrinterCallback)
    return trainer


def usual_features(split: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """A split by the loop over `word_ids()` of the Transformers course: what does not fit is cut off.

    Args:
        split: With `tokens` and `tags`.
        tokenizer: A fast one.
    """

    def tokenize_and_align(examples: dict[str, Any]) -> Any:
        encoded = tokenizer(examples["tokens"], truncation=True, is_split_into_words=True)
        labels = []
        for i, row in enumerate(examples["tags"]):
            previous, ids = None, []
            for word in encoded.word_ids(batch_index=i):
                ids.append(IGNORED if word is None or word == previous else row[word])
                previous = word
            labels.append(ids)
        encoded["labels"] = labels
        return encoded

    return split.map(tokenize_and_align, batched=True, remove_columns=split.column_names)


def usual_metrics(tags: Sequence[str], outcome: EvalPrediction) -> dict[str, float]:
    """Entity F1 as the Transformers course counts it: over the subwords that have a label.

    Args:
        tags: In the order of their label ids.
        outcome: Logits (sentences, subwords, tags) and labels (sentences, subwords) of a whole split.
    """
    logits, labels = np.asarray(outcome.predictions), np.asarray(outcome.label_ids)
    ours, gold = (
        [[tags[i] for i in row[real]] for row, real in zip(ids, labels != IGNORED, strict=True)]
        for ids in (logits.argmax(-1), labels)  # (sentences, subwords)
    )
    return {"f1": float(f1_score(gold, ours))}
