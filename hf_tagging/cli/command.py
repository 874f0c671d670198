"""Subcommands: name, arguments, action and examples."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin, get_type_hints

from hf_tagging.cli.answers import Answer
from hf_tagging.data.request import ReadOptions


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand.

    Args:
        name: As it is typed.
        summary: What it does, in a line.
        add: Adds its arguments to a parser.
        run: Does it; gives an answer to be shown, or None where it has printed what there is to say.
        examples: Command lines, shown by ``--help``; tests run them.
        details: What else ``--help`` says.
        takes_flags: Whether flags that the parser does not know are the command's own, as `args.flags`.
        interrupted: What to say after Ctrl-C, SIGTERM and SIGHUP.
    """

    name: str
    summary: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Answer | None]
    examples: tuple[str, ...]
    details: str = ""
    takes_flags: bool = False
    interrupted: str = ""

    def add_to(self, subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Adds the command to what `ArgumentParser.add_subparsers` gave."""
        paragraphs = (_filled(text) for text in (self.summary, self.details) if text)
        parser = subparsers.add_parser(
            self.name,
            help=self.summary,
            description="\n\n".join(paragraphs),
            epilog="\n".join(["examples:", *(f"  {line}" for line in self.examples)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add(parser)
        parser.set_defaults(command=self, parser=parser)


def _filled(text: str) -> str:
    """Lines of a help page; a command or a flag is not cut at its hyphens."""
    return textwrap.fill(text, 100, break_on_hyphens=False, break_long_words=False)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`: the answer alone on standard output, for machines."""
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, on standard output")


def add_reading(parser: argparse._ActionsContainer) -> None:
    """Add the options of reading data, with the help of `ReadOptions`."""
    kinds = get_type_hints(ReadOptions)
    for option in fields(ReadOptions):
        kind = kinds[option.name]
        choices = get_args(kind) if get_origin(kind) is Literal else None
        several = "+" if list[str] in get_args(kind) else None
        text = option.metadata["help"].replace("%", "%%")
        parser.add_argument(f"--{option.name}", choices=choices, nargs=several, default=None, help=text)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds where a model runs and whether its code may."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; left out: the accelerator if there is one")
    parser.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")
