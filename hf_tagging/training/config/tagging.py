"""Arguments of training: Transformers' own, with the defaults of a careful fine-tuning, and ours."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers import IntervalStrategy, TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer_utils import SaveStrategy

from hf_tagging.devices import computes_bfloat16
from hf_tagging.disk import expanded
from hf_tagging.errors import Problem
from hf_tagging.secrets import is_secret
from hf_tagging.tasks import Task
from hf_tagging.training.config.checks import did_you_mean, missing_paths, near_path, out_of_range, refuse, wrong_kinds
from hf_tagging.training.config.given import Config, Given, given_by, given_values, remembering, with_defaults
from hf_tagging.training.config.models import CRF_LEARNING_RATE, LORA_LEARNING_RATE, ModelFacts, training_defaults

# Subwords per batch. A CPU gains little by more (1,536 train a tenth faster in bfloat16, at half as many steps); an
# accelerator wants more to do.
CPU_TOKENS, ACCELERATOR_TOKENS = 768, 2048
PACKED_ROW = 128
# Arguments of Transformers that say when to push during training.
IN_BETWEEN = ("hub_strategy", "hub_always_push")


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
    compact_vocabulary: Literal["auto", "on", "off"] = field(
        default="auto",
        metadata={
            "help": "Train only the embedding rows that the splits use, plus special tokens, of a pretrained encoder. "
            "The other rows stay unchanged, without weight decay; all else is the same. `auto`: where that leaves out "
            "at least a million weights, and a twentieth of all."
        },
    )
    calibrate: bool = field(
        default=True,
        metadata={
            "help": "Fit a temperature on the validation split after training and fold it into the tag head: "
            "probabilities come closer to the share of right tags, and tags stay the same."
        },
    )
    teacher: list[str] | None = field(
        default=None,
        metadata={
            "help": "Tagger or taggers to learn from: the probabilities that they give to the tags of each training "
            "word, on average, are learned beside the gold tags (distillation)."
        },
    )
    teacher_temperature: float = field(
        default=1.0,
        metadata={
            "help": "Flattens the teacher's probabilities and the model's, as Hinton et al. 2015 do; 1: as they are."
        },
    )
    gold_weight: float = field(
        default=0.5,
        metadata={
            "help": "Share of the gold tag in the loss of a word that has one, beside a teacher; 0: the teacher alone."
        },
    )
    class_weights: Literal["none", "balanced", "sqrt"] = field(
        default="none",
        metadata={"help": "Weigh tags by the inverse of their count in training, or its square root."},
    )

    def __post_init__(self, given: Given | None) -> None:
        refuse(wrong_kinds(self))
        self._follow_what_was_given()
        refuse(_problems(self, given_by(self).names))
        if isinstance(self.tokens_per_batch, str) and self.tokens_per_batch.isdecimal():
            self.tokens_per_batch = int(self.tokens_per_batch)
        if self.resume_from_checkpoint:
            self.resume_from_checkpoint = str(expanded(self.resume_from_checkpoint))
        self.hub_token = self.hub_token or None  # an empty one is that of the environment
        self._choose_precision()
        windows = self.per_device_train_batch_size
        self.per_device_train_batch_size = windows or 1  # DeepSpeed's configuration copies it and wants a number
        TrainingArguments.__post_init__(self)
        self.per_device_train_batch_size = windows
        if not windows and self.tokens_per_batch is None:
            self.tokens_per_batch = CPU_TOKENS if self.device.type == "cpu" else ACCELERATOR_TOKENS

    def __copy__(self) -> TaggingConfig:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))  # tokens among them, which pickles leave out
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> TaggingConfig:
        twin = memo[id(self)] = object.__new__(type(self))
        vars(twin).update(copy.deepcopy(vars(self), memo))
        return twin

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
        values = {n: _plain(getattr(self, n)) for n in names if n in given_by(self).names}
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


def _problems(config: TaggingConfig, given: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with arguments of training.

    Args:
        config: Before `TrainingArguments` has looked at it.
        given: Names of the arguments that were given.
    """
    yield from out_of_range(config)
    if not 0 < config.teacher_temperature < math.inf:
        yield Problem("teacher_temperature", config.teacher_temperature, f"{config.teacher_temperature} is not above 0")
    if not 0 <= config.gold_weight <= 1:
        yield Problem("gold_weight", config.gold_weight, f"{config.gold_weight} is not between 0 and 1")
    yield from missing_paths(config, "teacher")
    yield from _backend_problems(config.torch_compile_backend)
    for name in IN_BETWEEN:
        if name in given:
            yield Problem(name, getattr(config, name), "a run is pushed once, when it is finished", "leave it out")
    if config.ema_decay and "schedule_free" in str(_plain(config.optim)):
        reason = "a schedule-free optimizer averages by itself"
        yield Problem("ema_decay, optim", config.ema_decay, reason, "give ema_decay 0 with it")
    if config.enable_jit_checkpoint:
        reason = "SIGTERM and SIGHUP save a checkpoint in any case"
        yield Problem("enable_jit_checkpoint", True, reason, "leave it out")
    if config.early_stopping_patience is not None and _plain(config.eval_strategy) == "no":
        reason = "needs evaluations; eval_strategy is no"
        yield Problem("early_stopping_patience", config.early_stopping_patience, reason)
    yield from _folder_problems(config)
    yield from _length_problems(config)
    yield from _batching_problems(config)
    yield from _tracker_problems(config.report_to)


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _folder_problems(config: TaggingConfig) -> Iterator[Problem]:
    if config.resume and config.overwrite:
        yield Problem("resume, overwrite", True, "give one of the two")
    folder = config.output_dir
    if folder is not None and not folder.strip():
        yield Problem("output_dir", folder, "is empty", "give a folder, or leave it out")
    elif folder and expanded(folder).is_file():
        yield Problem("output_dir", folder, f"{folder} is a file", "give a folder")
    if config.resume_from_checkpoint:
        checkpoint = expanded(config.resume_from_checkpoint)
        name, value = "resume_from_checkpoint", config.resume_from_checkpoint
        if not checkpoint.exists():
            yield Problem(name, value, f"{value} is not there{near_path(checkpoint)}")
        elif not (checkpoint / "trainer_state.json").is_file():
            yield Problem(name, value, f"{checkpoint} is no checkpoint, it has no trainer_state.json")


