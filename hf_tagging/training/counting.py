"""Fitting a model that counts its training words once, in the place of a training by gradients."""

from __future__ import annotations

import time

from torch import nn
from transformers import IntervalStrategy
from transformers.trainer_utils import TrainOutput

from hf_tagging.errors import ConfigError
from hf_tagging.models.packing import unwrapped
from hf_tagging.training.word_trainer import WordTrainer


def counts(model: nn.Module | None) -> bool:
    """Return whether a model has a method `fit`, which counts instead of learning by gradients."""
    return model is not None and callable(getattr(unwrapped(model), "fit", None))


def fit_counted(trainer: WordTrainer) -> TrainOutput:
    """Fit the model of a trainer on all of its training windows, then evaluate as after an epoch.

    There are no steps, no checkpoints, and nothing to resume.

    Args:
        trainer: With a model that `counts`.

    Raises:
        ConfigError: If several processes are to do so.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    args = trainer.args
    if args.world_size > 1:
        raise ConfigError(
            f"{args.world_size} processes: {type(model).__name__} is counted by one. Start the recipe with "
            "python in the place of accelerate launch or torchrun."
        )
    began = time.monotonic()
    model.eval()
    model.fit(trainer.get_test_dataloader(trainer.train_dataset))
    figures = {"train_runtime": time.monotonic() - began}
    trainer.state.epoch = args.num_train_epochs = 1.0
    if trainer.eval_dataset is not None and args.eval_strategy != IntervalStrategy.NO:
        trainer.evaluate()
    trainer.log(dict(figures))
    return TrainOutput(trainer.state.global_step, float("nan"), figures)
