"""Reads a run's arguments: a flag wins over the YAML, the YAML over the default, and every mistake is told at once.

Flags and YAML keys go through the same converters, those that `HfArgumentParser` makes of the dataclasses. YAML values
are taken as they are written, so that ``5e-5`` is a number where a number is wanted and ``no`` is a word where a word
is (YAML 1.1 makes them a string and a boolean).
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser

from hf_tagging.data.files import looks_like_path, nearest_path
from hf_tagging.data.schema import SCHEMES, TagSchema
from hf_tagging.errors import ConfigError
from hf_tagging.training.arguments import (
    CRF_LEARNING_RATE,
    LORA_LEARNING_RATE,
    DataArguments,
    ModelArguments,
    TaggingArguments,
)
from hf_tagging.training.baseline_arguments import PARTS, BaselineArguments, useless

_LOADING = (
    "train_file", "validation_file", "test_file", "tokens_column", "tags_column", "separator", "sentence_start",
    "tag_names", "validation_share", "test_share", "folds", "fold", "num_proc",
)  # fmt: skip
_PARTS: dict[str, tuple[Any, ...]] = {
    "encoder": (DataArguments, ModelArguments, TaggingArguments),
    "baseline": (DataArguments, BaselineArguments, TaggingArguments),
}
# Weights that start at random want larger steps and more of them than a fine-tuned encoder's.
_FROM_SCRATCH = {"learning_rate": 2e-3, "num_train_epochs": 10.0, "max_grad_norm": 5.0}
_METRIC = {"pos": "accuracy", "ner": "f1"}
_METRICS = {
    "pos": (
        "accuracy",
        "macro_f1",
        "sentence_accuracy",
        "mean_sentence_accuracy",
        "unseen_accuracy",
        "seen_accuracy",
        "loss",
    ),
    "ner": (
        "f1",
        "precision",
        "recall",
        "strict_f1",
        "strict_precision",
        "strict_recall",
        "macro_f1",
        "macro_precision",
        "macro_recall",
        "sentence_f1",
        "accuracy",
        "loss",
    ),
}


@dataclass(frozen=True)
class RunArguments:
    """All arguments of one run.

    Args:
        task: ``"pos"`` or ``"ner"``.
        data: Where words and tags come from.
        model: The encoder, or the parts of a tagger from scratch.
        training: The Trainer's arguments.
        given: Names that the user set, by flag or YAML.
    """

    task: str
    data: DataArguments
    model: ModelArguments | BaselineArguments
    training: TaggingArguments
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

    def loading(self) -> dict[str, Any]:
        """What `load_tagging_dataset` is to be called with."""
        data = self.data
        return {
            "name_or_path": None if self._files_alone else data.dataset,
            "task": self.task,
            "config_name": data.dataset_config,
            "revision": data.dataset_revision,
            "seed": self.training.seed if self.training.data_seed is None else self.training.data_seed,
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
        assert isinstance(model, ModelArguments)
        lora = {name: getattr(model, f"lora_{name}") for name in ("rank", "alpha", "dropout", "target_modules")}
        return self.source() | {
            "max_length": self.data.max_length,
            "dropout": model.head_dropout,
            "freeze_layers": model.freeze_layers,
            "lora": lora if model.lora else None,
            "keep_head": not self.training.do_train,
            "head": model.head,
        }

    def baseline(self) -> dict[str, Any]:
        """What `build_baseline` is to be called with, beside dataset and schema."""
        model = self.model
        assert isinstance(model, BaselineArguments)
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
        """What `align_dataset` is to be called with, beside dataset, tokenizer and schema."""
        data = self.data
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
        return {name: "***" if name.endswith("_token") and value else value for name, value in merged.items()}


@dataclass(frozen=True)
class _Given:
    """One setting as the user wrote it."""

    where: str  # "--seed" or "run.yaml, line 3: seed"
    name: str  # "--seed" or "seed"
    values: list[str]
    is_list: bool = False


def parse_arguments(
    task: str, argv: Sequence[str] | None = None, *, family: str = "encoder", description: str | None = None
) -> RunArguments:
    """Reads flags and, with ``--config FILE.yaml``, a YAML file.

    Args:
        task: ``"pos"`` or ``"ner"``; decides which figure picks the best checkpoint.
        argv: Flags; default: those of the command line.
        family: ``"encoder"`` or ``"baseline"``: which models the recipe trains.
        description: Printed by ``--help``, which ends the program.

    Raises:
        ConfigError: Listing every unknown name, wrong type, bad choice, missing path and contradiction, each with the
            nearest name that would be right.
    """
    parser = _parser(task, family, description)
    flags, problems = _read_flags(list(sys.argv[1:] if argv is None else argv))
    if any(flag.name in ("-h", "--help") for flag in flags):
        parser.print_help()
        raise SystemExit(0)
    settings = []
    for flag in flags:
        if flag.name == "--config":
            read, found = _read_yaml(flag.values)
            settings += read
            problems += found
    settings += [flag for flag in flags if flag.name != "--config"]
    values: dict[str, Any] = {}
    for setting in settings:
        problem = _convert(parser, setting, values)
        problems += [problem] if problem else []
    _reconcile(family, values)
    problems += _missing_paths(values) + _unknown_metric(task, values)
    problems += useless(values) if family == "baseline" else []
    problems += _no_sum_over_words(values)
    parts = [_build(part, parser, values, problems) for part in _PARTS[family]]
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(f"{count} with the arguments:\n  " + "\n  ".join(problems) + "\nAll arguments: --help")
    data, model, training = parts
    return _name_output(RunArguments(task, data, model, training, frozenset(values)))


def _parser(task: str, family: str, description: str | None) -> HfArgumentParser:
    parser = HfArgumentParser(
        list(_PARTS[family]),
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE.yaml", help="A file of arguments; flags win over it.")
    parser.set_defaults(metric_for_best_model=_METRIC[task], **(_FROM_SCRATCH if family == "baseline" else {}))
    return parser


def _read_flags(argv: list[str]) -> tuple[list[_Given], list[str]]:
    """Groups ``--name value ...``; a word in front of the first flag is a mistake."""
    flags: list[_Given] = []
    problems: list[str] = []
    for word in argv:
        if re.match(r"--[A-Za-z]|-h$", word):
            name, equals, value = word.partition("=")
            flags.append(_Given(name, name, [value] if equals else []))
        elif flags:
            flags[-1].values.append(word)
        else:
            hint = f"; did you mean --config {word}?" if word.endswith((".yaml", ".yml")) else ""
            problems.append(f"{word}: stands before any flag{hint}")
    return flags, problems


def _read_yaml(paths: list[str]) -> tuple[list[_Given], list[str]]:
    """Reads one YAML mapping with the line of every key; nested values become JSON, as TrainingArguments takes them."""
    if len(paths) != 1:
        return [], [f"--config: expected one file, got {len(paths)}"]
    path = Path(paths[0])
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        return [], [f"--config {path}: {error.strerror}{_did_you_mean(path)}"]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return [], [f"--config {path}: not YAML ({' '.join(str(error).split())})"]
    if node is None:
        return [], []
    if not isinstance(node, yaml.MappingNode):
        return [], [f"--config {path}: expected lines of `name: value`"]
    settings, problems = [], []
    seen: set[str] = set()
    for key, value in node.value:
        place = f"{path}, line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            problems.append(f"{place}: expected `name: value`")
            continue
        if key.value in seen:
            problems.append(f"{place}: {key.value}: stands there twice")
        seen.add(key.value)
        content = _plain(value)
        if content is not None:
            items = content if isinstance(content, list) else [content]
            texts = [item if isinstance(item, str) else json.dumps(item) for item in items]
            settings.append(_Given(f"{place}: {key.value}", key.value, texts, isinstance(content, list)))
    return settings, problems


def _plain(node: Any) -> Any:
    """A YAML node as strings, lists and dicts; None for an empty value or an unquoted null."""
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    return None if node.style is None and node.value in ("", "~", "null", "Null", "NULL") else node.value


def _convert(parser: HfArgumentParser, given: _Given, values: dict[str, Any]) -> str | None:
    """Converts one setting into `values`; returns what is wrong with it."""
    by_flag = given.name.startswith("-")
    actions = parser._option_string_actions
    action = actions.get(given.name if by_flag else f"--{given.name}")
    if action is None or action.dest in ("help", "config") or (not by_flag and action.nargs == 0):
        known = sorted(name for name in actions if name.startswith("--") and "-" not in name[2:])
        near = difflib.get_close_matches(given.name.lstrip("-").replace("-", "_"), [n[2:] for n in known], 1, 0.6)
        mark = "--" if by_flag else ""
        return f"{given.where}: there is no such argument" + (f"; did you mean {mark}{near[0]}?" if near else "")
    if action.nargs == 0:  # --no_x
        values[action.dest] = False
        return f"{given.where}: takes no value" if given.values else None
    if not given.values and action.nargs == "?":
        values[action.dest] = action.const
        return None
    many = action.nargs in ("+", "*")
    if not given.values or (not many and (len(given.values) > 1 or given.is_list)):
        found = "a list" if given.is_list else len(given.values) or "none"
        return f"{given.where}: expected {'at least one value' if many else 'one value'}, got {found}"
    converted = [_value(action, text) for text in given.values]
    wrong = [text for text, (_, good) in zip(given.values, converted, strict=True) if not good]
    if wrong:
        return f"{given.where}: {' '.join(map(repr, wrong))} is not {_expected(action, wrong[0])}"
    plain = [value for value, _ in converted]
    values[action.dest] = plain if many else plain[0]
    return None


def _value(action: argparse.Action, text: str) -> tuple[Any, bool]:
    try:
        value = action.type(text) if callable(action.type) else text
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return None, False
    return value, action.choices is None or value in action.choices


def _expected(action: argparse.Action, text: str) -> str:
    if action.choices is not None:
        names = [str(choice) for choice in action.choices]
        near = difflib.get_close_matches(text, names, 1)
        return f"one of {', '.join(names)}" + (f"; did you mean {near[0]}?" if near else "")
    name = getattr(action.type, "__name__", str(action.type))
    return {
        "string_to_bool": "true or false", "int": "a whole number", "float": "a number", "dict": "a JSON object"
    }.get(name, f"of type {name}")  # fmt: skip


def _reconcile(family: str, values: dict[str, Any]) -> None:
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


def _unknown_metric(task: str, values: dict[str, Any]) -> list[str]:
    """A figure to choose by that no evaluation gives: better told now than after the first epoch."""
    name = (values.get("metric_for_best_model") or "loss").removeprefix("eval_")
    if name in _METRICS[task]:
        return []
    near = difflib.get_close_matches(name, _METRICS[task], 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return [f"metric_for_best_model: {name!r} is not one of {', '.join(_METRICS[task])}{hint}"]


def _no_sum_over_words(values: dict[str, Any]) -> list[str]:
    """What can be done to a loss that is a sum over words, and not to a CRF's."""
    if values.get("head") != "crf":
        return []
    idle = {"label_strategy": "first", "class_weights": "none", "label_smoothing_factor": 0.0}
    return [
        f"{name}: {values[name]} does not go with head crf, whose loss is of whole sequences of words; leave it out"
        for name, value in idle.items()
        if values.get(name, value) != value
    ]


