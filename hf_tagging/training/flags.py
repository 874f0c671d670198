"""The arguments of a recipe that trains no tagger: one dataclass, read as strictly as those of a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from transformers import HfArgumentParser

from hf_tagging.errors import ConfigError
from hf_tagging.training.parsing import _build, _convert, _read_flags, _read_yaml

T = TypeVar("T")


def read_arguments(
    part: type[T],
    argv: Sequence[str] | None = None,
    *,
    description: str | None = None,
    check: Callable[[dict[str, Any]], Iterable[str]] | None = None,
) -> T:
    """Reads flags and, with ``--config FILE.yaml``, a YAML file; a flag wins over the YAML, the YAML over the default.

    Args:
        part: A dataclass; what its ``__post_init__`` raises as a ConfigError is a line each of what is wrong.
        argv: Flags; default: those of the command line.
        description: Printed by ``--help``, which ends the program.
        check: Looks for contradictions in what was given, by name; a line for each.

    Raises:
        ConfigError: Listing every mistake.
    """
    parser = HfArgumentParser(
        [part],  # type: ignore[list-item]
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE.yaml", help="A file of arguments; flags win over it.")
    flags, problems = _read_flags(list(sys.argv[1:] if argv is None else argv))
    if any(flag.name in ("-h", "--help") for flag in flags):
        parser.print_help()
        raise SystemExit(0)
    settings = []
    for flag in flags:
        if flag.name == "--config":
            read, found = _read_yaml(flag.values)
            settings += read
            problems += found
    values: dict[str, Any] = {}
    for setting in [*settings, *(flag for flag in flags if flag.name != "--config")]:
        problem = _convert(parser, setting, values)
        problems += [problem] if problem else []
    problems += check(values) if check else []
    built = _build(part, parser, values, problems)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(f"{count} with the arguments:\n  " + "\n  ".join(problems) + "\nAll arguments: --help")
    return built
