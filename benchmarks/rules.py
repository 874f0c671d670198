"""A gazetteer beside a tagger: the time of matching its phrases against that of tagging, its memory and loading time.

    python benchmarks/rules.py --model runs/ner
    OMP_NUM_THREADS=1 python benchmarks/rules.py --model runs/ner --phrases 1000000 --sentences 1000

The phrases are the entities of the training split and, as many as are wanted, phrases of one to three words: made-up
ones and, in longer phrases, as often those of the corpus. Each is a rule. The same sentences are matched alone, tagged
by the model alone, and tagged with the rules before and after the model. Seconds are those of the processor: what else
the machine does counts little.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import psutil
from common import (
    INTERRUPTED,
    Corpus,
    alternate,
    column,
    describe_data,
    load_corpus,
    make_parser,
    positive,
    row,
    write_result,
)

from hf_tagging import Tagger
from hf_tagging.console import plain_errors
from hf_tagging.data.rows import row_starts
from hf_tagging.errors import ConfigError
from hf_tagging.models import saved_schema
from hf_tagging.rules.effects import When
from hf_tagging.rules.reading import read_rules

SYLLABLES = ("ka", "ro", "mi", "ten", "sal", "vor", "dun", "el", "ash", "ing", "ber", "ton", "lo", "qui", "na", "ux")
ALONE = "tagging by the model alone"


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--phrases", type=positive, default=1_000_000, help="of the gazetteer (1,000,000)")
    return parser.parse_args(argv)


def entities_of(corpus: Corpus) -> set[str]:
    """Return the texts of the entities of the training split."""
    split = corpus.dataset["train"]
    words, ids = [*chain(*split["tokens"])], np.concatenate([np.array(tags, np.int64) for tags in split["tags"]])
    starts, ends, _ = corpus.schema.entity_edges(ids, row_starts(np.array([*map(len, split["tokens"])])))
    edges = zip(np.flatnonzero(starts), np.flatnonzero(ends), strict=True)
    return {" ".join(words[first : last + 1]) for first, last in edges}


def write_gazetteer(path: Path, corpus: Corpus, count: int, label: str, seed: int) -> None:
    """Write rules with different phrases, a line each."""
    words = sorted({*chain(*corpus.dataset["train"]["tokens"])})
    draw = random.Random(seed)
    made_up = ["".join(draw.choices(SYLLABLES, k=draw.randint(2, 4))).capitalize() for _ in range(200_000)]
    phrases = {*sorted(entities_of(corpus))[:count]}
    while len(phrases) < count:
        more = [draw.choice(draw.choice((words, made_up))) for _ in range(draw.randint(0, 2))]
        phrases.add(" ".join([draw.choice(made_up), *more][:: draw.choice((1, -1))]))
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"label": label, "pattern": phrase}) + "\n" for phrase in sorted(phrases))


def timed(work: Callable[[], object]) -> dict[str, float]:
    began = time.process_time()
    work()
    return {"seconds": time.process_time() - began}


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    schema = saved_schema(args.model)
    if schema is None or not schema.entity_types:
        raise ConfigError(f"--model {args.model}: is no tagger of entities. Give the folder of one.")
    corpus = load_corpus(args)
    split = corpus.draw("test", args.sentences, args.seed)
    sentences = list(split["tokens"])
    tagger = Tagger.from_pretrained(args.model, device="cpu", rules=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.jsonl"
        write_gazetteer(path, corpus, args.phrases, schema.entity_types[0], args.seed)
        before = psutil.Process().memory_info().rss
        began = time.process_time()
        rules = read_rules(path, tagger.schema, cut=tagger.cutter().words)
        loading = {
            "seconds": time.process_time() - began,
            "megabytes": (psutil.Process().memory_info().rss - before) / 1e6,
        }
    print(f"loaded {len(rules):,} rules in {loading['seconds']:.1f} s, {loading['megabytes']:.0f} MB", flush=True)

    def match() -> None:
        for words in sentences:
            rules.matches(words)

    def tag(when: When | None) -> None:
        tagger.rules = None if when is None else rules
        rules.effects[:] = [effect._replace(when=when or "before") for effect in rules.effects]
        tagger.tag(sentences)

    sides = {
        "matching": lambda: timed(match),
        "tagging": lambda: timed(lambda: tag(None)),
        "before": lambda: timed(lambda: tag("before")),
        "after": lambda: timed(lambda: tag("after")),
    }
    figures = alternate(sides, args.rounds)
    seconds = {name: column(rounds, "seconds") for name, rounds in figures.items()}
    what = f"{len(rules):,} phrases"
    limited = sum(len(rules.matches(words).chosen) > 0 for words in sentences)
    print(f"rules match in {limited:,} of {len(sentences):,} sentences", flush=True)
    lines = [
        row(f"matching {what}", ALONE, seconds["matching"], seconds["tagging"], unit="s", show="agreement"),
        *(
            row(
                f"tagging with {what}, {when} the model",
                ALONE,
                seconds[when],
                seconds["tagging"],
                unit="s",
                show="growth",
            )
            for when in ("after", "before")
        ),
    ]
    args.device = "cpu"
    write_result(
        "rules",
        args,
        lines,
        {**figures, "loading": [loading], "matched": [{"sentences": limited}]},
        data=describe_data(corpus, split),
    )


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
