"""Training and tagging by one library, in its own environment; `benchmarks/peers.py` starts the scripts beside this.

    python benchmarks/peers/use_spacy.py fit --train train.jsonl --folder out --epochs 3
    python benchmarks/peers/use_spacy.py tag --file test.jsonl --folder out --seconds 5

Nothing but the standard library is imported here, as no other package is in every environment. The last line printed is
JSON. Seconds are those of the processor: each library computes with one thread, and what else the machine does counts
little. Importing is not in them, and loading is told apart.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Sentences = list[list[str]]
Tag = Callable[[Sentences], Sentences]


@contextmanager
def clock() -> Iterator[Callable[[], float]]:
    """Give a function that tells the seconds this process has computed since the block began."""
    began = time.process_time()
    yield lambda: time.process_time() - began


def read(file: Path) -> tuple[Sentences, Sentences]:
    """Return the words and the tags of every sentence of a file of JSON lines."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [row["tokens"] for row in rows], [row["ner_tags"] for row in rows]


def tags_of(length: int, entities: list[tuple[int, int, str]]) -> list[str]:
    """Return entities (first word, word behind the last, type) as a tag for each word, in IOB2."""
    tags = ["O"] * length
    for first, end, kind in entities:
        tags[first:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - first - 1)
    return tags


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("verb", choices=("fit", "tag"))
    parser.add_argument("--folder", type=Path, required=True, help="of the model")
    parser.add_argument("--train", type=Path, help="fit: JSON lines; a column file, NAME.txt, lies beside it")
    parser.add_argument("--validation", type=Path, help="fit: likewise; without it: nothing is evaluated")
    parser.add_argument("--epochs", type=int, default=1, help="fit: how often it reads the training sentences")
    parser.add_argument("--model", help="fit: folder of the encoder")
    parser.add_argument("--config", help="fit: of our recipe")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--file", type=Path, help="tag: JSON lines")
    parser.add_argument("--seconds", type=float, default=0.0, help="tag: read them again until so much time has passed")
    parser.add_argument("--predicted", type=Path, help="tag: write the tags there")
    return parser.parse_args(argv)


def time_tagging(tag: Tag, sentences: Sentences, least: float) -> tuple[Sentences, float]:
    """Tag sentences, again and again for at least so many seconds; the tags, and the sentences a second."""
    tag(sentences[:32])  # what is made at the first call does not count
    times = 0
    with clock() as seconds:
        while not times or seconds() < least:
            predicted = tag(sentences)
            times += 1
        return predicted, times * len(sentences) / seconds()


def main(
    fit: Callable[[argparse.Namespace], float], load: Callable[[Path], Tag], argv: list[str] | None = None
) -> None:
    """Do what the command line asks of a library, and print the figures.

    Args:
        fit: Trains by the flags, leaves the model in their folder and returns the seconds of training.
        load: Returns what tags, from the folder.
        argv: The command line.
    """
    args = read_flags(argv)
    figures: dict[str, float] = {}
    if args.verb == "fit":
        args.folder.mkdir(parents=True, exist_ok=True)
        seconds = fit(args)
        figures["seconds"] = seconds
        figures["sentences_per_second"] = args.epochs * len(read(args.train)[0]) / seconds
    else:
        sentences = read(args.file)[0]
        with clock() as passed:
            tag = load(args.folder)
            figures["loading_seconds"] = passed()
        predicted, figures["sentences_per_second"] = time_tagging(tag, sentences, args.seconds)
        figures["words_per_second"] = figures["sentences_per_second"] * sum(map(len, sentences)) / len(sentences)
        if args.predicted:
            args.predicted.write_text(json.dumps(predicted), encoding="utf-8")
    print(json.dumps(figures), flush=True)
