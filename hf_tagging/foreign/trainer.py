"""Private methods of `transformers.Trainer`, as hooks and methods with public names.

Seen in transformers 5.23. `TrainerCallback` has no event before a checkpoint is written, none after one was loaded, and
nothing that surrounds the reading of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

from datasets import Dataset
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hf_tagging.foreign.transformers import under_names_in_memory


class TrainerHooks(Trainer):
    """A `Trainer` with hooks around its checkpoints, to be overridden, and public names for methods that it has.

    What is scored is always scored whole and in the order of its dataset: the `Trainer` would obey
    `dataloader_drop_last` and shuffle by `train_sampling_strategy="group_by_length"` in evaluation too.
    """

    # Hooks

    def saving_checkpoint(self, checkpoint: Path) -> AbstractContextManager[None]:
        """Return a context in which the checkpoint of a step is written, before `TrainerCallback.on_save`.

        Args:
            checkpoint: Its folder, which need not be there before.
        """
        return nullcontext()

    def save_finished(self, folder: str | None) -> None:
        """Save what a caller of `save_model` gets, as opposed to a checkpoint.

        Args:
            folder: Where to; None: `output_dir`.
        """
        self.save_files(folder)

    def saving_model(self) -> AbstractContextManager[None]:
        """Return a context in which a model is saved, by itself or in a checkpoint."""
        return nullcontext()

    def loading_checkpoint(self, checkpoint: str | Path) -> AbstractContextManager[None]:
        """Return a context for each of the steps in which a checkpoint is read: weights, state, optimizer, RNG.

        Args:
            checkpoint: Its folder.
        """
        return nullcontext()

    def resumed(self, checkpoint: str | Path) -> None:
        """Act on a run that goes on, before `TrainerCallback.on_train_begin`; runs inside `loading_checkpoint`.

        The model, the optimizer, the schedule and `state` are as they were saved.

        Args:
            checkpoint: Folder of the checkpoint.
        """

    # Methods

    def load_weights(self, checkpoint: str | Path) -> None:
        """Load the model's weights from a checkpoint.

        Upstream: `Trainer._load_from_checkpoint`. It reads adapters and sharded weights as well as whole models;
        the public way to it is `train`.
        """
        self._load_from_checkpoint(str(checkpoint))

    def load_best_weights(self) -> None:
        """Load the weights of `state.best_model_checkpoint`; a warning is logged where there are none.

        Upstream: `Trainer._load_best_model`, which `train` alone calls.
        """
        self._load_best_model()

    def model_columns(self, dataset: Dataset, description: str) -> Dataset:
        """Return a dataset with those columns alone that the model's `forward` takes.

        Upstream: `Trainer._remove_unused_columns`, which the Trainer's own loaders call; it looks through adapters and
        obeys `remove_unused_columns`.

        Args:
            dataset: Windows.
            description: What they are for, for the log.
        """
        return self._remove_unused_columns(dataset, description=description)

    # `Trainer` (public)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Return batches of all windows in their order; see `Trainer.get_eval_dataloader`."""
        with self._whole_and_in_order():
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        """Return batches of all windows in their order; see `Trainer.get_test_dataloader`."""
        with self._whole_and_in_order():
            return super().get_test_dataloader(test_dataset)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save model and tokenizer; see `Trainer.save_model`."""
        if _internal_call:
            self.save_files(output_dir)
        else:
            self.save_finished(output_dir)

    def save_files(self, folder: str | None) -> None:
        """Save model and tokenizer as a checkpoint holds them; on every process, where weights are sharded.

        Args:
            folder: Where to; None: `output_dir`.
        """
        with self.saving_model():
            super().save_model(folder, _internal_call=True)

    @contextmanager
    def _whole_and_in_order(self) -> Iterator[None]:
        args = self.args
        before = args.dataloader_drop_last, args.train_sampling_strategy
        args.dataloader_drop_last, args.train_sampling_strategy = False, "sequential"
        try:
            yield
        finally:
            args.dataloader_drop_last, args.train_sampling_strategy = before

    # `Trainer` (private)

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        """Upstream, `train` calls it where a checkpoint is due; `on_save` follows."""
        checkpoint = Path(str(self.args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        unwrapped = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        with self.saving_checkpoint(checkpoint), under_names_in_memory(unwrapped):
            super()._save_checkpoint(model, cast(Any, trial))  # of Optuna, where that is installed

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Upstream, reads the weights first of all or, under FSDP, once the model is wrapped."""
        with self.loading_checkpoint(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _init_training_state(
        self,
        max_steps: int,
        num_update_steps_per_epoch: int,
        num_train_epochs: int,
        resume_from_checkpoint: str | None,
        trial: object,
    ) -> tuple[int, int]:
        """Upstream, reads the Trainer's state, and the callbacks' in it, after the weights."""
        with self._loading(resume_from_checkpoint):
            return super()._init_training_state(
                max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
            )

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Upstream, the last to be read before training begins, with the gradient scaler."""
        with self._loading(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)
            if checkpoint is not None:
                self.resumed(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Upstream, reads the random state, in the first epoch and past the batches that are skipped."""
        with self._loading(checkpoint):
            super()._load_rng_state(checkpoint)

    def _loading(self, checkpoint: str | None) -> AbstractContextManager[None]:
        return nullcontext() if checkpoint is None else self.loading_checkpoint(checkpoint)
