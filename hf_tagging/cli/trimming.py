"""`trim`: keep fewer subwords of a tagger's vocabulary."""

from __future__ import annotations

import argparse

from hf_tagging.cli.answers import Answer, show_figures
from hf_tagging.cli.command import Command, add_json
from hf_tagging.cli.quiet import quiet_libraries
from hf_tagging.console import working


def _add_trim(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="RUN", help="folder of a finished run; with --text_file, any tagger")
    parser.add_argument("--output_dir", "--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--text_file",
        nargs="+",
        metavar="FILE",
        help="plain text, a sentence or paragraph a line, whose subwords are kept too",
    )
    parser.add_argument(
        "--most_common",
        type=int,
        metavar="N",
        help="further subwords to keep: the most common of the rest, by the order or the scores of the vocabulary; "
        "default: 10000",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the run in DIR")
    parser.add_argument("--trust_remote_code", action="store_true", help="run code that comes with a model")
    add_json(parser)


def _trim(args: argparse.Namespace) -> Answer:
    from hf_tagging.data.plain_text import read_lines
    from hf_tagging.trim import MOST_COMMON, trim_vocabulary

    quiet_libraries()
    with working("Trimming"):
        trimmed = trim_vocabulary(
            args.model,
            args.output_dir,
            texts=read_lines(args.text_file) if args.text_file else (),
            most_common=MOST_COMMON if args.most_common is None else args.most_common,
            overwrite=args.overwrite,
            trust_remote_code=args.trust_remote_code,
        )
    return Answer(trimmed.as_dict(), lambda: show_figures(f"{trimmed.table()}\n\nWritten to {args.output_dir}"))


COMMANDS = (
    Command(
        name="trim",
        summary="Keep the part of a vocabulary that the training data uses: a smaller model with the same tags.",
        details="Kept are the subwords of the training split and of --text_file, special tokens, single characters or "
        "bytes, so that any text can still be spelled, and the most common of the rest. The texts that were given are "
        "tagged as before, which is checked. The result of a run is a run, with card, figures and report.",
        add=_add_trim,
        run=_trim,
        examples=(
            "hf-tagging trim runs/order-1 --output_dir runs/small",
            "hf-tagging trim runs/order-1 --output_dir runs/small --text_file texts.txt --most_common 900 --overwrite",
        ),
    ),
)
