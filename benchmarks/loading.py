"""Reading of column files with a cold cache: words a second of one core, and memory as a file grows.

    python benchmarks/loading.py
    python benchmarks/loading.py --before ../old/.venv/bin/python --megabytes 100 1000

Every reading is a process of its own, held to one core where the system allows it, with a cache of its own. The peers:
the usual loop over lines, which splits them at blanks and hands rows to `Dataset.from_generator`; and with --before an
older version of this package, by the interpreter of its environment. Seconds are those of the processor, so that what
else a machine does counts little; those of imports are left out. The training sentences, over and over in one file of
so many megabytes, show how memory grows: what counts is the process's own (the largest RssAnon, which Linux alone
tells), not that of files it maps.
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from common import (
    INTERRUPTED,
    Corpus,
    alternate,
    column,
    describe_data,
    load_corpus,
    make_parser,
    missing,
    positive,
    row,
    write_result,
)
from datasets import Dataset
from memory import command

from hf_tagging.console import plain_errors

OURS, USUAL, BEFORE = "ours", "the usual loop over lines", "the release before, without detection"
Run = dict[str, float]
# Runs under older versions as well, so it asks nothing of this package but `load_tagging_dataset`.
_POINT = r"""
import json, logging, os, sys, tempfile, time
logging.disable(logging.CRITICAL)
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import datasets
datasets.disable_progress_bars()
side, file = sys.argv[1:]

def rows(file):
    words, tags = [], []
    for line in open(file, encoding="utf-8"):
        if line.strip() and not line.startswith("-DOCSTART-"):
            fields = line.split()
            words.append(fields[0])
            tags.append(fields[-1])
        elif words:
            yield {"tokens": words, "tags": tags}
            words, tags = [], []
    if words:
        yield {"tokens": words, "tags": tags}

def read(file, cache):
    if side == "usual":
        return datasets.Dataset.from_generator(rows, gen_kwargs={"file": file}, cache_dir=cache)
    return load_tagging_dataset(file, task="ner", cache_dir=cache)["train"]

if side != "usual":
    from hf_tagging.data import load_tagging_dataset
with tempfile.TemporaryDirectory(dir=os.path.dirname(file)) as folder:
    warm = os.path.join(folder, "train.txt")
    with open(warm, "w") as stream:
        stream.write("Lisbon NNP B-NP B-LOC\nis VBZ B-VP O\n\n" * 20)
    read(warm, os.path.join(folder, "warm"))
    began = time.process_time()
    split = read(file, os.path.join(folder, "cache"))
    seconds = time.process_time() - began
    words = sum(len(chunk.flatten()) for chunk in split.data.column("tokens").chunks)
print(json.dumps({"seconds": seconds, "words_per_second": words / seconds, "words": words}))
"""


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    left_out = dict.fromkeys(("device", "model", "sentences"), argparse.SUPPRESS)
    parser = make_parser(__doc__, rounds=5, **left_out)
    parser.set_defaults(device="cpu")
    parser.add_argument("--before", help="interpreter of an environment with an older version of this package")
    parser.add_argument(
        "--megabytes", type=positive, nargs="+", default=[10, 100], help="sizes of a file, the least first (10 100)"
    )
    return parser.parse_args(argv)


def write_columns(corpus: Corpus, split: Dataset, path: Path, megabytes: float = 0) -> None:
    """Write sentences into a column file, over and over until it has so many megabytes; at least once."""
    tags = corpus.schema.tags
    text = "".join(
        "".join(f"{word} {tags[tag]}\n" for word, tag in zip(row["tokens"], row["tags"], strict=True)) + "\n"
        for row in split
    )
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(max(1, round(megabytes * 1e6 / len(text.encode())))):
            file.write(text)


def point(side: str, file: Path, python: str = sys.executable) -> Run:
    """Read a file in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        told, own = command("-c", _POINT, side, file, folder=Path(folder), python=python)
    return {**json.loads(told.splitlines()[-1]), "own_megabytes": own / 1e6}


def compare(args: argparse.Namespace, figures: dict[str, list[Run]]) -> list[dict[str, Any]]:
    """Return the lines of the result: speed against the peers, and the growth of memory and time with the file."""
    speed = {name: column(rounds, "words_per_second") for name, rounds in figures.items()}
    own = {name: column(rounds, "own_megabytes") for name, rounds in figures.items()}
    lines = [row("reading, column file", USUAL, speed[OURS], speed[USUAL], unit="words/s")]
    if args.before:
        lines.append(row("reading, column file", BEFORE, speed[OURS], speed[BEFORE], unit="words/s"))
    else:
        lines.append(missing("reading, column file", BEFORE))
    least, *larger = (_sized(size) for size in args.megabytes)
    for name in larger:
        lines.append(row(f"reading, {name}", least, speed[name], speed[least], unit="words/s"))
        if all((*own[name], *own[least])):
            lines.append(row(f"memory, reading, {name}", least, own[name], own[least], unit="MB", show="growth"))
    return lines


def _sized(megabytes: int) -> str:
    return f"file of {megabytes:,} MB"


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    corpus = load_corpus(args)
    train = corpus.dataset["train"]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "train.txt")
        write_columns(corpus, train, file)
        sides = {OURS: partial(point, "ours", file), USUAL: partial(point, "usual", file)}
        if args.before:
            sides[BEFORE] = partial(point, "ours", file, args.before)
        figures = alternate(sides, args.rounds)
        for size in args.megabytes:
            large = Path(name, f"train-{size}.txt")
            write_columns(corpus, train, large, size)
            figures |= alternate({_sized(size): partial(point, "ours", large)}, 1)
            large.unlink()
    write_result("loading", args, compare(args, figures), figures, data=describe_data(corpus, train))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
