"""Peak memory as the corpus grows 1, 2, 4 and 8 times, and as the number of tags grows from 9 to 500.

    python benchmarks/memory.py
    python benchmarks/memory.py --copies 1 8 --tags 9 100 --steps 10 --rounds 1

Every point is a process of its own. The corpus: `recipes/ner_bert.py` reads, aligns and trains on a file of the
training sentences as many times over, for a few steps. The tags: a model with a tag head drawn at random for the data's
tags and made-up ones evaluates the same sentences, by `TaggingTrainer.predict_words` and by the stock
`Trainer.evaluate` at its defaults with the usual `compute_metrics`. What counts is the most that the process has held
(VmHWM on Linux, files that it maps included); where there is a GPU, evaluation counts what tensors have held there. Of
the corpus, which is read from files that the kernel may drop at any time, a further line counts what is the process's
own (the largest RssAnon, looked up twenty times a second; Linux alone tells it).
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from common import (
    INTERRUPTED,
    Corpus,
    alternate,
    column,
    describe_data,
    device_of,
    load_corpus,
    make_parser,
    positive,
    row,
    write_result,
)
from datasets import Dataset, DatasetDict
from trainers import our_trainer, stock_trainer

from hf_tagging.console import plain_errors
from hf_tagging.data import TagSchema
from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.training.environment import peak_memory

RECIPE = Path(__file__).parent.parent / "recipes" / "ner_bert.py"
STOCK = "stock Trainer"
Run = dict[str, float]


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, sentences=3000)
    parser.add_argument("--copies", type=positive, nargs="+", default=[1, 2, 4, 8], help="of the corpus (1 2 4 8)")
    parser.add_argument("--tags", type=positive, nargs="+", default=[9, 500], help="numbers of tags (9 500)")
    parser.add_argument("--steps", type=positive, default=20, help="of training (20)")
    parser.add_argument(
        "--corpus", type=positive, metavar="N", help="sentences of a corpus once over; default: all that train"
    )
    point = parser.add_argument_group("one point, in this process")
    point.add_argument("--evaluate", choices=("ours", "stock"), help="with this many --tags; prints the bytes")
    return parser.parse_args(argv)


# One point


def with_tags(schema: TagSchema, count: int) -> TagSchema:
    """Return the schema and made-up entity types behind its own, `count` tags in all.

    Raises:
        ConfigError: If it has more.
    """
    if count < len(schema.tags):
        raise ConfigError(f"--tags {count}: the data has {len(schema.tags)} tags already. Give at least as many.")
    made_up = [f"{prefix}-TYPE{i:03}" for i in range(count // 2) for prefix in "BI"]
    return TagSchema((*schema.tags, *made_up)[:count], schema.scheme)


def evaluate(args: argparse.Namespace) -> None:
    """Evaluates by one side and prints what it took at most."""
    corpus, device = load_corpus(args), device_of(args)
    schema = with_tags(corpus.schema, args.tags[0])
    dataset = DatasetDict(validation=corpus.draw("validation", args.sentences, args.seed))
    options: dict[str, Any] = {"model": args.model, "device": device, "seed": args.seed}
    with tempfile.TemporaryDirectory() as folder:
        if args.evaluate == "ours":
            trainer = our_trainer(dataset, schema, folder=folder, **options)
            trainer.predict_words(trainer.splits["validation"], "validation")
        else:
            stock_trainer(dataset, schema, folder=folder, **options).evaluate()
    print(json.dumps(peak_memory()))


# All points


def command(
    *words: object, folder: Path, python: str = sys.executable, variables: Mapping[str, str] | None = None
) -> tuple[str, float]:
    """Runs a point to its end, with caches of its own; what it printed, and the most memory of its own in bytes."""
    environment = os.environ | {"HF_DATASETS_CACHE": str(folder / "cache")} | dict(variables or {})
    with open(folder / "printed", "w+") as printed, open(folder / "said", "w+") as said:
        process = subprocess.Popen([python, *map(str, words)], env=environment, stdout=printed, stderr=said)
        own = 0.0
        while process.poll() is None:
            own = max(own, own_memory(process.pid))
            time.sleep(0.05)
        texts = [file.seek(0) or file.read() for file in (printed, said)]
    if process.returncode:
        shown = " ".join(map(str, words))
        raise TaggingError(f"{shown}\nended with code {process.returncode}, and said:\n{''.join(texts)}")
    return texts[0], own


def own_memory(pid: int) -> float:
    """Bytes of a process that no file stands behind; 0 where that is not told, or the process is gone."""
    with suppress(OSError):
        found = re.search(r"^RssAnon:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return 1024.0 * int(found[1]) if found else 0.0
    return 0.0


def train_on(copies: int, train: Dataset, tags: tuple[str, ...], args: argparse.Namespace) -> Run:
    """Trains by the recipe on a corpus `copies` times as large."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = "".join(
            "".join(f"{word}\t{tags[tag]}\n" for word, tag in zip(row["tokens"], row["tags"], strict=True)) + "\n"
            for row in train
        )
        with open(folder / "train.conll", "w", encoding="utf-8") as file:
            file.writelines(text for _ in range(copies))
        flags = ["--train_file", folder / "train.conll", "--model", args.model, "--output_dir", folder / "run"]
        flags += ["--max_steps", args.steps, "--eval_strategy", "no", "--save_strategy", "no", "--seed", args.seed]
        flags += ["--use_cpu"] if device_of(args) == "cpu" else []
        _, own = command(RECIPE, *flags, folder=folder)
        record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
        return {"megabytes": record["memory"]["process"] / 1e6, "own_megabytes": own / 1e6}


