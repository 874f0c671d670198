"""Runs that train nothing: they score a model that was made of finished runs, on the data of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from hf_tagging.data.in_memory import InMemory
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.tasks import get_task
from hf_tagging.training.config import DataConfig, EncoderConfig, RunConfig, ScratchConfig, TaggingConfig
from hf_tagging.training.folder import RunFolder
from hf_tagging.training.preparing import IN_MEMORY
from hf_tagging.training.record import RECORD, ArgumentsRecord, RunRecord, SplitRecord, wrong_value

_SCORED = ("validation", "test")
_PUSHING = ("push_to_hub", "hub_model_id")
_SEEDS = ("seed", "data_seed")
_CARRIED = (*_SEEDS, "use_cpu", "per_device_eval_batch_size", "do_predict", "calibrate")
# Arguments of data and model that only a training reads.
_TRAINING_ONLY = frozenset({
    "case_dropout", "text_file",
    "casing", "head_dropout", "freeze_layers",
    "lora", "lora_rank", "lora_alpha", "lora_dropout", "lora_target_modules", "lora_merge",
    "word_vectors", "vector_words", "freeze_vectors", "word_dropout", "dropout",
})  # fmt: skip


def finished_record(folder: Path) -> RunRecord:
    """Return the record of a run that is finished.

    Args:
        folder: Output folder of the run.

    Raises:
        ConfigError: If there is no run, or it is not finished.
    """
    record = RunFolder(folder).record()
    damage = RunFolder(folder).damage() if record is None else wrong_value(record)
    if record is None or damage:
        what = f"{RECORD} {damage}" if damage else f"holds no run (no {RECORD})"
        raise ConfigError(f"{folder}: {what}. Give the output folder of a finished run.")
    if record["status"] != "finished":
        raise ConfigError(f"{folder}: the run is not finished (status: {record['status']}). Finish it first.")
    return record


def scored_splits(record: RunRecord) -> dict[str, SplitRecord]:
    """Return size and fingerprint of the splits that a run was scored on."""
    splits = (record.get("dataset") or {}).get("splits") or {}
    return {name: splits[name] for name in _SCORED if name in splits}


def rescoring_config(
    record: RunRecord, output_dir: str | Path, *, overwrite: bool, trust_remote_code: bool
) -> RunConfig:
    """Return the arguments of a run that reads the data of another and trains nothing.

    Args:
        record: Of the run that was trained.
        output_dir: Folder of the new run.
        overwrite: Replace a run that is there.
        trust_remote_code: Run code that comes with a model.
    """
    kind = ScratchConfig if "encoder" in record["arguments"] else EncoderConfig
    return RunConfig(
        get_task(record["task"]),
        DataConfig(**_given(record, DataConfig)),
        kind(**_given(record, kind) | {"trust_remote_code": trust_remote_code}),
        TaggingConfig(
            output_dir=str(output_dir),
            overwrite=overwrite,
            do_train=False,
            report_to="none",
            **_carried(record, _CARRIED),
        ),
    )


def data_config(record: RunRecord, output_dir: str | Path) -> RunConfig:
    """Return arguments that read the data of a run of any model.

    Args:
        record: Of the run that was trained.
        output_dir: Its folder; nothing is written.
    """
    return RunConfig(
        get_task(record["task"]),
        DataConfig(**_given(record, DataConfig)),
        EncoderConfig(),
        TaggingConfig(output_dir=str(output_dir), do_train=False, report_to="none", **_carried(record, _SEEDS)),
    )


def _given(record: RunRecord, config: type) -> dict[str, Any]:
    arguments: dict[str, Any] = dict(record["arguments"])
    given = {*record.get("given", ())} - _TRAINING_ONLY
    return {f.name: arguments[f.name] for f in fields(config) if f.name in given and f.name in arguments}


def _carried(record: RunRecord, names: tuple[str, ...]) -> dict[str, Any]:
    arguments: dict[str, Any] = dict(record["arguments"])
    return {name: arguments[name] for name in names if arguments.get(name) is not None}


def load_splits(config: RunConfig, *, advice: str) -> Mapping[str, InMemory]:
    """Return the data of a run.

    Args:
        config: From `rescoring_config`.
        advice: How to give data that was in memory.

    Raises:
        ConfigError: It was in memory.
    """
    if config.named_dataset == IN_MEMORY:
        raise ConfigError(f"The run was trained on data in memory, which is not on this machine's disk. {advice}")
    return cast(Mapping[str, InMemory], config.load_dataset())


def check_same_splits(source: RunRecord, found: RunRecord, name: str) -> None:
    """Make sure that a model is scored on the splits that the run was scored on.

    Args:
        source: Of the run.
        found: Of the run that scores now.
        name: What the data is called.

    Raises:
        DataError: If they have changed.
    """
    now = (found.get("dataset") or {}).get("splits") or {}
    if changed := [split for split, facts in scored_splits(source).items() if now.get(split) != facts]:
        raise DataError(
            f"{name}: the {changed[0]} split is not the one that the run was scored on. Give the data as it was then."
        )


def note_origin(record: RunRecord, source: RunRecord, **own: object) -> None:
    """Note the arguments of the training in the record of a run that scores; the card shows them.

    Args:
        record: Of the run that scores; it is changed.
        source: Of the run that was trained.
        own: Further arguments, which tell how the model was made.
    """
    kept = {name: record["arguments"].get(name) for name in ("output_dir", "overwrite", *_PUSHING)}
    record["arguments"] = cast(ArgumentsRecord, {**source["arguments"], **kept, **own})
    record["seed"] = source["seed"]
    if "words" in source:
        record["words"] = source["words"]
