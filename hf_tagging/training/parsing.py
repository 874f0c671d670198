"""The arguments of a tagger's run: data, model and training, with what each stage is to be called with."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hf_tagging.data.files import looks_like_path
from hf_tagging.data.schema import SCHEMES, TagSchema
from hf_tagging.data.spool import input_problem
from hf_tagging.models.encoder import is_chain
from hf_tagging.secrets import is_secret
from hf_tagging.tasks import Task, get_task
from hf_tagging.training.arguments import (
    CRF_LEARNING_RATE,
    LORA_LEARNING_RATE,
    DataConfig,
    EncoderConfig,
    TaggingConfig,
)
from hf_tagging.training.baseline_arguments import PARTS, ScratchConfig, useless
from hf_tagging.training.flags import build, did_you_mean, make_parser, read_values, refuse

_LOADING = (
    "train_file", "validation_file", "test_file", "tokens_column", "tags_column", "separator", "sentence_start",
    "tag_names", "validation_share", "test_share", "folds", "fold", "num_proc",
)  # fmt: skip
_PARTS: dict[str, tuple[Any, ...]] = {
    "encoder": (DataConfig, EncoderConfig, TaggingConfig),
    "baseline": (DataConfig, ScratchConfig, TaggingConfig),
}
# Arguments of Transformers that say when to push during training.
IN_BETWEEN = ("hub_strategy", "hub_always_push")
# Weights that start at random want larger steps and more of them than a fine-tuned encoder's.
FROM_SCRATCH = {"learning_rate": 2e-3, "num_train_epochs": 10.0, "max_grad_norm": 5.0}


@dataclass(frozen=True)
class RunConfig:
    """All arguments of one run.

    Args:
        task: Name of the task.
        data: Where words and tags come from.
        model: The encoder, or the parts of a tagger from scratch.
        training: The Trainer's arguments.
        given: Names that the user set, by flag or YAML.
    """

    task: str
    data: DataConfig
    model: EncoderConfig | ScratchConfig
    training: TaggingConfig
    given: frozenset[str]

    @property
    def _files_alone(self) -> bool:
        """Whether the data is given split by split, so that the default dataset is not meant."""
        data = self.data
        return bool(data.train_file or data.validation_file or data.test_file) and "dataset" not in self.given

    @property
    def dataset_name(self) -> str:
        """What the data is called in messages, in the record and in the default folder."""
        files = (
            (self.data.train_file or self.data.test_file or self.data.validation_file) if self._files_alone else None
        )
        return Path(files[0]).name if files else self.data.dataset

    def scheme(self, saved: TagSchema | None) -> str:
        """The scheme of the model: as given, or as a model that is a tagger already has it, or IOB2."""
        return self.data.scheme or (saved.scheme if saved and saved.scheme in SCHEMES else "IOB2")

    @property
    def split_seed(self) -> int:
        """The seed that draws what is held out: its own, or that of the order of batches, or the run's."""
        named = (self.data.split_seed, self.training.data_seed)
        return next((seed for seed in named if seed is not None), self.training.seed)

    def loading(self) -> dict[str, Any]:
        """What `load_tagging_dataset` is to be called with."""
        data = self.data
        return {
            "name_or_path": None if self._files_alone else data.dataset,
            "task": self.task,
            "config_name": data.dataset_config,
            "revision": data.dataset_revision,
            "seed": self.split_seed,
            "word_features": getattr(self.model, "word_features", None),  # encoders see words alone
        } | {name: getattr(data, name) for name in _LOADING}

    def source(self) -> dict[str, Any]:
        """What `saved_schema` is to be called with: which model it is."""
        model = self.model
        return {
            "name": model.model,
            "revision": model.model_revision,
            "trust_remote_code": model.trust_remote_code,
        }

    def encoder(self) -> dict[str, Any]:
        """What `load_encoder` is to be called with, beside the schema."""
        model = self.model
        assert isinstance(model, EncoderConfig)
        lora = {name: getattr(model, f"lora_{name}") for name in ("rank", "alpha", "dropout", "target_modules")}
        return self.source() | {
            "max_length": self.data.max_length,
            "attn_implementation": model.attn_implementation,
            "dropout": model.head_dropout,
            "freeze_layers": model.freeze_layers,
            "lora": lora if model.lora else None,
            "keep_head": not self.training.do_train,
            "head": model.head,
        }

    def baseline(self) -> dict[str, Any]:
        """What `build_baseline` is to be called with, beside dataset and schema."""
        model = self.model
        assert isinstance(model, ScratchConfig)
        names = ("min_count", "max_words", "lowercase", "fold_digits", "fold_tweets")
        return {
            "words": model.words,
            "vocabulary": {name: getattr(model, name) for name in names},
            "parts": {name: getattr(model, name) for name in PARTS},
            "given": self.given,
            "word_vectors": model.word_vectors,
            "word_features": model.word_features,
            "max_length": self.data.max_length,
            "model": model.model,
            "revision": model.model_revision,
            "trust_remote_code": model.trust_remote_code,
            "keep_head": not self.training.do_train,
        }

    def alignment(self) -> dict[str, Any]:
        """What `align_dataset` is to be called with, beside dataset, tokenizer and schema.

        Raises:
            ConfigError: If the loss of a saved model with a CRF is to be what such a loss cannot be.
        """
        data = self.data
        asked = {name: getattr(data, name, getattr(self.training, name, None)) for name in _OF_SUMS}
        if not ("head" in self.given and self.model.head) and asked != _OF_SUMS and is_chain(**self.source()):
            refuse(_no_sum_over_words(asked | {"head": "crf"}))
        return {
            "overlap": data.window_overlap,
            "label_strategy": data.label_strategy,
            "num_proc": data.num_proc,
        }

    def as_dict(self) -> dict[str, Any]:
        """Every argument with its value, as JSON can hold it; tokens and keys are masked."""
        merged: dict[str, Any] = {"task": self.task}
        for part in (self.data, self.model):
            merged.update({f.name: getattr(part, f.name) for f in fields(part)})
        merged |= self.training.to_dict()
        return {name: "***" if is_secret(name) and value else value for name, value in merged.items()}


