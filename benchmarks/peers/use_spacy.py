"""spaCy: the pipeline that `spacy init config --pipeline ner --optimize efficiency` describes, by `spacy train`.

Whole trainings end where that configuration ends them: 1,600 steps after the best score on the validation split.
"""

import argparse
from pathlib import Path

import spacy
from spacy.cli.init_config import init_config
from spacy.cli.train import train
from spacy.tokens import Doc, DocBin
from work import Tag, clock, main, read, tags_of


def convert(file: Path) -> Path:
    """Write the sentences of a file as a DocBin beside it."""
    vocab, docs = spacy.blank("en").vocab, DocBin()
    for words, tags in zip(*read(file), strict=True):
        docs.add(Doc(vocab, words=words, ents=tags))
    docs.to_disk(file.with_suffix(".spacy"))
    return file.with_suffix(".spacy")


def fit(args: argparse.Namespace) -> float:
    """Train, and return the seconds of `spacy train`."""
    config = args.folder / "config.cfg"
    init_config(lang="en", pipeline=["ner"], optimize="efficiency").to_disk(config)
    overrides = {"paths.train": str(convert(args.train)), "training.seed": args.seed}
    overrides["paths.dev"] = str(convert(args.validation or args.train))
    if not args.validation:  # Batches grow from 100 words to 1,000 over a training: here all are as most of them are.
        overrides |= {"training.max_epochs": args.epochs, "training.batcher.size.start": 1000}
        overrides |= {"training.eval_frequency": 1_000_000}
    with clock() as seconds:
        train(config, args.folder, overrides=overrides)
        passed = seconds()
    (args.folder / ("model-best" if args.validation else "model-last")).rename(args.folder / "model")
    return passed


def load(folder: Path) -> Tag:
    """Return what tags by the saved pipeline."""
    nlp = spacy.load(folder / "model")
    return lambda sentences: [
        tags_of(len(doc), [(e.start, e.end, e.label_) for e in doc.ents])
        for doc in nlp.pipe(Doc(nlp.vocab, words=words) for words in sentences)
    ]


if __name__ == "__main__":
    main(fit, load)
