"""Training against the stock Trainer: sentences per second, and the share of the machine's matrix-multiply rate.

    python benchmarks/training.py
    python benchmarks/training.py --sentences 3000 --rounds 5
    python benchmarks/training.py --ours bf16=false tokens_per_batch=2048 --stock_bf16

Ours is `TaggingTrainer` with the defaults of `recipes/ner_bert.py`, which write case markers for an encoder that reads
no capital letters, and without these; the peer is `Trainer` with
`DataCollatorForTokenClassification` and its own defaults, in batches of 8 and of 32. Same sentences, same weights, same
seed, one epoch, no evaluation, nothing saved; loading and aligning the data is not in it (benchmarks/alignment.py).
The first steps of every side do not count.

The share is 6 x parameters x subwords per second, embeddings and padding left out, by what matrix multiplication
alone reaches in the same round, in float32 and in the type that a side multiplies in.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

from common import (
    INTERRUPTED,
    alternate,
    column,
    describe_data,
    device_of,
    load_corpus,
    make_parser,
    parameters_of_matrices,
    positive,
    probe,
    row,
    share_of_rate,
    write_result,
)
from datasets import DatasetDict
from trainers import ONE_EPOCH, Counting, our_trainer, stock_trainer

from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError

_DTYPES = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--stock_batch", type=positive, nargs="+", default=[8, 32], help="the peer's batches (8 32)")
    parser.add_argument("--stock_bf16", action="store_true", help="the peer in mixed precision besides")
    parser.add_argument("--ours", nargs="+", default=[], metavar="NAME=VALUE", help="further flags of our recipe")
    parser.add_argument("--warm_up", type=int, default=3, help="steps that do not count (3)")
    return parser.parse_args(argv)


def recipe_flags(given: list[str]) -> list[str]:
    """``name=value`` as the flags of a recipe."""
    wrong = [pair for pair in given if "=" not in pair]
    if wrong:
        raise ConfigError(f"--ours {wrong[0]}: expected name=value, such as tokens_per_batch=1024.")
    return [f"--{pair}" for pair in given]


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    device, extra = device_of(args), recipe_flags(args.ours)
    corpus = load_corpus(args)
    train = corpus.draw("train", args.sentences, args.seed)
    dataset = DatasetDict(train=train)
    sizes, dtypes = {}, {}

    def run(build: Callable[..., Counting], name: str, **options: Any) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            trainer = build(
                dataset, corpus.schema, model=args.model, device=device, seed=args.seed, folder=folder, **options
            )
            sizes[name] = parameters_of_matrices(trainer.model)
            dtypes[name] = _DTYPES[trainer.args.mixed_precision]
            return trainer.train_timed(args.warm_up)

    stock = {
        f"stock Trainer, batch {n}" + ", bf16" * bf16: {"per_device_train_batch_size": n, "bf16": bf16}
        for bf16 in (False, True)[: 1 + args.stock_bf16]
        for n in args.stock_batch
    }
    ours = {"training": extra, "training, without case markers": [*extra, "--casing=none"]}
    sides = {name: partial(run, our_trainer, name, flags=(*ONE_EPOCH, *flags)) for name, flags in ours.items()} | {
        name: partial(run, stock_trainer, name, num_train_epochs=1, **options) for name, options in stock.items()
    }
    figures = alternate({**sides, "matrix multiplication": lambda: probe(device)}, args.rounds)
    speed = {name: column(figures[name], "sentences_per_second") for name in sides}
    lines = [row(what, name, speed[what], speed[name]) for what in ours for name in stock]
    for name in sides:
        operations = [6 * sizes[name] * x for x in column(figures[name], "subwords_per_second")]
        for dtype in dict.fromkeys(["float32", dtypes[name]]):
            what = name if name in ours else f"training, {name}"
            lines.append(share_of_rate(what, operations, figures["matrix multiplication"], dtype))
    write_result("training", args, lines, figures, data=describe_data(corpus, train))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
