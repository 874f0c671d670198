"""Every argument of a run, stated once: its default, its help, its check. The reading of them is in `parsing`."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import IntervalStrategy, TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer_utils import SaveStrategy

from hf_tagging.data.splitting import CUTS, HoldOut
from hf_tagging.devices import computes_bfloat16
from hf_tagging.errors import ConfigError
from hf_tagging.secrets import is_secret

# Subwords per batch. A CPU gains little by more (1,536 train a tenth faster in bfloat16, at half as many steps); an
# accelerator wants more to do.
CPU_TOKENS, ACCELERATOR_TOKENS = 768, 2048
PACKED_ROW = 128

LORA_LEARNING_RATE = 5e-4  # low-rank updates start from zero and want about ten times a full fine-tuning's rate

_Range = tuple[Callable[[float], bool], str]  # whether a number lies in it, and what is said of one that does not

CRF_LEARNING_RATE = 1e-3  # transitions start from zero, and at an encoder's rate they would stay near it


@dataclass
class DataConfig:
    """Where words and tags come from, and how they become windows."""

    dataset: str = field(
        default="conll2003",
        metadata={
            "help": "A name on the Hub (`conll2003` for short), `sample` (the embedded corpus), a folder or file of "
            "columns, CoNLL-U, JSON Lines or Parquet, or a folder written by save_to_disk."
        },
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a dataset on the Hub."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Revision of a dataset on the Hub."})
    train_file: list[str] | None = field(default=None, metadata={"help": "File or files to train on."})
    validation_file: list[str] | None = field(default=None, metadata={"help": "File or files to validate on."})
    test_file: list[str] | None = field(default=None, metadata={"help": "File or files to test on."})
    tokens_column: str | None = field(
        default=None,
        metadata={"help": "Column of the words, by name or position from 0. Default: found by name."},
    )
    tags_column: str | None = field(
        default=None,
        metadata={"help": "Column of the tags, by name or position from 0. Default: by task and format."},
    )
    separator: str | None = field(
        default=None, metadata={"help": "Of column files: tab, space, or the character. Default: found out."}
    )
    sentence_start: Literal["blank", "mention"] = field(
        default="blank",
        metadata={
            "help": "Of column files, what starts a sentence: a blank line, or (tweets) every word that begins with @."
        },
    )
    tag_names: list[str] | None = field(
        default=None, metadata={"help": "Names of tags that a file holds as integers, in order."}
    )
    validation_share: float | None = field(
        default=None, metadata={"help": "Share of the training documents to hold out for validation, as 0.1."}
    )
    test_share: float | None = field(
        default=None,
        metadata={
            "help": "Share of the training documents to hold out for test. What is held out is drawn with split_seed."
        },
    )
    folds: int | None = field(
        default=None,
        metadata={
            "help": "Cut the training documents into N parts and test on one of them; drawn as for test_share. Over "
            "all N runs with one split_seed every sentence is tested once."
        },
    )
    fold: int | None = field(default=None, metadata={"help": "The part to test on, from 0 to folds - 1."})
    split_seed: int | None = field(
        default=None,
        metadata={
            "help": "Seed that draws what validation_share, test_share and folds hold out, and nothing else: runs over "
            "several seeds that are to be compared want one. Default: data_seed (of the order of batches), without it "
            "seed."
        },
    )
    scheme: Literal["IOB1", "IOB2", "BIOES"] | None = field(
        default=None,
        metadata={"help": "How the model writes entities as tags (NER). Default: IOB2, or that of a model that tags."},
    )
    label_strategy: Literal["first", "all"] = field(
        default="first", metadata={"help": "Subwords that carry a word's label: the first, or all."}
    )
    max_length: int | None = field(
        default=None,
        metadata={"help": "Subwords per window, special tokens included. Default: what the model takes, at most 512."},
    )
    window_overlap: int | None = field(
        default=None,
        metadata={"help": "Subwords by which windows overlap at least. Default: a quarter of a window."},
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on the first N sentences only."})
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "Validate and test on the first N sentences only."}
    )
    num_proc: int | None = field(default=None, metadata={"help": "Processes that read and align the data."})

    def __post_init__(self) -> None:
        problems = [_at_least(self, name, 1) for name in ("max_train_samples", "max_eval_samples", "num_proc")]
        problems += [_at_least(self, "max_length", 3), _at_least(self, "window_overlap", 0)]
        problems.append(_at_least(self, "split_seed", 0))
        if self.split_seed is not None and all(getattr(self, cut) is None for cut in CUTS):
            problems.append(f"split_seed: nothing is drawn with it; give one of {', '.join(CUTS)}, or leave it out")
        hold_out = HoldOut(**{f.name: getattr(self, f.name) for f in fields(HoldOut) if f.name != "seed"})
        _raise([*problems, *hold_out.problems()])


@dataclass
class EncoderConfig:
    """The encoder and what of it is trained."""

    model: str = field(
        default="google-bert/bert-base-cased",
        metadata={"help": "A name on the Hub, a folder, or `minilm` (the packaged all-MiniLM-L6-v2)."},
    )
    model_revision: str | None = field(default=None, metadata={"help": "Revision of a model on the Hub."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code that comes with a model."})
    head: Literal["linear", "crf"] | None = field(
        default=None,
        metadata={
            "help": "Tags word by word (linear), or whole sequences of them (crf). Default: as the model has it; "
            "linear where it is no tagger yet."
        },
    )
    head_dropout: float | None = field(
        default=None, metadata={"help": "Dropout of the tag head. Default: the model's."}
    )
    attn_implementation: str | None = field(
        default=None,
        metadata={
            "help": "How attention is computed, as Transformers calls it: eager, sdpa, flex_attention, "
            "flash_attention_2. With --packing, flash attention keeps windows apart without a mask. Default: the "
            "model's."
        },
    )
    freeze_layers: int | None = field(
        default=None,
        metadata={"help": "Freeze the embeddings and the first N layers; -1: all but the tag head."},
    )
    lora: bool = field(default=False, metadata={"help": "Train low-rank adapters instead of the encoder's weights."})
    lora_rank: int = field(default=16, metadata={"help": "Rank of the adapters."})
    lora_alpha: int = field(default=32, metadata={"help": "The adapters' update is scaled by alpha / rank."})
    lora_dropout: float = field(default=0.05, metadata={"help": "Dropout on the adapters' input."})
    lora_target_modules: list[str] | None = field(
        default=None,
        metadata={"help": "Linear maps that get an adapter, by name. Default: all in the encoder."},
    )
    lora_merge: bool = field(
        default=True,
        metadata={"help": "Save an ordinary model with the adapters merged into it; without, they stand beside it."},
    )

    def __post_init__(self) -> None:
        problems = [_at_least(self, "freeze_layers", -1), *_out_of_range(self)]
        if self.lora and self.freeze_layers is not None:
            problems.append("freeze_layers: LoRA freezes the whole encoder already; give one of the two")
        _raise(problems)

    @property
    def label(self) -> str:
        """What the model is called in the name of a folder."""
        return self.model


@dataclass
class TaggingConfig(TrainingArguments):
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
            "help": "Peak learning rate of the tag head alone. Default: learning_rate; with --head crf "
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

    def __post_init__(self) -> None:
        problems: list[str | None] = [*_out_of_range(self), *_backend_problems(self.torch_compile_backend)]
        if self.ema_decay and "schedule_free" in str(getattr(self.optim, "value", self.optim)):
            problems.append("ema_decay, optim: a schedule-free optimizer averages by itself; give ema_decay 0 with it")
        if self.enable_jit_checkpoint:
            problems.append("enable_jit_checkpoint: SIGTERM and SIGHUP save a checkpoint in any case; leave it out")
        if self.resume and self.overwrite:
            problems.append("resume, overwrite: give one of the two")
        if self.early_stopping_patience is not None and str(self.eval_strategy) in ("no", "IntervalStrategy.NO"):
            problems.append("early_stopping_patience: needs evaluations; eval_strategy is no")
        if self.output_dir is not None and not self.output_dir.strip():
            problems.append("output_dir: is empty; give a folder, or leave it out")
        elif self.output_dir and Path(self.output_dir).expanduser().is_file():
            problems.append(f"output_dir: {self.output_dir} is a file; give a folder")
        if self.max_steps <= 0 and not self.num_train_epochs > 0:
            problems.append(f"num_train_epochs: {self.num_train_epochs} is not above 0")
        if self.num_train_epochs == math.inf:
            problems.append("num_train_epochs: inf is not finite")
        problems += [*self._batching_problems(), *_tracker_problems(self.report_to)]
        _raise(problems)
        self.hub_token = self.hub_token or None  # an empty one is that of the environment
        self._choose_precision()
        windows = self.per_device_train_batch_size
        self.per_device_train_batch_size = windows or 1  # DeepSpeed's configuration copies it and wants a number
        super().__post_init__()
        self.per_device_train_batch_size = windows
        if not windows and self.tokens_per_batch is None:
            self.tokens_per_batch = CPU_TOKENS if self.device.type == "cpu" else ACCELERATOR_TOKENS

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled, `training_args.bin` of every checkpoint among it: all but tokens."""
        return {name: None if is_secret(name) else value for name, value in vars(self).items()}

    def _batching_problems(self) -> Iterator[str]:
        """What is wrong with the arguments that say how windows become batches."""
        given = self.tokens_per_batch
        if isinstance(given, str) and given.isdecimal():
            given = self.tokens_per_batch = int(given)
        if given is not None and given != "auto" and not (isinstance(given, int) and given >= 1):
            yield f"tokens_per_batch: {given!r} is neither a number of subwords, such as {CPU_TOKENS}, nor auto"
        windows = self.per_device_train_batch_size
        if windows < 0:
            yield f"per_device_train_batch_size: {windows} is below 1"
        if windows and given is not None:
            yield "tokens_per_batch, per_device_train_batch_size: give one of the two, subwords or windows per batch"
        if self.packing and (windows or given == "auto"):
            yield "packing: its rows hold tokens_per_batch subwords; give that as a number, or leave it out"
        if windows:
            return
        if str(getattr(self.train_sampling_strategy, "value", self.train_sampling_strategy)) != "random":
            yield (
                "train_sampling_strategy: batches of tokens_per_batch have windows of like length already; give "
                "per_device_train_batch_size with it, or leave it out"
            )
        if self.dataloader_drop_last:
            yield (
                "dataloader_drop_last: batches of tokens_per_batch have no short one at their end; give "
                "per_device_train_batch_size with it, or leave it out"
            )
        if self.auto_find_batch_size:
            yield "auto_find_batch_size: give tokens_per_batch auto instead, or per_device_train_batch_size with it"

    def _choose_precision(self) -> None:
        if self.bf16 is None:
            launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")  # what accelerate's own file asks for
            self.bf16 = not self.fp16 and launched in ("no", "bf16") and computes_bfloat16(self.use_cpu)
        if self.bf16 and not torch.accelerator.is_available():
            self.use_cpu = True  # TrainingArguments would take it for a wish for a GPU

    def without_validation(self) -> None:
        """Turns off what needs a validation split: evaluation while training, the best checkpoint, early stopping."""
        self.eval_strategy = IntervalStrategy.NO
        self.do_eval = self.eval_on_start = self.load_best_model_at_end = False
        self.metric_for_best_model = self.greater_is_better = self.early_stopping_patience = None
        if self.save_strategy == SaveStrategy.BEST:
            self.save_strategy = SaveStrategy.EPOCH


