"""Annotation errors: how many of those that were put into the data the report's ranking finds, against plain scores.

    python benchmarks/suspects.py --run runs/ner --data PATH
    python benchmarks/suspects.py --run runs/ner --data sample --share 0.05 --seeds 1 2 3

The run's tagger has been trained on the train split and reads the validation split. Errors are put into the entities of
that split until a share of its tags has changed, of the kinds that annotators make: an entity overlooked, another type,
one word too few or too many, and a word with a capital letter marked that is none. Every word is then ranked by how
doubtful its tag is.

Both rank the words whose tag the model contradicts, the others come last. Ours is the ranking of the report
(`hf_tagging.analysis.suspects`), by the probability of the given tag. The peer is cleanlab's normalised margin. Average
precision is 1 where all changed tags come first.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from cleanlab.rank import get_label_quality_scores
from common import (
    INTERRUPTED,
    Corpus,
    column,
    describe_data,
    difference,
    load_corpus,
    make_parser,
    write_result,
)
from sklearn.metrics import average_precision_score

from hf_tagging import Tagger
from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.rereading import reread
from hf_tagging.analysis.suspects import rank_doubts
from hf_tagging.console import plain_errors
from hf_tagging.evaluation.metrics import get_entities

KINDS = {"overlooked": 0.4, "other type": 0.25, "one word less or more": 0.25, "no entity": 0.1}
PEER = "cleanlab, normalised margin"
FIRST = 0.1  # of the words
Entity = tuple[str, int, int]  # type, first and last word


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, model=argparse.SUPPRESS, rounds=argparse.SUPPRESS, seed=argparse.SUPPRESS)
    parser.add_argument("--run", type=Path, required=True, help="folder of a run that was trained on the train split")
    parser.add_argument("--share", type=float, default=0.05, help="of the tags that are changed (0.05)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the errors (1 2 3)")
    parser.set_defaults(sentences=None)
    return parser.parse_args(argv)


# The errors


def spoil(words: Sequence[list[str]], tags: Sequence[list[str]], share: float, seed: int) -> list[list[str]]:
    """Return tags of which a share is wrong, in the ways of annotators.

    Args:
        words: (sentences, words)
        tags: In IOB2. (sentences, words)
        share: Of the tags that differ afterwards, about.
        seed: Of what is drawn.
    """
    rng = np.random.default_rng(seed)
    types = sorted({name for sentence in tags for name, _, _ in get_entities(sentence)})
    entities = [get_entities(sentence) for sentence in tags]
    spoiled, changed, wanted = [list(s) for s in tags], 0, share * sum(map(len, tags))
    order = rng.permutation([i for i, sentence in enumerate(words) if sentence])
    for i in np.resize(order, 4 * len(order)).tolist():  # a sentence may get several
        if changed >= wanted:
            break
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        wrong = _CHANGES[kind](entities[i], words[i], types, rng)
        if wrong is not None:
            entities[i] = wrong
            changed -= differences(spoiled[i], tags[i])
            spoiled[i] = write(wrong, len(words[i]))
            changed += differences(spoiled[i], tags[i])
    return spoiled


def differences(tags: Sequence[str], others: Sequence[str]) -> int:
    """Return how many words have another tag."""
    return sum(a != b for a, b in zip(tags, others, strict=True))


def write(entities: Sequence[Entity], length: int) -> list[str]:
    """Return the tags of entities in IOB2."""
    tags = ["O"] * length
    for name, first, last in entities:
        tags[first : last + 1] = [f"B-{name}", *[f"I-{name}"] * (last - first)]
    return tags


def _overlook(entities: list[Entity], words: list[str], types: list[str], rng: Any) -> list[Entity] | None:
    if not entities:
        return None
    gone = rng.integers(len(entities))
    return [entity for i, entity in enumerate(entities) if i != gone]


def _retype(entities: list[Entity], words: list[str], types: list[str], rng: Any) -> list[Entity] | None:
    if not entities or len(types) < 2:
        return None
    at = rng.integers(len(entities))
    name, first, last = entities[at]
    other = str(rng.choice([t for t in types if t != name]))
    return [*entities[:at], (other, first, last), *entities[at + 1 :]]


def _move_bound(entities: list[Entity], words: list[str], types: list[str], rng: Any) -> list[Entity] | None:
    if not entities:
        return None
    at = rng.integers(len(entities))
    name, first, last = entities[at]
    taken = {i for _, a, b in entities for i in range(a, b + 1)}
    choices = [(first - 1, last), (first, last + 1)] + ([(first + 1, last), (first, last - 1)] if last > first else [])
    legal = [
        (a, b) for a, b in choices
        if a >= 0 and b < len(words) and not {a, b} & (taken - set(range(first, last + 1)))
    ]  # fmt: skip
    if not legal:
        return None
    a, b = legal[rng.integers(len(legal))]
    return [*entities[:at], (name, a, b), *entities[at + 1 :]]


def _invent(entities: list[Entity], words: list[str], types: list[str], rng: Any) -> list[Entity] | None:
    taken = {i for _, a, b in entities for i in range(a, b + 1)}
    free = [i for i, word in enumerate(words) if i not in taken and word[:1].isupper()]
    if not free:
        return None
    at = int(rng.choice(free))
    return sorted([*entities, (str(rng.choice(types)), at, at)], key=lambda entity: entity[1])


_CHANGES: dict[str, Callable[..., list[Entity] | None]] = dict(
    zip(KINDS, (_overlook, _retype, _move_bound, _invent), strict=True)
)


# The rankings


def doubts(
    words: Sequence[list[str]], tags: Sequence[list[str]], probabilities: Sequence[np.ndarray], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return by ranking how doubtful each word's tag is, more for a higher number. (words,) each"""
    predicted = [[names[i] for i in p.argmax(-1)] for p in probabilities]
    reading = reread(Answers("ner", list(words), list(tags), predicted), names, probabilities)
    ours, margin = np.full((2, len(reading.labels)), -1.0)
    numbers, scores = rank_doubts(reading)
    ours[numbers] = 1 - scores
    margin[reading.doubted] = 1 - get_label_quality_scores(
        reading.gold, reading.probabilities, method="normalized_margin"
    )
    return {"ours": ours, PEER: margin}


