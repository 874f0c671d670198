"""Annotating with suggestions against annotating at random: F1 after each round, over seeds.

    python benchmarks/annotate.py
    python benchmarks/annotate.py --by uncertainty diversity --seeds 1 --epochs 4

The gold tags play the annotator. Each seed draws a pool of sentences from the training split, of which the first ones
are annotated. A tagger is trained on them from the encoder, for some epochs and at least some steps, and scored on the
test split. Then a round adds sentences: the next ones of the draw, or those that `suggest_texts` chooses with the
tagger of the round before. What a round costs an annotator is told in words, too: suggested sentences are longer.
"""

import argparse
import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from common import (
    INTERRUPTED,
    Corpus,
    describe_data,
    device_of,
    difference,
    load_corpus,
    make_parser,
    positive,
    stopwatch,
    write_result,
)
from datasets import Dataset
from transformers.utils import logging as transformers_logging

from hf_tagging import EncoderConfig, Tagger, TaggingConfig, TaggingTrainer
from hf_tagging.atomic import write_json
from hf_tagging.console import plain_errors
from hf_tagging.data.formats.word_documents import document_of_words
from hf_tagging.errors import ConfigError
from hf_tagging.evaluation.statistics import count_sentences
from hf_tagging.inference import suggest_texts

RANDOM = "random"
BATCH = 256  # subwords
Point = dict[str, Any]
Trained = tuple[Tagger, Point]
Choice = Callable[[Tagger, list[int]], list[int]]


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, sentences=1000, rounds=5, seed=argparse.SUPPRESS)
    parser.add_argument("--by", nargs="+", default=["uncertainty"], help="ways to suggest (uncertainty)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of pools and trainings (1 2 3)")
    parser.add_argument("--start", type=positive, default=50, help="sentences annotated at the start (50)")
    parser.add_argument("--add", type=positive, default=50, help="sentences per round (50)")
    parser.add_argument("--epochs", type=positive, default=8, help="of each training (8)")
    parser.add_argument("--steps", type=positive, default=80, help="at least, of each training (80)")
    parser.add_argument("--freeze_layers", type=int, default=3, help="lower layers that are not trained (3)")
    parser.add_argument("--tested", type=positive, default=500, help="sentences of the test split (500)")
    parser.add_argument("--work", type=Path, metavar="DIR", help="folder of finished seeds, which are not repeated")
    return parser.parse_args(argv)


def train(pool: Dataset, places: Sequence[int], args: argparse.Namespace, seed: int, folder: str) -> TaggingTrainer:
    """Train a tagger on some sentences of the pool, from the encoder."""
    chosen = pool.select(places)
    # A word of CoNLL-2003 is about one and a half subwords.
    steps = max(args.steps, round(args.epochs * 1.5 * sum(map(len, chosen["tokens"])) / BATCH))
    config = TaggingConfig(
        output_dir=folder,
        overwrite=True,
        max_steps=steps,
        tokens_per_batch=BATCH,
        learning_rate=3e-4,
        eval_strategy="no",
        save_strategy="no",
        load_best_model_at_end=False,
        seed=seed,
        use_cpu=device_of(args) == "cpu",
        disable_tqdm=True,
    )
    trainer = TaggingTrainer(
        EncoderConfig(model=args.model, freeze_layers=args.freeze_layers), args=config, train_dataset=chosen, task="ner"
    )
    trainer.train()
    return trainer


def by_chance(args: argparse.Namespace) -> Choice:
    """Return the choice of the next sentences in the order that they were drawn in."""
    return lambda tagger, left: left[: args.add]


def suggested(by: Any, pool: Dataset, args: argparse.Namespace, seed: int) -> Choice:
    """Return the choice of the sentences that a tagger suggests."""
    words = list(pool["tokens"])

    def choose(tagger: Tagger, left: list[int]) -> list[int]:
        documents = [document_of_words([words[place]], [], id=str(place)) for place in left]
        done = [" ".join(words[place]) for place in sorted({*range(len(words))} - {*left})]
        found = suggest_texts(tagger, documents, number=args.add, by=by, annotated=done, seed=seed)
        return [int(suggestion.document.id or 0) for suggestion in found.chosen]

    return choose


