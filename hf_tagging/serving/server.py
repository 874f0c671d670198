"""`serve`: address, token and models of a server, checked before the server starts."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from hf_tagging.console import read_text
from hf_tagging.errors import ConfigError, Problem
from hf_tagging.hub import first_line
from hf_tagging.inference.reading import Precision
from hf_tagging.problems import argument
from hf_tagging.serving.limits import Limits
from hf_tagging.serving.models import load_models, named_models

TOKEN = "HF_TAGGING_SERVE_TOKEN"
"""Environment variable with the token."""

logger = logging.getLogger(__name__)


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: str | Path | None = None,
    root_path: str = "",
    limits: Limits | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
    rules: str | Path | Literal[False] | None = None,
) -> None:
    """Serve models over HTTP until SIGTERM or Ctrl-C.

    After SIGTERM, requests that were accepted are answered, new ones are refused with 503 for `Limits.drain_seconds`,
    then the port closes.

    Args:
        models: Folders or names on the Hub, or ``NAME=MODEL``; the first one is the default.
        host: Address to listen on; ``0.0.0.0`` accepts connections from other machines.
        port: Port to listen on; 0: any free one.
        token_file: File with the token that requests must carry. Default: the environment variable
            ``HF_TAGGING_SERVE_TOKEN``; without either, none.
        root_path: Prefix that a proxy has removed from the path of requests, such as ``/tagger``.
        limits: Limits of requests. Default: those of `Limits`.
        device: Device to run on. Default: the accelerator if there is one; the CPU for an exported model.
        precision: Of requests that ask for none, see `Tagger`.
        trust_remote_code: Run code that comes with a model.
        revision: Branch, tag or commit of a model on the Hub, if it is the only one.
        rules: File of rules beside each model; False: without rules. Default: `rules.jsonl` of a model, if it has one.

    Raises:
        ConfigError: FastAPI is not installed, or an argument is wrong.
        ModelError: A model does not exist, or is not a tagger.
    """
    limits, named = limits or Limits(), named_models(models)
    token = read_token(token_file)
    if revision is not None and len(named) > 1:
        raise ConfigError(f"{argument('revision', revision)}: applies to one model. Leave it out for several.")
    try:
        from hf_tagging.serving.app import build_app
        from hf_tagging.serving.process import run_app
    except ImportError as error:
        raise ConfigError(
            f"serve: needs fastapi and uvicorn, which are not installed ({first_line(error)}). Type: "
            "pip install 'hf-tagging[serve]'"
        ) from error
    with _listening(host, port) as listener:
        loaded = load_models(
            named.items(),
            device=device,
            precision=precision,
            trust_remote_code=trust_remote_code,
            revision=revision,
            rules=rules,
        )
        warn_if_open(listener.getsockname()[0], token)
        _let_in(listener)
        run_app(build_app(loaded, limits=limits, token=token), listener, limits, root_path=_prefix(root_path))


def read_token(file: str | Path | None) -> str:
    """Return the token that requests must carry, from a file or else from the environment; empty for none.

    Raises:
        ConfigError: The file cannot be read or is empty, or no header can carry the token.
    """
    token = os.environ.get(TOKEN, "") if file is None else read_text(Path(file), ConfigError, advice="Save it so.")
    token = token.strip()
    if file is not None and not token:
        raise ConfigError([Problem("token_file", str(file), f"{file} is empty", "write the token into it")])
    if not all("!" <= character <= "~" for character in token):
        raise ConfigError("The token has blanks or characters that are not ASCII, which no header can carry.")
    return token


def warn_if_open(host: str, token: str) -> None:
    """Warn if other machines can use the models, on this address, without a token."""
    if not token and not _is_loopback(host):
        logger.warning(
            "%s: anybody who reaches this address can use the models. Set a token: %s, or the environment variable %s.",
            host,
            argument("token_file", "FILE"),
            TOKEN,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def _prefix(root_path: str) -> str:
    if root_path and not root_path.startswith("/"):
        problem = Problem("root_path", root_path, f"{root_path} does not begin with /", f"give /{root_path}")
        raise ConfigError([problem])
    return root_path.rstrip("/")


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address, before models are loaded in vain; nothing is let in yet.

    Raises:
        ConfigError: The address cannot be used.
    """
    if not 0 <= port < 2**16:
        raise ConfigError([Problem("port", port, f"there is no port {port}", f"give a number from 0 to {2**16 - 1}")])
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, UnicodeError) as error:
        raise _taken(host, port, error) from error
    return listener


def _let_in(listener: socket.socket) -> None:
    """Let connections in, unless another server has done so while models were loaded.

    Raises:
        ConfigError: It has: two can be bound to an address, and one can listen.
    """
    try:
        listener.listen()
    except OSError as error:
        host, port, *_ = listener.getsockname()
        raise _taken(host, port, error) from error


def _taken(host: str, port: int, error: Exception) -> ConfigError:
    reason = f"cannot listen on {host}, port {port} ({first_line(error)})"
    return ConfigError([Problem("host, port", (host, port), reason, "choose others")])
