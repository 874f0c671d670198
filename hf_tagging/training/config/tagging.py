"""Arguments of training: Transformers' own, with the defaults of a careful fine-tuning, and ours."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import IntervalStrategy, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from hf_tagging.devices import computes_bfloat16
from hf_tagging.secrets import is_secret
from hf_tagging.tasks import Task
from hf_tagging.training.config.checks import refuse, wrong_kinds
from hf_tagging.training.config.given import Config, Given, given_by, given_values, remembering, with_defaults
from hf_tagging.training.config.models import CRF_LEARNING_RATE, LORA_LEARNING_RATE, ModelFacts, training_defaults
from hf_tagging.training.config.training_checks import ACCELERATOR_TOKENS, CPU_TOKENS, PACKED_ROW, training_problems


@remembering
@dataclass
class TaggingConfig(Config, TrainingArguments):
    """Transformers' `TrainingArguments` with the defaults of a careful fine-tuning of a BERT-family encoder.

    Three epochs with a linear schedule after a tenth of warm-up, the checkpoint of the best epoch kept (Devlin et al.
    2019, Mosbach et al. 2021); evaluation and saving every epoch. Batches hold a number of subwords and not of windows,
    unless `per_device_train_batch_size` says otherwise, and a device that computes in bfloat16 does.
    """

    output_dir: str | None = field(
        default=None, metadata={"help": "Folder of the run. Default: runs/TASK-MODEL-DATASET-seed-SEED."}
    )
    resume: bool = field(default=False, metadata={"help": "Go on with the run in output_dir."})
    overwrite: bool = field(default=False, metadata={"help": "Replace the run in output_dir."})
    learning_rate: float = field(
        default=5e-5, metadata={"help": f"Peak learning rate; with LoRA {LORA_LEARNING_RATE} unless given."}
    )
    tokens_per_batch: int | str | None = field(
        default=None,
        metadata={
            "help": "Subwords per step, padding counted, in batches of like length. Processes share a step and "
            "accumulated batches make it up, so that neither changes what is learned: several devices want more. "
            "`auto`: the most, in powers of two, that fit an accelerator's memory and leave an epoch about 100 steps; "
            f"on a CPU the default, or less. Default: {CPU_TOKENS} on a CPU, {ACCELERATOR_TOKENS} on an accelerator."
        },
    )
    packing: bool | None = field(
        default=None,
        metadata={
            "help": "Write several windows in one row, kept apart, so that all batches have one shape: rows as long "
            f"as the longest window, {PACKED_ROW} subwords at least, and tokens_per_batch in all. Default: where it "
            "was measured to be faster."
        },
    )
    per_device_train_batch_size: int = field(
        default=0,
        metadata={
            "help": "Windows per device and accumulated batch, in the place of tokens_per_batch: 8 are 4 accumulated "
            "twice are 4 on each of two processes. 0: batches of tokens_per_batch."
        },
    )
    bf16: bool | None = field(  # type: ignore[assignment]  # TrainingArguments knows no "where it pays"
        default=None,
        metadata={
            "help": "Train in mixed precision (bfloat16); evaluation stays exact. Default: where the device computes "
            "in bfloat16 by itself."
        },
    )
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "Hide losses that are no number from the log; looks at the loss in each step."}
    )
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Windows per device in evaluation."})
    warmup_steps: float = field(default=0.1, metadata={"help": "Steps of warm-up; below 1, a share of all steps."})
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay, but for biases and norms."})
    eval_strategy: IntervalStrategy | str = field(default="epoch", metadata={"help": "When to validate."})
    save_strategy: SaveStrategy | str = field(default="epoch", metadata={"help": "When to save a checkpoint."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints kept: the best and the last."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "End with the best checkpoint."})
    logging_steps: float = field(default=10, metadata={"help": "Steps between entries of the training log."})
    eval_do_concat_batches: bool = field(
        default=False,
        metadata={"help": "Pad the predictions of all batches to one width (needs more memory)."},
    )
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "A resumed run remembers how long early stopping has been patient."}
    )
    do_train: bool = field(default=True, metadata={"help": "Train; without, the given model is evaluated as it is."})
    do_eval: bool = field(default=True, metadata={"help": "Write figures and predictions of the validation split."})
    do_predict: bool = field(default=True, metadata={"help": "Write figures and predictions of the test split."})
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "Stop after N evaluations in a row without a better one."}
    )
    early_stopping_threshold: float = field(default=0.0, metadata={"help": "By how much better counts as better."})
    layerwise_lr_decay: float = field(
        default=1.0,
        metadata={"help": "Factor on the learning rate for every layer further down from the tag head."},
    )
    head_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Peak learning rate of the tag head alone. Default: learning_rate; with a new CRF head "
            f"{CRF_LEARNING_RATE}."
        },
    )
    ema_decay: float = field(
        default=0.0,
        metadata={
            "help": "Evaluate and save an exponential moving average of the weights, with this decay per step, in the "
            "place of the last step's weights; 0.98 averages about the last 50 steps. After n steps the decay is "
            "(1 + n) / (10 + n) at most. 0: no average."
        },
    )
    class_weights: Literal["none", "balanced", "sqrt"] = field(
        default="none",
        metadata={"help": "Weigh tags by the inverse of their count in training, or its square root."},
    )

    def __post_init__(self, given: Given | None) -> None:
        refuse(wrong_kinds(self))
        self._follow_what_was_given()
        refuse(training_problems(self, given_by(self).names))
        if isinstance(self.tokens_per_batch, str) and self.tokens_per_batch.isdecimal():
            self.tokens_per_batch = int(self.tokens_per_batch)
        if self.resume_from_checkpoint:
            self.resume_from_checkpoint = str(Path(self.resume_from_checkpoint).expanduser())
        self.hub_token = self.hub_token or None  # an empty one is that of the environment
        self._choose_precision()
        windows = self.per_device_train_batch_size
        self.per_device_train_batch_size = windows or 1  # DeepSpeed's configuration copies it and wants a number
        TrainingArguments.__post_init__(self)
        self.per_device_train_batch_size = windows
        if not windows and self.tokens_per_batch is None:
            self.tokens_per_batch = CPU_TOKENS if self.device.type == "cpu" else ACCELERATOR_TOKENS

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled, `training_args.bin` of every checkpoint among it: all but tokens."""
        secret = {name for name in vars(self) if is_secret(name)}
        shown = {name: None if name in secret else value for name, value in vars(self).items()}
        return shown | {"given": given_by(self).without(secret)}

    def resolved(self, task: Task, model: ModelFacts) -> TaggingConfig:
        """Return a copy whose defaults follow from the task and the model; what was given stays as it is.

        Args:
            task: Its headline figure picks the best checkpoint.
            model: From `facts_of`.
        """
        return with_defaults(self, training_defaults(task, model, given_values(self)))

    def _choose_precision(self) -> None:
        if self.bf16 is None:
            launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")  # what accelerate's own file asks for
            self.bf16 = not self.fp16 and launched in ("no", "bf16") and computes_bfloat16(self.use_cpu)
        if self.bf16 and not torch.accelerator.is_available():
            self.use_cpu = True  # TrainingArguments would take it for a wish for a GPU

    def _follow_what_was_given(self) -> None:
        """Let strategies and steps of evaluation and saving follow each other, so that giving one is enough."""
        names = (
            "eval_strategy",
            "save_strategy",
            "eval_steps",
            "save_steps",
            "logging_steps",
            "load_best_model_at_end",
        )
        values = {n: getattr(getattr(self, n), "value", getattr(self, n)) for n in names if n in given_by(self).names}
        for name, value in strategies(values).items():
            if name not in given_by(self).names:
                setattr(self, name, value)

    def without_validation(self) -> None:
        """Turn off what needs a validation split: evaluation while training, the best checkpoint, early stopping."""
        self.eval_strategy = IntervalStrategy.NO
        self.do_eval = self.eval_on_start = self.load_best_model_at_end = False
        self.metric_for_best_model = self.greater_is_better = self.early_stopping_patience = None
        if self.save_strategy == SaveStrategy.BEST:
            self.save_strategy = SaveStrategy.EPOCH


def strategies(given: dict[str, Any]) -> dict[str, Any]:
    """Return strategies and steps of evaluation and saving, completed by what they have to be together.

    Args:
        given: Those that were given.
    """
    values = dict(given)
    evaluation, saving = values.get("eval_strategy"), values.get("save_strategy")
    if "no" in (evaluation, saving):
        values.setdefault("load_best_model_at_end", False)
    elif evaluation and not saving:
        values["save_strategy"] = evaluation
        if "eval_steps" in values:
            values.setdefault("save_steps", values["eval_steps"])
    elif saving in ("steps", "epoch") and not evaluation:
        values["eval_strategy"] = saving
        if "save_steps" in values:
            values.setdefault("eval_steps", values["save_steps"])
    if evaluation == saving == "steps":
        values.setdefault("save_steps", values.get("eval_steps", values.get("logging_steps", 50)))
        values.setdefault("eval_steps", values["save_steps"])
    if values.get("save_strategy") == "steps" and "save_steps" not in values:
        values["save_steps"] = values.setdefault("eval_steps", 500)
    return values
