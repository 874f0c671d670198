"""Parts of a training step changed in turns, step by step, within one training: seconds of a step.

    python benchmarks/levers.py
    python benchmarks/levers.py --rounds 60 --words 60 200

One training by the recipe, in which each step is as the recipe has it or has one part changed, round after round, in
the opposite order in every other round. So all have the same weights, and batches of as many subwords. The time of a
step is what its process computes, from the batch to the optimizer's update, so that what else the machine does counts
little; with several threads it is the sum of theirs. The first rounds do not count. A figure is a median over steps,
and the range of a ratio is that of the three thirds of the training.

Masks: random bits for dropout, where PyTorch's `bernoulli_` draws a number for each element on one thread. They come
from the same generator, so that a run is resumed exactly. Attention: eager where SDPA is the default; with --words also
on sentences of so many words. Casts: each weight is cast to bfloat16 at each use, where autocast keeps it for a step.
AdamW: a loop over weights, where PyTorch's fused kernel is the default.
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
from torch import Tensor
from trainers import our_trainer
from transformers import TrainerCallback

from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError

AS_IT_IS = "the recipe as it is"
WARM_UP = 2  # rounds
_STEPS = 2**16  # of a probability, as each element gets 16 bits
_dropout = torch.nn.functional.dropout
Seconds = dict[str, list[float]]


def drop(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout with a mask of random bits: one number of 64 bits decides on four elements."""
    if not training or not 1 / _STEPS <= p < 1 or inplace:
        return _dropout(values, p, training, inplace)
    zeros = round(p * _STEPS)
    drawn = torch.empty(-(-values.numel() // 4), dtype=torch.int64, device=values.device).random_(-(2**63), None)
    bits = drawn.view(torch.int16)[: values.numel()].view(values.shape)
    return values * (bits >= zeros - _STEPS // 2).to(values.dtype).mul_(1 / (1 - zeros / _STEPS))


def bits(step: ExitStack, model: Any, optimizer: torch.optim.Optimizer) -> None:
    step.enter_context(mock.patch.object(torch.nn.functional, "dropout", drop))


def eager(step: ExitStack, model: Any, optimizer: torch.optim.Optimizer) -> None:
    model.set_attn_implementation("eager")
    step.callback(model.set_attn_implementation, "sdpa")


def both(step: ExitStack, model: Any, optimizer: torch.optim.Optimizer) -> None:
    bits(step, model, optimizer)
    eager(step, model, optimizer)


def casts(step: ExitStack, model: Any, optimizer: torch.optim.Optimizer) -> None:
    torch.set_autocast_cache_enabled(False)
    step.callback(torch.set_autocast_cache_enabled, True)


def loop(step: ExitStack, model: Any, optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        step.callback(group.update, fused=group["fused"])
        group["fused"] = False


# What a step has changed, for as long as the stack that it is given is open.
LEVERS: dict[str, Callable[[ExitStack, Any, torch.optim.Optimizer], None]] = {
    "dropout masks of random bits": bits,
    "eager attention": eager,
    "eager attention, masks of random bits": both,
    "weights cast at each use": casts,
    "AdamW in a loop": loop,
}


class Alternating(TrainerCallback):
    """Changes a part before each step, puts it back after it, and takes the time in between.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, device: str):
        self.device = device
        self.seconds: Seconds = {name: [] for name in (AS_IT_IS, *LEVERS)}
        self._step = ExitStack()
        self._side, self._began = AS_IT_IS, 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Changes a part, and starts the clock."""
        number, place = divmod(state.global_step, len(self.seconds))
        self._side = list(self.seconds)[:: -1 if number % 2 else 1][place]
        if self._side != AS_IT_IS:
            LEVERS[self._side](self._step, named["model"], named["optimizer"])
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
    clock = Alternating(device)
    steps = len(clock.seconds) * (WARM_UP + args.rounds)
    flags = ("--eval_strategy", "no", "--save_strategy", "no", "--max_steps", str(steps), "--tokens_per_batch", "768")
    options: dict[str, Any] = {"model": args.model, "device": device, "seed": args.seed, "flags": flags}
    with tempfile.TemporaryDirectory() as folder:
        trainer = our_trainer(DatasetDict(train=split), corpus.schema, folder=folder, **options)
        trainer.add_callback(clock)
        trainer.train()
    return {name: seconds[WARM_UP:] for name, seconds in clock.seconds.items()}


def compare(seconds: Seconds, where: str) -> list[dict[str, Any]]:
    """Return a line for each part: a step with it changed against a step as it is."""

    def thirds(name: str) -> list[float]:
        size = len(seconds[name]) // 3
        return [median(seconds[name][start : start + size]) for start in (0, size, len(seconds[name]) - size)]

    lines = []
    for name in LEVERS:
        line = row(
            f"step of training{where}, {name}",
            AS_IT_IS,
            thirds(name),
            thirds(AS_IT_IS),
            unit="s/step",
            less_is_better=True,
        )
        line["ours"], line["peer"] = median(seconds[name]), median(seconds[AS_IT_IS])
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
