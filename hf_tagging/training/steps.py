"""Steps of training: a token budget each, with a learning rate by layer."""

from __future__ import annotations

import logging
from typing import cast

import numpy as np
import torch
from accelerate.utils import send_to_device
from datasets import Dataset
from torch import nn
from torch.utils.data import DataLoader
from transformers import PreTrainedModel

from hf_tagging.data.aligned import window_lengths
from hf_tagging.data.batching import Collator
from hf_tagging.errors import ConfigError
from hf_tagging.foreign.trainer import TrainerHooks
from hf_tagging.problems import argument
from hf_tagging.training.budget import find_budget, step_fits
from hf_tagging.training.compact_vocabulary import follow_rows
from hf_tagging.training.config import TaggingConfig
from hf_tagging.training.loader import ORDERS, plan_steps, shares_of_a_step
from hf_tagging.training.rates import parameter_groups

logger = logging.getLogger(__name__)


class StepTrainer(TrainerHooks):
    """A `Trainer` whose steps are `tokens_per_batch` subwords in windows of like length, on all processes together.

    `per_device_train_batch_size` counts windows instead. Learning rates may differ by layer and for the head.
    """

    args: TaggingConfig

    @property
    def kept_per_weight(self) -> int:
        """Number of tensors that training keeps per trained weight: the optimizer's two moments."""
        return 2

    def get_train_dataloader(self) -> DataLoader:
        """Return steps of `tokens_per_batch` subwords, or of `per_device_train_batch_size` windows."""
        budget = self.choose_budget()
        if budget is None and self.args.train_sampling_strategy not in ORDERS:
            return super().get_train_dataloader()
        windows = cast(Dataset, self.train_dataset)
        assert self.model is not None
        plan = plan_steps(
            window_lengths(windows),
            budget,
            args=self.args,
            collator=cast(Collator, self.data_collator),
            model=self.model,
        )
        loader = plan.loader(self.model_columns(windows, "Training"), self.args)
        prepared = self.accelerator.prepare(loader)
        # Through its wrappers accelerate hands an epoch's number on to `sampler`: without this line a run that is
        # resumed in the middle of an epoch goes on in the order of the first one (accelerate 1.15).
        prepared.set_sampler(plan.steps)
        return prepared

    def choose_budget(self, earlier: int | None = None) -> int | None:
        """Return the subwords of a step: as given, or as many as fit, found once; None where windows are counted.

        Args:
            earlier: The number that ``auto`` came to in the run that is resumed.
        """
        if self.args.tokens_per_batch == "auto":
            self.args.tokens_per_batch = earlier or self._largest_budget()
        budget = self.args.tokens_per_batch
        return None if budget is None else int(budget)

    def _largest_budget(self) -> int:
        """Find the largest budget that fits, the same on every process.

        Raises:
            ConfigError: If not even one window fits, or the weights are sharded over devices.
        """
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ConfigError(
                "tokens_per_batch: auto tries steps on one device, and FSDP and DeepSpeed spread a step over several. "
                "Give a number."
            )
        device = self.args.device
        lengths = window_lengths(self.train_dataset)
        shares = shares_of_a_step(self.args)
        found = find_budget(lengths, self._try_step, shares=shares, on_cpu=device.type == "cpu") or 0
        budget = int(self.accelerator.gather(torch.tensor([found], device=device)).min())
        if not budget:  # on any process: the others would wait for its first step
            raise ConfigError(
                f"tokens_per_batch: not even a single window of {lengths.max()} subwords fits the device's memory. "
                f"Give a smaller {argument('max_length')}, {argument('lora', True)}, or a smaller {argument('model')}."
            )
        logger.info("tokens_per_batch auto: %s subwords per step", f"{budget:,}")
        return budget

    def _try_step(self, rows: np.ndarray) -> bool:
        """Return whether a step on these windows fits the device's memory. (windows,)"""
        features, model = self.train_dataset, self.model
        assert features is not None
        assert model is not None

        def loss() -> torch.Tensor:
            windows = [features[int(row)] for row in rows]
            inputs = send_to_device(self.data_collator(windows), self.args.device)
            with self.accelerator.autocast():
                found = self.compute_loss(model, inputs, num_items_in_batch=torch.tensor(len(windows)))
            assert isinstance(found, torch.Tensor)
            return found

        return step_fits(model, loss, copies=self.kept_per_weight, device=self.args.device)

    def create_optimizer(self, model: PreTrainedModel | None = None) -> torch.optim.Optimizer:
        """Create the optimizer, with a rate per layer or for the head where the arguments ask for it."""
        is_new = self.optimizer is None
        one_rate = self.args.layerwise_lr_decay == 1 and self.args.head_learning_rate is None
        if not one_rate and is_new:
            trained = cast(PreTrainedModel, self.model if model is None else model)
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, trained)
            groups = parameter_groups(trained, set(self.get_decay_parameter_names(trained)), self.args)
            self.optimizer_cls_and_kwargs = (kind, {**options, "params": groups})  # the Trainer's hook for groups
        optimizer = super().create_optimizer(model)
        if is_new:
            follow_rows(optimizer, cast(nn.Module, self.model if model is None else model))
        return optimizer
