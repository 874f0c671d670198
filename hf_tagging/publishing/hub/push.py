"""Push a model to the Hub in one commit, after a search for secrets.

    folder ──► bundle: files to send ──► leaks: refused? ──► weights uploaded ──► one commit: all of it, or nothing

Weights are uploaded first and are known by their hash, so a failed push continues where it stopped. `upload_folder` is
not used: it commits in several parts where Xet is installed (huggingface_hub 2.4).
"""

from __future__ import annotations

import logging
import os
import shlex
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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

# Files of an earlier push that would change the new model, or describe the old one.
_REPLACED = (*MODEL_FILES, REPORT, RECORD, "results.json", "predictions/*")
_WORDS = ("predictions/", REPORT)


@dataclass(frozen=True)
class Pushed:
    """Result of a push, or of a dry run.

    Attributes:
        name: Name of the repository; the full name after a push.
        address: URL of the commit; after a dry run, of the repository.
        files: Size in bytes by file name.
        private: The repository is private; after a dry run, a new one would be.
    """

    name: str
    address: str
    files: dict[str, int]
    private: bool

    @property
    def bytes(self) -> int:
        """Total size of the files."""
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
    """Push the model of a folder to the Hub, in one commit.

    Args:
        folder: Folder of a run, of an export, or of any saved model.
        name: OWNER/NAME, or NAME for the owner of the token.
        private: Make a new repository private.
        revision: Branch to commit to; it is created if it does not exist. Default: main.
        token: Token for the Hub. Default: that of `hf auth login` or HF_TOKEN.
        dry_run: Only list the files and search them for secrets, without any request.

    Returns:
        The repository and the files sent.

    Raises:
        ModelError: If the folder holds no complete model.
        ConfigError: If the name is not valid on the Hub.
        OutputError: If the run has not finished, or another process is writing into the folder; if a file contains a
            secret or a path of this machine; if the Hub refuses the push or cannot be reached. Nothing is published
            then.
    """
    folder = Path(folder)
    _check_name(name)
    with _as_it_is(folder):
        files = bundle(folder, name)
        refuse_leaks(folder, files, token)
        sizes = {file: _size(content) for file, content in files.items()}
        if dry_run:
            return Pushed(name, f"{constants.ENDPOINT}/{name}", sizes, private)
        options = [*(["--revision", revision] if revision else []), *([] if private else ["--public"])]  # of a command
        command = shlex.join(["hf-tagging", "push", str(folder), name, *options])
        left = f"Nothing of this was published, and {folder} is complete"
        with hub_errors(f"push to {name}", advice=f"{left}: `{command}` sends it and skips files that have arrived."):
            full_name, address, private = _send(folder, name, private, revision, token)
        return Pushed(full_name, address, sizes, private)


def _as_it_is(folder: Path) -> AbstractContextManager[object]:
    """Lock a folder against writers, unless it is read-only or missing."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return nullcontext()
    return FolderLock(folder, advice="push another folder")


def push_finished(run: TaggingRun) -> None:
    """Push a finished run if `push_to_hub` is set, and release its folder.

    Only the main process does so. The others do not wait: a push can take longer than their timeout.

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
    """Create repository and branch if needed, upload, and commit.

    Returns:
        Full name of the repository, URL of the commit, and True if the repository is private.
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
        logger.warning(
            "%s is public, and report and predictions quote the data: make sure that the data may be published",
            full_name,
        )
    additions = _additions(files)
    api.preupload_lfs_files(full_name, additions=additions, revision=revision, free_memory=False)

    # A commit may have been made although its response was lost. A retry with new operations finds the files unchanged
    # and commits nothing.
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
    """Return deletions of an earlier model's files: an adapter or more shards would change the new model."""
    there = api.list_repo_files(name, revision=revision)
    old = [file for file in there if file not in files and is_kind(file, _REPLACED)]
    return [CommitOperationDelete(file) for file in old]
