"""Tagging against `pipeline("token-classification")`: sentences per second; spaCy and Flair where they are installed.

    python benchmarks/tagging.py
    python benchmarks/tagging.py --model runs/ner --exported runs/ner-int8
    python benchmarks/tagging.py --sentences 3453 --batches 16 32 64 128

Ours is `Tagger.tag` of lists of words; the pipeline gets the same words joined by spaces, one text after the other (its
default) and in batches; the best batch size is the one with the best median. All run one model with weights in
float32: a trained tagger, or an encoder with a tag head drawn at random. `Tagger.tag` multiplies in bfloat16 where the
device does so by itself, and reads what comes out close again in float32: of a tag head drawn at random nearly
everything, so that it stays in float32 there. "float32" is `Tagger` told to leave that. --exported is a folder that
`hf-tagging export` has written. spaCy's and Flair's equivalents know nothing either: spaCy's default tagger
(HashEmbedCNN), Flair's default LSTM-CRF over word embeddings drawn at random; both get words.

Besides, how many words get the tag that float32 gives them and, of a trained tagger, the F1. The share of the
matrix-multiply rate is 2 x parameters x subwords per second in float32, embeddings and padding left out, by what matrix
multiplication alone reaches in the same round.
"""

import argparse
import importlib
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import chain
from operator import eq
from pathlib import Path
from statistics import median

import torch
from common import (
    INTERRUPTED,
    NOT_INSTALLED,
    Corpus,
    alternate,
    column,
    describe_data,
    device_of,
    difference,
    load_corpus,
    make_parser,
    missing,
    parameters_of_matrices,
    positive,
    probe,
    row,
    share_of_rate,
    stopwatch,
    write_result,
)
from transformers import pipeline, set_seed

from hf_tagging import Aligner, Tagger
from hf_tagging.console import plain_errors
from hf_tagging.evaluation.statistics import count_sentences
from hf_tagging.models import load_encoder, saved_schema
from hf_tagging.models.encoder import quiet

Sentences = list[list[str]]
Side = Callable[[Sentences], object]
DEFAULT = "pipeline at its default"
WAYS = {"ours": "tagging", "float32": "tagging, float32", "exported": "tagging, exported model"}


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--exported", type=Path, metavar="DIR", help="an exported folder of the same model")
    parser.add_argument(
        "--batches", type=positive, nargs="+", default=[8, 32, 64], help="the pipeline's, for its best (8 32 64)"
    )
    return parser.parse_args(argv)


def a_tagger(args: argparse.Namespace, corpus: Corpus, folder: str) -> str:
    """Return the folder of the model: as given if it is a tagger, else with a random tag head in `folder`."""
    if saved_schema(args.model) is not None:
        return args.model
    set_seed(args.seed)
    model, tokenizer = load_encoder(args.model, corpus.schema)
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def use_spacy(corpus: Corpus) -> Side:
    """A blank English pipeline with the default tagger, initialised on the tags."""
    import spacy
    from spacy.tokens import Doc

    nlp = spacy.blank("en")
    tagger = nlp.add_pipe("tagger")
    for tag in corpus.schema.tags:
        tagger.add_label(tag)
    nlp.initialize()
    return lambda sentences: [[word.tag_ for word in doc] for doc in nlp.pipe(Doc(nlp.vocab, s) for s in sentences)]


def use_flair(corpus: Corpus) -> Side:
    """Return the default sequence tagger over embeddings of the training words that nobody has trained."""
    from flair.data import Dictionary, Sentence
    from flair.embeddings import OneHotEmbeddings
    from flair.models import SequenceTagger

    words, tags = Dictionary(add_unk=True), Dictionary(add_unk=False)
    for word in sorted({word for sentence in corpus.dataset["train"]["tokens"] for word in sentence}):
        words.add_item(word)
    for tag in corpus.schema.tags:
        tags.add_item(tag)
    embeddings = OneHotEmbeddings(words, embedding_length=100)
    tagger = SequenceTagger(embeddings, tags, tag_type="ner", tag_format="BIO", hidden_size=256)
    return lambda sentences: tagger.predict([Sentence(words) for words in sentences], mini_batch_size=32)


def importable(package: str) -> bool:
    """Return whether a package is installed and fits the versions of the others."""
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


OTHERS = {"spaCy, default tagger": ("spacy", use_spacy), "Flair, default LSTM-CRF": ("flair", use_flair)}