def parse_arguments(
    task: str | Task, argv: Sequence[str] | None = None, *, family: str = "encoder", description: str | None = None
) -> RunConfig:
    """Reads flags and, with ``--config FILE.yaml``, a YAML file.

    Args:
        task: Name of a task, or a `Task`; its headline figure picks the best checkpoint.
        argv: Flags; default: those of the command line.
        family: ``"encoder"`` or ``"baseline"``: which models the recipe trains.
        description: Printed by ``--help``, which ends the program.

    Raises:
        ConfigError: Listing every unknown name, wrong type, bad choice, missing path and contradiction, each with the
            nearest name that would be right.
    """
    task = get_task(task)
    defaults = {"metric_for_best_model": task.headline} | (FROM_SCRATCH if family == "baseline" else {})
    parser = make_parser(_PARTS[family], description, **defaults)
    values, problems = read_values(parser, argv)
    given = frozenset(values)
    reconcile(family, values)
    problems += missing_paths(values) + pushes_in_between(values) + _unknown_metric(task, values)
    problems += useless(values) if family == "baseline" else []
    problems += _no_sum_over_words(values)
    parts = [build(part, parser, values, problems) for part in _PARTS[family]]
    refuse(problems)
    data, model, training = parts
    return name_output(RunConfig(task.name, data, model, training, given))


def reconcile(family: str, values: dict[str, Any]) -> None:
    """Lets defaults follow what was given, so that one flag is enough for one wish."""
    if values.get("lora"):
        values.setdefault("learning_rate", LORA_LEARNING_RATE)
    if values.get("head") == "crf" and family == "encoder":
        values.setdefault("head_learning_rate", CRF_LEARNING_RATE)
    if values.get("prediction_loss_only"):
        values.setdefault("metric_for_best_model", "loss")
    evaluation, saving = values.get("eval_strategy"), values.get("save_strategy")
    if evaluation == "no" or saving == "no":
        values.setdefault("load_best_model_at_end", False)
    elif evaluation and not saving:
        values["save_strategy"] = evaluation
        if "eval_steps" in values:
            values.setdefault("save_steps", values["eval_steps"])
    elif saving in ("steps", "epoch") and not evaluation:
        values["eval_strategy"] = saving
        if "save_steps" in values:
            values.setdefault("eval_steps", values["save_steps"])
    if evaluation == "steps" and saving == "steps":
        values.setdefault("save_steps", values.get("eval_steps", values.get("logging_steps", 50)))
        values.setdefault("eval_steps", values["save_steps"])
    if values.get("save_strategy") == "steps" and "save_steps" not in values:
        values["save_steps"] = values.setdefault("eval_steps", 500)


