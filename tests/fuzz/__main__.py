"""Run one kind of fuzzing, or all of them as `make fuzz` does; any finding is printed, and ends in exit code 1."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from pathlib import Path

# A kind is a module of this package with `run(count, seed, work)`, which yields a line for everything that goes wrong.
_COUNTS = {"files": 2000, "reading": 3000, "yamls": 600, "checkpoints": 200, "kills": 40}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("kind", choices=["all", *_COUNTS])
    parser.add_argument("--count", type=int, help=f"how many; by default {_COUNTS}")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other input")
    parser.add_argument("--work", type=Path, help="where the cases go that went wrong; by default a temporary folder")
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="fuzz-"))
    findings = 0
    for kind in _COUNTS if args.kind == "all" else [args.kind]:
        count = _COUNTS[kind] if args.count is None else args.count
        for line in importlib.import_module(f"fuzz.{kind}").run(count, args.seed, work / kind):
            findings += 1
            print(f"{kind}: {line}", flush=True)
        print(f"{kind}: {count} tried with seed {args.seed}", flush=True)
    if findings:
        raise SystemExit(f"{findings} findings; what is left of their cases: {work}")


if __name__ == "__main__":
    main()
