"""Command `inspect`: data read without training, and what is wrong, suspicious or worth knowing about it."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from hf_tagging.cli.answers import Answer
from hf_tagging.cli.command import Command, add_json, add_reading
from hf_tagging.cli.quiet import errors_only, quiet_libraries
from hf_tagging.console import working
from hf_tagging.data.request import READ_OPTIONS
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.tasks import TASKS

if TYPE_CHECKING:
    from rich.console import Console

    from hf_tagging.inspection.inspect import Inspection

_WIDTH = 120  # columns where the output is no terminal
_FILES = ("train_file", "validation_file", "test_file")


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name_or_path", nargs="?", metavar="NAME|PATH", help="name on the Hub, sample, a folder or a file"
    )
    parser.add_argument("--task", choices=tuple(TASKS), help="default: ner or pos, by the tags")
    for name in _FILES:
        parser.add_argument(f"--{name}", nargs="+", metavar="FILE", help=f"files of the {name[:-5]} split")
    parser.add_argument("--dataset_config", metavar="NAME", help="configuration of a dataset on the Hub")
    parser.add_argument("--dataset_revision", metavar="NAME", help="branch, tag or commit of a dataset on the Hub")
    add_reading(parser)
    parser.add_argument("--model", metavar="NAME|DIR", help="encoder or tagger to hold words and lengths against")
    parser.add_argument("--revision", help="branch, tag or commit of a model on the Hub")
    parser.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")
    parser.add_argument(
        "--sentences", type=int, default=3, metavar="N", help="sentences of each split to show; default: 3"
    )
    add_json(parser)


def _inspect(args: argparse.Namespace) -> Answer:
    files = {name: getattr(args, name) for name in _FILES}
    if args.name_or_path is None and not any(files.values()):
        raise ConfigError("Inspect what? Give NAME, PATH or --train_file FILE.")
    if args.sentences < 0:
        raise ConfigError(f"--sentences: {args.sentences} is below 0.")
    quiet_libraries()
    try:
        found = _inspected(args, files)
    except DataError as error:
        return _refused(error, args.name_or_path, files)

    def show() -> None:
        from hf_tagging.cli.inspection_view import show_inspection

        _print(lambda console: show_inspection(found, console))

    return Answer(found.as_dict(), show)


def _inspected(args: argparse.Namespace, files: dict[str, list[str] | None]) -> Inspection:
    """Return the inspection of the data that a command line names; what a load warns of is among its remarks."""
    from hf_tagging.inspection.finding import load_for_a_task
    from hf_tagging.inspection.inspect import inspect_dataset

    with errors_only("hf_tagging.data"):
        with working("Reading"):
            dataset, task, said = load_for_a_task(
                args.name_or_path,
                task=args.task,
                config_name=args.dataset_config,
                revision=args.dataset_revision,
                **files,
                **{name: getattr(args, name) for name in READ_OPTIONS},
            )
        with working("Inspecting"):
            found = inspect_dataset(
                dataset,
                args.model,
                task=task,
                sentences=args.sentences,
                model_revision=args.revision,
                trust_remote_code=args.trust_remote_code,
            )
    return replace(found, remarks=[*found.remarks, *said])


def _refused(error: DataError, name: str | None, files: dict[str, list[str] | None]) -> Answer:
    """Return what can be found out about files that were refused; the error ends the command once it is shown."""
    from hf_tagging.inspection.refused import look_at

    looks = look_at(name, *(file for given in files.values() for file in given or ()))

    def show() -> None:
        from hf_tagging.cli.inspection_view import show_refused

        _print(lambda console: show_refused(looks, console))

    return Answer({"error": str(error), "files": [asdict(look) for look in looks]}, show, error=error)


def _print(show: Callable[[Console], None]) -> None:
    """Print by rich: in colour on a terminal; elsewhere as lines without blanks at their end."""
    from rich.console import Console

    if sys.stdout.isatty():
        show(Console())
        return
    text = io.StringIO()
    show(Console(file=text, width=_WIDTH))
    print("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


COMMANDS = (
    Command(
        name="inspect",
        summary="Read data without training, and report problems.",
        details="It shows how the data was read, the first sentences, and everything that a run would stop at, warn of "
        "or pass over: leaks between splits, odd tags, missing borders, lost characters, words that the model does not "
        "know. Where the data is refused, it shows what stands in the files.",
        add=_add_inspect,
        run=_inspect,
        examples=(
            "hf-tagging inspect sample",
            "hf-tagging inspect my.conll --model minilm",
            "hf-tagging inspect my.conll --task ner --sentences 10",
            "hf-tagging inspect --train_file my.conll --json",
        ),
    ),
)
