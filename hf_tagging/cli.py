"""The command `hf-tagging`. What a subcommand needs is imported when it runs: `--help` answers at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hf_tagging.console import plain_errors
from hf_tagging.inference.command import NOTHING_WRITTEN, add_arguments
from hf_tagging.inference.command import run as tag

# pos is pos_bert for short
_RECIPES = ("pos_bert", "ner_bert", "pos_baseline", "ner_baseline", "pos", "ner", "pretrain")
_EXAMPLES = """examples:
  hf-tagging predict runs/quickstart-pos --text "Jordan will book a table in May."
  hf-tagging predict runs/ner --input my.conll --output my.tagged.conll
  hf-tagging validate pos_bert recipes/configs/pos/quickstart.yaml
  hf-tagging export runs/ner --to int8
  hf-tagging compare runs/lstm runs/hmm --reference runs/hmm --output runs/compared
  hf-tagging env
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line; exits with 0, 1 (bad input) or 2 (usage)."""
    parser = argparse.ArgumentParser(
        prog="hf-tagging",
        description="Tag words with a trained tagger, export it, check a run's arguments, compare runs, describe the "
        "environment.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, add, run in (
        ("predict", _add_predict, _predict),
        ("export", _add_export, _export),
        ("validate", _add_validate, _validate),
        ("compare", _add_compare, _compare),
        ("env", lambda _: None, _env),
    ):
        summary = (run.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        add(command)
        command.set_defaults(run=run)
    args = parser.parse_args(argv)
    run_command: Callable[[argparse.Namespace], None] = args.run
    with plain_errors(interrupted=NOTHING_WRITTEN if run_command in (_predict, _export) else ""):
        run_command(args)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="output folder of a run, or a name on the Hub")
    add_arguments(parser)


def _predict(args: argparse.Namespace) -> None:
    """Tags a text or a file."""
    tag(args)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="output folder of a run, or a name on the Hub")
    parser.add_argument(
        "--to", required=True, choices=("onnx", "int8"), help="a graph in float32, or one with 8-bit integers"
    )
    parser.add_argument("--output", metavar="DIR", help="folder to write; left out: DIR with -onnx or -int8 at its end")
    parser.add_argument("--overwrite", action="store_true", help="replace the export that is there")
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="columns of words, with tags or without, to compare the two taggers on; left out: the run's validation",
    )
    parser.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")


def _export(args: argparse.Namespace) -> None:
    """Writes a tagger as a graph for ONNX Runtime, and how its tags, scores and speed compare."""
    from hf_tagging.inference.export import export_tagger

    folder, parity = export_tagger(
        args.model,
        to=args.to,
        output=args.output,
        data=args.data,
        overwrite=args.overwrite,
        trust_remote_code=args.trust_remote_code,
    )
    print(f"{parity.table((args.model, str(folder)))}\n\nWritten to {folder}")


def _add_validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", choices=_RECIPES, metavar="RECIPE", help=f"one of {', '.join(_RECIPES)}")
    parser.add_argument("config", metavar="FILE.yaml", help="a file of arguments")
    parser.add_argument("flags", nargs=argparse.REMAINDER, help="flags that win over the file")


def _validate(args: argparse.Namespace) -> None:
    """Checks a YAML file of arguments and flags without loading anything."""
    from hf_tagging.training.parsing import RunArguments, parse_arguments
    from hf_tagging.training.pretraining import parse_pretraining

    argv = ["--config", args.config, *args.flags]
    parsed: RunArguments
    if args.recipe == "pretrain":
        parsed = parse_pretraining(argv)
    else:
        task, _, kind = args.recipe.partition("_")
        parsed = parse_arguments(task, argv, family="baseline" if kind == "baseline" else "encoder")
    print(f"{args.config}: {len(parsed.given)} arguments, all right; the run would go to {parsed.training.output_dir}")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="DIR", help="output folder of a run, or a folder of such folders"
    )
    parser.add_argument("--reference", type=Path, metavar="DIR", help="what to compare with; left out: the first")
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="default: test")
    parser.add_argument("--resamples", type=int, default=10_000, help="for intervals and p-values; default: 10,000")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write comparison.md, comparison.json and figures/")


def _compare(args: argparse.Namespace) -> None:
    """Compares finished runs: scores with intervals, p-values, cost; runs that differ in seed or fold are one row."""
    from hf_tagging.evaluation.comparison import compare_runs
    from hf_tagging.evaluation.comparison_page import plain_table, write_comparison
    from hf_tagging.evaluation.figures import MISSING, can_draw, draw_figures
    from hf_tagging.evaluation.runs import find_runs, name_of

    runs = find_runs(args.folders)
    reference = name_of(args.reference, runs) if args.reference else None
    comparison = compare_runs(runs, split=args.split, reference=reference, resamples=args.resamples)
    print(plain_table(comparison))
    if args.output:
        figures = draw_figures(comparison, args.output) if can_draw() else []
        write_comparison(comparison, args.output, figures)
        print(f"\nWritten to {args.output}" + ("" if can_draw() else f". {MISSING}"))


def _env(args: argparse.Namespace) -> None:
    """Prints versions and hardware, for a bug report."""
    from hf_tagging.training.environment import describe_environment

    for name, value in describe_environment().items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
