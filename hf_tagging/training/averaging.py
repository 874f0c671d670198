"""Averages of weights: over the steps of a run, evaluated and saved in the place of the last step's, and over runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_STEP_WEIGHTS = "step_weights.safetensors"


class AveragedWeights(TrainerCallback):
    """Exponential moving average of the trained weights over steps (Morales-Brotons et al. 2024).

    After each step ``average = d * average + (1 - d) * weights``. After n steps d is ``(1 + n) / (10 + n)``, `decay` at
    most, so that the untrained beginning is soon forgotten (TensorFlow's ``ExponentialMovingAverage`` does the same).

    While it trains, the model holds the weights of the step, and callbacks see them; inside `in_place` and once
    training has ended it holds the average. Buffers are as the last step left them.

    Args:
        decay: Above 0 and below 1: 0.98 averages over about the last 50 steps, once there have been 440.
    """

    def __init__(self, decay: float):
        self.decay = decay
        self._weights: list[nn.Parameter] = []
        self._average: list[torch.Tensor] = []

    def start(self, model: nn.Module) -> None:
        """Begins with the model's weights, which in a checkpoint are the average so far."""
        self._weights = list(trained_weights(model).values())
        self._average = [weight.detach().clone() for weight in self._weights]

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: object,
    ) -> None:
        """Starts, unless a run goes on, which has started when its checkpoint was loaded."""
        if state.global_step == 0:
            assert model is not None
            self.start(model)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Add the weights of a step to the average."""
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        get_ema_multi_avg_fn(decay)(self._average, [weight.detach() for weight in self._weights], None)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Puts the average in the place of the step's weights, if there is training going on; not to be nested."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Leave the average in the model, unless the best checkpoint's weights, an average too, are there by now."""
        best = state.best_model_checkpoint if args.load_best_model_at_end else None
        if best is None or not Path(best).is_dir():
            self._exchange()
        self._weights, self._average = [], []

    @torch.no_grad()
    def _exchange(self) -> None:
        for weight, average in zip(self._weights, self._average, strict=True):
            # Values and not tensors: CUDA graphs and the optimizer know a weight by its address.
            of_step = weight.clone()
            weight.copy_(average)
            average.copy_(of_step)


def trained_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def save_step_weights(model: nn.Module, checkpoint: str | Path) -> None:
    """Writes the weights of the step into a checkpoint whose model is the average."""
    every = model.state_dict()
    save_file({name: every[name].contiguous() for name in trained_weights(model)}, Path(checkpoint) / _STEP_WEIGHTS)


def load_step_weights(model: nn.Module, checkpoint: str | Path) -> None:
    """Puts the weights of the step into a model, where its checkpoint has them beside an average."""
    file = Path(checkpoint) / _STEP_WEIGHTS
    if file.is_file():
        found = model.load_state_dict(load_file(file), strict=False)  # weights that are not trained are missing
        if found.unexpected_keys:
            raise KeyError(found.unexpected_keys[0])


def all_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the parameters and the floating-point buffers of a model, by name; tied weights are there once."""
    named = (*model.named_parameters(), *model.named_buffers())
    return {name: tensor.detach() for name, tensor in named if tensor.is_floating_point()}


def add_to_mean(mean: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], count: int) -> None:
    """Add the weights of another model to the mean of some, in place.

    Args:
        mean: Mean of `count` models, by name.
        weights: Those of another model, with the same names and shapes.
        count: Number of models in the mean so far.
    """
    get_swa_multi_avg_fn()(list(mean.values()), [weights[name] for name in mean], count)


@torch.no_grad()
def put_weights(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Copy weights into a model; what is tied stays tied.

    Args:
        model: Model with the same names and shapes.
        weights: From `all_weights`.
    """
    for name, weight in all_weights(model).items():
        weight.copy_(weights[name])
