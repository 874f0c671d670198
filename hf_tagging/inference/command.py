"""Tagging from a command line: the arguments and what they do, for `recipes/predict.py` and `hf-tagging predict`."""

from __future__ import annotations

import argparse
import contextlib
import sys

from hf_tagging.console import quiet_end_of_pipe, working

NOTHING_WRITTEN = "Nothing was written to --output."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `run`, but for the model."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--input", metavar="FILE", help="the file or pipe to tag; -: standard input")
    what.add_argument("--text", help="a text to tag instead of a file: JSON, or a table on a terminal")
    parser.add_argument("--output", metavar="FILE", help="where to write; left out or -: standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace the output file if it is there")
    parser.add_argument(
        "--format", choices=("column", "jsonl", "text"), help="of the input; left out: by its suffix, or its lines"
    )
    parser.add_argument(
        "--tokens_column", metavar="N|NAME", help="column of the words (0 is the first), or their key in JSON Lines"
    )
    parser.add_argument("--separator", help="between columns: tab, space or a literal; left out: found")
    parser.add_argument("--revision", help="of a name on the Hub")
    parser.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")
    parser.add_argument(
        "--device",
        help="cpu, cuda, cuda:1 ...; left out: the accelerator if there is one, of an exported model the CPU",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "auto", "bfloat16", "float16"),
        help="auto: multiply in bfloat16 where the device does so by itself, with the tags of float32; others: of the "
        "weights; left out: float32, or as it was exported, and column files, which need no scores, as with auto if "
        "the model is an encoder of Transformers",
    )
    parser.add_argument("--batch_subwords", type=int, help="subwords per batch, padding counted")


def run(args: argparse.Namespace) -> None:
    """Tags a file or a text.

    Args:
        args: Of a parser with `model` and what `add_arguments` adds.

    Raises:
        TaggingError: For a model that cannot be loaded, a file that cannot be read, or an output that is there.
    """
    # Imported here: it takes seconds, which --help and a mistyped flag need not wait for.
    from hf_tagging.inference.files import STDOUT, check_paths, tag_file, tag_text_to
    from hf_tagging.inference.tagger import Tagger

    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # whatever the terminal says
    check_paths(args.input, args.output, overwrite=args.overwrite)
    tagger = Tagger.from_pretrained(
        args.model,
        revision=args.revision,
        trust_remote_code=args.trust_remote_code,
        device=args.device,
        batch_subwords=args.batch_subwords,
        dtype=args.dtype,
    )
    with quiet_end_of_pipe():
        if args.text is not None:
            tag_text_to(tagger, args.text, args.output, overwrite=args.overwrite)
            return
        elsewhere = args.output not in (None, STDOUT) or not sys.stdout.isatty()
        with working(f"Tagging {args.input}") if elsewhere else contextlib.nullcontext():
            counts = tag_file(
                tagger,
                args.input,
                args.output,
                format=args.format,
                tokens_column=args.tokens_column,
                separator=args.separator,
                overwrite=args.overwrite,
            )
        sys.stdout.flush()
        print(f"Tagged {counts.words:,} words in {counts.sentences:,} sentences.", file=sys.stderr)
