"""The first steps on a corpus that is streamed: seconds from the command to the last of them, and memory.

    python benchmarks/streaming.py
    python benchmarks/streaming.py --gigabytes 2 20 --steps 100 --model FOLDER

Every run is a process of its own, `recipes/ner_bert.py --streaming true` without validation, and begins with the
interpreter. The training sentences, over and over, are one JSON Lines file of so many megabytes (`--shard`). A corpus
is as many names (hard links) of that file as make its size, so that the disk need not hold it; the recipe takes them
for different files. Processor seconds count what the process computes, so that what else a machine does counts little.
Memory is the process's own (the largest RssAnon, which Linux alone tells).

By default the encoder is a BERT of two layers of 128 that cuts words as MiniLM does, made on the spot: what counts here
is the stream.
"""

import argparse
import json
import os
import resource
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
    device_of,
    load_corpus,
    make_parser,
    positive,
    row,
    stopwatch,
    write_result,
)
from datasets import Dataset
from memory import RECIPE, command
from transformers import BertConfig, BertModel

from hf_tagging.console import plain_errors
from hf_tagging.models import load_encoder

Run = dict[str, float]


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, sentences=argparse.SUPPRESS, rounds=1, model="small")
    parser.add_argument(
        "--gigabytes", type=float, nargs="+", default=[2, 20], help="of a corpus, the least first (2 20)"
    )
    parser.add_argument("--shard", type=float, default=200, help="megabytes of a file of it (200)")
    parser.add_argument("--steps", type=positive, default=100, help="of training (100)")
    return parser.parse_args(argv)


def write_shard(corpus: Corpus, split: Dataset, path: Path, megabytes: float) -> None:
    """Write the sentences as JSON Lines, over and over until the file has so many megabytes; at least once."""
    tags = corpus.schema.tags
    rows = ({"tokens": row["tokens"], "ner_tags": [tags[tag] for tag in row["tags"]]} for row in split)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(max(1, round(megabytes * 1e6 / len(text)))):
            file.write(text)


def small_encoder(folder: Path, corpus: Corpus) -> Path:
    """Write a small encoder with random weights and MiniLM's tokenizer."""
    _, tokenizer = load_encoder("minilm", corpus.schema, casing="none")
    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def begin_training(gigabytes: float, shard: Path, model: str | Path, args: argparse.Namespace) -> Run:
    """Train on a stream of names of a file, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=shard.parent) as name:
        folder, files = Path(name), max(1, round(gigabytes * 1e9 / shard.stat().st_size))
        names = [folder / f"{number:05}.jsonl" for number in range(files)]
        for file in names:
            os.link(shard, file)
        flags = ["--model", model, "--train_file", *names, "--output_dir", folder / "run", "--seed", args.seed]
        flags += ["--streaming", "true", "--max_steps", args.steps, "--eval_strategy", "no", "--save_strategy", "no"]
        flags += ["--use_cpu"] if device_of(args) == "cpu" else []
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with stopwatch() as elapsed:
            _, own = command(RECIPE, *flags, folder=folder)
            whole = elapsed()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": whole,
        "processor_seconds": used,
        "training_seconds": record["seconds"]["training"],
        "own_megabytes": own / 1e6,
        "files": files,
    }


def compare(args: argparse.Namespace, figures: dict[str, list[Run]]) -> list[dict[str, Any]]:
    """Return the lines of the result: each corpus against the least."""
    least, *larger = map(_sized, args.gigabytes)
    lines = []
    for name in larger:
        what = f"first {args.steps} steps, {name}"
        ours, peer = column(figures[name], "processor_seconds"), column(figures[least], "processor_seconds")
        lines.append(row(what, least, ours, peer, unit="processor s", less_is_better=True))
        ours, peer = column(figures[name], "own_megabytes"), column(figures[least], "own_megabytes")
        if all((*ours, *peer)):
            lines.append(row(f"memory, {what}", least, ours, peer, unit="MB", show="growth"))
    return lines


def _sized(gigabytes: float) -> str:
    return f"stream of {gigabytes:,g} GB"


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    corpus = load_corpus(args)
    train = corpus.dataset["train"]
    with tempfile.TemporaryDirectory() as name:
        shard = Path(name, "shard.jsonl")
        write_shard(corpus, train, shard, args.shard)
        model = small_encoder(Path(name, "small"), corpus) if args.model == "small" else args.model
        sides = {_sized(size): partial(begin_training, size, shard, model, args) for size in args.gigabytes}
        figures = alternate(sides, args.rounds)
    write_result("streaming", args, compare(args, figures), figures, data=describe_data(corpus, train))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
