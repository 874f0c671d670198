"""Training of the embedding rows that the data uses against training of all rows: time of a step, and memory.

    python benchmarks/compact.py
    python benchmarks/compact.py --data sample --rounds 1 --steps 3 --large_steps 1

Two encoders, both on the windows of the whole data, in steps of 768 subwords: the given one, and one of the shape of
XLM-R base with weights drawn at random, whose 250,002 rows are looked up by the ids of the given one's tokenizer. Both
sides take the same steps from the same weights; the first two do not count. On a CPU the time of a step is what its
process computes, which other processes change less than the time that passes. What gradients and optimizer take is
counted from their tensors. The peak is the most that the process has held while it trained, everything else included
(Linux alone tells it; on a GPU, what tensors have held there).
"""

import argparse
import ctypes
import tempfile
import time
from contextlib import suppress
from functools import partial
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
    synchronize,
    write_result,
)
from torch import nn
from transformers import (
    PreTrainedTokenizerBase,
    TrainerCallback,
    XLMRobertaConfig,
    XLMRobertaForTokenClassification,
    set_seed,
)

from hf_tagging import TaggingConfig, align_dataset
from hf_tagging.console import plain_errors
from hf_tagging.data import TagSchema
from hf_tagging.data.aligned import AlignedSplit
from hf_tagging.models import load_encoder
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training.environment import peak_memory

LARGE = "XLM-R's shape"
SIDES = {"on": "rows of the data", "off": "all rows"}
WARM_UP = 2
_PEAK = Path("/proc/self/clear_refs")


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, sentences=argparse.SUPPRESS)
    parser.add_argument("--steps", type=positive, default=20, help="of the given encoder that count (20)")
    parser.add_argument("--large_steps", type=positive, default=3, help=f"of {LARGE} that count (3)")
    parser.add_argument("--rows", type=positive, default=250_002, help=f"of {LARGE} (250,002)")
    parser.add_argument("--layers", type=positive, default=12, help=f"of {LARGE} (12)")
    return parser.parse_args(argv)


def of_shape(schema: TagSchema, tokenizer: PreTrainedTokenizerBase, args: argparse.Namespace) -> nn.Module:
    """Return an encoder of the shape of XLM-R base; its rows are for the ids of another tokenizer."""
    sizes = {"vocab_size": args.rows, "max_position_embeddings": 514, "num_hidden_layers": args.layers}
    config = XLMRobertaConfig(**sizes, pad_token_id=tokenizer.pad_token_id, type_vocab_size=1)
    config.id2label, config.label2id = schema.id2label, schema.label2id
    return XLMRobertaForTokenClassification(config)


class Clock(TrainerCallback):
    """Notes the time after every step: of a CPU what the process has computed, of a GPU what has passed."""

    def __init__(self, device: str):
        self.device = device
        self.times: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Notes it."""
        synchronize(self.device)
        self.times.append(time.process_time() if self.device == "cpu" else time.perf_counter())


def train(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    splits: dict[str, AlignedSplit],
    compact: str,
    *,
    steps: int,
    args: argparse.Namespace,
) -> dict[str, float]:
    """Train by one side for some steps."""
    device = device_of(args)
    with tempfile.TemporaryDirectory() as folder:
        training = TaggingConfig(
            output_dir=folder,
            compact_vocabulary=compact,
            max_steps=WARM_UP + steps,
            tokens_per_batch=768,
            eval_strategy="no",
            save_strategy="no",
            use_cpu=device == "cpu",
            seed=args.seed,
            disable_tqdm=True,
        )
        trainer = TaggingTrainer(
            model=model,
            args=training,
            train_dataset=splits["train"],
            eval_dataset=splits.get("validation"),
            processing_class=tokenizer,
            task="ner",
        )
        clock = Clock(device)
        trainer.add_callback(clock)
        measures_peak = forget_peak(device)
        trainer.train()
    peak = peak_memory()["gpu" if device == "cuda" else "process"] if measures_peak else 0
    return {
        "seconds_per_step": (clock.times[-1] - clock.times[WARM_UP - 1]) / steps,
        "megabytes_of_step": kept(trainer.optimizer) / 1e6,
        "peak_megabytes": peak / 1e6,
    }


def forget_peak(device: str) -> bool:
    """Count the peak of memory from now on; False where that cannot be done."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return True
    if not _PEAK.exists():
        return False
    with suppress(OSError, AttributeError):  # of other C libraries
        ctypes.CDLL(None).malloc_trim(0)  # what the side before has freed
    _PEAK.write_text("5")
    return True


def kept(optimizer: torch.optim.Optimizer) -> int:
    """Return the bytes of the gradients and of what an optimizer keeps."""
    gradients = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments = [value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    return sum(tensor.numel() * tensor.element_size() for tensor in (*gradients, *moments))


def compare(name: str, figures: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """Return the lines of an encoder: its speed, its gradients and optimizer, its peak."""
    ours, peer = (figures[f"{name}, {side}"] for side in SIDES.values())
    measured = {
        f"step of training, {name}": ("seconds_per_step", "s/step"),
        f"memory of gradients and optimizer, {name}": ("megabytes_of_step", "MB"),
        f"peak memory, {name}": ("peak_megabytes", "MB"),
    }
    return [
        row(what, SIDES["off"], column(ours, figure), column(peer, figure), unit=unit, less_is_better=True)
        for what, (figure, unit) in measured.items()
        if all(column(ours, figure))
    ]


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    corpus = load_corpus(args)
    _, tokenizer = load_encoder(args.model, corpus.schema)
    splits = align_dataset(corpus.dataset, tokenizer, corpus.schema)

    def run(compact: str, *, large: bool) -> dict[str, float]:
        set_seed(args.seed)
        model = of_shape(corpus.schema, tokenizer, args) if large else load_encoder(args.model, corpus.schema)[0]
        steps = args.large_steps if large else args.steps
        return train(model, tokenizer, splits, compact, steps=steps, args=args)

    shapes = {Path(args.model).name: False, LARGE: True}
    sides = {
        f"{name}, {side}": partial(run, compact, large=large)
        for name, large in shapes.items()
        for compact, side in SIDES.items()
    }
    figures = alternate(sides, args.rounds)
    lines = [line for name in shapes for line in compare(name, figures)]
    write_result("compact", args, lines, figures, data=describe_data(corpus, corpus.dataset["train"]))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
