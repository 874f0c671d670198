"""Putting a model on the Hub: looked through, then sent in one commit, so that nobody ever sees half of it.

    folder ──► bundle: what is sent ──► leaks: refused? ──► weights uploaded ──► one commit: all of it, or nothing

The weights go first, and what has arrived is known by its hash: a push that failed is taken up where it ended. Not by
`upload_folder`, which commits in several parts where Xet is installed (huggingface_hub 2.4).
"""

from __future__ import annotations

import logging
import os
import shlex
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import LocalTokenNotFoundError
from huggingface_hub.utils import validate_repo_id

from hf_tagging.errors import ConfigError
from hf_tagging.hub import hub_errors, insist
from hf_tagging.locks import FolderLock
from hf_tagging.publishing.hub.bundle import MODEL_FILES, REPORT, Content, bundle, is_kind
from hf_tagging.publishing.hub.leaks import refuse_leaks
from hf_tagging.training.folder import RECORD
from hf_tagging.training.pushing import is_private, repository_name

if TYPE_CHECKING:
    from hf_tagging.training.run import TaggingRun

logger = logging.getLogger("hf_tagging")

# What an earlier push may have left that would change, or wrongly praise, the model that comes after it.
_REPLACED = (*MODEL_FILES, REPORT, RECORD, "results.json", "predictions/*")
_WORDS = ("predictions/", REPORT)


@dataclass(frozen=True)
class Pushed:
    """What was sent, or would be.

    Attributes:
        name: The repository; in full, once the Hub was asked.
        address: Of the commit; of the repository where it was a dry run.
        files: Size in bytes of each file by its name there.
        private: Whether the repository is private; of a dry run, whether a new one would be.
    """

    name: str
    address: str
    files: dict[str, int]
    private: bool

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(self.files.values())


def push_folder(
    folder: str | Path,
    name: str,
    *,
    private: bool = True,
    revision: str | None = None,
    token: str | None = None,
    dry_run: bool = False,
) -> Pushed:
    """Puts the model of a folder on the Hub, in one commit.

    Args:
        folder: Of a run, of an export, or of any saved model.
        name: OWNER/NAME, or NAME alone: of the token's owner.
        private: Whether a repository that is not there yet is made a private one.
        revision: Branch to commit to, made where it is not there; None: main.
        token: For the Hub; None: that of `hf auth login` or HF_TOKEN.
        dry_run: Look for what would be sent and for what must not be, and ask nobody.

    Returns:
        What was sent.

    Raises:
        ModelError: If there is no whole model in the folder.
        ConfigError: If no repository can have such a name.
        OutputError: If its run has not finished, or another process writes into it; if a secret or a path of this
            machine is in a file; if the Hub refuses, or is not there. Then it is as it was before.
    """
    folder = Path(folder)
    _check_name(name)
    with _as_it_is(folder):
        files = bundle(folder, name)
        refuse_leaks(folder, files, token)
        sizes = {file: _size(content) for file, content in files.items()}
        if dry_run:
            return Pushed(name, f"{constants.ENDPOINT}/{name}", sizes, private)
        options = [*(["--revision", revision] if revision else []), *([] if private else ["--public"])]
        command = shlex.join(["hf-tagging", "push", str(folder), name, *options])
        left = f"Nothing of this was published, and {folder} is complete"
        with hub_errors(f"push to {name}", advice=f"{left}: `{command}` sends it, without what has arrived."):
            full_name, address, private = _send(folder, name, private, revision, token)
        return Pushed(full_name, address, sizes, private)


def _as_it_is(folder: Path) -> AbstractContextManager[Any]:
    """Keep others from writing into a folder; one that nobody may write into, or that is not there, stays as it is."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return nullcontext()
    return FolderLock(folder, advice="push another folder")


def push_finished(run: TaggingRun) -> None:
    """Pushes a run that has ended, where ``--push_to_hub`` was given, and lets others write into its folder again.

    The main process does so. The others go on and may end: a push can take longer than processes wait for one another.

    Args:
        run: After its record was closed.

    Raises:
        TaggingError: If that fails; the folder is complete all the same.
    """
    training = run.arguments.training
    if training.push_to_hub and run.state.is_main_process:
        pushed = push_folder(
            run.folder.path,
            repository_name(training),
            private=is_private(training),
            revision=training.hub_revision,
            token=training.hub_token,
        )
        logger.info("Pushed to %s", pushed.address)
    run.release()


def _check_name(name: str) -> None:
    try:
        validate_repo_id(name)
    except ValueError as error:
        raise ConfigError(f"{name}: not a name that the Hub takes. Give OWNER/NAME. ({error})") from error


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _send(folder: Path, name: str, private: bool, revision: str | None, token: str | None) -> tuple[str, str, bool]:
    """Creates what is not there yet, uploads, commits.

    Returns:
        The repository's full name, the commit's address, and whether the repository is private.
    """
    if (token or get_token()) is None and not constants.HF_HUB_OFFLINE:
        raise LocalTokenNotFoundError("no token")
    api = HfApi(endpoint=constants.ENDPOINT, token=token)
    full_name = insist(lambda: api.create_repo(name, private=private, exist_ok=True)).repo_id
    if revision and not revision.startswith("refs/"):
        insist(lambda: api.create_branch(full_name, branch=revision, exist_ok=True))
    files = bundle(folder, full_name)
    is_hidden = bool(insist(lambda: api.repo_info(full_name)).private)
    if any(file.startswith(_WORDS) for file in files) and not is_hidden:
        logger.warning("%s is public, and the report and the predictions quote the data: may they?", full_name)
    additions = _additions(files)
    api.preupload_lfs_files(full_name, additions=additions, revision=revision, free_memory=False)

    # A commit may have been made and its answer lost. Asked anew, with operations of their own, the client finds the
    # files there, unchanged, and commits nothing a second time.
    def commit() -> str:
        nonlocal additions
        changes, additions = [*_removals(api, full_name, revision, files), *additions], _additions(files)
        made = api.create_commit(full_name, changes, commit_message="Push with hf_tagging", revision=revision)
        return str(made.commit_url)

    return full_name, insist(commit), is_hidden


def _additions(files: dict[str, Content]) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(file, content) for file, content in files.items()]


def _removals(
    api: HfApi, name: str, revision: str | None, files: dict[str, Content]
) -> list[CommitOperationAdd | CommitOperationDelete]:
    """Removes an earlier model's files: an adapter, or more parts of its weights, would change what this one says."""
    there = api.list_repo_files(name, revision=revision)
    old = [file for file in there if file not in files and is_kind(file, _REPLACED)]
    return [CommitOperationDelete(file) for file in old]