def _unknown_metric(task: Task, values: dict[str, Any]) -> list[str]:
    """Return a problem if no evaluation of the task computes the figure that is to pick the best checkpoint."""
    name = (values.get("metric_for_best_model") or "loss").removeprefix("eval_")
    if name in task.figures:
        return []
    near = difflib.get_close_matches(name, task.figures, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return [f"metric_for_best_model: {name!r} is not one of {', '.join(task.figures)}{hint}"]


# What says how the words of a loss are summed, where it says nothing.
_OF_SUMS = {"label_strategy": "first", "class_weights": "none", "label_smoothing_factor": 0.0}


def _no_sum_over_words(values: dict[str, Any]) -> list[str]:
    """What can be done to a loss that is a sum over words, and not to a CRF's."""
    if values.get("head") != "crf":
        return []
    return [
        f"{name}: {values[name]} does not go with head crf, whose loss is of whole sequences of words; leave it out"
        for name, value in _OF_SUMS.items()
        if values.get(name, value) != value
    ]


def pushes_in_between(values: dict[str, Any]) -> list[str]:
    """What was given of pushes during training, of which there are none."""
    return [f"{n}: a run is pushed once, when it is finished; leave it out" for n in IN_BETWEEN if n in values]


def missing_paths(values: dict[str, Any]) -> list[str]:
    """Paths that are not there. A name that may be one on the Hub is left to the Hub."""
    problems = []
    for name in ("train_file", "validation_file", "test_file", "word_vectors", "resume_from_checkpoint"):
        given = values.get(name) or []
        for path in [given] if isinstance(given, str) else given:
            if name != "resume_from_checkpoint" and (problem := input_problem(path)):
                problems.append(
                    f"{name}: {problem}{did_you_mean(Path(path)) if problem.endswith(' is not there') else ''}"
                )
            elif not Path(path).expanduser().exists():
                problems.append(f"{name}: {path} is not there{did_you_mean(Path(path))}")
    checkpoint = Path(values.get("resume_from_checkpoint") or "").expanduser()
    if values.get("resume_from_checkpoint") and checkpoint.exists():
        values["resume_from_checkpoint"] = str(checkpoint)
        if not (checkpoint / "trainer_state.json").is_file():
            problems.append(f"resume_from_checkpoint: {checkpoint} is no checkpoint, it has no trainer_state.json")
    for name in ("dataset", "model", "words"):
        path = values.get(name)
        if path and looks_like_path(path) and not Path(path).expanduser().exists():
            problems.append(f"{name}: {path} is not there{did_you_mean(Path(path))}")
        elif path and name == "dataset" and Path(path).expanduser().exists() and not Path(path).expanduser().is_dir():
            problems += [f"{name}: {problem}" for problem in [input_problem(path)] if problem]
    return problems


def _without_suffix(name: str) -> str:
    return Path(name).stem if looks_like_path(name) or Path(name).is_file() else name


def name_output(arguments: RunConfig) -> RunConfig:
    """Chooses the folder of a run that was given none, from what it trains and on what, with which seed and fold.

    Seeds and folds of one run stand side by side, and can be trained side by side.
    """
    if "output_dir" not in arguments.given:
        names = [arguments.task, arguments.model.label, _without_suffix(arguments.dataset_name)]
        names.append(f"seed-{arguments.training.seed}")
        names += [] if arguments.data.fold is None else [f"fold-{arguments.data.fold}"]
        slugs = [re.sub(r"[^A-Za-z0-9._]+", "-", Path(name).name).strip("-.") for name in names]
        arguments.training.output_dir = str(Path("runs") / "-".join(filter(None, slugs)))
    return arguments
