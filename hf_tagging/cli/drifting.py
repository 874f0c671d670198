"""`drift`: how texts differ from those that a tagger was trained on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hf_tagging.cli.answers import Answer, show_table
from hf_tagging.cli.command import Command, add_json, add_model_options, add_reading
from hf_tagging.cli.quiet import quiet_libraries
from hf_tagging.console import working
from hf_tagging.data.request import READ_OPTIONS
from hf_tagging.errors import ConfigError
from hf_tagging.inference.command import NOTHING_WRITTEN, add_computing, add_input_format, tagger_options

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_tagging.analysis.drift import Drift, DriftFigure
    from hf_tagging.tasks import Task


def _add_drift(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="tagger")
    parser.add_argument(
        "texts",
        metavar="TEXTS",
        help="plain text with a text per line, CSV, JSON Lines, columns, or an export of an annotation tool",
    )
    add_input_format(parser)
    parser.add_argument("--text_column", metavar="NAME", help="of TEXTS in CSV or JSON Lines; default: text")
    data = parser.add_argument_group("training data")
    data.add_argument(
        "--against",
        metavar="DATA",
        help="name on the Hub, sample, folder or file; default: the data that the run was trained on, by its run.json",
    )
    data.add_argument(
        "--dataset_config", dest="config_name", metavar="NAME", help="configuration of a dataset on the Hub"
    )
    data.add_argument("--dataset_revision", metavar="NAME", help="branch, tag or commit of a dataset on the Hub")
    add_reading(data)
    model = parser.add_argument_group("model")
    model.add_argument("--revision", help="branch, tag or commit of a model on the Hub")
    add_model_options(model)  # type: ignore[arg-type]  # a group takes arguments as a parser does
    add_computing(model)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the documents that are drawn from large data; default: 0"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, metavar="FILE", help="write all figures there, as JSON")
    output.add_argument("--overwrite", action="store_true", help="replace an existing output file")
    add_json(output)  # type: ignore[arg-type]


def _drift(args: argparse.Namespace) -> Answer:
    from hf_tagging.analysis.drift import find_drift
    from hf_tagging.atomic import write_json
    from hf_tagging.data.spool import Spool
    from hf_tagging.disk import writing_to
    from hf_tagging.inference.files import check_paths
    from hf_tagging.inference.tagger import Tagger
    from hf_tagging.inference.texts import read_documents
    from hf_tagging.tasks import task_of_tags

    if args.overwrite and not args.output:
        raise ConfigError("--overwrite: goes with --output. Leave it out.")
    if args.output:
        check_paths(None, args.output, overwrite=args.overwrite)
    with Spool() as spool:
        texts = read_documents(spool.file(args.texts), input_format=args.input_format, text_column=args.text_column)
        first = next(texts, None)  # a file that cannot be read is refused before a model is loaded
        quiet_libraries()
        with working("Loading the model"):
            tagger = Tagger.from_pretrained(args.model, **tagger_options(args))
        data = _data(args, task_of_tags(has_entities=bool(tagger.schema.entity_types)))
        with working(f"Comparing {args.texts}"):
            found = find_drift(tagger, chain([first] if first else [], texts), data, seed=args.seed)
    result = {"model": args.model, "file": args.texts, "against": args.against} | found.as_dict()
    if args.output:
        with writing_to(args.output):
            write_json(args.output, result)
    return Answer(result, lambda: _show(found, f"\nWritten to {args.output}" if args.output else ""))


def _data(args: argparse.Namespace, task: Task) -> Mapping[str, Dataset]:
    from hf_tagging.data.loading import load_tagging_dataset

    given = {name: value for name in READ_OPTIONS if (value := getattr(args, name)) is not None}
    options = {"config_name": args.config_name, "revision": args.dataset_revision}
    if args.against is None:
        if idle := [*given, *(name for name, value in options.items() if value)]:
            raise ConfigError(f"--{idle[0]}: goes with --against. Leave it out, or give --against.")
        return _data_of_run(args)
    return load_tagging_dataset(args.against, task=task, **options, **given)


def _data_of_run(args: argparse.Namespace) -> Mapping[str, Dataset]:
    from hf_tagging.disk import expanded
    from hf_tagging.training.preparing import as_words_and_tags
    from hf_tagging.training.rescoring import data_config, finished_record, load_splits

    folder = expanded(args.model)
    try:
        record = finished_record(folder)
    except ConfigError as error:
        raise ConfigError(f"{error} Or give the data that it was trained on as --against.") from error
    config = data_config(record, folder)
    return as_words_and_tags(load_splits(config, advice="Give it as --against."), config.task)


def _show(found: Drift, written: str) -> None:
    texts, data = found.texts, found.data
    split = f"the {found.reference} split, which the model has {'learned' if found.is_learned else 'not learned'} from"
    empty = f", and {texts['empty']:,} without words" if texts["empty"] else ""
    print(f"{texts['texts']:,} texts with {texts['sentences']:,} sentences and {texts['words']:,} words{empty}, beside")
    print(f"{data['tagged']:,} of {data['sentences']:,} sentences of {split}.\n")
    header = ("", "texts", found.reference, "difference", "interval", "")
    show_table(header, [_row(figure) for figure in found.figures], right=[1, 2, 3])
    number = len(found.figures)
    names = ", ".join(name if name[:1].isalnum() else repr(name) for name in found.moved) or "none"
    print(f"\nMoved beyond what sampling gives (95 % intervals for all {number} figures at once): {names}.")
    if found.is_learned:
        print("The model is more certain of what it has learned: compare confidence with data that it has not seen.")
    if "sentences" in found.units:
        print("One side has few texts: its sentences are counted as independent, and intervals are too narrow.")
    print(written, end="\n" if written else "")


def _row(figure: DriftFigure) -> tuple[str, ...]:
    from hf_tagging.analysis.drift import NUMBERS

    def shown(value: float | None, *, sign: bool = False) -> str:
        if value is None:
            return "-"
        kind = ".2f" if figure.name in NUMBERS else ".2%"
        return format(value, f"{'+' * sign}{kind}")

    interval = "" if figure.low is None else f"{shown(figure.low, sign=True)} to {shown(figure.high, sign=True)}"
    difference = shown(figure.difference, sign=True)
    return (figure.name, shown(figure.texts), shown(figure.reference), difference, interval, "moved" * figure.moved)


COMMANDS = (
    Command(
        name="drift",
        summary="Compare texts with the data that a tagger was trained on: words, tags, confidence.",
        details="Needs no gold tags of the texts. Says which figures differ by more than sampling gives.",
        add=_add_drift,
        run=_drift,
        interrupted=NOTHING_WRITTEN,
        examples=(
            "hf-tagging drift runs/ner texts.txt",
            "hf-tagging drift runs/ner texts.txt --against my.conll --output drift.json --overwrite",
            "hf-tagging drift runs/ner texts.txt --against sample --json",
        ),
    ),
)
