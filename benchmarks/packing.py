"""Rows of several windows against batches of windows of like length: forward and backward, as training does both.

    python benchmarks/packing.py
    python benchmarks/packing.py --data sample --model minilm --rounds 3 --float32

Every way of batching gets the same windows in a round. Real subwords count, padding does not; how many of the computed
positions are real stands beside each way. The optimizer's step, which all ways need as often as they have batches, is
left out. It is in bfloat16 where the device computes so by itself, as a run is.
"""

import argparse
from functools import partial
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
from datasets import DatasetDict
from torch import nn

from hf_tagging import align_dataset
from hf_tagging.console import plain_errors
from hf_tagging.data.batching import TokenBudgetBatches, WindowCollator
from hf_tagging.data.packing import PackedRows, PackingCollator
from hf_tagging.devices import computes_bfloat16
from hf_tagging.models import load_encoder
from hf_tagging.models.packing import first_position, pack_model
from hf_tagging.training.losses import word_loss

ROWS = (128, 256, 512)  # subwords
BY_LENGTH = "batches by length"
Batch = dict[str, torch.Tensor]


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, sentences=400)
    parser.add_argument("--tokens_per_batch", type=positive, default=768, help="of a batch; in rows, the nearest (768)")
    parser.add_argument("--rows", type=positive, nargs="+", default=ROWS, help="subwords of a row (128 256 512)")
    parser.add_argument("--attention", default="sdpa", help="eager, sdpa, flex_attention or flash_attention_2 (sdpa)")
    parser.add_argument("--float32", action="store_true", help="and not bfloat16, whatever the device computes in")
    return parser.parse_args(argv)


def batch_all(windows: list[dict[str, Any]], model: Any, pad: int, args: argparse.Namespace) -> dict[str, list[Batch]]:
    """Return the windows in batches, by the name of the way to batch them."""
    lengths = [len(window["input_ids"]) for window in windows]
    ways: dict[str, tuple[Any, Any]] = {
        BY_LENGTH: (TokenBudgetBatches(lengths, args.tokens_per_batch), WindowCollator(pad))
    }
    for length in args.rows:
        shape = {"row_length": length, "rows_per_batch": max(1, round(args.tokens_per_batch / length))}
        collate = PackingCollator(pad_token_id=pad, first_position=first_position(model), **shape)
        ways[f"rows of {length}"] = (PackedRows(lengths, **shape), collate)
    return {
        way: [collate([windows[i] for i in batch]) for batch in sampler] for way, (sampler, collate) in ways.items()
    }


def run(batches: list[Batch], model: nn.Module, subwords: int, device: str, *, half: bool) -> dict[str, float]:
    """Passes all batches forward and backward; subwords a second."""
    with stopwatch(device) as seconds:
        for batch in batches:
            inputs = {name: values.to(device) for name, values in batch.items()}
            labels = inputs.pop("labels")
            with torch.autocast(device, torch.bfloat16, enabled=half):
                loss = word_loss(model(**inputs), labels)
            loss.backward()
            model.zero_grad()
        return {"subwords_per_second": subwords / seconds()}


def compare(figures: dict[str, list[dict[str, float]]], real: dict[str, float]) -> list[dict[str, Any]]:
    """Return the lines of the result.

    Args:
        figures: Per way those of each round.
        real: Per way the share of computed positions that hold a subword.
    """
    speeds = {way: column(rounds, "subwords_per_second") for way, rounds in figures.items()}
    peer = speeds.pop(BY_LENGTH)
    shares = {way: f"{100 * share:.0f} % real" for way, share in real.items()}
    return [
        row(f"packing, {way} ({shares[way]})", BY_LENGTH, speed, peer, unit="subwords/s", note=shares[BY_LENGTH])
        for way, speed in speeds.items()
    ]


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    device, corpus = device_of(args), load_corpus(args)
    half = not args.float32 and computes_bfloat16(on_cpu=device == "cpu")
    split = corpus.draw("train", args.sentences, args.seed)
    model, tokenizer = load_encoder(args.model, corpus.schema, attn_implementation=args.attention)
    model.to(device).train()
    pack_model(model)
    tokenizer.model_max_length = min(tokenizer.model_max_length, *args.rows)  # a window has to fit every row
    features = align_dataset(DatasetDict(train=split), tokenizer, corpus.schema)["train"].features
    windows = [features[i] for i in range(len(features))]
    subwords = sum(len(window["input_ids"]) for window in windows)
    batches = batch_all(windows, model, tokenizer.pad_token_id, args)
    for each in batches.values():
        run(each, model, subwords, device, half=half)  # the first of a shape is slow
    sides = {way: partial(run, each, model, subwords, device, half=half) for way, each in batches.items()}
    figures = alternate(sides, args.rounds)
    real = {way: subwords / sum(batch["input_ids"].numel() for batch in each) for way, each in batches.items()}
    write_result("packing", args, compare(figures, real), figures, data=describe_data(corpus, split))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
