"""Train and compare taggers: several recipes, each over several seeds, scored on the same words and put in one table.

    python recipes/compare.py --config recipes/configs/compare/quickstart.yaml
    python recipes/compare.py --config recipes/configs/compare/pos_conll2003.yaml --dataset PATH
    python recipes/compare.py --config recipes/configs/compare/pos_conll2003.yaml --dry_run

The file names the runs; its keys are explained in recipes/configs/compare/quickstart.yaml. Everything in it is checked
before the first run starts. A further flag, such as --dataset, is an argument of every run and wins over the file.

The same command goes on with what was interrupted or has failed; a finished run is never repeated. The runs are started
by this Python, or by the file's `launcher`. Left in the output folder: comparison.md, comparison.json, plots/, and of
each run its folder and its log. `hf-tagging compare DIR DIR ...` compares runs that exist.
"""

import argparse
import os
from pathlib import Path

from hf_tagging.comparison.plan import read_plan
from hf_tagging.comparison.runner import GO_ON, carry_out, check_folders, describe_plan
from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError


def main() -> None:
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--config", required=True, type=Path, metavar="FILE.yaml", help="the runs to compare")
    parser.add_argument("--output_dir", type=Path, metavar="DIR", help="where to; wins over the file")
    parser.add_argument("--dry_run", action="store_true", help="check everything, print the commands, run nothing")
    args, flags = parser.parse_known_args()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("Started as several processes, this would run all runs several times. Start it with python, "
                          "and give launcher: [accelerate, launch, ...] in the file.")  # fmt: skip
    plan = read_plan(args.config, output_dir=args.output_dir, flags=flags)
    if args.dry_run:
        check_folders(plan)
        print(describe_plan(plan))
        return
    comparison = carry_out(plan)
    if any(row.failed for row in comparison.rows):
        raise SystemExit(1)


if __name__ == "__main__":
    with plain_errors(interrupted=GO_ON):
        main()