def _length_problems(config: TaggingConfig) -> Iterator[Problem]:
    epochs = config.num_train_epochs
    if config.max_steps <= 0 and not epochs > 0:
        yield Problem("num_train_epochs", epochs, f"{epochs} is not above 0")
    if epochs == math.inf:
        yield Problem("num_train_epochs", epochs, "inf is not finite")


def _batching_problems(config: TaggingConfig) -> Iterator[Problem]:
    """Yield what is wrong with the arguments that say how windows become batches."""
    asked, windows = config.tokens_per_batch, config.per_device_train_batch_size
    number = int(asked) if isinstance(asked, str) and asked.isdecimal() else asked
    if number is not None and number != "auto" and not (isinstance(number, int) and number >= 1):
        reason = f"{number!r} is neither a number of subwords, such as {CPU_TOKENS}, nor auto"
        yield Problem("tokens_per_batch", asked, reason)
    if windows < 0:
        yield Problem("per_device_train_batch_size", windows, f"{windows} is below 1")
    if windows and asked is not None:
        reason = "give one of the two, subwords or windows per batch"
        yield Problem("tokens_per_batch, per_device_train_batch_size", asked, reason)
    if config.packing and (windows or asked == "auto"):
        reason = "its rows hold tokens_per_batch subwords"
        yield Problem("packing", True, reason, "give that as a number, or leave it out")
    if windows:
        return
    instead = "give per_device_train_batch_size with it, or leave it out"
    if _plain(config.train_sampling_strategy) != "random":
        reason = "batches of tokens_per_batch have windows of like length already"
        yield Problem("train_sampling_strategy", config.train_sampling_strategy, reason, instead)
    if config.dataloader_drop_last:
        yield Problem(
            "dataloader_drop_last", True, "batches of tokens_per_batch have no short one at their end", instead
        )
    if config.auto_find_batch_size:
        reason = "give tokens_per_batch auto instead, or per_device_train_batch_size with it"
        yield Problem("auto_find_batch_size", True, reason)


def _backend_problems(backend: str | None) -> Iterator[Problem]:
    """Yield a backend of `torch.compile` that torch does not know; it would say so in the first step."""
    if backend is None:
        return
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        reason = f"{backend!r} is not one of {', '.join(known)}{did_you_mean(backend, known)}"
        yield Problem("torch_compile_backend", backend, reason)


def _tracker_problems(report_to: str | list[str] | None) -> Iterator[Problem]:
    """Yield trackers that Transformers does not know or that are not installed, before anything is loaded."""
    for name in [report_to] if isinstance(report_to, str) else report_to or []:
        if name in ("all", "none"):
            continue
        if name not in INTEGRATION_TO_CALLBACK:
            known = ("all", "none", *INTEGRATION_TO_CALLBACK)
            near = did_you_mean(name, INTEGRATION_TO_CALLBACK)
            yield Problem("report_to", name, f"{name!r} is not one of {', '.join(known)}{near}")
            continue
        try:
            INTEGRATION_TO_CALLBACK[name]()  # only they know what they need
        except (RuntimeError, ImportError, ValueError) as error:
            yield Problem("report_to", name, " ".join(str(error).split()))
