"""Training and tagging by spaCy, Flair and SpanMarker on the same data: speed with one thread, and entity F1.

    python benchmarks/peers.py
    python benchmarks/peers.py --peers spacy --whole spacy
    python benchmarks/peers.py --whole spacy flair spanmarker --work runs/peers

Each peer runs in an environment of its own, `.venv-peer-NAME` beside this folder, which is made at the first call (2 GB
and a connection); `benchmarks/peers/use_NAME.py` says how it is configured. All read the same sentences, as JSON lines,
of which spaCy makes a DocBin, and as a column file for Flair. Flair and SpanMarker train the encoder that ours trains;
spaCy trains its own CNN.

Speed is measured in turns. Every side trains on the same sentences, a fast one on them several times over, and then
tags others again and again for some seconds. It tags with the model of its whole training, if there is one. Seconds are
those of the processor, with one thread, so that what else the machine does counts little. Importing and loading are
left out.

--whole trains ours and the named peers to the end on all of `train`: ours by --config; Flair and SpanMarker for as many
epochs; spaCy as long as its configuration says, by its score on validation. All are scored by the metric of this
project. That takes hours. Whatever is finished, a round of a side or a whole training, is kept in --work, and the same
command goes on there.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
from common import (
    INTERRUPTED,
    Corpus,
    alternate,
    column,
    describe_data,
    load_corpus,
    make_parser,
    missing,
    positive,
    row,
    write_result,
)
from datasets import Dataset
from loading import write_columns
from memory import command
from quality import CONFIG, SPLITS, compare_f1

from hf_tagging.atomic import json_text, whole_file
from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.evaluation.statistics import count_sentences
from hf_tagging.models import resolve_model

ROOT = Path(__file__).parent.parent
OURS = "ours"
WHOLE = "trained to the end"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
Figures = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """A library that trains and tags.

    Attributes:
        title: What the table calls it.
        package: What pip calls it.
        install: What pip installs, call by call.
        epochs: How often it reads the sentences on which its speed is measured, so that this takes seconds.
    """

    title: str
    package: str
    install: tuple[tuple[str, ...], ...] = ()
    epochs: int = 1


# torch first and pinned: left to the resolver it may bring several GB of CUDA libraries along.
_TORCH = ("torch==2.13.0",)
PEERS = {
    OURS: Peer("hf_tagging", "hf-tagging", epochs=10),
    "spacy": Peer("spaCy", "spacy", (("spacy==3.8.*",),), epochs=40),
    "flair": Peer("Flair", "flair", (_TORCH, ("flair==0.15.*", "transformers==4.57.*"))),
    "spanmarker": Peer("SpanMarker", "span-marker", (_TORCH, ("span-marker==1.8.*", "transformers==4.57.*"))),
}


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, device=argparse.SUPPRESS, sentences=64)
    parser.set_defaults(device="cpu")
    names = [name for name in PEERS if name != OURS]
    parser.add_argument("--peers", nargs="+", choices=names, default=names, help=f"({' '.join(names)})")
    parser.add_argument("--whole", nargs="+", choices=names, default=[], help="peers that train to the end (none)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of tagging, per side and round (5)")
    parser.add_argument("--epochs", type=positive, default=3, help="of a whole training, ours too (3)")
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"of our recipe ({CONFIG.name})")
    parser.add_argument("--work", type=Path, default=Path("runs/peers"), help="what is finished (runs/peers)")
    args = parser.parse_args(argv)
    if unknown := sorted(set(args.whole) - set(args.peers)):
        raise ConfigError(f"--whole {unknown[0]}: is not among --peers {' '.join(args.peers)}. Add it there.")
    return args


# Environments and data


def environment_of(name: str) -> Path:
    """Return the interpreter of a side's environment, which is made if it is not there yet.

    Raises:
        TaggingError: If it cannot be made.
    """
    peer = PEERS[name]
    if not peer.install:
        return Path(sys.executable)
    folder = ROOT / f".venv-peer-{name}"
    python, made = folder / "bin" / "python", folder / ".installed"
    if not made.exists() or made.read_text() != repr(peer.install):
        print(f"making {folder.name}: {' '.join(sum(peer.install, ()))}", flush=True)
        pip = [python, "-m", "pip", "install", "--quiet"]
        for words in ([sys.executable, "-m", "venv", folder], *([*pip, *packages] for packages in peer.install)):
            done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
            if done.returncode:
                raise TaggingError(f"{folder.name} could not be made. {' '.join(map(str, words))}\nsaid: {done.stderr}")
        made.write_text(repr(peer.install))
    return python


def version_of(name: str) -> str:
    """Return the version of a side's library."""
    code = f"from importlib.metadata import version; print(version({PEERS[name].package!r}))"
    return subprocess.run([environment_of(name), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def write_data(corpus: Corpus, split: Dataset, path: Path) -> Path:
    """Write sentences as JSON lines and, beside them, as a column file; return the path of the former."""
    tags = corpus.schema.tags
    with open(path, "w", encoding="utf-8") as file:
        for sentence in split:
            line = {"tokens": sentence["tokens"], "ner_tags": [tags[i] for i in sentence["tags"]]}
            file.write(json.dumps(line) + "\n")
    write_columns(corpus, split, path.with_suffix(".txt"))
    return path


# One side


def ask(name: str, *words: object) -> Figures:
    """Run the script of a side in its environment, and return the figures that it prints."""
    script = ROOT / "benchmarks" / "peers" / f"use_{name}.py"
    offline = {"HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        python = str(environment_of(name))
        told, own = command(script, *words, folder=Path(folder), python=python, variables=ONE_THREAD | offline)
    return {**json.loads(told.splitlines()[-1]), "own_megabytes": own / 1e6}


def fit(name: str, args: argparse.Namespace, train: Path, folder: Path, *, epochs: int, **files: Path) -> Figures:
    """Train by a side; what its folder has held before is left out."""
    shutil.rmtree(folder, ignore_errors=True)
    words: list[object] = ["fit", "--train", train, "--folder", folder, "--epochs", epochs, "--seed", args.seed]
    words += ["--model", resolve_model(args.model), "--config", args.config]
    return ask(name, *words, *(word for key, file in files.items() for word in (f"--{key}", file)))


def kept(path: Path, asked: dict[str, Any], make: Callable[[], Any]) -> Any:
    """Return what was measured before and is kept in a file, or else measure it and keep it.

    Raises:
        ConfigError: If what is kept was asked something else.
    """
    if path.exists():
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["asked"] != asked:
            raise ConfigError(f"{path}: was asked {record['asked']}, and now {asked}. Give another --work.")
        print(f"{path.stem}: finished before", flush=True)
        return record["figures"]
    figures = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(json_text({"asked": asked, "figures": figures}, indent=None))
    return figures


def train_whole(name: str, args: argparse.Namespace, corpus: Corpus) -> Figures:
    """Train by a side on the whole of its split, and score what it tags in both others."""
    files = {split: args.work / "data" / f"{split}.jsonl" for split in ("train", *SPLITS)}
    folder = args.work / name
    figures = fit(name, args, files["train"], folder, epochs=args.epochs, validation=files["validation"])
    figures |= {"f1": {}, "counts": {}}
    for split in SPLITS:
        predicted = args.work / "data" / f"{name}-{split}.json"
        ask(name, "tag", "--folder", folder, "--file", files[split], "--predicted", predicted)
        counts = score(corpus, split, json.loads(predicted.read_text(encoding="utf-8")))
        figures["f1"][split], figures["counts"][split] = counts.score, counts.values.tolist()
    return figures


def score(corpus: Corpus, split: str, predicted: Sequence[Sequence[str]]) -> Any:
    """Count the entities of a split by the metric of this project."""
    gold = [[corpus.schema.tags[i] for i in tags] for tags in corpus.dataset[split]["tags"]]
    return count_sentences("ner", gold, predicted)


# The result


def compare(
    against: dict[str, str], fits: dict[str, list[Figures]], tags: dict[str, list[Figures]], whole: dict[str, Figures]
) -> list[dict[str, Any]]:
    """Return the lines of the result.

    Args:
        against: What each peer is called.
        fits: Per side the figures of training in each round.
        tags: Per side those of tagging.
        whole: Those of trainings to the end, by side.
    """
    lines = []
    for name, peer in against.items():
        for what, unit, figures in (("training", "sentences/s", fits), ("tagging", "words/s", tags)):
            figure = f"{unit.removesuffix('/s')}_per_second"
            ours, theirs = (column(figures[side], figure) for side in (OURS, name))
            lines.append(row(f"{what}, one thread", peer, ours, theirs, unit=unit))
        if name not in whole:
            lines += [missing(f"NER, {split} F1, 1 seed", peer) for split in SPLITS]
            continue
        mine, others = [whole[OURS]], [whole[name]]
        lines += [compare_f1(split, mine, others, peer) for split in SPLITS]
        ours, theirs = (column(records, "seconds") for records in (mine, others))
        lines.append(row(f"training, {WHOLE}, one thread", peer, ours, theirs, unit="s", less_is_better=True))
    return lines


def prepare(args: argparse.Namespace) -> tuple[Corpus, dict[str, Dataset]]:
    """Write the sentences into `--work`; return the whole corpus, and those that speed is measured on."""
    corpus = load_corpus(args)
    corpus = Corpus(corpus.name, corpus.dataset.filter(lambda sentence: len(sentence["tokens"]) > 0), corpus.schema)
    drawn = {f"some-{split}": corpus.draw(split, args.sentences, args.seed) for split in ("train", "test")}
    folder = args.work / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in {**corpus.dataset, **drawn}.items():
        write_data(corpus, split, folder / f"{name}.jsonl")
    return corpus, drawn


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    torch.set_num_threads(1)  # as the sides have; the result says so
    corpus, drawn = prepare(args)
    sides = [OURS, *args.peers]
    versions = {name: version_of(name) for name in sides}
    asked = {name: getattr(args, name) for name in ("model", "seed", "epochs")}
    asked |= {"config": args.config.read_text(encoding="utf-8")}
    asked |= {"data": describe_data(corpus, corpus.dataset["train"])["fingerprint"]}
    whole = {
        name: kept(args.work / f"{name}.json", asked, partial(train_whole, name, args, corpus))
        for name in ((OURS, *args.whole) if args.whole else ())
    }

    def rounds(what: str, each: dict[str, Callable[[], Figures]], *flags: str) -> dict[str, list[Figures]]:
        measured = asked | {name: getattr(args, name) for name in ("sentences", *flags)}
        numbers = {name: count(1) for name in each}

        def one(name: str) -> Figures:
            return kept(args.work / what / f"{name}-{next(numbers[name])}.json", measured, each[name])

        return alternate({name: partial(one, name) for name in each}, args.rounds)

    some_train, some_test = (args.work / "data" / f"{name}.jsonl" for name in drawn)
    quick = {name: args.work / f"{name}-quick" for name in sides}
    folders = quick | {name: args.work / name for name in whole}
    fits = {name: partial(fit, name, args, some_train, quick[name], epochs=PEERS[name].epochs) for name in sides}
    words = ("tag", "--file", some_test, "--seconds", args.seconds, "--folder")
    tags = {name: partial(ask, name, *words, folders[name]) for name in sides}
    trained, tagged = rounds("training", fits), rounds("tagging", tags, "seconds", "whole")

    lines = compare({name: f"{PEERS[name].title} {versions[name]}" for name in args.peers}, trained, tagged, whole)
    scores = {
        name: {key: value for key, value in figures.items() if key != "counts"} for name, figures in whole.items()
    }
    figures = {"versions": versions, "training": trained, "tagging": tagged, WHOLE: scores}
    write_result("peers", args, lines, figures, data=describe_data(corpus, drawn["some-train"]))


if __name__ == "__main__":
    with plain_errors(interrupted=f"{INTERRUPTED} What is finished is kept: the same command goes on."):
        main()
