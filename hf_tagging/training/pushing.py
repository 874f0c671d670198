"""Pushing a finished run: once, at its end, and only what others need to use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, LocalTokenNotFoundError
from transformers import TrainingArguments

from hf_tagging.errors import OutputError
from hf_tagging.hub import first_line


def prepare_repository(training: TrainingArguments) -> str:
    """Makes sure of the repository before anything is trained; a new one is private unless told otherwise.

    Returns:
        Its full name.

    Raises:
        OutputError: If the Hub does not answer, or not with yes.
    """
    name = training.hub_model_id or Path(str(training.output_dir)).absolute().name
    private = True if training.hub_private_repo is None else training.hub_private_repo
    with _hub_errors(name):
        return HfApi(token=training.hub_token).create_repo(name, private=private, exist_ok=True).repo_id


def push_folder(folder: Path, files: Sequence[str], training: TrainingArguments) -> str:
    """Uploads model, tokenizer, figures and card in one commit.

    The predictions stay here: they hold the words of the corpus, which may not be ours to publish.

    Returns:
        Address of the commit.

    Raises:
        OutputError: If the upload fails; the folder is complete all the same.
    """
    sent = [name for name in files if not name.startswith("predictions/")]
    name = prepare_repository(training)
    with _hub_errors(name):
        api = HfApi(token=training.hub_token)
        return str(
            api.upload_folder(repo_id=name, folder_path=folder, revision=training.hub_revision, allow_patterns=sent)
        )


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (HfHubHTTPError, HTTPError, LocalTokenNotFoundError, HFValidationError, OSError) as error:
        raise OutputError(
            f"--push_to_hub {name}: {first_line(error)}. Log in with `hf auth login` or give --hub_token, or leave "
            "--push_to_hub out: a finished folder can be pushed later with "
            "`hf upload NAME FOLDER --private --exclude 'predictions/*' 'checkpoint-*/*' run.json`."
        ) from error
