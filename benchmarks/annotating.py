"""Annotating a corpus by worker processes, against a loop over `pipeline` and `datasets.map` over it; and its memory.

    python benchmarks/annotating.py --model runs/NAME
    python benchmarks/annotating.py --model runs/NAME --growth 100000 1000000 --growth_model runs/HMM

All sides tag the same sentences as text with the same model, one thread per process, and are timed without the loading
of the model. `--growth` annotates corpora of other sizes, each once, for the most memory that a worker and the process
that hands out shards have held, and for the rate of a long run; `--growth_model` may be a faster model.
"""

import argparse
import json
import logging
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from common import (
    INTERRUPTED,
    alternate,
    column,
    describe_data,
    device_of,
    load_corpus,
    make_parser,
    positive,
    row,
    stopwatch,
    write_result,
)
from datasets import Dataset, disable_progress_bars
from transformers import pipeline
from transformers.utils import logging as transformers_logging

from hf_tagging.annotating import AnnotationRequest, annotate_corpus
from hf_tagging.console import plain_errors

RATE = "sentences_per_second"
PIPELINE, MAP = "a loop over pipeline", "datasets.map over pipeline"


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, model="runs/quickstart-pos", sentences=2000)
    parser.add_argument(
        "--growth", type=positive, nargs="*", default=[], help="sizes of corpora to measure memory with"
    )
    parser.add_argument("--growth_model", help="that annotates these; default: --model")
    parser.add_argument("--growth_workers", type=positive, default=2, help="workers of these (2)")
    return parser.parse_args(argv)


def write_corpus(path: Path, texts: list[str], count: int) -> None:
    """Write a JSON Lines file of as many sentences, each under a number of its own."""
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps({"id": number, "text": texts[number % len(texts)]}) + "\n")


def ours(args: argparse.Namespace, model: str, corpus: Path, count: int, workers: int) -> dict[str, float]:
    """Annotate a corpus and return the figures of its summary."""
    with tempfile.TemporaryDirectory() as folder, stopwatch() as seconds:
        request = AnnotationRequest(
            model=[model],
            input=[str(corpus)],
            output=f"{folder}/out",
            workers=workers,
            device=device_of(args),
            rows_per_shard=max(100, min(10_000, count // 10)),
        )
        found: Any = annotate_corpus(request)
        if found["annotated"] + found["rejected"] != count:
            raise AssertionError(found)
        start = found["last_start"]
        return {RATE: start["rows_per_second"], "worker_memory": start["worker_memory"],
                "process_memory": start["process_memory"], "seconds": seconds()}  # fmt: skip


def looped(tag: Any, texts: list[str]) -> dict[str, float]:
    with stopwatch() as seconds:
        for text in texts:
            tag(text)
        return {RATE: len(texts) / seconds()}


def mapped(tag: Any, texts: list[str]) -> dict[str, float]:
    data = Dataset.from_dict({"text": texts})
    with stopwatch() as seconds:
        data.map(lambda batch: {"found": [json.dumps(x, default=float) for x in tag(batch["text"], batch_size=32)]},
                 batched=True, batch_size=256, load_from_cache_file=False, keep_in_memory=True)  # fmt: skip
        return {RATE: len(texts) / seconds()}


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    logging.getLogger("hf_tagging").setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    disable_progress_bars()
    torch.set_num_threads(1)
    corpus = load_corpus(args)
    drawn = corpus.draw("test", args.sentences, args.seed)
    texts = [" ".join(words) for words in drawn["tokens"]]
    growth: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.jsonl"
        for count in args.growth:  # first: what this process holds later would hide what it holds here
            write_corpus(path, texts, count)
            model = args.growth_model or args.model
            growth[f"{count:,} sentences"] = ours(args, model, path, count, args.growth_workers)
            print(f"{count:,} sentences: {growth[f'{count:,} sentences']}", flush=True)
        write_corpus(path, texts, args.sentences)
        tag = pipeline("token-classification", model=args.model, device=device_of(args))
        sides: dict[str, Callable[[], dict[str, float]]] = {
            "1 worker": partial(ours, args, args.model, path, args.sentences, 1),
            "2 workers": partial(ours, args, args.model, path, args.sentences, 2),
            PIPELINE: partial(looped, tag, texts),
            MAP: partial(mapped, tag, texts),
        }
        figures: dict[str, Any] = alternate(sides, args.rounds)
    lines = lines_of(figures, growth)
    write_result("annotating", args, lines, figures | growth, data=describe_data(corpus, drawn))


def lines_of(figures: dict[str, Any], growth: dict[str, Any]) -> list[dict[str, Any]]:
    one, two = (column(figures[side], RATE) for side in ("1 worker", "2 workers"))
    lines = [
        row(
            "annotating by 2 workers",
            "twice 1 worker",
            two,
            [2 * rate for rate in one],
            show="share",
        ),
        *(row("annotating by 1 worker", peer, one, column(figures[peer], RATE)) for peer in (PIPELINE, MAP)),
        *(row("annotating by 2 workers", peer, two, column(figures[peer], RATE)) for peer in (PIPELINE, MAP)),
    ]
    sizes = list(growth)
    for first, second in pairwise(sizes):
        rates = ([growth[size][RATE]] for size in (second, first))
        lines.append(row(f"annotating {second}", first, *rates, unit="sentences/s"))
        for name, key in (("a worker", "worker_memory"), ("the process that hands out shards", "process_memory")):
            more, less = ([growth[size][key] / 2**20] for size in (second, first))
            what = f"memory of {name}, {second}"
            lines.append(row(what, first, more, less, unit="MiB", show="growth"))
    return lines


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
