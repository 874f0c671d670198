"""Origin of model and data as a record states it: names on the Hub, or the last part of local paths."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from hf_tagging.data.files import ALSO_TEST, looks_like_path
from hf_tagging.data.hub_source import HUB_ALIASES
from hf_tagging.markdown import Markup, text, visible
from hf_tagging.models.encoder import PACKAGED_ENCODER, PACKAGED_ENCODER_ON_HUB

if TYPE_CHECKING:
    from hf_tagging.evaluation.figures import Results
    from hf_tagging.training.record import ArgumentsRecord, RunRecord

SAMPLE = "sample"

# Only full names are taken for models on the Hub: a bare one may be a baseline. These are known.
_KNOWN_MODELS = {
    PACKAGED_ENCODER: PACKAGED_ENCODER_ON_HUB,
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-large-cased": "google-bert/bert-large-cased",
    "distilbert-base-cased": "distilbert/distilbert-base-cased",
    "roberta-base": "FacebookAI/roberta-base",
}


class Source(NamedTuple):
    """Origin of a split or a model: its name without folders, and its name on the Hub if it has one."""

    name: str
    hub: str | None = None

    def link(self, kind: str = "") -> Markup:
        """Return the name as Markdown, linked to its page on the Hub; `kind` is ``"datasets/"`` for a dataset."""
        return Markup(f"[{text(self.hub)}](https://huggingface.co/{kind}{self.hub})" if self.hub else text(self.name))


def trained(record: RunRecord) -> bool:
    """Return False for a run that only evaluates."""
    return record["arguments"].get("do_train") is not False


def splits(record: RunRecord, results: Results) -> list[str]:
    """Return the splits in a card: those with figures and, after a training, the training split."""
    return [*results, *(["train"] if trained(record) else [])]


def limit(record: RunRecord, key: Literal["max_train_samples", "max_eval_samples"]) -> int | None:
    """Return the limit on sentences; None where there is none, or where no split reaches it.

    Args:
        record: Record of the run.
        key: ``"max_train_samples"`` or ``"max_eval_samples"``.
    """
    names = ("train",) if key == "max_train_samples" else ("validation", "test", ALSO_TEST)
    asked, splits = record["arguments"].get(key), (record.get("dataset") or {}).get("splits") or {}
    sizes = [splits[name].get("sentences") for name in names if name in splits]
    whole = sizes and asked and all(size is not None and size < asked for size in sizes)
    return None if whole else asked


def model(record: RunRecord) -> Source | None:
    """Return the model that the run started from."""
    name = record["arguments"].get("model")
    if not name:
        return None
    full = _KNOWN_MODELS.get(name, name)
    if name == PACKAGED_ENCODER or ("/" in full and _may_be_on_hub(name)):
        return Source(full, full)
    return Source(last_part(name))


def source(record: RunRecord, split: str) -> Source | None:
    """Return the origin of a split: its own file, the split that it was held out of, or the dataset."""
    arguments = record["arguments"]
    names = given(arguments, record, split)
    if not names:
        return None
    if _files(arguments, "train" if held_out(arguments, split) else split):
        return Source(", ".join(map(last_part, names)))
    name = names[0]
    if name == SAMPLE:
        return Source("hf_tagging sample")
    hub = HUB_ALIASES[name][0] if name in HUB_ALIASES else name if _may_be_on_hub(name) else None
    return Source(hub or last_part(name), hub)


def given(arguments: ArgumentsRecord, record: RunRecord, split: str) -> list[str]:
    """Return the names or paths of a split as given; a split's own files win over the dataset."""
    if held_out(arguments, split):
        split = "train"
    if files := _files(arguments, split):
        return [files] if isinstance(files, str) else [str(file) for file in files]
    name = arguments.get("dataset") or (record.get("dataset") or {}).get("name")
    return [str(name)] if name else []


def _files(arguments: ArgumentsRecord, split: str) -> str | list[str] | None:
    files = {
        "train": arguments.get("train_file"),
        "validation": arguments.get("validation_file"),
        "test": arguments.get("test_file"),
        ALSO_TEST: arguments.get("also_test"),
    }
    return files.get(split)


def held_out(arguments: ArgumentsRecord, split: str) -> dict[str, float | None]:
    """Return the arguments that cut a split from the training split; empty where it was not cut."""
    given: dict[str, float | None] = {}
    if split == "validation":
        given = {"validation_share": arguments.get("validation_share")}
    elif split == "test":
        given = {
            "test_share": arguments.get("test_share"),
            "folds": arguments.get("folds"),
            "fold": arguments.get("fold"),
        }
    cut = {name: value for name, value in given.items() if value is not None}
    seeds = (arguments.get("split_seed"), arguments.get("data_seed"), arguments.get("seed"))
    return {**cut, "split_seed": next((seed for seed in seeds if seed is not None), None)} if cut else {}


def revision(record: RunRecord) -> str | None:
    """Return the revision of a dataset on the Hub, as given or as its alias pins it."""
    arguments = record["arguments"]
    name = arguments.get("dataset") or (record.get("dataset") or {}).get("name")
    asked: str | None = arguments.get("dataset_revision")
    return asked or (HUB_ALIASES[name][1] if name in HUB_ALIASES else None)


def is_conll2003(record: RunRecord, splits: Iterable[str]) -> bool:
    """Return True if a split is CoNLL-2003 by the name of the dataset, its file or a folder above it."""
    names = [name for split in splits for name in given(record["arguments"], record, split)]
    return any("conll2003" in re.split(r"[/\\]", re.sub("[-_]", "", name.lower())) for name in names)


def is_sample(record: RunRecord, splits: Iterable[str]) -> bool:
    """Return True if a split is from the embedded sample corpus."""
    return any(SAMPLE in given(record["arguments"], record, split) for split in splits)


def _may_be_on_hub(name: str) -> bool:
    """Return True if a name is valid on the Hub and is not a local path."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return not looks_like_path(name) and not Path(name).exists()


def model_name(arguments: ArgumentsRecord, name: str | None) -> str:
    """Return the name of the model: its name on the Hub, else the given name, else that of the run's folder."""
    hub = arguments.get("hub_model_id")
    if hub and not looks_like_path(hub):
        return "/".join(slug(part) for part in hub.split("/"))
    return slug(last_part(name or arguments.get("output_dir") or "")) or "model"


def last_part(path: str) -> str:
    """Return the name of a file or folder without the folders above it."""
    return visible(re.split(r"[/\\]", str(path).rstrip("/\\"))[-1])


def slug(name: str) -> str:
    """Return a name in the characters that the Hub allows."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:96]