def _missing_paths(values: dict[str, Any]) -> list[str]:
    """Paths that are not there. A name that may be one on the Hub is left to the Hub."""
    problems = []
    for name in ("train_file", "validation_file", "test_file", "resume_from_checkpoint"):
        given = values.get(name) or []
        for path in [given] if isinstance(given, str) else given:
            if not Path(path).expanduser().exists():
                problems.append(f"{name}: {path} is not there{_did_you_mean(Path(path))}")
    checkpoint = Path(values.get("resume_from_checkpoint") or "").expanduser()
    if values.get("resume_from_checkpoint") and checkpoint.exists():
        values["resume_from_checkpoint"] = str(checkpoint)
        if not (checkpoint / "trainer_state.json").is_file():
            problems.append(f"resume_from_checkpoint: {checkpoint} is no checkpoint, it has no trainer_state.json")
    for name in ("dataset", "model"):
        path = values.get(name)
        if path and looks_like_path(path) and not Path(path).expanduser().exists():
            problems.append(f"{name}: {path} is not there{_did_you_mean(Path(path))}")
    return problems


def _did_you_mean(path: Path) -> str:
    near = nearest_path(path.expanduser())
    return f"; did you mean {near}?" if near else ""


def _build(part: type, parser: HfArgumentParser, values: dict[str, Any], problems: list[str]) -> Any:
    names = [f.name for f in fields(part) if f.init]
    try:
        return part(**{name: values.get(name, parser.get_default(name)) for name in names})
    except ConfigError as error:
        problems += str(error).splitlines()
    except (ValueError, TypeError, NotImplementedError, OSError, ImportError) as error:
        problems.append(" ".join(str(error).split()))
    return None


def _without_suffix(name: str) -> str:
    return Path(name).stem if looks_like_path(name) or Path(name).is_file() else name


def _name_output(arguments: RunArguments) -> RunArguments:
    if "output_dir" not in arguments.given:
        names: Iterable[str] = (arguments.task, arguments.model.label, _without_suffix(arguments.dataset_name))
        slugs = [re.sub(r"[^A-Za-z0-9._]+", "-", Path(name).name).strip("-.") for name in names]
        arguments.training.output_dir = str(Path("runs") / "-".join(filter(None, slugs)))
    return arguments
