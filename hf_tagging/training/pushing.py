"""Repository of a run that is pushed, checked before training."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, constants
from transformers import TrainingArguments

from hf_tagging.hub import hub_errors, insist
from hf_tagging.problems import argument


def repository_name(training: TrainingArguments) -> str:
    """Return the given name of the repository, or that of the run's folder."""
    return training.hub_model_id or Path(str(training.output_dir)).absolute().name


def is_private(training: TrainingArguments) -> bool:
    """Return whether a new repository is private, the default."""
    return True if training.hub_private_repo is None else training.hub_private_repo


def prepare_repository(training: TrainingArguments) -> str:
    """Create the repository if it does not exist, private by default, and check that it can be written to.

    Returns:
        Full name of the repository.

    Raises:
        OutputError: If the Hub does not answer, or refuses.
    """
    name = repository_name(training)
    api = HfApi(endpoint=constants.ENDPOINT, token=training.hub_token)
    advice = (
        f"Nothing was trained. Or leave {argument('push_to_hub')} out: a finished run can be pushed later with "
        "`hf-tagging push DIR NAME`."
    )
    with hub_errors(f"{argument('push_to_hub', name)}", advice=advice):
        made = insist(lambda: api.create_repo(name, private=is_private(training), exist_ok=True), when_lost=False)
        # Where there is one already, that says only that it can be read.
        insist(lambda: api.auth_check(made.repo_id, write=True))
        return made.repo_id