def timed(tag: Side, sentences: Sentences, device: str) -> dict[str, float]:
    with stopwatch(device) as seconds:
        tag(sentences)
        return {"sentences_per_second": len(sentences) / seconds()}


def by_pipeline(pipe: Callable[..., object], batch: int | None, sentences: Sentences) -> object:
    return pipe([" ".join(words) for words in sentences], **({} if batch is None else {"batch_size": batch}))


def load_sides(args: argparse.Namespace, corpus: Corpus, device: str) -> tuple[Tagger, dict[str, Side]]:
    """Our tagger, and what tags sentences by name of the side; spaCy and Flair where they are installed."""
    with tempfile.TemporaryDirectory() as folder:
        model = a_tagger(args, corpus, folder)
        tagger, exact = (Tagger.from_pretrained(model, device=device, precision=x) for x in (None, "exact"))
        with quiet():
            pipe = pipeline("token-classification", model=model, device=torch.device(device), dtype=torch.float32)
    sides: dict[str, Side] = {"ours": tagger.tag, "float32": exact.tag}
    if args.exported:
        sides["exported"] = Tagger.from_pretrained(str(args.exported), device=device).tag
    for batch in (None, *args.batches):
        sides[f"pipeline, batch {batch}" if batch else DEFAULT] = partial(by_pipeline, pipe, batch)
    sides |= {name: make(corpus) for name, (package, make) in OTHERS.items() if importable(package)}
    return tagger, sides


def compare(speed: dict[str, list[float]]) -> list[dict]:
    """Return the lines of the result: all our ways against the pipeline, `Tagger` at its default against the others.

    Args:
        speed: Per side its sentences per second in each round.
    """
    pipelines = [name for name in speed if name.startswith("pipeline")]
    best = max(pipelines, key=lambda name: median(speed[name]))
    peers = {
        DEFAULT: (DEFAULT, ""),
        "pipeline at its best batch size": (best, best.removeprefix("pipeline").strip(", ")),
    }
    lines = []
    for side, what in WAYS.items():
        for against, (name, note) in peers.items():
            known = side in speed
            lines.append(row(what, against, speed[side], speed[name], note=note) if known else missing(what, against))
    for name in OTHERS:
        known = name in speed
        lines.append(
            row("tagging", name, speed["ours"], speed[name]) if known else missing("tagging", name, NOT_INSTALLED)
        )
    return lines


def agreement(taggers: dict[str, Side], sentences: Sentences, gold: Sentences | None) -> list[dict]:
    """Return the lines of how many words get the tag of float32 and, with gold tags, of F1."""
    tags = {side: taggers[side](sentences) for side in WAYS if side in taggers}
    exact, against, lines = list(chain(*tags["float32"])), WAYS["float32"], []
    for side in (name for name in tags if name != "float32"):
        equal = sum(map(eq, chain(*tags[side]), exact))
        what = WAYS[side]
        lines.append(row(f"{what}: tags of float32", against, [equal], [len(exact)], unit="words", show="agreement"))
        if gold is not None:
            ours, peer = (count_sentences("ner", gold, tags[name]).score for name in (side, "float32"))
            lines.append(difference(f"{what}: F1", against, ours, peer))
    return lines


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    device, corpus = device_of(args), load_corpus(args)
    test = corpus.draw("test", args.sentences, args.seed)
    sentences = list(test["tokens"])
    tagger, taggers = load_sides(args, corpus, device)
    for tag in taggers.values():
        tag(sentences[:32])  # what is made at the first call does not count
    sides = {name: partial(timed, tag, sentences, device) for name, tag in taggers.items()}
    figures = alternate({**sides, "matrix multiplication": lambda: probe(device)}, args.rounds)
    speed = {name: column(figures[name], "sentences_per_second") for name in sides}
    subwords = len(Aligner(tagger.tokenizer).windows(sentences).input_ids) / len(sentences)  # of a sentence
    operations = [2 * parameters_of_matrices(tagger.model) * subwords * x for x in speed["float32"]]
    gold = [[corpus.schema.tags[i] for i in labels] for labels in test["tags"]]
    lines = [*compare(speed), *agreement(taggers, sentences, gold if saved_schema(args.model) else None)]
    lines.append(share_of_rate("tagging, float32", operations, figures["matrix multiplication"]))
    write_result("tagging", args, lines, figures, data=describe_data(corpus, test))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
