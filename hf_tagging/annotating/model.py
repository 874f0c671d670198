"""Facts about the tagger of an annotation, known without its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import xxhash
from transformers import AutoConfig
from transformers.utils import cached_file

from hf_tagging.annotating.inputs import fingerprint
from hf_tagging.annotating.request import AnnotationRequest
from hf_tagging.data.files import missing_path
from hf_tagging.data.schema import TagSchema
from hf_tagging.disk import expanded
from hf_tagging.hub import model_errors
from hf_tagging.inference.loading import HOW_TO_FIND, existing_model, files_of_model
from hf_tagging.models.encoder import hub_options, quiet


@dataclass(frozen=True)
class ModelFacts:
    """What an annotation has to know of its tagger.

    Args:
        names: As given; several are an ensemble.
        fingerprints: Of the files of each, or the commit of one on the Hub.
        entities: Whether it knows entities.
    """

    names: tuple[str, ...]
    fingerprints: tuple[str, ...]
    entities: bool


def describe_model(request: AnnotationRequest) -> ModelFacts:
    """Return the facts about a tagger.

    Raises:
        ModelError: There is no such model.
    """
    found = [_described(name, request) for name in request.model]
    return ModelFacts(tuple(request.model), tuple(print_ for print_, _ in found), found[0][1])


def _described(name: str, request: AnnotationRequest) -> tuple[str, bool]:
    source = existing_model(name)
    with quiet(), model_errors(name, advice=HOW_TO_FIND):
        hub = hub_options(source, request.revision, request.trust_remote_code)
        config = AutoConfig.from_pretrained(source, **hub)
        is_folder = Path(source).is_dir()
        contents = _of_files(Path(source)) if is_folder else f"{name}@{_commit(source, request.revision)}"
        if request.rules not in (None, "none"):
            contents += f" {fingerprint(_existing(request.rules))}"
    return contents, bool(TagSchema.from_config(config).entity_types)


def _existing(rules: str) -> Path:
    path = expanded(rules)
    if not path.is_file():
        raise missing_path(path)
    return path


def _commit(name: str, revision: str | None) -> str:
    """Return the commit of a model on the Hub: the cache keeps its files in a folder of that name."""
    config = cached_file(name, "config.json", revision=revision or "main")
    return Path(config or "").parent.name


def _of_files(folder: Path) -> str:
    digest = xxhash.xxh3_128()
    for path in files_of_model(folder):
        digest.update(f"{path.name} {fingerprint(path)}\n".encode())
    return digest.hexdigest()
