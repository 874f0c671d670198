"""Is the Hub there, and what did it answer? An absent or unwilling Hub ends in one message that says what to do."""

from __future__ import annotations

import contextlib
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)

from hf_tagging.errors import ModelError, OutputError, TaggingError
from hf_tagging.memory import LOADING, out_of_memory
from hf_tagging.problems import argument, spell

Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)

PROBE_SECONDS = 5.0
_REMEMBERED = 120.0  # seconds: loading asks for one name several times, and a process may outlive an outage
WITHOUT_HUB = (
    "Without the Hub, give the path of a local one (in training: `{dataset PATH} {model PATH}`), or see "
    "`make quickstart`, which has both with it (`{dataset sample} {model minilm}`)."
)
# What it raises where the Hub says no; RuntimeError is what it wraps an upload's failure in.
_REFUSALS = (HTTPError, LocalTokenNotFoundError, HFValidationError, OSError, ValueError, RuntimeError)
_MAY_PASS = {408, 429, 500, 502, 503, 504}
_WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds
_LONGEST_WAIT = 60
_LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token with write access."
_REMEDIES = {
    401: _LOG_IN,
    402: "It has to be paid for there, or be made public.",
    403: "The token may not do this there: take one with write access, or another OWNER.",
    404: "Is the name right, and may the token see it?",
    409: "Something else is changing it: try again.",
    413: "A file is larger than the Hub takes.",
    429: "Those were too many requests: try again in some minutes.",
}


_cache_only: ContextVar[bool] = ContextVar("cache_only", default=False)


def why_unreachable(name: str, *, repo_type: str, revision: str | None = None) -> str | None:
    """Ask the Hub for a repository; its answer, or its silence, is remembered for a minute or two.

    Args:
        name: Of the repository.
        repo_type: ``"model"`` or ``"dataset"``.
        revision: Branch, tag or commit.

    Returns:
        Why the Hub did not answer, or None where it did, be it with a refusal.
    """
    if _cache_only.get():
        return "the Hub was not asked"
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    return _ask(name, repo_type, revision, int(time.monotonic() / _REMEMBERED))


@contextlib.contextmanager
def cache_only() -> Iterator[None]:
    """Ask no Hub within the block: what is not in the cache counts as unreachable."""
    token = _cache_only.set(True)
    try:
        yield
    finally:
        _cache_only.reset(token)


def forget_answers() -> None:
    """Forget what the Hub has answered: `why_unreachable` asks again."""
    _ask.cache_clear()


@lru_cache(maxsize=256)
def _ask(name: str, repo_type: str, revision: str | None, when: int) -> str | None:
    """Return why the Hub does not answer; `when` is the minute, with which an answer is forgotten."""
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
    except TaggingError:
        raise
    except pickle.UnpicklingError as error:  # of `weights_only`
        raise ModelError(
            f"{name}: its weights are a pickle with more than tensors in it, which could run code when it is loaded. "
            "Save the model as safetensors where you trust it: model.save_pretrained(FOLDER)."
        ) from error
    except Exception as error:  # of a damaged file any: the tokenizers' is a plain Exception
        if said := out_of_memory(error):
            raise ModelError(f"{name}: out of memory while it was loaded ({said}). {LOADING}") from error
        if "trust_remote_code" in str(error):
            advice = f"It comes with code of its own: read that, and give {argument('trust_remote_code')} to run it."
        elif Path(name).expanduser().is_dir():
            advice = "Is every file of a model in that folder, and whole?"
        raise ModelError(f"{name}: cannot be loaded ({first_line(error)}). {spell(advice)}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error, with its type if the message means nothing without it."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    return f"KeyError: {lines[0][:300]}" if isinstance(error, KeyError) else lines[0][:300]


def insist(ask: Callable[[], Answer], *, when_lost: bool = True) -> Answer:
    """Retry a request to the Hub up to four times after a lost connection, 408, 429 and 5xx.

    The client does so for uploads and downloads, but neither when it creates a repository nor when it commits
    (huggingface_hub 2.4). ``Retry-After`` is kept to, up to a minute; a longer one ends the wait at once.

    Args:
        ask: What may be asked twice: a second call must not do more than the first.
        when_lost: Also where no connection came about, or was lost.

    Returns:
        What `ask` returns.
    """
    for wait in _WAITS:
        try:
            return ask()
        except HTTPError as error:
            pause = _pause(error, wait, when_lost)
            if pause is None:
                raise
            logger.warning("Asking again in %.0f s: %s", pause, _explained(error)[0])
            time.sleep(pause)
    return ask()


def _pause(error: HTTPError, wait: float, when_lost: bool) -> float | None:
    """Seconds until it makes sense to ask again; None where it makes none."""
    if not isinstance(error, HfHubHTTPError):
        return wait if when_lost else None
    if error.response.status_code not in _MAY_PASS:
        return None
    told = error.response.headers.get("Retry-After", "")
    if not told.isdigit():
        return wait
    return max(wait, float(told)) if int(told) <= _LONGEST_WAIT else None


@contextlib.contextmanager
def hub_errors(what: str, *, advice: str) -> Iterator[None]:
    """Ends in one message where the Hub refuses, fails or is not there.

    Args:
        what: What was asked for, the beginning of the message.
        advice: Its end: what is left as it was, and what to type.

    Raises:
        OutputError: For what huggingface_hub raises.
    """
    try:
        yield
    except _REFUSALS as error:
        reason, remedy = _explained(error)
        raise OutputError(" ".join(filter(None, (f"{what}: {reason}.", remedy, advice)))) from error


def _explained(error: BaseException) -> tuple[str, str]:
    """Return what went wrong and how to fix it, without any URL that has a signature in its query."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set", "Unset it to reach the Hub."
    if isinstance(error, HFValidationError):
        return f"not a name that the Hub takes ({first_line(error)})", "Give OWNER/NAME."
    if isinstance(error, LocalTokenNotFoundError):
        return "there is no token", _LOG_IN
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        said = (error.server_message or "").strip().splitlines()
        trouble = "The Hub has trouble of its own: try again later." if status >= 500 else ""
        return f"the Hub answered {status}{f' ({said[0][:200]})' if said else ''}", _REMEDIES.get(status, trouble)
    if isinstance(error, HTTPError):
        reason = f"the connection to {constants.ENDPOINT} did not come about, or was lost ({first_line(error)})"
        return reason, "Is this machine online?"
    return " ".join(str(error).split()).rstrip(".")[:300] or type(error).__name__, ""
