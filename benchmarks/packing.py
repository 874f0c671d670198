"""Rows of several windows against batches of windows of like length: forward and backward, alternating rounds.

    python benchmarks/packing.py
    python benchmarks/packing.py --data sample --model minilm --rounds 5

Every way of batching gets the same windows in a round;
printed are microseconds per real subword, padding not counted, and the ratio to batches of --tokens_per_batch subwords.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from common import load_corpus
from datasets import DatasetDict

from hf_tagging import align_dataset
from hf_tagging.console import plain_errors
from hf_tagging.data.batching import TokenBudgetBatches, WindowCollator
from hf_tagging.data.packing import PackedRows, PackingCollator
from hf_tagging.models import load_encoder
from hf_tagging.models.packing import first_position, pack_model
from hf_tagging.training.losses import word_loss

SHAPES = ((128, 6), (256, 3), (512, 2))  # subwords of a row, rows


def ways(model, pad, lengths, budget):
    """Of each way to batch: a sampler and a collator."""
    found = {f"{budget} by length": (TokenBudgetBatches(lengths, budget), WindowCollator(pad))}
    for length, rows in SHAPES:
        collate = PackingCollator(
            row_length=length, rows_per_batch=rows, pad_token_id=pad, first_position=first_position(model)
        )
        found[f"{rows} rows of {length}"] = (PackedRows(lengths, row_length=length, rows_per_batch=rows), collate)
    return found


def step(model, batch, device, bf16):
    batch = {name: values.to(device) for name, values in batch.items()}
    labels = batch.pop("labels")
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        loss = word_loss(model(**batch), labels)
    loss.backward()
    model.zero_grad()


def timed(model, batches, device, bf16):
    start = time.perf_counter()
    for batch in batches:
        step(model, batch, device, bf16)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", help="as a recipe's --dataset; default: CoNLL-2003, or the sample where it is not there"
    )
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--tokens_per_batch", type=int, default=768)
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--attention", default="sdpa", help="eager, sdpa, flex_attention or flash_attention_2")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    corpus = load_corpus(args)
    dataset, schema = DatasetDict(train=corpus.dataset["train"]), corpus.schema
    model, tokenizer = load_encoder(args.model, schema)
    model.set_attn_implementation(args.attention)
    model.to(device).train()
    pack_model(model)
    train = align_dataset(dataset, tokenizer, schema)["train"].features
    rows = np.random.default_rng(0).permutation(len(train))[: args.windows]
    windows = [train[int(row)] for row in rows]
    lengths = [len(window["input_ids"]) for window in windows]
    seconds, batches = {}, {}
    for way, (sampler, collate) in ways(model, tokenizer.pad_token_id, lengths, args.tokens_per_batch).items():
        batches[way] = [collate([windows[i] for i in batch]) for batch in sampler]
        step(model, batches[way][0], device, args.bf16)
        seconds[way] = []
    for _ in range(args.rounds):
        for way in batches:
            seconds[way].append(timed(model, batches[way], device, args.bf16))
    base = seconds[next(iter(seconds))]
    print(
        f"{corpus.name}, {len(windows)} windows of {sum(lengths):,} subwords, {args.model} on {device.type}, ", end=""
    )
    print(f"{args.attention}, {torch.get_num_threads()} threads, {'bfloat16' if args.bf16 else 'float32'}")
    print(f"{'batches of':<18}{'steps':>7}{'real':>8}{'us per subword':>16}{'ratio':>8}")
    for way, taken in seconds.items():
        ratio = median(a / b for a, b in zip(taken, base, strict=True))
        real = sum(lengths) / sum(batch["input_ids"].numel() for batch in batches[way])
        print(f"{way:<18}{len(batches[way]):>7}{real:>8.1%}{median(taken) / sum(lengths) * 1e6:>16.1f}{ratio:>8.2f}")


if __name__ == "__main__":
    with plain_errors(interrupted="Nothing is written."):
        main()
