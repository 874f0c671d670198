"""Base of all trainers: runs with a folder, averaged weights, checkpoints that can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from torch import nn
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    enable_full_determinism,
    set_seed,
)
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalLoopOutput, TrainOutput, align_special_tokens

from hf_tagging.atomic import remove
from hf_tagging.data.bars import bars_on_terminals
from hf_tagging.data.batching import Collator
from hf_tagging.data.masking import Example
from hf_tagging.errors import ConfigError, OutputError
from hf_tagging.memory import TRAINING, enough_memory
from hf_tagging.models.packing import unwrapped
from hf_tagging.problems import argument
from hf_tagging.processes import heard, put_off
from hf_tagging.training.averaging import AveragedWeights, load_step_weights, save_step_weights
from hf_tagging.training.callbacks import CompleteCheckpoints, EndWhenAsked, stopped_early
from hf_tagging.training.checkpoints import loading, lost_best, read_state
from hf_tagging.training.config import TaggingConfig
from hf_tagging.training.cpu_steps import CpuSteps
from hf_tagging.training.energy import EnergyMeter
from hf_tagging.training.finite import FiniteTraining
from hf_tagging.training.folder import RunFolder
from hf_tagging.training.own_arguments import no_new_folder, own_arguments
from hf_tagging.training.progress import progress
from hf_tagging.training.randomness import preserved_random_state
from hf_tagging.training.run import TaggingRun
from hf_tagging.training.saving import files_to_keep, save_adapters
from hf_tagging.training.sharding import check_sharding
from hf_tagging.training.steps import StepTrainer

Optimizers = tuple[torch.optim.Optimizer | None, torch.optim.lr_scheduler.LambdaLR | None]
Loss = Callable[..., torch.Tensor]
"""Of outputs (batch, subwords, tags), labels (batch, subwords) and the scored words of the step, a scalar."""


class WordTrainer(StepTrainer):
    """A `Trainer` of models that predict something of each word.

    Where it differs from `Trainer`, beside its steps, see `StepTrainer`:

    - A checkpoint counts once it is complete; a loss that is not finite ends the training before anything is saved.
    - Weights averaged by an `AveragedWeights` callback are evaluated and saved in the place of the last step's.
    - Steps on a CPU are cheaper, see `CpuSteps`.

    Args:
        model: A model that takes `input_ids`; one that says ``computes_loss`` gets labels, and its own loss is used.
        args: The Trainer's arguments and ours; they are copied.
        processing_class: The tokenizer, saved beside the model.
        data_collator: Makes tensors of windows.
        train_dataset: Windows with a column `length`, or None.
        eval_dataset: Windows for evaluation while training, or None.
        loss: The loss of a model without one of its own.
        compute_metrics: As of `Trainer`.
        callbacks: Further callbacks.
        optimizers: An optimizer and a schedule, in the place of those that the arguments name.
        run: The run, which keeps its folder and its record.

    Raises:
        ConfigError: If the weights are to be averaged under FSDP or DeepSpeed.
        ModelError: If windows are to be packed, and the model cannot keep them apart; or it is to be trained in mixed
            precision, and computes in float32 alone.
    """

    args: TaggingConfig

    def __init__(
        self,
        *,
        model: nn.Module,
        args: TaggingConfig,
        processing_class: PreTrainedTokenizerBase,
        data_collator: Collator,
        train_dataset: Dataset | None,
        eval_dataset: Dataset | list[Example] | None,
        loss: Loss | None,
        compute_metrics: Callable[..., dict[str, float]] | None,
        callbacks: Sequence[TrainerCallback] | None = None,
        optimizers: Optimizers = (None, None),
        run: TaggingRun,
    ):
        self.run = run
        self.computes_loss = bool(getattr(unwrapped(model), "computes_loss", False))
        keep = args.save_total_limit
        # The Trainer seeds all generators and makes its folder when it is made; here `train` does.
        with preserved_random_state(), no_new_folder(Path(str(args.output_dir))):
            super().__init__(
                model=model,
                args=own_arguments(args, model, has_validation=eval_dataset is not None),
                processing_class=processing_class,
                data_collator=data_collator,
                train_dataset=train_dataset,
                eval_dataset=eval_dataset,
                compute_metrics=compute_metrics,
                compute_loss_func=None if self.computes_loss else loss,
                callbacks=list(callbacks or ()),
                optimizers=optimizers,
            )
        attention = getattr(run.arguments.model, "attn_implementation", None)
        own_steps = self.args.device.type == "cpu" and not self.args.torch_compile  # which fuses dropout by itself
        self.cpu_steps = CpuSteps(model, keep_attention=attention is not None) if own_steps else None
        # Our loss does the smoothing; the stock smoother would divide by the batch's own words.
        self.label_smoother = None
        if args.ema_decay:
            self.add_callback(AveragedWeights(args.ema_decay))
        if self.average is not None and (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            raise ConfigError(
                "ema_decay: under FSDP and DeepSpeed, which keep the weights their own way, they are not averaged. "
                f"Train with accelerate_configs/multi_gpu.yaml, or give {argument('ema_decay', 0)}."
            )
        self._finite = FiniteTraining(processing_class)
        self._add_callbacks(keep)

    def _add_callbacks(self, keep: int | None) -> None:
        for shown in (DEFAULT_PROGRESS_CALLBACK, ProgressCallback, PrinterCallback):  # the first one is a table
            self.remove_callback(shown)
        self.add_callback(progress(show_bars=not self.args.disable_tqdm))
        self.add_callback(self._finite)
        self.add_callback(CompleteCheckpoints(keep))
        if self.args.early_stopping_patience is not None:
            threshold = self.args.early_stopping_threshold
            self.add_callback(EarlyStoppingCallback(self.args.early_stopping_patience, threshold))
        self.add_callback(EndWhenAsked())

    @property
    def average(self) -> AveragedWeights | None:
        """Callback that averages the weights, if there is one."""
        callbacks = self.callback_handler.callbacks
        return next((callback for callback in callbacks if isinstance(callback, AveragedWeights)), None)

    @property
    def kept_per_weight(self) -> int:
        """Number of tensors that training keeps per trained weight, the average among them."""
        return super().kept_per_weight + (self.average is not None)

    # The run

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: object = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Train, see `Trainer.train`, and keep the run's record; the folder is locked meanwhile.

        With ``resume=True`` among the arguments, the last complete checkpoint is gone on from.

        Args:
            resume_from_checkpoint: Folder of a checkpoint, or True: the last complete one.
            trial: See `Trainer.train`.
            ignore_keys_for_eval: See `Trainer.train`.

        Raises:
            OutputError: If the folder holds a run that is neither to be resumed nor to be replaced, or another process
                is writing into it.
            ConfigError: If the run to be resumed had other arguments; if an argument asks for a package that is not
                installed, or the model cannot be sharded as it does.
        """
        assert self.model is not None
        if self.train_dataset is None:
            raise ConfigError(f"{argument('train_dataset')}: there is nothing to train on; give it.")
        if resume_from_checkpoint:
            self.run.resume(resume_from_checkpoint)
        check_sharding(self.model, self.accelerator, sharded=self.is_fsdp_enabled or self.is_deepspeed_enabled)
        with self.run.opened():
            budget = self.choose_budget(self.run.earlier_budget)
            found = self.run.begin(self.model, budget=budget, again=bool(resume_from_checkpoint))
            with self.run.noted_if_it_ends():
                return self._train_from(found.checkpoint, trial, ignore_keys_for_eval)

    def _train_from(
        self, checkpoint: Path | None, trial: object, ignore_keys_for_eval: list[str] | None
    ) -> TrainOutput:
        record, training = self.run.record, self.run.arguments.training
        record["resumed_from"] = checkpoint.name if checkpoint else None
        if checkpoint and not training.resume_from_checkpoint and stopped_early(checkpoint):
            self.restore_finished(str(checkpoint))  # killed after its last step: there is nothing left to train
            output = TrainOutput(self.state.global_step, float("nan"), {})
        else:
            try:
                with (
                    enough_memory("training", advice=TRAINING),
                    EnergyMeter(gpus=not training.use_cpu) as meter,
                    heard(restore=True),
                    put_off(),
                ):
                    output = self.fit(str(checkpoint) if checkpoint else None, trial, ignore_keys_for_eval)
            except ImportError as error:
                raise ConfigError(f"A package is missing for what was asked: {error}") from error
            record["seconds"] = {"training": round(output.metrics["train_runtime"], 1)}
            if counted := meter.record():
                record["energy"] = counted
        self.calibrate()
        self.run.note_history(self.state.log_history)
        return output

    def fit(
        self, checkpoint: str | None, trial: object = None, ignore_keys_for_eval: list[str] | None = None
    ) -> TrainOutput:
        """Train by gradients, and keep no record.

        Args:
            checkpoint: Folder of a checkpoint to go on from.
            trial: See `Trainer.train`.
            ignore_keys_for_eval: See `Trainer.train`.
        """
        (enable_full_determinism if self.args.full_determinism else set_seed)(self.args.seed)
        return super().train(checkpoint, cast(Any, trial), ignore_keys_for_eval)  # of Optuna, where that is installed

    def save_finished(self, folder: str | None) -> None:
        """Save a model that `pipeline` and `Tagger` load, each file whole; adapters are merged into it.

        The average of the weights is saved, where there is one.

        Args:
            folder: Where to; None: the run's.
        """
        run = self.run
        place = RunFolder(folder or run.folder.path)
        is_own = place.path.resolve() == run.folder.path.resolve()
        with run.opened() if is_own else nullcontext(), run.noted_if_it_ends():
            if is_own:
                assert self.model is not None
                run.begin(self.model)
            staging = place.path / ".model"
            if run.state.is_main_process:
                remove(staging)  # of a run that was killed
            run.state.wait_for_everyone()
            self.save_files(str(staging))  # every process takes part where weights are sharded
            model: PreTrainedModel = self.accelerator.unwrap_model(self.model)
            if run.state.is_main_process:
                self.keep_margin(staging, save_adapters(model, staging, merge=run.merges))
                (run.take_model if is_own else place.take)(files_to_keep(staging))
                remove(staging)
            run.state.wait_for_everyone()
            run.is_saved |= is_own

    def calibrate(self) -> None:
        """Make the probabilities of a trained model true; nothing for models that do not tag."""

    def keep_margin(self, folder: Path, model: PreTrainedModel | None) -> None:
        """Write what tagging has to know of a saved model into its folder; nothing for models that do not tag.

        Args:
            folder: Folder that the model was saved in.
            model: The same model; None if it has adapters in files of their own.
        """

    # Steps

    def training_step(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], *args: Any, **options: Any
    ) -> torch.Tensor:
        """Train on a batch, see `Trainer.training_step`, and remember it in case its loss is not finite."""
        with self.cpu_steps.step(inputs["input_ids"].shape[1]) if self.cpu_steps else nullcontext():
            loss = super().training_step(model, inputs, *args, **options)
        assert self.optimizer is not None
        rate = float(self.optimizer.param_groups[0]["lr"])
        self._finite.note(self.state.global_step + 1, rate, loss, inputs["input_ids"])
        return loss

    # Averaged weights

    def evaluation_loop(self, *args: Any, **options: Any) -> EvalLoopOutput:
        """Evaluate the average of the weights, where there is one; see `Trainer.evaluation_loop`."""
        with self._averaged():
            return super().evaluation_loop(*args, **options)

    @contextmanager
    def saving_model(self) -> Iterator[None]:
        """Save the average of the weights, where there is one."""
        with self._averaged(), bars_on_terminals():
            yield

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self.average is None else self.average.in_place()

    # Checkpoints

    @contextmanager
    def saving_checkpoint(self, checkpoint: Path) -> Iterator[None]:
        """Refuse weights that are not finite, and save the step's weights beside their average."""
        assert self.model is not None
        self._finite.look(self.args, self.state, self.model)
        yield
        if self.average is not None and self.args.should_save and not self.args.save_only_model:
            save_step_weights(self.model, checkpoint)

    def loading_checkpoint(self, checkpoint: str | Path) -> AbstractContextManager[None]:
        """Report a checkpoint that cannot be read in one message."""
        return loading(checkpoint)

    def resumed(self, checkpoint: str | Path) -> None:
        """Restore the average of the weights, the step's own weights, and the best checkpoint of a moved folder."""
        assert self.model is not None
        if self.average is not None:
            self.average.start(self.model)
        load_step_weights(self.model, checkpoint)  # which may be there where no average is asked for any more
        best = read_state(Path(checkpoint)).best_model_checkpoint
        self.state.best_model_checkpoint = best if best and Path(best).is_dir() else None

    def restore_finished(self, checkpoint: str) -> None:
        """Restore weights and trainer state from a finished run without training.

        Args:
            checkpoint: Folder of its last checkpoint.

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
