"""Alignment against the usual loop over `word_ids()`: same sentences, same tokenizer, same labels, alternating rounds.

    python benchmarks/alignment.py [--data ../shared/data/conll2003] [--rounds 5]

Without CoNLL-2003 at --data it takes the embedded sample, repeated to as many sentences. Both sides start from lists of
words and end with input ids and labels. Tokenizing, which they share, is measured apart and taken off for the last row.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np
from transformers import AutoTokenizer

from hf_tagging import Aligner, TagSchema, load_tagging_dataset
from hf_tagging.data.alignment import label_subwords
from hf_tagging.models import resolve_model

BATCH = 1_000


def usual(tokenizer, sentences, tags):
    """The loop of the Transformers token-classification example, in its own words."""
    encoded = tokenizer(sentences, truncation=True, is_split_into_words=True)
    labels = []
    for i, row in enumerate(tags):
        previous, ids = None, []
        for word in encoded.word_ids(batch_index=i):
            ids.append(-100 if word is None or word == previous else row[word])
            previous = word
        labels.append(ids)
    return encoded["input_ids"], labels


def ours(aligner, schema, sentences, tags):
    windows = aligner.windows(sentences)
    return windows, label_subwords(windows, np.concatenate(tags), schema)


def tokenize(aligner, sentences):
    aligner.tokenizer.backend_tokenizer.encode_batch(sentences, is_pretokenized=True, add_special_tokens=False)


def timed(function, batches):
    start = time.perf_counter()
    for batch in batches:
        function(*batch)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/conll2003")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    name = args.data if Path(args.data).exists() else "sample"
    dataset = load_tagging_dataset(name, task="ner")
    schema = TagSchema.detect(dataset, task="ner")
    sentences, tags = list(dataset["train"]["tokens"]), list(dataset["train"]["tags"])
    repeat = max(1, 14_000 // len(sentences))
    sentences, tags = sentences * repeat, tags * repeat
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("minilm"))
    aligner = Aligner(tokenizer)
    batches = [(sentences[i : i + BATCH], tags[i : i + BATCH]) for i in range(0, len(sentences), BATCH)]
    rows = []
    for _ in range(args.rounds):
        loop = timed(lambda s, t: usual(tokenizer, s, t), batches)
        mine = timed(lambda s, t: ours(aligner, schema, s, t), batches)
        tokens = timed(lambda s, t: tokenize(aligner, s), batches)
        rows.append((loop, mine, tokens))
    count = len(sentences)
    loop, mine, tokens = (median(column) for column in zip(*rows, strict=True))
    ratios = sorted(loop / mine for loop, mine, _ in rows)
    print(f"{name}: {count:,} sentences, {args.rounds} rounds, medians")
    print(f"the usual loop            {count / loop:10,.0f} sentences/s")
    print(f"hf_tagging                {count / mine:10,.0f} sentences/s")
    print(f"hf_tagging once tokenized {count / max(mine - tokens, 1e-9):10,.0f} sentences/s")
    print(f"ratio {median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
