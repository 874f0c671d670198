"""Command `hf-tagging`. What a subcommand needs is imported when it runs: `--help` answers at once."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace

from hf_tagging.cli import (
    about,
    annotating,
    averaging,
    converting,
    differing,
    drifting,
    handing_on,
    inspecting,
    recipes,
    ruling,
    serving,
    taggers,
    trimming,
)
from hf_tagging.cli.answers import Answer, print_json
from hf_tagging.cli.command import Command
from hf_tagging.console import plain_errors, quiet_end_of_pipe
from hf_tagging.disk import writing_to_stdout
from hf_tagging.problems import FLAGS
from hf_tagging.secrets import masked

COMMANDS: tuple[Command, ...] = (
    *recipes.COMMANDS,
    *inspecting.COMMANDS,
    *converting.COMMANDS,
    *taggers.COMMANDS,
    *differing.COMMANDS,
    *averaging.COMMANDS,
    *trimming.COMMANDS,
    *ruling.COMMANDS,
    *annotating.COMMANDS,
    *drifting.COMMANDS,
    *handing_on.COMMANDS,
    *serving.COMMANDS,
    *about.COMMANDS,
)
_START = """a first run, without a hub:
  hf-tagging ls
  hf-tagging train pos/quickstart
  hf-tagging predict runs/quickstart-pos --text "Jordan will book a table in May."
  hf-tagging COMMAND --help

exit codes: 0; 1 for input that cannot be used, a full disk, NaN or too little memory;
2 for wrong usage; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP
tab completion: hf-tagging completion --help"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (bad input) or 2 (usage), or 128 and the number of a signal."""
    parser = make_parser()
    args, flags = parser.parse_known_args(argv)
    command: Command = args.command
    if flags and not command.takes_flags:
        args.parser.error(f"unrecognized arguments: {' '.join(masked(flags))}")
    args.flags = flags
    spelling = replace(FLAGS, positional=_positional(args.parser))
    with plain_errors(interrupted=command.interrupted, spelling=spelling), quiet_end_of_pipe():
        _answer(command, args)


def _positional(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return the arguments of a command that are no flags, each with the placeholder that its usage shows."""
    return {a.dest: str(a.metavar or a.dest) for a in parser._actions if not a.option_strings}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands.

    Its result has `command`, `parser` and the command's own arguments, and this parser as `whole`.
    """
    parser = argparse.ArgumentParser(
        prog="hf-tagging",
        description="Train, evaluate and publish taggers: parts of speech, named entities, any tag per word.",
        epilog=_START,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    parser.set_defaults(whole=parser)
    for command in COMMANDS:
        command.add_to(subparsers)
    return parser


def _answer(command: Command, args: argparse.Namespace) -> None:
    if not getattr(args, "json", False):
        if (answer := command.run(args)) is not None:
            with writing_to_stdout():
                answer.show()
            _end_with(answer)
        return
    with contextlib.redirect_stdout(sys.stderr):  # whatever a library may want to say
        answer = command.run(args)
    assert answer is not None
    with writing_to_stdout():
        print_json(answer.data)
    _end_with(answer)


def _end_with(answer: Answer) -> None:
    """Raise the error that an answer is about, now that it is shown."""
    if answer.error is not None:
        raise answer.error