_FROM_0: _Range = (lambda value: value >= 0, "is not 0 or more")
_FROM_1: _Range = (lambda value: value >= 1, "is below 1")
_ABOVE_0: _Range = (lambda value: value > 0, "is not above 0")
_SHARE: _Range = (lambda value: 0 <= value < 1, "is not from 0 up to below 1")
_SEED: _Range = (lambda value: 0 <= value < 2**32, f"is not from 0 to {2**32 - 1}")  # what NumPy takes
_RANGES: dict[str, _Range] = {
    **dict.fromkeys(("learning_rate", "head_learning_rate"), _ABOVE_0),
    **dict.fromkeys(("ema_decay", "label_smoothing_factor", "head_dropout", "lora_dropout"), _SHARE),
    **dict.fromkeys(("adam_beta1", "adam_beta2"), _SHARE),
    **dict.fromkeys(("weight_decay", "max_grad_norm", "adam_epsilon", "warmup_steps", "eval_delay"), _FROM_0),
    **dict.fromkeys(("dataloader_num_workers", "neftune_noise_alpha"), _FROM_0),
    **dict.fromkeys(("per_device_eval_batch_size", "gradient_accumulation_steps", "early_stopping_patience"), _FROM_1),
    **dict.fromkeys(("save_total_limit", "eval_accumulation_steps", "lora_rank", "lora_alpha"), _FROM_1),
    **dict.fromkeys(("dataloader_prefetch_factor", "ddp_timeout", "ddp_bucket_cap_mb"), _FROM_1),
    **dict.fromkeys(("seed", "data_seed"), _SEED),
    "layerwise_lr_decay": (lambda value: 0 < value <= 1, "is not above 0 and at most 1"),
}


