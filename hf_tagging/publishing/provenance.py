"""Which names of models and data sets the card may claim: names on the Hub, and of local paths the last part."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from hf_tagging.data.files import looks_like_path
from hf_tagging.data.hub_source import HUB_ALIASES
from hf_tagging.markdown import visible
from hf_tagging.models.encoder import PACKAGED_ENCODER, PACKAGED_ENCODER_ON_HUB

Record = dict[str, Any]

# Models are claimed by full name alone: a bare one may as well be a baseline. These bare names are known.
_KNOWN_MODELS = {
    PACKAGED_ENCODER: PACKAGED_ENCODER_ON_HUB,
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-large-cased": "google-bert/bert-large-cased",
    "distilbert-base-cased": "distilbert/distilbert-base-cased",
    "roberta-base": "FacebookAI/roberta-base",
}


class Source(NamedTuple):
    """Where a split or a model came from: its name without folders, and its name on the Hub if it has one."""

    name: str
    hub: str | None = None


def model(record: Record) -> Source | None:
    """The model that the run started from."""
    name = record["arguments"].get("model")
    if not name:
        return None
    full = _KNOWN_MODELS.get(name, name)
    if name == PACKAGED_ENCODER or ("/" in full and _may_be_on_hub(name)):
        return Source(full, full)
    return Source(_last_part(name))


def source(record: Record, split: str) -> Source | None:
    """Where a split came from: its own file, the split it was held out of, or the data set."""
    arguments = record["arguments"]
    names = given(arguments, record, split)
    if not names:
        return None
    if arguments.get(f"{split}_file") or (split == "validation" and _held_out(arguments)):
        return Source(", ".join(map(_last_part, names)))
    name = names[0]
    if name == "sample":
        return Source("hf_tagging sample")
    hub = HUB_ALIASES[name][0] if name in HUB_ALIASES else name if _may_be_on_hub(name) else None
    return Source(hub or _last_part(name), hub)


def given(arguments: dict[str, Any], record: Record, split: str) -> list[str]:
    """The names or paths of a split as the user gave them; a split's own files win over the data set."""
    if split == "validation" and _held_out(arguments):
        split = "train"
    files = arguments.get(f"{split}_file")
    if files:
        return [files] if isinstance(files, str) else [str(file) for file in files]
    name = arguments.get("dataset") or (record.get("dataset") or {}).get("name")
    return [str(name)] if name else []


def _held_out(arguments: dict[str, Any]) -> bool:
    """Whether the validation split was cut from training files."""
    return bool(arguments.get("validation_share") and arguments.get("train_file"))


def _may_be_on_hub(name: str) -> bool:
    """Whether the libraries would look for a name on the Hub: it can be one there, and is no path here."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return not looks_like_path(name) and not Path(name).exists()


def model_name(arguments: dict[str, Any], name: str | None) -> str:
    """What the model is called: its name on the Hub, else the name given, else that of the run's folder."""
    hub = arguments.get("hub_model_id")
    if hub and not looks_like_path(hub):
        return "/".join(slug(part) for part in hub.split("/"))
    return slug(_last_part(name or arguments.get("output_dir") or "")) or "model"


def _last_part(path: str) -> str:
    return visible(re.split(r"[/\\]", str(path).rstrip("/\\"))[-1])


def slug(name: str) -> str:
    """A name in the characters that the Hub allows."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:96]
