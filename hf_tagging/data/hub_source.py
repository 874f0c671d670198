"""Datasets from the Hub or its local cache, with one message when neither has them."""

import logging
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetsError
from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError

from hf_tagging.data.files import nearest_path
from hf_tagging.data.sources import BuilderCache, innermost_cause, named_splits
from hf_tagging.errors import DataError
from hf_tagging.foreign.datasets import is_file_format, offline
from hf_tagging.hub import WITHOUT_HUB, why_unreachable
from hf_tagging.problems import argument, spell

logger = logging.getLogger(__name__)

PARQUET_REVISION = "refs/convert/parquet"
"""Revision of the Parquet copy that the Hub makes of a dataset, even if that is only a loading script."""

HUB_ALIASES = {
    # The repository itself is a loading script, which datasets runs no more.
    "conll2003": ("eriktks/conll2003", PARQUET_REVISION),
}

_FAILURES = (DatasetsError, HTTPError, OSError, ValueError, RuntimeError)


class UnreachableData(DataError):
    """A dataset that is not in the cache, on a Hub that does not answer: nothing is known of what it holds."""


def read_hub(
    name: str, *, config_name: str | None, revision: str | None, builders: BuilderCache
) -> dict[str, datasets.Dataset]:
    """Load the splits of a dataset that we know, under our names; see `load_hub`.

    Raises:
        DataError: It is neither there nor in the cache, or has no split that we know.
    """
    loaded = load_hub(name, config_name=config_name, revision=revision, builders=builders)
    return named_splits(loaded, place=name)


def load_hub(
    name: str, *, config_name: str | None, revision: str | None, builders: BuilderCache
) -> datasets.DatasetDict:
    """Load a dataset from the Hub, or from the cache if the Hub cannot be reached.

    Args:
        name: An alias or the name of a repository.
        config_name: Its configuration, None for the only or the default one.
        revision: Branch, tag or commit.
        builders: Where it is cached, and the processes to load it with.

    Returns:
        All of its splits.

    Raises:
        DataError: It is neither there nor in the cache.
    """
    repository, its_revision = HUB_ALIASES.get(name, (name, None))
    revision = revision or its_revision
    unreachable = why_unreachable(repository, repo_type="dataset", revision=revision)
    try:
        with offline(unreachable is not None):
            return _load_from_hub(repository, config_name, revision, builders)
    except _FAILURES as error:
        full_name = f"{name!r}" if name == repository else f"{name!r} ({repository} at {revision})"
        near = nearest_path(Path(name))
        hint = f" Or did you mean the local ./{near}?" if near else ""
        reason = f"not in the cache, and {unreachable}" if unreachable else innermost_cause(error)
        kind = UnreachableData if unreachable else DataError
        raise kind(f"dataset {full_name}: {reason}. {spell(WITHOUT_HUB)}{hint}") from error


def _load_from_hub(name: str, config_name: str | None, revision: str | None, builders: BuilderCache) -> Any:
    if is_file_format(name):  # load_dataset("json") would read every file below this folder
        raise ValueError(f"{name} is a kind of file and no dataset")
    if revision == PARQUET_REVISION:
        return builders.load(name, data_dir=config_name, revision=revision)
    try:
        return builders.load(name, config_name, revision=revision)
    except RuntimeError as error:
        if revision is not None or "scripts are no longer supported" not in str(error):
            raise
    logger.info("%s is a loading script; reading the Hub's copy at %s", name, PARQUET_REVISION)
    folder = config_name or _only_config(name)
    return builders.load(name, data_dir=folder, revision=PARQUET_REVISION)


def _only_config(name: str) -> str:
    """Return the only configuration of a Parquet copy; several would be read as if they were one dataset."""
    api = HfApi(endpoint=datasets.config.HF_ENDPOINT)
    files = api.list_repo_files(name, repo_type="dataset", revision=PARQUET_REVISION)
    configs = sorted({file.split("/")[0] for file in files if file.endswith(".parquet")})
    if len(configs) != 1:
        raise DataError(
            f"dataset {name!r} has the configurations {', '.join(configs) or '(none)'}; give one with "
            f"{argument('dataset_config')}"
        )
    return configs[0]