def evaluate_apart(side: str, tags: int, args: argparse.Namespace) -> Run:
    """Evaluates in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        flags = ["--evaluate", side, "--tags", tags, "--sentences", args.sentences, "--seed", args.seed]
        flags += ["--model", args.model, "--device", device_of(args), *(["--data", args.data] if args.data else [])]
        peak = json.loads(command(__file__, *flags, folder=Path(name))[0].splitlines()[-1])
        return {"megabytes": peak["gpu" if device_of(args) == "cuda" else "process"] / 1e6}


def points(args: argparse.Namespace, corpus: Corpus) -> dict[str, Any]:
    """Return the function that runs each point, by name."""
    train = corpus.draw("train", args.corpus or len(corpus.dataset["train"]), args.seed)
    sides: dict[str, Any] = {
        f"corpus x {n}": partial(train_on, n, train, corpus.schema.tags, args) for n in args.copies
    }
    for tags in args.tags:
        sides[f"ours, {tags} tags"] = partial(evaluate_apart, "ours", tags, args)
        sides[f"{STOCK}, {tags} tags"] = partial(evaluate_apart, "stock", tags, args)
    return sides


def compare(args: argparse.Namespace, figures: dict[str, list[Run]]) -> list[dict]:
    """Return the lines of the result: growth of the corpus and of the tags, and the peer's."""
    peaks = {name: column(rounds, "megabytes") for name, rounds in figures.items()}

    def growth(what: str, against: str, larger: str, smaller: str) -> dict:
        return row(f"memory, {what}", against, peaks[larger], peaks[smaller], unit="MB", show="growth")

    once, few = args.copies[0], args.tags[0]
    lines = []
    for n in args.copies[1:]:
        larger, smaller = f"corpus x {n}", f"corpus x {once}"
        lines.append(growth(f"training, {larger}", smaller, larger, smaller))
        own = [column(figures[name], "own_megabytes") for name in (larger, smaller)]
        if all(map(all, own)):
            lines.append(row(f"memory, training, {larger}, without files", smaller, *own, unit="MB", show="growth"))
    for tags in args.tags[1:]:
        for side, who in {"ours": "", STOCK: f" by {STOCK}"}.items():
            names = f"{side}, {tags} tags", f"{side}, {few} tags"
            lines.append(growth(f"evaluation{who}, {tags} tags", f"{few} tags", *names))
        both = peaks[f"ours, {tags} tags"], peaks[f"{STOCK}, {tags} tags"]
        lines.append(row(f"memory, evaluation, {tags} tags", STOCK, *both, unit="MB", less_is_better=True))
    return lines


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    if args.evaluate:
        evaluate(args)
        return
    corpus = load_corpus(args)
    figures = alternate(points(args, corpus), args.rounds)
    data = describe_data(corpus, corpus.draw("train", args.corpus or len(corpus.dataset["train"]), args.seed))
    write_result("memory", args, compare(args, figures), figures, data=data)


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