def _out_of_range(arguments: Any) -> Iterator[str]:
    """Numbers that are outside of what they can be, in the order of the arguments."""
    for argument in fields(arguments):
        value = getattr(arguments, argument.name)
        if argument.name not in _RANGES or not isinstance(value, int | float):
            continue
        holds, told = _RANGES[argument.name]
        if not holds(value):
            yield f"{argument.name}: {value} {told}"
        elif value == math.inf:
            yield f"{argument.name}: {value} is not finite"


def _backend_problems(backend: str | None) -> Iterator[str]:
    """A backend of `torch.compile` that torch does not know; it says so in the first step."""
    if backend is None:
        return
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        near = difflib.get_close_matches(backend, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield f"torch_compile_backend: {backend!r} is not one of {', '.join(known)}{hint}"


def _tracker_problems(report_to: str | list[str] | None) -> Iterator[str]:
    """Trackers that Transformers does not know or that are not installed; the Trainer says so when all is loaded."""
    for name in [report_to] if isinstance(report_to, str) else report_to or []:
        if name in ("all", "none"):
            continue
        if name not in INTEGRATION_TO_CALLBACK:
            near = difflib.get_close_matches(name, INTEGRATION_TO_CALLBACK, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"report_to: {name!r} is not one of all, none, {', '.join(INTEGRATION_TO_CALLBACK)}{hint}"
            continue
        try:
            INTEGRATION_TO_CALLBACK[name]()  # only they know what they need
        except (RuntimeError, ImportError, ValueError) as error:
            yield f"report_to: {' '.join(str(error).split())}"


def _at_least(arguments: object, name: str, least: int) -> str | None:
    value = getattr(arguments, name)
    return None if value is None or value >= least else f"{name}: {value} is below {least}"


def _raise(problems: list[str | None]) -> None:
    found = [problem for problem in problems if problem]
    if found:
        raise ConfigError("\n".join(found))
