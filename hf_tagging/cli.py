"""The command `hf-tagging`. What a subcommand needs is imported when it runs: `--help` answers at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from hf_tagging.console import plain_errors
from hf_tagging.inference.command import NOTHING_WRITTEN, add_arguments
from hf_tagging.inference.command import run as tag

_EXAMPLES = """examples:
  hf-tagging predict runs/quickstart-pos --text "Jordan will book a table in May."
  hf-tagging predict runs/ner --input my.conll --output my.tagged.conll
  hf-tagging validate pos recipes/configs/pos/quickstart.yaml
  hf-tagging env
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line; exits with 0, 1 (bad input) or 2 (usage)."""
    parser = argparse.ArgumentParser(
        prog="hf-tagging",
        description="Tag words with a trained tagger, check a run's arguments, describe this environment.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, add, run in (
        ("predict", _add_predict, _predict),
        ("validate", _add_validate, _validate),
        ("env", lambda _: None, _env),
    ):
        summary = (run.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        add(command)
        command.set_defaults(run=run)
    args = parser.parse_args(argv)
    run_command: Callable[[argparse.Namespace], None] = args.run
    with plain_errors(interrupted=NOTHING_WRITTEN if run_command is _predict else ""):
        run_command(args)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="output folder of a run, or a name on the Hub")
    add_arguments(parser)


def _predict(args: argparse.Namespace) -> None:
    """Tags a text or a file."""
    tag(args)


def _add_validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", choices=("pos", "ner"), help="what the recipe trains")
    parser.add_argument("config", metavar="FILE.yaml", help="a file of arguments")
    parser.add_argument("flags", nargs=argparse.REMAINDER, help="flags that win over the file")


def _validate(args: argparse.Namespace) -> None:
    """Checks a YAML file of arguments and flags without loading anything."""
    from hf_tagging.training.parsing import parse_arguments

    parsed = parse_arguments(args.task, ["--config", args.config, *args.flags])
    print(f"{args.config}: {len(parsed.given)} arguments, all right; the run would go to {parsed.training.output_dir}")


def _env(args: argparse.Namespace) -> None:
    """Prints versions and hardware, for a bug report."""
    from hf_tagging.training.environment import describe_environment

    for name, value in describe_environment().items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
