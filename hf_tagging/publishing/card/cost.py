"""Hyper-parameters, environment and cost for a model card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import Markup, data_size, duration, is_finite, is_number, setting, table, text
from hf_tagging.publishing import provenance
from hf_tagging.tasks import get_task
from hf_tagging.training.record import RunRecord

_PARTS = [
    "encoder", "words", "min_count", "lowercase", "fold_digits", "fold_tweets", "word_size", "word_dropout",
    "characters", "word_shape", "word_features", "hidden_size", "num_layers", "dropout",
]  # fmt: skip
_OF_WORDS = {
    "encoder",
    "words",
    "min_count",
    "lowercase",
    "fold_digits",
    "fold_tweets",
    "seed",
}  # the settings of an hmm
_SETTINGS = [
    *_PARTS,
    "learning_rate", "tokens_per_batch", "packing", "per_device_train_batch_size", "gradient_accumulation_steps",
    "num_train_epochs", "max_steps", "warmup_steps", "lr_scheduler_type", "optim", "weight_decay", "max_grad_norm",
    "label_smoothing_factor", "layerwise_lr_decay", "head_learning_rate", "class_weights", "ema_decay",
    "early_stopping_patience", "teacher", "teacher_temperature", "gold_weight",
    "head", "head_dropout", "freeze_layers", "lora", "lora_rank", "lora_alpha",
    "lora_dropout", "bf16", "fp16", "scheme", "label_strategy", "max_length", "window_overlap", "max_train_samples",
    "max_eval_samples", "seed",
]  # fmt: skip
_IDLE = {
    "per_device_train_batch_size": 0,
    "layerwise_lr_decay": 1,
    "ema_decay": 0,
    "label_smoothing_factor": 0,
    "class_weights": "none",
}  # values without effect


def settings_table(record: RunRecord) -> Markup | None:
    """Return the arguments that made the model what it is; None without a training."""
    if not provenance.trained(record):
        return None
    arguments = _as_built(record)
    hidden = set() if get_task(record["task"]).has_entities else {"scheme"}
    hidden.add("num_train_epochs" if (record["arguments"].get("max_steps") or 0) > 0 else "max_steps")
    hidden |= set(_SETTINGS) - _OF_WORDS if arguments.get("encoder") == "hmm" else set()
    hidden |= set() if arguments.get("teacher") else {"teacher_temperature", "gold_weight"}
    hidden |= set() if arguments.get("lora") else {name for name in _SETTINGS if name.startswith("lora_")}
    rows = []
    for name in _SETTINGS:
        value = arguments.get(name)
        if name not in hidden and value is not None and value is not False and value != _IDLE.get(name):
            share = name == "warmup_steps" and is_number(value) and 0 < value < 1
            if name == "teacher" and isinstance(value, list):
                value = [provenance.last_part(str(folder)) for folder in value]
            shown = ", ".join(map(str, value)) if isinstance(value, list) else setting(value)
            rows.append([Markup(f"`{name}`"), shown + (" (share of all steps)" if share else "")])
    return table(["Argument", "Value"], rows) if rows else None


def _as_built(record: RunRecord) -> Mapping[str, object]:
    """Return the arguments with the parts of the model, which a vectors file or a folder may have decided."""
    arguments: Mapping[str, object] = record["arguments"]
    decided = {"word_size"} if arguments.get("word_vectors") else set()
    return {name: value for name, value in arguments.items() if name not in decided} | (record.get("parts") or {})


def environment_table(record: RunRecord) -> Markup | None:
    """Return versions and hardware."""
    hardware = record.get("hardware") or {}
    rows: list[tuple[str, object]] = [
        *(record.get("versions") or {}).items(),
        ("machine", hardware.get("machine")),
        ("processor", hardware.get("processor")),
        ("cpus", hardware.get("cpus")),
        ("GPUs", ", ".join(f"{n} x {gpu}" for gpu, n in Counter(_gpus(record)).items()) or None),
        ("processes", hardware.get("processes")),
        ("threads", hardware.get("threads")),
        ("git revision", record.get("git_revision")),
    ]
    rows = [row for row in rows if row[1] is not None]
    return table(["", "Value"], rows) if rows else None


def _gpus(record: RunRecord) -> list[str]:
    """Return the GPUs of the machine; none for a run on its CPU."""
    found = (record.get("hardware") or {}).get("gpus") or []
    return [] if record["arguments"].get("use_cpu") else list(map(str, found))


@dataclass(frozen=True)
class EnergyView:
    """Energy of training: as counted, or an upper bound from the power limit of the GPUs, or unknown."""

    since: str | None
    counted: list[tuple[str, float]]
    uncounted: str | None
    seconds: float
    watts: float | None

    @property
    def most(self) -> float | None:
        """Joules at the power limit."""
        return None if self.watts is None else self.watts * self.seconds


@dataclass(frozen=True)
class CostView:
    """Speed, size, time and energy, as measured in the run."""

    table: Markup | None
    has_speed: bool
    energy: EnergyView | None


def cost_view(record: RunRecord, results: Results) -> CostView:
    """Return what a run measured of its cost.

    Args:
        record: Record of the run, with `task` and `arguments`.
        results: Figures by split.
    """
    parameters, memory = record.get("parameters") or {}, record.get("memory") or {}
    seconds = (record.get("seconds") or {}).get("training")
    speeds = [(split, scores.get("words_per_second")) for split, scores in results.items()]
    rows: list[tuple[str, object]] = [
        (f"words per second, {split} split", round(speed)) for split, speed in speeds if is_finite(speed)
    ]
    rows.append(("parameters", parameters.get("all")))
    rows.append(("parameters trained", parameters.get("trained") if provenance.trained(record) else None))
    sizes = (
        ("model files", record.get("model_bytes")),
        ("peak memory of the process", memory.get("process")),
        ("peak memory of the GPU", memory.get("gpu")),
    )
    rows += [(name, data_size(size)) for name, size in sizes if size is not None]
    if seconds is not None:
        since = record.get("resumed_from")
        rows.append((Markup(f"training time since {text(since)}" if since else "training time"), duration(seconds)))
    rows = [row for row in rows if row[1] is not None]
    return CostView(
        table=table(["", "Measured"], rows) if rows else None,
        has_speed=any("words_per_second" in scores for scores in results.values()),
        energy=None if seconds is None else _energy(record, seconds),
    )


def _energy(record: RunRecord, seconds: float) -> EnergyView:
    found, gpus = record.get("energy") or {}, _gpus(record)
    counters = {"processors (RAPL)": found.get("processor_joules")}
    counters["GPUs (NVML)"] = None if record["arguments"].get("use_cpu") else found.get("gpu_joules")
    counted = [(name, joules) for name, joules in counters.items() if is_finite(joules)]
    uncounted = "processors" if any("GPU" in name for name, _ in counted) else "GPUs"
    watts = found.get("gpu_watts")
    return EnergyView(
        since=record.get("resumed_from"),
        counted=counted,
        uncounted=uncounted if gpus and len(counted) == 1 else None,
        seconds=seconds,
        watts=watts if gpus and is_finite(watts) else None,
    )
