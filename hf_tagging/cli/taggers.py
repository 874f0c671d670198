"""Commands `predict`, `evaluate`, `compare` and `export`."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

from hf_tagging.cli.answers import Answer, show_figures
from hf_tagging.cli.command import Command, add_json, add_model_options, add_reading
from hf_tagging.cli.quiet import quiet_libraries
from hf_tagging.console import working
from hf_tagging.data.request import READ_OPTIONS
from hf_tagging.disk import writing_to
from hf_tagging.errors import ConfigError
from hf_tagging.inference.command import NOTHING_WRITTEN, add_computing, add_rules, rules_of
from hf_tagging.inference.command import add_arguments as add_predict_arguments
from hf_tagging.inference.command import run as tag
from hf_tagging.locks import FolderLock
from hf_tagging.tasks import TASKS

_MODEL = (
    "output folder of a run or an export, any other folder of a tagger, or a name on the Hub; of several, the mean of "
    "their probabilities is taken"
)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="+", metavar="DIR", help=_MODEL)
    add_predict_arguments(parser)


def _predict(args: argparse.Namespace) -> None:
    tag(args)


# Flags about words and gold tags, and the names of these arguments of evaluate_tagger.
_DATA = {
    "dataset": "dataset",
    "dataset_config": "config_name",
    "dataset_revision": "dataset_revision",
    "test_file": "test_file",
    **{name: name for name in READ_OPTIONS},
}
_LOADING = {n: n for n in ("revision", "trust_remote_code", "device", "precision", "dtype", "tokens_per_batch")}


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="*", metavar="DIR", help=_MODEL)
    parser.add_argument(
        "--predictions",
        metavar="FILE",
        help="any predictions file instead of a model: lines of `word ... gold predicted`",
    )
    data = parser.add_argument_group("data")
    data.add_argument("--dataset", metavar="NAME|PATH", help="name on the Hub, sample, a folder or a file")
    data.add_argument("--dataset_config", metavar="NAME", help="configuration of a dataset on the Hub")
    data.add_argument("--dataset_revision", metavar="NAME", help="branch, tag or commit of a dataset on the Hub")
    data.add_argument("--test_file", nargs="+", metavar="FILE", help="files instead of the dataset's test split")
    data.add_argument("--split", choices=("train", "validation", "test"), help="default: test, or else validation")
    data.add_argument("--task", choices=tuple(TASKS), help="default: by the model's tags")
    data.add_argument(
        "--scheme",
        choices=("IOB1", "IOB2", "BIOES"),
        help="scheme of the tags; default: detected",
    )
    add_reading(data)
    model = parser.add_argument_group("model")
    model.add_argument("--revision", help="branch, tag or commit of a model on the Hub")
    add_model_options(model)  # type: ignore[arg-type]  # a group takes arguments as a parser does
    add_rules(model)
    add_computing(model)
    output = parser.add_argument_group("output")
    output.add_argument("--output", metavar="DIR", help="write predictions/SPLIT.conll and results.json there")
    output.add_argument("--overwrite", action="store_true", help="replace existing results")
    add_json(output)  # type: ignore[arg-type]


def _evaluate(args: argparse.Namespace) -> Answer:
    _check_evaluate(args)
    from hf_tagging.inference import evaluating, evaluation

    if args.output:
        evaluation.check_evaluation_folder(args.output, overwrite=args.overwrite, predictions=args.predictions)
    with _alone_in(args.output):
        quiet_libraries()
        if args.predictions:
            found = evaluating.evaluate_predictions(args.predictions, task=args.task, scheme=args.scheme)
        else:
            given = {theirs: getattr(args, ours) for ours, theirs in (_DATA | _LOADING).items()}
            found = evaluating.evaluate_tagger(
                args.model,
                split=args.split,
                task=args.task,
                scheme=args.scheme,
                output=args.output,
                rules=rules_of(args.rules),
                **{name: value for name, value in given.items() if value is not None},
            )
        if args.output:
            evaluation.write_evaluation(found, args.output, overwrite=args.overwrite)
    model = args.model[0] if len(args.model) == 1 else args.model or None
    asked = {"model": model, "dataset": args.dataset, "predictions": args.predictions, "output": args.output}
    written = f"\n\nWritten to {args.output}" if args.output else ""
    return Answer(asked | found.as_dict(), lambda: show_figures(found.table() + written))


def _alone_in(output: str | Path | None) -> AbstractContextManager[object]:
    """Keep other processes out of the folder of --output, if there is one, from here to the last file."""
    return FolderLock(output, advice="give another --output") if output else nullcontext()


def _check_evaluate(args: argparse.Namespace) -> None:
    """Refuse arguments that contradict each other or have no effect."""
    if bool(args.model) == bool(args.predictions):
        raise ConfigError("Give the folder of a model, or --predictions FILE: one of the two.")
    if args.predictions:
        idle = [n for n in (*_DATA, "split", "rules", *_LOADING) if getattr(args, n)]
        if idle:
            raise ConfigError(
                f"--{', --'.join(idle)}: of no use with --predictions, which has its words and tags. Leave out."
            )
    elif not (args.dataset or args.test_file):
        raise ConfigError("Evaluate on what? Give --dataset NAME, --dataset PATH or --test_file FILE.")
    if args.overwrite and not args.output:
        raise ConfigError("--overwrite: goes with --output. Leave it out.")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="DIR", help="output folder of a run, or a folder of such folders"
    )
    parser.add_argument("--reference", type=Path, metavar="DIR", help="run to compare with; default: the first")
    parser.add_argument("--split", choices=("test", "validation", "also_test"), default="test", help="default: test")
    parser.add_argument("--resamples", type=int, default=10_000, help="for intervals and p-values; default: 10,000")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write comparison.md, comparison.json and plots/")
    add_json(parser)


def _compare(args: argparse.Namespace) -> Answer:
    from hf_tagging.comparison.compare import compare_runs
    from hf_tagging.comparison.page import write_comparison
    from hf_tagging.comparison.plots import MISSING, can_draw, draw_plots

    written = ""
    with _alone_in(args.output):
        with working("Comparing"):
            comparison = compare_runs(
                args.folders, split=args.split, reference=args.reference, resamples=args.resamples
            )
        if args.output:
            with writing_to(args.output):
                plots = draw_plots(comparison, args.output) if can_draw() else []
                write_comparison(comparison, args.output, plots)
            written = f"\n\nWritten to {args.output}" + ("" if can_draw() else f". {MISSING}")
    data = asdict(comparison) | {"metric": comparison.metric}
    return Answer(data, lambda: show_figures(comparison.table() + written))


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="output folder of a run, or a name on the Hub")
    parser.add_argument(
        "--to", required=True, choices=("onnx", "int8"), help="format: a float32 graph, or one with 8-bit integers"
    )
    parser.add_argument("--output", metavar="DIR", help="folder to write; default: DIR with -onnx or -int8 appended")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing export")
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="columns of words, with tags or without, to compare the two taggers on; default: the validation split",
    )
    parser.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")
    add_json(parser)


def _export(args: argparse.Namespace) -> Answer:
    from hf_tagging.inference.export import export_tagger

    with working("Exporting"):
        folder, parity = export_tagger(
            args.model,
            to=args.to,
            output=args.output,
            data=args.data,
            overwrite=args.overwrite,
            trust_remote_code=args.trust_remote_code,
        )
    data: dict[str, object] = {"output": str(folder), "parity": asdict(parity)}
    table = parity.table((args.model, str(folder)))
    return Answer(data, lambda: show_figures(f"{table}\n\nWritten to {folder}"))


COMMANDS = (
    Command(
        name="predict",
        summary="Tag a text or a file.",
        details="Column files come back with the tag as their last column; JSON Lines with tags, places and entities; "
        "CSV with all its columns and the entities of --text_column. An export of an annotation tool comes back in the "
        "tool's format with predictions. Text is tagged sentence by sentence. A file may have any size and is written "
        "whole or not at all.",
        add=_add_predict,
        run=_predict,
        interrupted=NOTHING_WRITTEN,
        examples=(
            'hf-tagging predict runs/ner --text "Jordan will book a table in May."',
            "hf-tagging predict runs/ner --input my.conll --output my.tagged.conll",
            "hf-tagging predict runs/ner --input posts.jsonl > tagged.jsonl",
            "hf-tagging predict runs/ner --input export.jsonl --output predicted.jsonl",
            "hf-tagging predict runs/ner --input texts.csv --text_column body --output tagged.csv",
        ),
    ),
    Command(
        name="evaluate",
        summary="Evaluate a tagger on data with gold tags, or any predictions file.",
        details="Entities count as conlleval counts them, and strictly as seqeval does; words as shares. The data may "
        "be in another scheme than the model. Tags that the model does not have are counted and listed.",
        add=_add_evaluate,
        run=_evaluate,
        interrupted=NOTHING_WRITTEN,
        examples=(
            "hf-tagging evaluate runs/ner --dataset sample",
            "hf-tagging evaluate runs/ner --test_file my.conll --output runs/ner-on-mine",
            "hf-tagging evaluate runs/pos --dataset sample --split validation --json",
            "hf-tagging evaluate --predictions runs/ner/predictions/test.conll --scheme IOB2",
        ),
    ),
    Command(
        name="compare",
        summary="Compare finished runs: scores with intervals, p-values, cost.",
        details="Runs that differ in seed or fold alone are one row.",
        add=_add_compare,
        run=_compare,
        examples=(
            "hf-tagging compare runs/ner runs/ner-2",
            "hf-tagging compare runs/ner runs/ner-2 --reference runs/ner-2 --output runs/compared",
            "hf-tagging compare runs/ner runs/ner-2 --split validation --resamples 1000 --json",
        ),
    ),
    Command(
        name="export",
        summary="Export a tagger to ONNX Runtime, and compare its tags, scores and speed.",
        add=_add_export,
        run=_export,
        interrupted=NOTHING_WRITTEN,
        examples=(
            "hf-tagging export runs/bert --to int8",
            "hf-tagging export runs/bert --to onnx --data my.conll --output bert.onnx --overwrite",
        ),
    ),
)
