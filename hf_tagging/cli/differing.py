"""`diff`: sentences that one tagger has right and another wrong."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_tagging.cli.answers import Answer
from hf_tagging.cli.command import Command, add_json, add_model_options, add_reading
from hf_tagging.cli.quiet import quiet_libraries
from hf_tagging.console import text_table, working
from hf_tagging.data.request import READ_OPTIONS
from hf_tagging.errors import ConfigError, printable
from hf_tagging.inference.command import NOTHING_WRITTEN, add_computing
from hf_tagging.tasks import TASKS

if TYPE_CHECKING:
    from rich.text import Text

    from hf_tagging.analysis.differences import Differences, Different

PAGE, RESULT = "differences.html", "differences.json"
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")
_LOADING = ("revision", "trust_remote_code", "device", "precision", "dtype", "tokens_per_batch")
_DATA = ("dataset_revision", "test_file", *READ_OPTIONS)


def _add_diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", metavar="MODEL_A", help="tagger, or a predictions file: `word ... gold predicted`")
    parser.add_argument("second", metavar="MODEL_B", help="likewise; its score is compared with that of MODEL_A")
    parser.add_argument(
        "dataset",
        nargs="?",
        metavar="DATA",
        help="name on the Hub, sample, folder or file; not for two predictions files",
    )
    data = parser.add_argument_group("data")
    data.add_argument("--dataset_config", metavar="NAME", help="configuration of a dataset on the Hub")
    data.add_argument("--dataset_revision", metavar="NAME", help="branch, tag or commit of a dataset on the Hub")
    data.add_argument("--test_file", nargs="+", metavar="FILE", help="files instead of DATA")
    data.add_argument("--split", choices=("train", "validation", "test"), help="default: test, or else validation")
    data.add_argument("--task", choices=tuple(TASKS), help="default: by the tags of the models")
    data.add_argument("--scheme", choices=("IOB1", "IOB2", "BIOES"), help="scheme of the tags; default: detected")
    add_reading(data)
    model = parser.add_argument_group("models")
    model.add_argument("--revision", help="branch, tag or commit of models on the Hub")
    add_model_options(model)  # type: ignore[arg-type]  # a group takes arguments as a parser does
    add_computing(model)
    output = parser.add_argument_group("output")
    output.add_argument("--number", type=int, default=10, metavar="N", help="sentences to print; default: 10")
    output.add_argument("--resamples", type=int, default=10_000, help="for interval and p-value; default: 10,000")
    output.add_argument("--output", type=Path, metavar="DIR", help=f"write {PAGE} and {RESULT} there")
    output.add_argument("--overwrite", action="store_true", help="replace these files")
    add_json(output)  # type: ignore[arg-type]


def _diff(args: argparse.Namespace) -> Answer:
    from hf_tagging.analysis.differences import diff_taggers

    _check(args)
    quiet_libraries()
    given = {name: getattr(args, name) for name in (*_LOADING, *_DATA)} | {"config_name": args.dataset_config}
    with working(f"Comparing {args.first} and {args.second}"):
        found = diff_taggers(
            args.first,
            args.second,
            args.dataset,
            split=args.split,
            task=args.task,
            scheme=args.scheme,
            resamples=args.resamples,
            **{name: value for name, value in given.items() if value is not None},
        )
    if args.output:
        _write(found, args.output)
    written = f"\nWritten to {args.output / PAGE}" if args.output else ""
    asked = {"first": args.first, "second": args.second, "dataset": args.dataset, "output": args.output}
    return Answer(asked | found.as_dict(), lambda: _show(found, args.number, written))


def _check(args: argparse.Namespace) -> None:
    """Refuse arguments without effect, and files that may not be replaced, before a model is loaded."""
    from hf_tagging.analysis.differences import is_predictions
    from hf_tagging.disk import check_writable
    from hf_tagging.errors import OutputError

    if args.number < 0:
        raise ConfigError(f"--number {args.number}: expected 0 or more")
    if args.overwrite and not args.output:
        raise ConfigError("--overwrite: goes with --output. Leave it out.")
    if is_predictions(args.first) and is_predictions(args.second):
        idle = [name for name in ("split", "dataset_config", *_DATA, *_LOADING) if getattr(args, name)]
        if idle or args.dataset:
            what = f"--{', --'.join(idle)}" if idle else args.dataset
            raise ConfigError(f"{what}: of no use with two predictions files, which have their words. Leave it out.")
    if args.output:
        check_writable(args.output)
        there = [name for name in (PAGE, RESULT) if (args.output / name).exists()]
        if there and not args.overwrite:
            raise OutputError(f"{args.output / there[0]} is there already; give another --output, or --overwrite.")


def _write(found: Differences, folder: Path) -> None:
    from hf_tagging.atomic import whole_file, write_json
    from hf_tagging.disk import writing_to
    from hf_tagging.publishing.report.diff_page import diff_page

    page = diff_page(found)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / RESULT, found.as_dict())
        with whole_file(folder / PAGE) as file:
            file.write(page)


def _show(found: Differences, number: int, written: str) -> None:
    """Print figures, counts and the first sentences; on a terminal, spans in colour."""
    from rich.console import Console

    from hf_tagging.publishing.report.diff_page import outcome_names

    console = Console(soft_wrap=True, highlight=False)
    print("\n".join([*_figures(found), "", *_counts(found)]))
    kinds = outcome_names(found.names)
    for row in found.different[:number]:
        console.print()
        console.print(printable(f"Sentence {row['number']:,}: {kinds[row['outcome']]}"), markup=False, style="bold")
        for text in _lines(row, found.names, _styles(found), plain=not console.is_terminal):
            console.print(text)
    if rest := len(found.different) - min(number, len(found.different)):
        print(f"\n{rest:,} more sentence{'s' * (rest > 1)} tagged differently.")
    print(written, end="\n" if written else "")


def _figures(found: Differences) -> Iterator[str]:
    low, high = found.interval
    rows = [("", *found.figures[0])]
    rows += [
        (name, *(f"{value:.4f}" for value in figures.values()))
        for name, figures in zip(found.names, found.figures, strict=True)
    ]
    yield printable(text_table(rows), line_ends=True)
    yield (
        f"{found.metric}: {found.difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f}), "
        f"p = {found.p_value:.4f} by a paired randomization test"
    )


def _counts(found: Differences) -> Iterator[str]:
    first, second = found.names
    item = "gold entities" if found.task.has_entities else "words"
    sentences, items = found.sentences, found.items
    both_wrong = sentences["both_wrong_alike"] + sentences["both_wrong_differently"]
    rows: list[tuple[str, int, int | None]] = [
        ("both right", sentences["both_right"], items["both"]),
        (f"{first} right, {second} wrong", sentences["first"], items["first"]),
        (f"{second} right, {first} wrong", sentences["second"], items["second"]),
        ("both wrong", both_wrong, items["neither"]),
        ("  alike", sentences["both_wrong_alike"], None),
        ("  differently", sentences["both_wrong_differently"], None),
    ]
    cells = [[name, *("" if number is None else f"{number:,}" for number in numbers)] for name, *numbers in rows]
    yield printable(text_table([["", "sentences", item], *cells]), line_ends=True)


def _styles(found: Differences) -> dict[str, str]:
    sides = (side for row in found.different for side in (row["gold"], row["first"], row["second"]))
    tags = sorted({span[2] for side in sides for span in side})
    return {tag: _COLOURS[place % len(_COLOURS)] for place, tag in enumerate(tags)}


def _lines(row: Different, names: Sequence[str], styles: dict[str, str], *, plain: bool) -> Iterator[Text]:
    """Yield gold and the two predictions of a sentence; what differs from gold is in red, or marked with a star."""
    from rich.text import Text

    names = ("gold", *names)
    width = max(map(len, names))
    gold = {tuple(span) for span in row["gold"]}
    for name, spans in zip(names, (row["gold"], row["first"], row["second"]), strict=True):
        text = Text(printable(f"  {name.ljust(width)}  "), style="")
        at = 0
        for start, end, tag in sorted(spans):
            text.append(_words(row, at, start))
            wrong = (start, end, tag) not in gold
            shown = printable(f"[{' '.join(row['words'][start:end])} {tag}{'*' if plain and wrong else ''}]")
            text.append(shown, style=f"{styles[tag]}{' bold reverse red' if wrong else ''}")
            text.append(" ")
            at = max(at, end)
        text.append(_words(row, at, len(row["words"])))
        text.rstrip()
        yield text


def _words(row: Different, start: int, end: int) -> str:
    return printable("".join(f"{word} " for word in row["words"][start:end]))


COMMANDS = (
    Command(
        name="diff",
        summary="Show the sentences that one tagger gets right and another wrong, with a paired test.",
        details="A predictions file may stand for a model. With --output, a page lets you step through the sentences.",
        add=_add_diff,
        run=_diff,
        interrupted=NOTHING_WRITTEN,
        examples=(
            "hf-tagging diff runs/ner runs/ner-2 sample",
            "hf-tagging diff runs/ner runs/ner-2 my.conll --number 3 --output runs/ner-differences --overwrite",
            "hf-tagging diff runs/ner/predictions/test.conll runs/ner-2/predictions/test.conll --json",
        ),
    ),
)
