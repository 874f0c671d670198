"""The Trainer for tagging: losses per scored word, figures over whole sentences."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    IntervalStrategy,
    PreTrainedTokenizerBase,
)
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalLoopOutput, PredictionOutput, TrainOutput, align_special_tokens

from hf_tagging.data.alignment import IGNORED, AlignedSplit
from hf_tagging.data.batching import WindowCollator
from hf_tagging.data.schema import TagSchema
from hf_tagging.errors import ConfigError, ModelError, OutputError
from hf_tagging.foreign.trainer import TrainerHooks
from hf_tagging.models.packing import PACKING_PAYS, pack_model, packable
from hf_tagging.models.precision import check_mixed_precision, exact
from hf_tagging.training.arguments import TaggingConfig
from hf_tagging.training.averaging import AveragedWeights, load_step_weights, save_step_weights
from hf_tagging.training.budget import find_budget, training_loader
from hf_tagging.training.callbacks import CompleteCheckpoints, ReadableProgress
from hf_tagging.training.checkpoints import loading, lost_best, read_state
from hf_tagging.training.finite import FiniteTraining
from hf_tagging.training.losses import class_weights, refuse_changes_of_loss, word_loss
from hf_tagging.training.rates import parameter_groups, unwrapped

Tags = list[list[str]]
_OWN_ORDERS = ("random", "sequential", "group_by_length")  # of `training_loader`
Score = Callable[[AlignedSplit, Tags, Tags], Mapping[str, Any]]


@dataclass(frozen=True)
class WordPredictions:
    """What a model says of a split: one tag per word, whole sentences, in the split's order.

    Args:
        predicted: (sentences, words)
        gold: (sentences, words)
        metrics: Every figure of the run's `score`, and `loss`, `runtime` and `words_per_second`.
    """

    predicted: Tags
    gold: Tags
    metrics: dict[str, Any]


class TaggingTrainer(TrainerHooks):
    """Fine-tunes a tagger on aligned splits.

    Where it differs from `Trainer`:

    - The loss is the sum over scored words divided by their number in the whole step, over accumulated batches and
      processes; the stock models divide by the batch's own, which doubles the loss of 2 x 4 against 8. A model that
      says ``computes_loss`` (a CRF's is no sum over words) gets labels and that number, and its own loss is taken.
    - In evaluation logits become tags before they are gathered, so memory does not grow with the number of tags, and
      `eval_loss` is the mean over all that has a label: words, or subwords with ``label_strategy="all"`` (plain
      cross-entropy, without class weights and label smoothing). A model with a loss of its own runs without labels
      here, as in `pipeline`: `eval_loss` of a CRF is the cross-entropy of its posterior marginals.
    - Metrics see whole sentences of words, put together from windows, in the order of the split.
    - With `ema_decay`, an average of the weights over steps is evaluated and saved in the place of the last ones.
    - A model with a method `fit` counts instead of learning by gradients: `train` hands it all batches once.

    Args:
        model: From `load_encoder`, or any `*ForTokenClassification`, adapters included.
        args: The Trainer's arguments and ours.
        schema: The tags.
        tokenizer: Saved beside the model.
        splits: `train` and, if there is one, `validation`.
        score: Figures from (split, predicted, gold), the last two (sentences, words) of tags.

    Raises:
        ConfigError: If the arguments change a loss that is the model's own, or ask for an average of the weights under
            FSDP or DeepSpeed.
        ModelError: If windows are to be packed, and the model cannot keep them apart; or it is to be trained in mixed
            precision, and computes in float32 alone.
    """

    args: TaggingConfig

    def __init__(
        self,
        *,
        model: nn.Module,
        args: TaggingConfig,
        schema: TagSchema,
        tokenizer: PreTrainedTokenizerBase,
        splits: dict[str, AlignedSplit],
        score: Score | None = None,
        **options: Any,
    ):
        self.schema, self.score = schema, score
        train, validation = splits.get("train"), splits.get("validation")
        self.validation = validation and validation.longest_first()
        self._evaluated = self.validation
        self._batches: list[tuple[Any, Any]] = []
        self._outcome = WordPredictions([], [], {})
        self._own_loss = bool(getattr(unwrapped(model), "computes_loss", False))
        self._fits_at_once = callable(getattr(unwrapped(model), "fit", None))
        if self._own_loss:
            refuse_changes_of_loss(args)
        args = copy.copy(args)  # what is changed below is the Trainer's business and not the caller's
        if validation is None:
            args.without_validation()
        keep, args.save_total_limit = args.save_total_limit, None  # `CompleteCheckpoints` deletes, once it is safe to
        if args.mixed_precision != "no":
            check_mixed_precision(unwrapped(model))
        if args.packing is None:
            args.packing = _packing_pays(args, model)
        if args.packing:
            pack_model(unwrapped(model))
        args.per_device_train_batch_size = args.per_device_train_batch_size or 1  # a number to print and to hand on
        args.push_to_hub = False  # `TaggingRun` pushes the finished folder; the Trainer would push half-made ones
        args.label_names = args.label_names or ["labels"]
        if not torch.accelerator.is_available():
            args.dataloader_pin_memory = False  # PyTorch warns about it at every loader
        super().__init__(
            model=model,
            args=args,
            processing_class=tokenizer,
            data_collator=WindowCollator(tokenizer.pad_token_id or 0),
            train_dataset=train and train.features,
            eval_dataset=self.validation and self.validation.features,
            compute_metrics=self._score_windows,
            compute_loss_func=None
            if self._own_loss
            else partial(
                word_loss,
                weight=class_weights(train, schema, args.class_weights),
                label_smoothing=args.label_smoothing_factor,
            ),
            preprocess_logits_for_metrics=None,
            **options,
        )
        # Our loss does the smoothing; the stock smoother would divide by the batch's own words.
        self.label_smoother = None
        if args.ema_decay and (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            raise ConfigError(
                "ema_decay: under FSDP and DeepSpeed, which keep the weights their own way, they are not averaged. "
                "Train with accelerate_configs/multi_gpu.yaml, or give --ema_decay 0."
            )
        self._average = AveragedWeights(args.ema_decay) if args.ema_decay else None
        self._finite = FiniteTraining(tokenizer)
        self._choose_callbacks(args, keep)

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **options: Any) -> torch.Tensor:
        """Train on a batch, see `Trainer.training_step`, and remembers it for the case that its loss is no number."""
        loss = super().training_step(model, inputs, *args, **options)
        assert self.optimizer is not None
        rate = float(self.optimizer.param_groups[0]["lr"])
        self._finite.note(self.state.global_step + 1, rate, loss, inputs["input_ids"])
        return loss

    def _choose_callbacks(self, args: TaggingConfig, keep: int | None) -> None:
        for shown in (ProgressCallback, PrinterCallback):
            self.remove_callback(shown)
        if self._average is not None:
            self.add_callback(self._average)
        self.add_callback(ReadableProgress(show_bars=not args.disable_tqdm))
        self.add_callback(self._finite)
        self.add_callback(CompleteCheckpoints(keep))
        if args.early_stopping_patience is not None:
            self.add_callback(EarlyStoppingCallback(args.early_stopping_patience, args.early_stopping_threshold))

    def get_train_dataloader(self) -> DataLoader:
        """Steps of `tokens_per_batch` subwords, or of `per_device_train_batch_size` windows, each window once."""
        budget = self.choose_budget()
        if budget is None and self.args.train_sampling_strategy not in _OWN_ORDERS:
            return super().get_train_dataloader()
        return training_loader(self, budget)

    def choose_budget(self, earlier: int | None = None) -> int | None:
        """Subwords of a step: as given, or as many as fit, found once; None where windows are counted.

        A model that is fitted at once has no steps: None too.

        Args:
            earlier: What ``auto`` came to in the run that is resumed.
        """
        if self._fits_at_once:
            return None
        if self.args.tokens_per_batch == "auto":
            self.args.tokens_per_batch = earlier or find_budget(self)
        budget = self.args.tokens_per_batch
        return None if budget is None else int(budget)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Creates the optimizer, with a rate per layer or for the head where the arguments ask for it."""
        one_rate = self.args.layerwise_lr_decay == 1 and self.args.head_learning_rate is None
        if not one_rate and self.optimizer is None:
            trained: Any = self.model if model is None else model
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, trained)
            groups = parameter_groups(trained, set(self.get_decay_parameter_names(trained)), self.args)
            self.optimizer_cls_and_kwargs = (kind, {**options, "params": groups})  # the Trainer's hook for groups
        return super().create_optimizer(model)

    def train(self, *args: Any, **options: Any) -> TrainOutput:
        """Trains, see `Trainer.train`; a model that has a method `fit` is fitted once, on one process.

        Raises:
            ConfigError: If such a model is to be fitted by several processes.
        """
        if self._fits_at_once:
            return self._fit(self.accelerator.unwrap_model(self.model))
        return super().train(*args, **options)

    def _fit(self, model: Any) -> TrainOutput:
        """Counts what there is to count, then evaluates as after an epoch; there is nothing to resume."""
        if self.args.world_size > 1:
            raise ConfigError(
                f"{self.args.world_size} processes: {type(model).__name__} is counted by one. Start the recipe with "
                "python in the place of accelerate launch or torchrun."
            )
        began = time.monotonic()
        loader = self.get_test_dataloader(self.train_dataset)
        model.eval()
        model.fit(loader)
        seconds = time.monotonic() - began
        self.state.epoch = self.args.num_train_epochs = 1.0
        if self.validation is not None and self.args.eval_strategy != IntervalStrategy.NO:
            self.evaluate()
        figures = {"train_runtime": seconds}
        self.log(dict(figures))
        return TrainOutput(self.state.global_step, float("nan"), figures)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Evaluates an `AlignedSplit` (default: validation); see `Trainer.evaluate`. Only single figures are kept.

        Raises:
            TypeError: If it is something else: without the split nobody knows whose subwords are whose.
        """
        split = self.validation if eval_dataset is None else eval_dataset
        if split is self.eval_dataset:  # the Trainer's own call while it trains
            split = self.validation
        if not isinstance(split, AlignedSplit):
            raise TypeError(f"evaluate takes an AlignedSplit, as align_dataset gives it, not {type(split).__name__}")
        self._evaluated = split.longest_first()
        return super().evaluate(self._evaluated.features, ignore_keys, metric_key_prefix)

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
        self._evaluated = test_dataset.longest_first()
        return super().predict(self._evaluated.features, ignore_keys, metric_key_prefix)

    def evaluation_loop(self, *args: Any, **options: Any) -> EvalLoopOutput:
        """Evaluates the average of the weights, where there is one; see `Trainer.evaluation_loop`."""
        with self._averaged():
            return super().evaluation_loop(*args, **options)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the average of the weights, where there is one; see `Trainer.save_model`."""
        with self._averaged():
            super().save_model(output_dir, _internal_call)

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self._average is None else self._average.in_place()

    @contextmanager
    def saving_checkpoint(self, checkpoint: Path) -> Iterator[None]:
        """Refuse weights that are not finite, and save the step's weights beside their average."""
        assert self.model is not None
        self._finite.look(self.args, self.state, self.model)
        yield
        if self._average is not None and self.args.should_save and not self.args.save_only_model:
            save_step_weights(self.model, checkpoint)

    def loading_checkpoint(self, checkpoint: str | Path) -> AbstractContextManager[None]:
        """Report a checkpoint that cannot be read in one message."""
        return loading(checkpoint)

    def resumed(self, checkpoint: str | Path) -> None:
        """Restore the average of the weights, the step's own weights, and the best checkpoint of a moved folder."""
        assert self.model is not None
        if self._average is not None:
            self._average.start(self.model)
        load_step_weights(self.model, checkpoint)  # which may be there where no average is asked for any more
        best = read_state(Path(checkpoint)).best_model_checkpoint
        self.state.best_model_checkpoint = best if best and Path(best).is_dir() else None

    def take_up(self, checkpoint: str) -> None:
        """Stands where a run stood that ended at this checkpoint: its state and its final weights, nothing trained.

        Args:
            checkpoint: Folder of the last checkpoint.

        Raises:
            OutputError: If it, or the best one where that is to be loaded, cannot be used.
        """
        assert self.model is not None
        align_special_tokens(self.model, self.processing_class)  # as `train` does, so that the saved config is the same
        with loading(checkpoint):
            self.state = read_state(Path(checkpoint))
        if self.args.load_best_model_at_end and self.state.best_model_checkpoint:
            if lost := lost_best(Path(checkpoint)):  # the Trainer would go on with the weights that it has
                raise OutputError(f"{checkpoint}: {lost}. Nothing was changed.")
            self.load_best_weights()
        else:
            self.load_weights(checkpoint)

    def predict_words(self, split: AlignedSplit, name: str = "test") -> WordPredictions:
        """Tags a split and scores it.

        Args:
            split: The split.
            name: Its name, for the log.
        """
        self._evaluated = split.longest_first()
        nothing: Tags = [[] for _ in split.words]
        self._outcome = WordPredictions(nothing, nothing, {})  # stays where no sentence has a word: no batch comes
        self.args.prediction_loss_only = False  # that flag is for the evaluations while training
        figures = super().predict(self._evaluated.features, metric_key_prefix=name).metrics or {}
        seconds = figures[f"{name}_runtime"]
        words = int(split.sentence_starts[-1])
        speed = {"runtime": seconds, "words_per_second": round(words / seconds, 1) if seconds else None}
        return replace(self._outcome, metrics=self._outcome.metrics | speed)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Any, Any, Any]:
        """Runs a batch; returns label ids (batch, subwords) and summed losses (batch,) in the place of logits."""
        outcome: Any
        if self._own_loss:
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
        # No loss of its own: the Trainer would average it over windows. `_score_windows` gives the mean over words.
        return None, (logits.argmax(-1).to(torch.int32), losses.sum(-1)), labels.to(torch.int32)

    def _score_windows(self, outcome: EvalPrediction, compute_result: bool = True) -> dict[str, Any]:
        """Figures of an evaluation; with `batch_eval_metrics`, called per batch and asked for a result at the end."""
        predictions: Any = outcome.predictions
        labels: Any = outcome.label_ids
        if self.args.batch_eval_metrics:
            self._batches.append((tuple(part.cpu().numpy() for part in predictions), labels.cpu().numpy()))
            if not compute_result:
                return {}
            predictions, labels = (list(side) for side in zip(*self._batches, strict=True))
            self._batches = []
        if not isinstance(labels, list):  # eval_do_concat_batches
            predictions, labels = [predictions], [labels]
        scored = sum(int(np.count_nonzero(batch != IGNORED)) for batch in labels)
        loss = float(sum(batch[1].sum(dtype=np.float64) for batch in predictions)) / max(scored, 1)
        assert self._evaluated is not None
        predicted, gold = self._read_tags(self._evaluated, predictions, labels)
        figures = self.score(self._evaluated, predicted, gold) if self.score else {}
        self._outcome = WordPredictions(predicted, gold, {**figures, "loss": loss})
        return {"loss": loss} | {k: v for k, v in figures.items() if isinstance(v, (int, float))}

    def _read_tags(self, split: AlignedSplit, predictions: list[Any], labels: list[Any]) -> tuple[Tags, Tags]:
        """Predicted and gold tags per sentence from batches of gathered windows."""
        names = np.array([*self.schema.tags, "O"], dtype=object)  # the last answers -1: a word without a label
        predicted = split.read([row for batch in predictions for row in batch[0]], fill=-1)
        gold = split.read([row for batch in labels for row in batch], fill=-1)
        return split.per_sentence(names[predicted]), split.per_sentence(names[np.maximum(gold, -1)])


def _packing_pays(args: TaggingConfig, model: nn.Module) -> bool:
    """Whether to pack what nobody has asked to be packed."""
    if args.per_device_train_batch_size or args.tokens_per_batch == "auto" or not PACKING_PAYS.get(args.device.type):
        return False
    try:
        packable(unwrapped(model))
    except ModelError:
        return False
    return True
