"""Is the Hub there? Asked once, so that its absence ends in a message and not in half a minute of retries."""

from __future__ import annotations

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

PROBE_SECONDS = 5.0
WITHOUT_HUB = (
    "Without the Hub, give local ones (`--dataset PATH --model PATH`), or see `make quickstart`, "
    "which has both with it (--dataset sample, --model minilm)."
)


def why_unreachable(name: str, *, repo_type: str, revision: str | None = None) -> str | None:
    """Asks the Hub for a repository.

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
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return f"the Hub at {constants.ENDPOINT} cannot be reached ({reason[0]})"
    except ValueError:
        return None  # no name that a repository can have
    return None