def trained(
    corpus: Corpus, pool: Dataset, done: Sequence[int], test: Dataset, args: argparse.Namespace, seed: int
) -> Trained:
    """Train a tagger on what is annotated, and return it with its figures."""
    with tempfile.TemporaryDirectory() as folder, stopwatch() as seconds:
        tagger = train(pool, done, args, seed, f"{folder}/run").tagger()
        point = scored(corpus, pool, done, test, tagger) | {"seconds": seconds()}
    print(f"seed {seed}: {point}", flush=True)
    return tagger, point


def loop(
    begin: tuple[Tagger, Point],
    choose: Choice,
    train: Callable[[list[int]], tuple[Tagger, Point]],
    args: Any,
    pool: int,
) -> list[Point]:
    """Choose, annotate and train, round by round; return the figures of each, the start included.

    Args:
        begin: Tagger and figures of the start.
        choose: Returns the next sentences to annotate.
        train: Trains a tagger on what is annotated.
        args: Flags.
        pool: Number of sentences.
    """
    done = list(range(args.start))
    tagger, points = begin[0], [begin[1]]
    for _ in range(args.rounds):
        done += choose(tagger, [place for place in range(pool) if place not in {*done}])
        tagger, point = train(done)
        points.append(point)
    return points


def scored(corpus: Corpus, pool: Dataset, done: Sequence[int], test: Dataset, tagger: Tagger) -> Point:
    """Return the F1 of a tagger on the test sentences, and what was annotated for it."""
    tags = corpus.schema.tags
    gold = [[tags[i] for i in row] for row in test["tags"]]
    counts = count_sentences("ner", gold, list(tagger.tag_stream(test["tokens"])))
    annotated = pool.select(done)
    entities = sum(tags[i].startswith("B-") for row in annotated["tags"] for i in row)
    words = sum(map(len, annotated["tokens"]))
    return {"sentences": len(done), "words": words, "entities": entities, "f1": counts.score}


def simulated(corpus: Corpus, test: Dataset, args: argparse.Namespace, seed: int) -> dict[str, list[Point]]:
    """Return the figures of each way for a seed: of an earlier call with the same arguments, or of a simulation.

    Raises:
        ConfigError: The earlier call had other arguments.
    """
    path = args.work / f"seed-{seed}.json" if args.work else None
    asked = {name: value for name, value in vars(args).items() if name not in ("seeds", "output", "work", "data")}
    asked |= {"data": corpus.name}
    if path is not None and path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["arguments"] != asked:
            raise ConfigError(f"{path}: was asked for with {kept['arguments']}. Give another --work.")
        print(f"seed {seed}: finished before", flush=True)
        return dict(kept["figures"])
    torch.manual_seed(seed)
    np.random.seed(seed)
    pool = corpus.draw("train", args.sentences, seed)
    begin = trained(corpus, pool, range(args.start), test, args, seed)
    figures = {}
    for name in (RANDOM, *args.by):
        choose = by_chance(args) if name == RANDOM else suggested(name, pool, args, seed)
        again = partial(trained, corpus, pool, test=test, args=args, seed=seed)
        figures[name] = loop(begin, choose, again, args, len(pool))
    if path is not None:
        write_json(path, {"arguments": asked, "figures": figures})
    return figures


def lines_of(figures: dict[str, list[list[Point]]], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a line for each way and round: mean F1 over seeds against that of chance."""
    lines = []
    for name in args.by:
        for number in range(args.rounds + 1):
            ours, peer = ([seed[number]["f1"] for seed in figures[side]] for side in (name, RANDOM))
            what = f"{args.start + number * args.add} sentences by {name}, test F1, {len(args.seeds)} seeds"
            spread = {"deviations": [stdev(side) if len(side) > 1 else 0.0 for side in (ours, peer)]}
            by_seed = {"by_seed": [one - other for one, other in zip(ours, peer, strict=True)]}
            lines.append(difference(what, RANDOM, mean(ours), mean(peer)) | spread | by_seed)
    return lines


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    transformers_logging.set_verbosity_error()
    logging.getLogger("hf_tagging").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    corpus = load_corpus(args)
    test = corpus.draw("test", args.tested, 0)
    data = describe_data(corpus, corpus.dataset["train"]) | {"pool": args.sentences, "tested": args.tested}
    figures: dict[str, list[list[Point]]] = {name: [] for name in (RANDOM, *args.by)}
    for seed in args.seeds:
        for name, points in simulated(corpus, test, args, seed).items():
            figures[name].append(points)
    write_result("annotate", args, lines_of(figures, args), figures, data=data)


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
