"""Command line of annotating a corpus, for `recipes/annotate.py`."""

from __future__ import annotations

import argparse
import logging
import sys

from hf_tagging.inference.command import add_computing, add_rules


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`; but for `overwrite`, they are those of `AnnotationRequest`."""
    _add_data(parser)
    _add_tagger(parser)
    engine = parser.add_argument_group("workers")
    engine.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that tag, each with a model of its own; default: one per accelerator, else one per core, at "
        "most 8",
    )
    engine.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="processes of this machine, or Ray Data on this machine or a cluster; default: local",
    )
    engine.add_argument(
        "--ray_address",
        metavar="HOST:PORT",
        help="of a Ray cluster; default: RAY_ADDRESS if it is set, else Ray on this machine alone",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input",
        required=True,
        nargs="+",
        metavar="FILE|DIR|NAME",
        help="files of Parquet, Arrow, JSON Lines, CSV or text (a text per line), folders of them, folders of "
        "save_to_disk, or a dataset on the Hub",
    )
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder of the shards; one that was begun is gone on with"
    )
    parser.add_argument("--overwrite", action="store_true", help="remove an annotation in this folder, begin anew")
    parser.add_argument(
        "--format", choices=("parquet", "jsonl"), default="parquet", help="of the shards; default: parquet"
    )
    parser.add_argument(
        "--input_format",
        choices=("parquet", "arrow", "jsonl", "csv", "text"),
        help="default: by the name and the first bytes of each file",
    )
    parser.add_argument("--text_column", metavar="NAME", help="column or key of the texts; default: text")
    parser.add_argument(
        "--tokens_column", metavar="NAME", help="column or key of lists of words; default: tokens, if there is one"
    )
    parser.add_argument("--separator", help="of columns of CSV: tab or one character; default: detected")
    parser.add_argument("--prefix", default="", help="put before the names of the columns that are added")
    parser.add_argument("--split", metavar="NAME", help="of a dataset with several splits")
    parser.add_argument("--dataset_config", metavar="NAME", help="configuration of a dataset on the Hub")
    parser.add_argument("--dataset_revision", metavar="NAME", help="branch, tag or commit of a dataset on the Hub")
    parser.add_argument(
        "--rows_per_shard", type=int, default=10_000, metavar="N", help="rows of each shard; default: 10000"
    )
    parser.add_argument(
        "--max_characters", type=int, default=1_000_000, metavar="N", help="set longer texts aside; default: 1000000"
    )


def _add_tagger(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--splitter",
        metavar="NAME",
        help="how text is cut into words: english, blanks, characters, auto (by script), or an installed one; default: "
        "as the words that the model was trained on",
    )
    parser.add_argument(
        "--no_split_sentences",
        dest="split_sentences",
        action="store_false",
        help="tag every text as one sentence; default: sentence by sentence",
    )
    parser.add_argument(
        "--min_confidence", type=float, default=0.0, metavar="X", help="leave out entities with a score below X, 0 to 1"
    )
    parser.add_argument("--revision", help="branch, tag or commit of a model on the Hub")
    parser.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")
    parser.add_argument("--device", help="of every worker; default: the accelerators in turns, else the CPU")
    add_rules(parser)
    add_computing(parser)


def run(args: argparse.Namespace) -> None:
    """Annotate a corpus and print what became of it.

    Args:
        args: Parsed arguments: `model` and those of `add_arguments`.

    Raises:
        TaggingError: See `annotate_corpus`.
    """
    # Imported here: it takes seconds, which --help and a mistyped flag need not wait for.
    from hf_tagging.annotating.corpus import REJECTED, SUMMARY, annotate_corpus
    from hf_tagging.annotating.request import AnnotationRequest
    from hf_tagging.console import log_to_terminal

    values = vars(args)
    overwrite = values.pop("overwrite")
    log_to_terminal()
    logging.getLogger("hf_tagging").setLevel(logging.INFO)
    found = annotate_corpus(AnnotationRequest.from_arguments(values), overwrite=overwrite)
    count = found["entities"]
    entities = "" if count is None else f", {count:,} {'entity' if count == 1 else 'entities'}"
    words = f"{found['words']:,} word{'s' * (found['words'] != 1)}"
    print(
        f"{found['annotated']:,} of {found['rows']:,} rows annotated: {words}{entities}. "
        f"{args.output}/{SUMMARY} has the summary."
    )
    if found["rejected"]:
        print(f"Set aside: {found['rejected']:,} rows; {args.output}/{REJECTED} has the reasons.", file=sys.stderr)
