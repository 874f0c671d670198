"""Command line of tagging, for `recipes/predict.py` and `hf-tagging predict`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING, Literal

from hf_tagging.console import quiet_end_of_pipe, working

if TYPE_CHECKING:
    from hf_tagging.inference.word_tagger import TaggerOptions

NOTHING_WRITTEN = "No output file was changed."


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the argument `model` of a recipe, one tagger or several; `hf-tagging` takes it without a flag."""
    parser.add_argument(
        "--model",
        required=True,
        nargs="+",
        metavar="DIR",
        help="output folder of a run or an export, or a name on the Hub; of several, the mean is taken",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`, except for the model."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--input", metavar="FILE", help="file or pipe to tag; -: standard input")
    what.add_argument("--text", help="text to tag instead of a file; written as JSON, or as a table on a terminal")
    parser.add_argument("--output", metavar="FILE", help="file to write; default or -: standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output file")
    parser.add_argument(
        "--format",
        metavar="NAME",
        help="format of the input: column, jsonl, text, csv, or that of an annotation tool's export, which gets its "
        "predictions: label-studio, doccano, prodigy, brat ...; default: detected",
    )
    parser.add_argument(
        "--tokens_column",
        metavar="N|NAME",
        help="column of the words (0 is the first), their key in JSON Lines, or the name of the text in an export",
    )
    parser.add_argument(
        "--text_column",
        metavar="NAME",
        help="column of the text in a CSV file, whose other columns are kept, or its key in JSON Lines",
    )
    parser.add_argument(
        "--splitter",
        metavar="NAME",
        help="how text is cut into words: english, blanks, characters, auto (by script), pythainlp, sudachi, jieba, or "
        "an installed one; default: as the words that the model was trained on",
    )
    parser.add_argument(
        "--no_split_sentences",
        dest="split_sentences",
        action="store_false",
        help="tag every text as one sentence; default: sentence by sentence",
    )
    parser.add_argument("--separator", help="separator of columns: tab, space or a literal; default: detected")
    add_reading_exports(parser)
    parser.add_argument(
        "--min_confidence",
        type=float,
        default=0.0,
        metavar="X",
        help="leave out entities with a score below X, from 0 to 1: their words are O; of a tagger without entities, "
        "such words have the tag _; the report shows what each X keeps; default: 0, keep all",
    )
    parser.add_argument("--revision", help="branch, tag or commit of a model on the Hub")
    parser.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")
    parser.add_argument(
        "--device",
        help="cpu, cuda, cuda:1 ...; default: the accelerator if there is one, for an exported model the CPU",
    )
    add_rules(parser)
    add_computing(parser)


def add_rules(parser: argparse._ActionsContainer) -> None:
    """Add the rules beside a model: `rules` of `Tagger.from_pretrained`."""
    parser.add_argument(
        "--rules",
        type=_rules_file,
        metavar="FILE",
        help="rules beside the model, a JSON object a line; none: without those of the model; default: rules.jsonl of "
        "the model, if it has one",
    )


def _rules_file(value: str) -> str:
    if not value.strip():  # of a shell variable that is not set
        raise argparse.ArgumentTypeError("is empty; give a file, or none for no rules, or leave it out")
    return value


def rules_of(value: str | None) -> str | Literal[False] | None:
    """Return what `Tagger.from_pretrained` takes as `rules`: False for ``none``."""
    return False if value == "none" else value


def tagger_options(args: argparse.Namespace) -> TaggerOptions:
    """Return the arguments of a command that `Tagger.from_pretrained` takes by the same names."""
    return {
        "revision": args.revision,
        "trust_remote_code": args.trust_remote_code,
        "device": args.device,
        "tokens_per_batch": args.tokens_per_batch,
        "precision": args.precision,
        "dtype": args.dtype,
    }


def add_reading_exports(parser: argparse._ActionsContainer) -> None:
    """Add how exports of annotation tools are read: `layer` and `encoding` of `ReadOptions`."""
    parser.add_argument(
        "--layer", metavar="NAME", help="of an export, the annotation layer where it has several; default: the first"
    )
    parser.add_argument(
        "--encoding", metavar="NAME", help="of an export, the encoding of text files; default: UTF-8, or else detected"
    )


def add_input_format(parser: argparse._ActionsContainer) -> None:
    """Add `input_format` of `read_documents`."""
    parser.add_argument(
        "--input_format",
        choices=("text", "column", "jsonl", "csv"),
        help="of TEXTS; default: by its suffix and first lines, or that of an annotation tool's export",
    )


def add_computing(parser: argparse._ActionsContainer) -> None:
    """Add how a tagger computes: `precision`, `dtype` and `tokens_per_batch` of `Tagger.from_pretrained`."""
    parser.add_argument(
        "--precision",
        choices=("exact", "fast", "bfloat16"),
        help="fast: multiply in bfloat16, with the tags of exact, for models whose run has measured a margin; default: "
        "fast where tags alone are asked for and the model has a margin for this device, else exact",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16", "auto"),
        help="dtype of the weights; auto: as saved; default: float32, or as exported",
    )
    parser.add_argument("--tokens_per_batch", type=int, metavar="N", help="subwords per batch, including padding")
    parser.add_argument("--batch_subwords", type=int, action=_OldName, dest="tokens_per_batch", help=argparse.SUPPRESS)


class _OldName(argparse.Action):
    """An option under the name that it had in an earlier release."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, flag: str | None = None
    ) -> None:
        print(f"{flag} is now --{self.dest}; the old name goes with the next release.", file=sys.stderr)
        setattr(namespace, self.dest, values)


def run(args: argparse.Namespace) -> None:
    """Tag a file or a text.

    Args:
        args: Parsed arguments: `model` and those of `add_arguments`.

    Raises:
        TaggingError: The model cannot be loaded, the input cannot be read, or the output exists.
    """
    # Imported here: it takes seconds, which --help and a mistyped flag need not wait for.
    from hf_tagging.inference.files import STDOUT, check_paths, tag_file, tag_text_to
    from hf_tagging.inference.tagger import Tagger

    check_paths(args.input, args.output, overwrite=args.overwrite, format=args.format)
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # whatever the terminal says
    options = tagger_options(args)
    options["min_confidence"], options["rules"] = args.min_confidence, rules_of(args.rules)
    tagger = Tagger.from_pretrained(args.model, **options)
    with quiet_end_of_pipe():
        if args.text is not None:
            tag_text_to(
                tagger,
                args.text,
                args.output,
                splitter=args.splitter,
                split_sentences=args.split_sentences,
                overwrite=args.overwrite,
            )
            return
        elsewhere = args.output not in (None, STDOUT) or not sys.stdout.isatty()
        with working(f"Tagging {args.input}") if elsewhere else contextlib.nullcontext():
            counts = tag_file(
                tagger,
                args.input,
                args.output,
                format=args.format,
                tokens_column=args.tokens_column,
                text_column=args.text_column,
                separator=args.separator,
                layer=args.layer,
                encoding=args.encoding,
                splitter=args.splitter,
                split_sentences=args.split_sentences,
                overwrite=args.overwrite,
            )
        print(f"Tagged {counts.words:,} words in {counts.sentences:,} sentences.", file=sys.stderr)
