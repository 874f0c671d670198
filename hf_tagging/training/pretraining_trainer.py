"""Trainer of language models, which predict masked words, or the words before and after."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.utils import send_to_device
from torch import nn
from transformers import (
    EvalPrediction,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import ModelOutput

from hf_tagging.data.aligned import IGNORED, AlignedSplit
from hf_tagging.data.masking import LanguageModelCollator
from hf_tagging.evaluation.figures import Figures, Results
from hf_tagging.models.precision import exact
from hf_tagging.training.config import TaggingConfig
from hf_tagging.training.losses import word_loss
from hf_tagging.training.run import TaggingRun
from hf_tagging.training.word_trainer import WordTrainer


class PretrainingTrainer(WordTrainer):
    """A trainer of language models: the labels of its windows are words.

    The loss is the sum over all predictions divided by their number in the whole step. Evaluation is over the same
    predictions each time, whatever the batches: their words are hidden once.

    Args:
        model: From `build_language_model`.
        args: The Trainer's arguments and ours.
        tokenizer: Saved beside the model.
        splits: `train` and, if there is one, `validation`.
        collator: Makes the batches.
        run: The run, which keeps its folder and its record.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        args: TaggingConfig,
        tokenizer: PreTrainedTokenizerBase,
        splits: dict[str, AlignedSplit],
        collator: LanguageModelCollator,
        run: TaggingRun,
    ):
        args = copy.copy(args)
        args.packing = False  # hidden words are drawn by the collator, window by window
        train, validation = splits.get("train"), splits.get("validation")
        super().__init__(
            model=model,
            args=args,
            processing_class=tokenizer,
            data_collator=collator,
            train_dataset=train and train.features.select_columns(["input_ids", "labels", "length"]),
            eval_dataset=validation and collator.fixed(validation.longest_first().features),
            loss=_encoder_loss,
            compute_metrics=perplexity,
            callbacks=[_CountEpochs(collator)],
            run=run,
        )
        self.args.remove_unused_columns = False  # the collator knows what it needs, the model's signature does not

    def held_out(self) -> Results:
        """Return loss in nats, perplexity and number of predictions of the validation split, if there is one."""
        if self.eval_dataset is None:
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
        inputs: dict[str, torch.Tensor],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, torch.Tensor, torch.Tensor]:
        """Run a batch; return summed losses (batch,) and the number of predictions (batch,)."""
        inputs = send_to_device(inputs, self.args.device)
        with torch.no_grad(), exact(model), self.compute_loss_context_manager():
            if self.computes_loss:
                losses = model(**inputs).losses  # (batch, words, predictions)
            else:
                logits = model(**{name: value for name, value in inputs.items() if name != "labels"}).logits
                losses = _losses(logits, inputs["labels"])  # (batch, subwords)
        counts = (inputs["labels"] != IGNORED).flatten(1).sum(1)
        return None, losses.float().flatten(1).sum(1), counts


class _CountEpochs(TrainerCallback):
    """Sets the epoch of the collator before the first batch of the epoch is fetched."""

    def __init__(self, collator: LanguageModelCollator):
        self.collator = collator

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.collator.epoch = int((state.epoch or 0) + 1e-6)


def _encoder_loss(
    outputs: ModelOutput, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
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


def _joined(parts: np.ndarray | tuple[np.ndarray, ...] | list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if isinstance(parts, list) else np.asarray(parts)
