"""The repository of a run that is to be pushed: made sure of before anything is trained."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, constants
from transformers import TrainingArguments

from hf_tagging.hub import hub_errors, insist
from hf_tagging.problems import argument


def repository_name(training: TrainingArguments) -> str:
    """The name that was given for it, or that of the run's folder."""
    return training.hub_model_id or Path(str(training.output_dir)).absolute().name


def is_private(training: TrainingArguments) -> bool:
    """Whether a new repository is to be private: yes, unless told otherwise."""
    return True if training.hub_private_repo is None else training.hub_private_repo


def prepare_repository(training: TrainingArguments) -> str:
    """Makes sure of the repository, and that it may be written to; a new one is private unless told otherwise.

    Returns:
        Its full name.

    Raises:
        OutputError: If the Hub does not answer, or not with yes.
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
