"""The Trainer for tagging: losses per scored word, figures over whole sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from transformers.trainer_utils import PredictionOutput, TrainOutput

from hf_tagging.data.alignment import IGNORED, AlignedSplit
from hf_tagging.data.batching import WindowCollator
from hf_tagging.data.schema import TagSchema
from hf_tagging.models.margins import keep_margin
from hf_tagging.models.packing import unwrapped
from hf_tagging.models.precision import exact
from hf_tagging.tasks import Task
from hf_tagging.training.arguments import TaggingConfig
from hf_tagging.training.counting import counts, fit_counted
from hf_tagging.training.losses import class_weights, refuse_changes_of_loss, word_loss
from hf_tagging.training.scoring import ComputeMetrics, Score, WordPredictions, WordScorer
from hf_tagging.training.word_trainer import WordTrainer

__all__ = ["TaggingTrainer", "WordPredictions"]


class TaggingTrainer(WordTrainer):
    """Fine-tunes a tagger on aligned splits.

    Where it differs from `WordTrainer`:

    - The loss is the sum over scored words divided by their number in the whole step, over accumulated batches and
      processes; the stock models divide by the batch's own, which doubles the loss of 2 x 4 against 8. A model that
      says ``computes_loss`` (a CRF's is no sum over words) gets labels and that number, and its own loss is taken.
    - In evaluation logits become tags before they are gathered, so memory does not grow with the number of tags, and
      `eval_loss` is the mean over all that has a label: words, or subwords with ``label_strategy="all"`` (plain
      cross-entropy, without class weights and label smoothing). A model with a loss of its own runs without labels
      here, as in `pipeline`: `eval_loss` of a CRF is the cross-entropy of its posterior marginals.
    - Metrics see whole sentences of words, put together from windows, in the order of the split.
    - A model with a method `fit` counts instead of learning by gradients: `train` hands it all batches once.

    Args:
        model: From `load_encoder`, or any `*ForTokenClassification`, adapters included.
        args: The Trainer's arguments and ours.
        schema: The tags.
        tokenizer: Saved beside the model.
        splits: `train` and, if there is one, `validation`.
        score: Figures from (split, predicted, gold), the last two (sentences, words) of tags, in the place of the
            task's.
        task: Decides between figures over entities and over words; None: the schema decides.
        compute_metrics: As of `Trainer`: further figures, from logits and labels of windows.
        callbacks: As of `Trainer`.
        optimizers: As of `Trainer`.

    Raises:
        ConfigError: If the arguments change a loss that is the model's own, or ask for an average of the weights under
            FSDP or DeepSpeed.
        ModelError: If windows are to be packed, and the model cannot keep them apart; or it is to be trained in mixed
            precision, and computes in float32 alone.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        args: TaggingConfig,
        schema: TagSchema,
        tokenizer: PreTrainedTokenizerBase,
        splits: dict[str, AlignedSplit],
        score: Score | None = None,
        task: Task | None = None,
        compute_metrics: ComputeMetrics | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
    ):
        if getattr(unwrapped(model), "computes_loss", False):
            refuse_changes_of_loss(args, splits.get("train"))
        train, validation = splits.get("train"), splits.get("validation")
        self.schema = schema
        self.validation = validation and validation.longest_first()
        self.scorer = WordScorer(
            schema,
            task=task,
            train=train,
            score=score,
            compute_metrics=compute_metrics,
            by_batch=args.batch_eval_metrics,
        )
        weight = class_weights(train, schema, args.class_weights)
        super().__init__(
            model=model,
            args=args,
            processing_class=tokenizer,
            data_collator=WindowCollator(tokenizer.pad_token_id or 0),
            train_dataset=train and train.features,
            eval_dataset=self.validation and self.validation.features,
            loss=partial(word_loss, weight=weight, label_smoothing=args.label_smoothing_factor),
            compute_metrics=self.scorer,
            callbacks=callbacks,
            optimizers=optimizers,
        )

    def choose_budget(self, earlier: int | None = None) -> int | None:
        """Return the subwords of a step; see `WordTrainer.choose_budget`. A model that is counted has no steps: None.

        Args:
            earlier: The number that ``auto`` came to in the run that is resumed.
        """
        return None if counts(self.model) else super().choose_budget(earlier)

    def train(self, *args: Any, **options: Any) -> TrainOutput:
        """Train, see `Trainer.train`; a model that is counted is fitted once, on one process.

        Raises:
            ConfigError: If such a model is to be fitted by several processes.
        """
        return fit_counted(self) if counts(self.model) else super().train(*args, **options)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Evaluate an `AlignedSplit` (default: validation); see `Trainer.evaluate`. Only single figures are kept.

        Raises:
            TypeError: If it is something else: without the split nobody knows whose subwords are whose.
        """
        split = self.validation if eval_dataset is None else eval_dataset
        if split is self.eval_dataset:  # the Trainer's own call while it trains
            split = self.validation
        if not isinstance(split, AlignedSplit):
            raise TypeError(f"evaluate takes an AlignedSplit, as align_dataset gives it, not {type(split).__name__}")
        return super().evaluate(self.scorer.begin(split).features, ignore_keys, metric_key_prefix)

    def predict(
        self, test_dataset: Any, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """Tag and score an `AlignedSplit`; see `Trainer.predict`. Predictions are of windows, the longest first.

        `predict_words` gives tags of words, in the order of the split.

        Raises:
            TypeError: If it is something else: it would be scored as if it were another split.
        """
        if not isinstance(test_dataset, AlignedSplit):
            raise TypeError(
                f"predict takes an AlignedSplit, as align_dataset gives it, not {type(test_dataset).__name__}"
            )
        return super().predict(self.scorer.begin(test_dataset).features, ignore_keys, metric_key_prefix)

    def predict_words(self, split: AlignedSplit, name: str = "test") -> WordPredictions:
        """Tag a split and score it.

        Args:
            split: The split.
            name: Its name, for the log.
        """
        windows = self.scorer.begin(split).features
        self.args.prediction_loss_only = False  # that flag is for the evaluations while training
        figures = super().predict(windows, metric_key_prefix=name).metrics or {}
        seconds = figures[f"{name}_runtime"]
        words = int(split.sentence_starts[-1])
        speed = {"runtime": seconds, "words_per_second": round(words / seconds, 1) if seconds else None}
        return replace(self.scorer.outcome, metrics=self.scorer.outcome.metrics | speed)

    def keep_margin(self, folder: Path, model: PreTrainedModel | None) -> None:
        """Measure the margin for fast tagging on the validation split; see `hf_tagging.models.margins.keep_margin`."""
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        padding = getattr(self.processing_class, "pad_token_id", None) or 0
        keep_margin(folder, model, None if sharded else self.validation, pad_token_id=padding)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Any, Any, Any]:
        """Run a batch; return label ids (batch, subwords) and summed losses (batch,) in the place of logits.

        Logits (batch, subwords, tags) come with them only where the caller has a `compute_metrics` of their own.
        """
        outcome: Any
        if self.computes_loss:
            labels = inputs["labels"].to(self.args.device)
            unlabelled = {name: value for name, value in inputs.items() if name != "labels"}
            with exact(model):
                outcome = super().prediction_step(model, unlabelled, False, ignore_keys)
            logits = outcome[1]
        else:
            with exact(model):
                outcome = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
            _, logits, labels = outcome
            if prediction_loss_only or logits is None:
                return outcome
        logits = logits[0] if isinstance(logits, tuple) else logits  # (batch, subwords, tags)
        losses = F.cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
        if prediction_loss_only:
            return losses.sum() / (labels != IGNORED).sum().clamp(min=1), None, None
        # No loss of its own: the Trainer would average it over windows. `WordScorer` gives the mean over words.
        found = [logits.argmax(-1).to(torch.int32), losses.sum(-1)]
        if self.scorer.compute_metrics is not None:
            found.append(logits)
        return None, tuple(found), labels.to(torch.int32)
