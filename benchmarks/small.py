"""A small tagger against the one that has taught it: F1 and words per second, in one run.

    python benchmarks/small.py --model runs/small --teacher runs/minilm

Both tag the test split with `Tagger.tag` of lists of words, in turns. Words per second are those of the clock, with the
threads that PyTorch has, and of processor time, which all threads together have used: this figure is that of one core,
and hardly depends on what else the machine does.
"""

import argparse
import time
from functools import partial

import torch
from common import (
    INTERRUPTED,
    alternate,
    column,
    describe_data,
    device_of,
    difference,
    load_corpus,
    make_parser,
    row,
    stopwatch,
    write_result,
)

from hf_tagging import Tagger
from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError
from hf_tagging.evaluation.statistics import count_sentences
from hf_tagging.models import saved_schema

CLOCK, PROCESSOR = "words_per_second", "words_per_processor_second"


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, sentences=argparse.SUPPRESS, seed=argparse.SUPPRESS)
    parser.add_argument("--teacher", required=True, help="the tagger to compare with")
    args = parser.parse_args(argv)
    for name in ("model", "teacher"):
        if saved_schema(getattr(args, name)) is None:
            raise ConfigError(f"--{name} {getattr(args, name)}: is no trained tagger. Give the folder of a run.")
    return args


def timed(tagger: Tagger, sentences: list[list[str]], device: str) -> dict[str, float]:
    words, before = sum(map(len, sentences)), time.process_time()
    with stopwatch(device) as seconds:
        tagger.tag(sentences)
        return {CLOCK: words / seconds(), PROCESSOR: words / (time.process_time() - before)}


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    device, corpus = device_of(args), load_corpus(args)
    test = corpus.dataset["test"]
    sentences = [words for words in test["tokens"] if words]
    gold = [[corpus.schema.tags[i] for i in labels] for labels in test["tags"] if labels]
    taggers = {side: Tagger.from_pretrained(getattr(args, side), device=device) for side in ("model", "teacher")}
    f1 = {side: count_sentences("ner", gold, tagger.tag(sentences)).score for side, tagger in taggers.items()}
    figures = alternate(
        {side: partial(timed, tagger, sentences, device) for side, tagger in taggers.items()}, args.rounds
    )
    lines = [difference("small tagger: NER, test F1", "its teacher", f1["model"], f1["teacher"])]
    threads = torch.get_num_threads()
    for what, figure in ((f"{threads} threads", CLOCK), ("of processor time", PROCESSOR)):
        ours, teacher = (column(figures[side], figure) for side in ("model", "teacher"))
        lines.append(row(f"small tagger: tagging, {what}", "its teacher", ours, teacher, unit="words/s"))
    write_result("small", args, lines, figures, data=describe_data(corpus, test))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
