"""Flair: a `SequenceTagger` over `TransformerWordEmbeddings`, by `ModelTrainer.fine_tune` at its defaults.

As its documentation fine-tunes a transformer for NER: first subwords, a linear layer, no LSTM, no CRF; batches of 4, a
learning rate of 5e-5. Sentences are read without their neighbors, as ours are.
"""

import argparse
from pathlib import Path

import flair
from flair.data import Sentence
from flair.datasets import ColumnCorpus
from flair.embeddings import TransformerWordEmbeddings
from flair.models import SequenceTagger
from flair.trainers import ModelTrainer
from work import Tag, clock, main, tags_of


def fit(args: argparse.Namespace) -> float:
    """Train, and return the seconds of `fine_tune`."""
    flair.set_seed(args.seed)
    corpus = ColumnCorpus(
        args.train.parent,
        {0: "text", 1: "ner"},
        train_file=args.train.with_suffix(".txt").name,
        dev_file=args.validation and args.validation.with_suffix(".txt").name,
        autofind_splits=False,
        sample_missing_splits=False,
        comment_symbol=None,
    )
    tags = corpus.make_label_dictionary("ner", add_unk=False)
    embeddings = TransformerWordEmbeddings(args.model, layers="-1", subtoken_pooling="first", fine_tune=True)
    plain = {"use_crf": False, "use_rnn": False, "reproject_embeddings": False}
    tagger = SequenceTagger(embeddings, tags, tag_type="ner", tag_format="BIO", **plain)
    trainer = ModelTrainer(tagger, corpus)
    with clock() as seconds:
        trainer.fine_tune(args.folder, max_epochs=args.epochs)
        return seconds()


def load(folder: Path) -> Tag:
    """Return what tags by the model that the last step has left."""
    tagger = SequenceTagger.load(folder / "final-model.pt")

    def tag(sentences: list[list[str]]) -> list[list[str]]:
        read = [Sentence(words) for words in sentences]
        tagger.predict(read, mini_batch_size=32)
        # Tokens of spans are counted from 1.
        entities = [[(s[0].idx - 1, s[-1].idx, s.tag) for s in sentence.get_spans("ner")] for sentence in read]
        return [tags_of(len(words), found) for words, found in zip(sentences, entities, strict=True)]

    return tag


if __name__ == "__main__":
    main(fit, load)
