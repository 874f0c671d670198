"""Tokens of a command line: shown nowhere, pickled nowhere, and handed to other processes by the environment."""

from __future__ import annotations

from collections.abc import Sequence

TOKEN_VARIABLE = "HF_TOKEN"  # where huggingface_hub looks for a token before it looks into its own file


def is_secret(name: str) -> bool:
    """Return whether the value of an argument, ``hub_token`` or ``--hub-token``, is to be shown nowhere."""
    return name.replace("-", "_").endswith("_token")


def masked(argv: Sequence[str]) -> list[str]:
    """Return a command line without the values of secrets."""
    shown: list[str] = []
    hide = False
    for word in argv:
        name, equals, _ = word.partition("=")
        secret = name.startswith("--") and is_secret(name)
        shown.append(f"{name}=***" if secret and equals else "***" if hide else word)
        hide = secret and not equals
    return shown


def by_environment(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Take the token out of a command line that another process is to be started with.

    Everybody on a machine can read command lines (`ps`), and logs quote them; an environment is read by its user alone.

    Args:
        argv: Flags of a recipe.

    Returns:
        The flags, an empty ``--hub_token=`` in the place of one with a value: it wins over a token in a YAML file, and
        means the token of the environment. One whose value was forgotten stays as it is, for the recipe to refuse. And
        the variables to start the process with.
    """
    words: list[str] = []
    token, follows = "", False
    for word in argv:
        name, equals, value = word.partition("=")
        if name.startswith("--") and name.replace("-", "_") == "__hub_token":
            token, follows = value, not equals
            words.append("--hub_token=" if equals else word)
        elif follows and not word.startswith("--"):
            token, follows = word, False
            words[-1] = "--hub_token="
        else:
            words.append(word)
            follows = False
    return words, {TOKEN_VARIABLE: token} if token else {}
