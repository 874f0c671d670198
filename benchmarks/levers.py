"""Parts of a training step taken back in turns, step by step, within one training: seconds of a step.

    python benchmarks/levers.py
    python benchmarks/levers.py --rounds 60 --words 60 200

One training by the recipe, in which each step is as the recipe has it or has one part taken back, round after round, in
the opposite order in every other round. So all have the same weights, and batches of as many subwords. The time of a
step is what its process computes, from the batch to the optimizer's update, so that what else the machine does counts
little; with several threads it is the sum of theirs. The first rounds do not count. A figure is a median over steps,
and the range of a ratio is that of the three thirds of the training.

Masks: PyTorch's `bernoulli_`, which draws a number for each element on one thread, where the trainer's steps on a CPU
take random bits. Attention: SDPA, where they compute it eagerly; with --words also on sentences of so many words.
Casts: each weight is cast to bfloat16 at each use, where autocast keeps it for a step. AdamW: a loop over weights,
where PyTorch's fused kernel is the default.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain
from statistics import median
from typing import Any
from unittest import mock

import torch
from common import (
    INTERRUPTED,
    Corpus,
    describe_data,
    device_of,
    load_corpus,
    make_parser,
    positive,
    row,
    synchronize,
    write_result,
)
from datasets import Dataset, DatasetDict
from trainers import our_trainer
from transformers import Trainer, TrainerCallback

from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError

AS_IT_IS = "the recipe as it is"
WARM_UP = 2  # rounds
Seconds = dict[str, list[float]]
Change = Callable[[ExitStack, Trainer], None]


def stock_masks(step: ExitStack, trainer: Trainer) -> None:
    step.enter_context(mock.patch.object(trainer.cpu_steps, "dropout", torch.nn.functional.dropout))


def sdpa(step: ExitStack, trainer: Trainer) -> None:
    step.enter_context(mock.patch.object(trainer.cpu_steps, "eager_up_to", 0))


def stock_step(step: ExitStack, trainer: Trainer) -> None:
    stock_masks(step, trainer)
    sdpa(step, trainer)


def casts(step: ExitStack, trainer: Trainer) -> None:
    torch.set_autocast_cache_enabled(False)
    step.callback(torch.set_autocast_cache_enabled, True)


def loop(step: ExitStack, trainer: Trainer) -> None:
    for group in trainer.optimizer.param_groups:
        step.callback(group.update, fused=group["fused"])
        group["fused"] = False


# Take back a part of a step, for as long as the stack that they are given is open.
CHANGES: dict[str, Change] = {
    "dropout masks of PyTorch": stock_masks,
    "SDPA attention": sdpa,
    "SDPA attention, masks of PyTorch": stock_step,
    "weights cast at each use": casts,
    "AdamW in a loop": loop,
}


class Alternating(TrainerCallback):
    """Changes a part before each step, puts it back after it, and takes the time in between.

    Args:
        trainer: Of the training.
        changes: By name, what a step may have changed.
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, trainer: Trainer, changes: dict[str, Change], device: str):
        self.trainer, self.changes, self.device = trainer, changes, device
        self.seconds: Seconds = {name: [] for name in (AS_IT_IS, *changes)}
        self._step = ExitStack()
        self._side, self._began = AS_IT_IS, 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Changes a part, and starts the clock."""
        number, place = divmod(state.global_step, len(self.seconds))
        self._side = list(self.seconds)[:: -1 if number % 2 else 1][place]
        if self._side != AS_IT_IS:
            self.changes[self._side](self._step, self.trainer)
        self._began = self._now()

    def on_step_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Stops the clock, and puts the part back."""
        self.seconds[self._side].append(self._now() - self._began)
        self._step.close()

    def _now(self) -> float:
        synchronize(self.device)
        return time.process_time() if self.device == "cpu" else time.perf_counter()


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, rounds=40, sentences=argparse.SUPPRESS)
    parser.add_argument("--words", type=positive, nargs="+", default=[], help="of sentences cut anew (none)")
    args = parser.parse_args(argv)
    if args.rounds < 3:
        raise ConfigError(f"--rounds {args.rounds}: a training is told by its thirds. Give at least 3.")
    return args


def pieces(split: Dataset, words: int) -> Dataset:
    """Return a split cut anew: all its words in a row, so many to a sentence."""
    rows = {name: list(chain.from_iterable(split[name])) for name in ("tokens", "tags")}
    count = len(rows["tokens"]) // words
    if not count:
        raise ConfigError(f"--words {words}: the data has {len(rows['tokens'])} words. Give fewer.")
    cut = {name: [row[i * words : (i + 1) * words] for i in range(count)] for name, row in rows.items()}
    return Dataset.from_dict(cut | {"document_id": [0] * count}, features=split.features)


def measure(split: Dataset, corpus: Corpus, args: argparse.Namespace) -> Seconds:
    """Train with parts changed in turns; the seconds of each step that counts."""
    device = device_of(args)
    changes = {name: change for name, change in CHANGES.items() if device == "cpu" or change in (casts, loop)}
    steps = (1 + len(changes)) * (WARM_UP + args.rounds)
    flags = ("--eval_strategy", "no", "--save_strategy", "no", "--max_steps", str(steps), "--tokens_per_batch", "768")
    options: dict[str, Any] = {"model": args.model, "device": device, "seed": args.seed, "flags": flags}
    with tempfile.TemporaryDirectory() as folder:
        trainer = our_trainer(DatasetDict(train=split), corpus.schema, folder=folder, **options)
        clock = Alternating(trainer, changes, device)
        trainer.add_callback(clock)
        trainer.train()
    return {name: seconds[WARM_UP:] for name, seconds in clock.seconds.items()}


def compare(seconds: Seconds, where: str) -> list[dict[str, Any]]:
    """Return a line for each part: a step as it is against a step with that part taken back."""

    def thirds(name: str) -> list[float]:
        size = len(seconds[name]) // 3
        return [median(seconds[name][start : start + size]) for start in (0, size, len(seconds[name]) - size)]

    lines = []
    for name in (name for name in seconds if name != AS_IT_IS):
        figures = (thirds(AS_IT_IS), thirds(name))
        line = row(f"step of training{where}", name, *figures, unit="s/step", less_is_better=True)
        line["ours"], line["peer"] = median(seconds[AS_IT_IS]), median(seconds[name])
        lines.append(line)
    return lines


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    corpus = load_corpus(args)
    train = corpus.dataset["train"]
    figures, lines = {}, []
    for words in (None, *args.words):
        where = f", sentences of {words} words" if words else ""
        figures[f"all{where}"] = measure(pieces(train, words) if words else train, corpus, args)
        lines += compare(figures[f"all{where}"], where)
    write_result("levers", args, lines, figures, data=describe_data(corpus, train))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
