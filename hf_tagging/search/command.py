"""Arguments of the command that searches, and what is done with them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from hf_tagging.errors import ConfigError
from hf_tagging.search.config import Search

GO_ON = "Type the same command again to go on: finished trials are kept, begun ones go on from their last checkpoint."
_NEEDED = {
    "optuna": "A search needs Optuna. Type: pip install 'hf-tagging[search]'",
    "ray": "--engine ray needs Ray Tune. Type: pip install 'hf-tagging[ray,search]'",
}


def parser(description: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the flags that a search has itself; others are arguments of its runs.

    Args:
        description: Printed by ``--help``: a summary, and usage behind its first line.
    """
    summary, _, usage = (description or "").partition("\n")
    found = argparse.ArgumentParser(
        description=summary, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    found.add_argument("--config", required=True, type=Path, metavar="FILE.yaml", help="the run, with a search section")
    found.add_argument("--output_dir", type=Path, metavar="DIR", help="where to; wins over the file")
    found.add_argument("--workers", type=_count, default=1, metavar="N", help="processes that train trials at a time")
    found.add_argument(
        "--engine", choices=("optuna", "ray"), default="optuna", help="ray: trials on a cluster, by Ray Tune"
    )
    found.add_argument("--dry_run", action="store_true", help="check everything, print what would be searched")
    return found


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def arguments(argv: Sequence[str], description: str | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Return the flags that a search has itself, and those of its runs.

    Args:
        argv: The command line; the file may stand first, without a flag.
        description: See `parser`.
    """
    named = ["--config"] * bool(argv and not argv[0].startswith("-"))
    return parser(description).parse_known_args([*named, *argv])


def require(engine: str) -> None:
    """Check that the packages of an engine are installed.

    Args:
        engine: "optuna" or "ray", which needs both.

    Raises:
        ConfigError: If one is not, with what to type.
    """
    for package in dict.fromkeys(("optuna", engine)):
        if find_spec(package) is None:
            raise ConfigError(_NEEDED[package])


def describe_search(search: Search) -> str:
    """Return what would be searched, for ``--dry_run``."""
    lines = [f"{name}: {parameter.written()}" for name, parameter in search.space.items()]
    options = search.options
    again = f"{options.finalists} of them again with seeds {', '.join(map(str, options.seeds))}"
    return "\n".join(
        [
            f"{options.trials} trials ({options.sampler}, pruner {options.pruner}) for the best validation "
            f"{search.metric}, {again if options.seeds else 'none of them again'}; into {search.output_dir}",
            *(f"  {line}" for line in lines),
        ]
    )
