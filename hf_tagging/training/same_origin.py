"""Runs whose weights can be averaged: they started from the same weights and ended as models of one shape."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_tagging.data.schema import TagSchema
from hf_tagging.disk import expanded
from hf_tagging.errors import ConfigError
from hf_tagging.problems import argument
from hf_tagging.training.averaging import all_weights
from hf_tagging.training.record import ArgumentsRecord, RunRecord, SplitRecord
from hf_tagging.training.rescoring import finished_record, scored_splits
from hf_tagging.training.resuming import FREE_ARGUMENTS

_SCORED = ("validation", "test")
_IDLE_PARTS = ("truncation", "padding", "decoder")  # of a tokenizer: they change no subword


@dataclass(frozen=True)
class Part:
    """A finished run whose weights may go into an average.

    Args:
        folder: Folder of the run.
        name: Name of the folder; with the one above it, where several have the same.
        record: Content of `run.json`.
    """

    folder: Path
    name: str
    record: RunRecord

    @property
    def arguments(self) -> ArgumentsRecord:
        """Arguments of the run."""
        return self.record["arguments"]

    @property
    def scored(self) -> dict[str, SplitRecord]:
        """Size and fingerprint of the splits that the run was scored on."""
        return scored_splits(self.record)

    @property
    def origin(self) -> tuple[str, object]:
        """Where the weights come from: in words, and as a value that is equal where they began as the same."""
        model = self.arguments.get("model")
        if model:
            revision = self.arguments.get("model_revision")
            return f"{model}{f' ({revision})' if revision else ''}", (_place(model), revision)
        seed, vectors = self.arguments.get("seed"), self.arguments.get("word_vectors")
        return f"new weights of seed {seed}{f' and the vectors {vectors}' if vectors else ''}", (None, seed, vectors)


def read_parts(runs: Sequence[str | Path]) -> list[Part]:
    """Read the records of runs whose weights are to be averaged.

    Args:
        runs: Output folders of finished runs.

    Raises:
        ConfigError: There are fewer than two, one is no finished run or has weights that are not its own, or they have
            different tasks, origins or evaluation data.
    """
    folders = [expanded(run) for run in runs]
    places = Counter(folder.resolve() for folder in folders)
    if twice := next((folder for folder in folders if places[folder.resolve()] > 1), None):
        raise ConfigError(f"{twice}: is given twice. Give each run once.")
    if len(folders) < 2:
        given = f"there is one ({folders[0]})" if folders else "there is none"
        raise ConfigError(f"runs: an average needs two or more, and {given}. Give the folders of several runs.")
    names = Counter(folder.resolve().name for folder in folders)
    parts = [Part(folder, _name(folder.resolve(), names), _finished(folder)) for folder in folders]
    for other in parts[1:]:
        _check_runs(parts[0], other)
    return parts


def differing_arguments(parts: Sequence[Part]) -> list[dict[str, object]]:
    """Return the arguments in which runs differ, for each of them; those that change no weights are left out."""
    asked: list[dict[str, object]] = [dict(part.arguments) for part in parts]
    names = sorted({*asked[0]}.union(*asked[1:]) - FREE_ARGUMENTS)
    varied = [name for name in names if any(one.get(name) != asked[0].get(name) for one in asked)]
    return [{name: one.get(name) for name in varied} for one in asked]


def check_models(
    parts: tuple[Part, Part],
    models: tuple[PreTrainedModel, PreTrainedModel],
    tokenizers: tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase],
) -> None:
    """Make sure that two models have the same tags, context, head, vocabulary and shapes.

    Args:
        parts: The two runs.
        models: Their models.
        tokenizers: Their tokenizers.

    Raises:
        ConfigError: Saying what differs.
    """
    schemas = [TagSchema.from_config(model.config) for model in models]
    tags = [schema.tags for schema in schemas]
    if tags[0] != tags[1]:
        extra = sorted({*tags[0]} ^ {*tags[1]})
        raise _differ(*parts, f"tags ({', '.join(extra[:6])})" if extra else "orders of their tags")
    if schemas[0].scheme != schemas[1].scheme:
        advice = f" Train runs with one {argument('scheme')}."
        raise _differ(*parts, "schemes", *(schema.scheme for schema in schemas), advice=advice)
    contexts = [getattr(model.config, "context_subwords", None) or 0 for model in models]
    if contexts[0] != contexts[1]:
        advice = f" Train runs with one {argument('context')} and one {argument('context_subwords')}."
        raise _differ(*parts, "numbers of subwords of context", *map(str, contexts), advice=advice)
    kinds = [type(model).__name__ for model in models]
    if kinds[0] != kinds[1]:
        raise _differ(*parts, "models or tag heads", *kinds)
    if _subword_rules(tokenizers[0]) != _subword_rules(tokenizers[1]):
        raise _differ(*parts, "tokenizers or vocabularies")
    shapes = [{name: tuple(weight.shape) for name, weight in all_weights(model).items()} for model in models]
    if shapes[0] != shapes[1]:
        name = next(n for n in (*shapes[0], *shapes[1]) if shapes[0].get(n) != shapes[1].get(n))
        raise _differ(*parts, f"shapes of {name}", *(str(shape.get(name, "none")) for shape in shapes))
    buffers = [_whole_numbers(model) for model in models]
    if unlike := [name for name, values in buffers[0].items() if not torch.equal(values, buffers[1][name])]:
        raise _differ(*parts, f"integers in {unlike[0]}, which cannot be averaged")


def _check_runs(first: Part, other: Part) -> None:
    if other.record["task"] != first.record["task"]:
        raise _differ(first, other, "tasks", first.record["task"], other.record["task"])
    (ours, origin), (theirs, other_origin) = first.origin, other.origin
    if origin != other_origin:
        advice = (
            f" Taggers from scratch have the same where they have one {argument('seed')}, each with a "
            f"{argument('data_seed')} of its own, or start from one folder ({argument('model')})."
        )
        advice = "" if first.arguments.get("model") else advice
        raise _differ(first, other, "weights to start from", ours, theirs, advice=advice)
    for split in _SCORED:
        if first.scored.get(split) != other.scored.get(split):
            raise _differ(
                first,
                other,
                f"{split} splits",
                advice=f" Train runs on one split; give those that draw it the same {argument('split_seed')}.",
            )


def _differ(first: Part, other: Part, what: str, *values: str, advice: str = "") -> ConfigError:
    shown = f": {values[0]} and {values[1]}" if values else ""
    return ConfigError(
        f"{first.folder} and {other.folder} cannot be averaged: they have different {what}{shown}.{advice}"
    )


def _finished(folder: Path) -> RunRecord:
    """Return the record of a run whose model is whole and its own."""
    record = finished_record(folder)
    if (folder / "adapter_config.json").is_file():
        raise ConfigError(
            f"{folder}: has adapters that are not merged (adapter_config.json), and they cannot be averaged. Train it "
            f"with {argument('lora_merge', True)}."
        )
    if ((record.get("parts") or {}).get("encoder") or record["arguments"].get("encoder")) == "hmm":
        raise ConfigError(f"{folder}: an hmm is estimated by counting, and has no weights to average.")
    if "validation" not in ((record.get("dataset") or {}).get("splits") or {}):
        raise ConfigError(f"{folder}: the run has no validation split, by which averages are chosen.")
    return record


def _name(folder: Path, names: Counter[str]) -> str:
    return folder.name if names[folder.name] == 1 else f"{folder.parent.name}/{folder.name}"


def _place(model: str) -> str:
    """Return a folder as one path, however it was written, and any other name as it is."""
    return str(expanded(model).resolve()) if expanded(model).exists() else model


def _subword_rules(tokenizer: PreTrainedTokenizerBase) -> object:
    """Return what decides which subwords a word has, to be compared."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return tokenizer.get_vocab()
    content: dict[str, Any] = json.loads(backend.to_str())
    return {name: value for name, value in content.items() if name not in _IDLE_PARTS}


def _whole_numbers(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: buffer for name, buffer in model.named_buffers() if not buffer.is_floating_point()}
