"""`soup`: average the weights of runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_tagging.cli.answers import Answer, show_figures
from hf_tagging.cli.command import Command, add_json
from hf_tagging.cli.quiet import quiet_libraries
from hf_tagging.console import working


def _add_soup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a finished run; two or more")
    parser.add_argument("--output_dir", required=True, type=Path, metavar="DIR", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in DIR")
    parser.add_argument("--trust_remote_code", action="store_true", help="run code that comes with a model")
    add_json(parser)


def _soup(args: argparse.Namespace) -> Answer:
    from hf_tagging.soup import average_runs

    quiet_libraries()
    with working("Averaging"):
        soup = average_runs(
            args.runs, args.output_dir, overwrite=args.overwrite, trust_remote_code=args.trust_remote_code
        )
    return Answer(soup.as_dict(), lambda: show_figures(soup.table()))


COMMANDS = (
    Command(
        name="soup",
        summary="Average the weights of runs, as far as the validation split gains from it.",
        details="The runs start from the same weights: from one encoder or, from scratch, with one seed or one folder. "
        "All of them (uniform), or the best and what does not harm it (greedy), are averaged; what is best on the "
        "validation split is written, like a run. The data is read as the runs read it.",
        add=_add_soup,
        run=_soup,
        examples=("hf-tagging soup runs/order-1 runs/order-2 runs/order-3 --output_dir runs/soup",),
    ),
)