def measure(doubtful: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Return the average precision of a ranking, and the share of the errors in its first tenth. (words,) each"""
    first = np.argsort(-doubtful, kind="stable")[: int(FIRST * len(wrong))]
    return {
        "average_precision": float(average_precision_score(wrong, doubtful)),
        "first": float(wrong[first].sum() / max(wrong.sum(), 1)),
    }


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    corpus: Corpus = load_corpus(args)
    tagger = Tagger.from_pretrained(str(args.run))
    split = corpus.dataset["validation"]
    rows = [row for row in split if row["tokens"]]
    words = [row["tokens"] for row in rows]
    gold = [[corpus.schema.tags[i] for i in row["tags"]] for row in rows]
    probabilities = tagger.probabilities(words)
    figures: dict[str, list[dict[str, float]]] = {"ours": [], PEER: []}
    for seed in args.seeds:
        tags = spoil(words, gold, args.share, seed)
        wrong = np.array(list(chain(*tags))) != np.array(list(chain(*gold)))
        print(f"seed {seed}: {wrong.mean():.1%} of {len(wrong):,} tags changed", flush=True)
        for side, doubtful in doubts(words, tags, probabilities, tagger.schema.tags).items():
            figures[side].append(measure(doubtful, wrong))
            print(f"  {side}: {figures[side][-1]}", flush=True)
    lines = [
        difference(f"annotation errors, {what}", PEER, *(fmean(column(figures[side], key)) for side in ("ours", PEER)))
        for key, what in (("average_precision", "average precision"), ("first", f"found in the first {FIRST:.0%}"))
    ]
    write_result("suspects", args, lines, figures, data=describe_data(corpus, split))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
