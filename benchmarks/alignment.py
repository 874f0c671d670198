"""Alignment and collation against the usual loop over `word_ids()` and `DataCollatorForTokenClassification`.

    python benchmarks/alignment.py
    python benchmarks/alignment.py --sentences 2000 --batch 8

Both sides start from a dataset of words and tags in memory, write features as training reads them (`align_split`, and
`Dataset.map` over the loop of the Transformers course), and read them back as batch tensors, in the same batches in the
same order. Tokenizing is in both; that of whole sentences alone is told beside them, as what the peer cannot go below.
"""

import argparse
from functools import partial
from statistics import median

import numpy as np
from common import (
    INTERRUPTED,
    alternate,
    column,
    describe_data,
    load_corpus,
    make_parser,
    positive,
    row,
    stopwatch,
    write_result,
)
from datasets import Dataset
from trainers import usual_features
from transformers import AutoTokenizer, DataCollatorForTokenClassification, PreTrainedTokenizerBase

from hf_tagging import Aligner, TagSchema
from hf_tagging.console import plain_errors
from hf_tagging.data import WindowCollator, align_split
from hf_tagging.data.batching import WindowRows
from hf_tagging.models import resolve_model

USUAL, OURS, SHARED = "the usual loop and collator", "ours", "tokenizing of whole sentences"


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, rounds=5, sentences=14_000, device=argparse.SUPPRESS)
    parser.set_defaults(device="cpu")
    parser.add_argument("--batch", type=positive, default=32, help="sentences per batch (32)")
    return parser.parse_args(argv)


def batches_of(rows: int, size: int, seed: int) -> list[list[int]]:
    """Numbers of rows in batches, in an order drawn with a seed."""
    order = np.random.default_rng(seed).permutation(rows).tolist()
    return [order[i : i + size] for i in range(0, rows, size)]


def run_usual(split: Dataset, tokenizer: PreTrainedTokenizerBase, args: argparse.Namespace) -> dict[str, float]:
    collate = DataCollatorForTokenClassification(tokenizer)
    with stopwatch() as seconds:
        features = usual_features(split, tokenizer)
        aligned = seconds()
        for rows in batches_of(len(features), args.batch, args.seed):
            collate(features.__getitems__(rows))  # as PyTorch's loader fetches them
        return {"alignment": aligned, "collation": seconds() - aligned}


def run_ours(split: Dataset, aligner: Aligner, schema: TagSchema, args: argparse.Namespace) -> dict[str, float]:
    collate = WindowCollator(aligner.tokenizer.pad_token_id or 0)
    with stopwatch() as seconds:
        features = WindowRows(align_split(split, aligner, schema).features)
        aligned = seconds()
        for rows in batches_of(len(features), args.batch, args.seed):
            collate(features.__getitems__(rows))
        return {"alignment": aligned, "collation": seconds() - aligned}


def run_tokenizer(sentences: list[list[str]], tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
    backend = tokenizer.backend_tokenizer
    with stopwatch() as seconds:
        for i in range(0, len(sentences), 1000):  # as many at a time as `Dataset.map` hands to both sides
            backend.encode_batch(sentences[i : i + 1000], is_pretokenized=True, add_special_tokens=False)
        return {SHARED: seconds()}


def compare(count: int, figures: dict[str, list[dict[str, float]]]) -> list[dict]:
    """Return the lines of the result.

    Args:
        count: Of sentences.
        figures: Per side the seconds of each round.
    """
    lines = []
    alignment, collation = (
        {side: column(figures[side], part) for side in (OURS, USUAL)} for part in ("alignment", "collation")
    )
    whole = {side: [a + b for a, b in zip(alignment[side], collation[side], strict=True)] for side in (OURS, USUAL)}
    for what, seconds in (("alignment", alignment), ("collation", collation), ("words to batch tensors", whole)):
        ours, usual = ([count / x for x in seconds[side]] for side in (OURS, USUAL))
        lines.append(row(what, USUAL, ours, usual))
    print(f"{SHARED}: {count / median(column(figures[SHARED], SHARED)):,.0f} sentences/s")
    return lines


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    corpus = load_corpus(args)
    split = corpus.draw("train", args.sentences, args.seed)
    tokenizers = [AutoTokenizer.from_pretrained(resolve_model(args.model)) for _ in range(2)]
    aligner = Aligner(tokenizers[0])  # which prepares its tokenizer for words; the peer has one of its own
    sides = {
        OURS: partial(run_ours, split, aligner, corpus.schema, args),
        USUAL: partial(run_usual, split, tokenizers[1], args),
        SHARED: partial(run_tokenizer, list(split["tokens"]), tokenizers[1]),
    }
    figures = alternate(sides, args.rounds)
    write_result("alignment", args, compare(len(split), figures), figures, data=describe_data(corpus, split))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
