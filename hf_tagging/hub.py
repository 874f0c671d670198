"""Is the Hub there? Asked once, so that its absence ends in a message and not in half a minute of retries."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled
from safetensors import SafetensorError

from hf_tagging.errors import ModelError

PROBE_SECONDS = 5.0
WITHOUT_HUB = (
    "Without the Hub, give local ones (`--dataset PATH --model PATH`), or see `make quickstart`, "
    "which has both with it (--dataset sample, --model minilm)."
)
# What the libraries raise for a model that is missing, broken, of another kind, or of other shapes than its config's.
_LOADING_ERRORS = (OSError, ValueError, RuntimeError, KeyError, HTTPError, SafetensorError)


@cache
def why_unreachable(name: str, *, repo_type: str, revision: str | None = None) -> str | None:
    """Asks the Hub for a repository, once in a process; `why_unreachable.cache_clear()` forgets the answers.

    Args:
        name: Of the repository.
        repo_type: ``"model"`` or ``"dataset"``.
        revision: Branch, tag or commit.

    Returns:
        Why the Hub did not answer, or None where it did, be it with a refusal.
    """
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        HfApi(endpoint=constants.ENDPOINT).repo_info(
            name, repo_type=repo_type, revision=revision, timeout=PROBE_SECONDS
        )
    except OfflineModeIsEnabled:
        return "HF_HUB_OFFLINE is set"
    except HfHubHTTPError:
        return None  # it answered; the loading function words the answer
    except (HTTPError, OSError) as error:
        return f"the Hub at {constants.ENDPOINT} cannot be reached ({first_line(error)})"
    except ValueError:
        return None  # no name that a repository can have
    return None


@contextlib.contextmanager
def model_errors(name: str, *, advice: str = WITHOUT_HUB) -> Iterator[None]:
    """Ends in one message where a library cannot load a model; an error of our own goes through as it is.

    Args:
        name: The model, as the user gave it.
        advice: What to do about a name, a sentence; of a folder, its files are what is to be looked at.

    Raises:
        ModelError: For what the libraries raise where files are missing, broken, or those of another model.
    """
    try:
        yield
    except _LOADING_ERRORS as error:
        if "trust_remote_code" in str(error):
            advice = "It comes with code of its own: read that, and give --trust_remote_code to run it."
        elif Path(name).expanduser().is_dir():
            advice = "Is every file of a model in that folder, and whole?"
        raise ModelError(f"--model {name}: cannot be loaded ({first_line(error)}). {advice}") from error


def first_line(error: BaseException) -> str:
    """What an error says, without what follows on further lines; its kind where that is needed to make sense of it."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    return f"KeyError: {lines[0]}" if isinstance(error, KeyError) else lines[0]
