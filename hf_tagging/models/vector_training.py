"""Training of word vectors with gensim: skip-gram, CBOW and fastText."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_tagging.atomic import destination, whole_path
from hf_tagging.disk import check_writable, writing_to
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.models.word_vectors import check_gensim
from hf_tagging.problems import argument, switch

if TYPE_CHECKING:
    from gensim.models import KeyedVectors, Word2Vec

ALGORITHMS = ("skipgram", "cbow", "fasttext")
SUFFIXES = (".txt", ".vec", ".bin")


def train_vectors(
    sentences: Iterable[Sequence[str]],
    *,
    algorithm: str = "skipgram",
    size: int = 100,
    window: int = 5,
    min_count: int = 2,
    epochs: int = 10,
    seed: int = 42,
    workers: int = 1,
    buckets: int = 200_000,
) -> Word2Vec:
    """Train word vectors with negative sampling.

    Args:
        sentences: Words; read once more per epoch, so no generator. (sentences, words)
        algorithm: ``skipgram`` or ``cbow`` (Mikolov et al. 2013), or ``fasttext``: skip-gram over words and their
            character n-grams (Bojanowski et al. 2017).
        size: Dimensions.
        window: Words on each side that count as context, at most.
        min_count: Words that are less frequent are left out.
        epochs: Passes over the text.
        seed: With one worker, the same seed gives the same vectors, bit for bit.
        workers: Threads.
        buckets: Vectors that the n-grams of fastText share by their hash. Facebook's own models have two million, which
            take 800 MB of 100 dimensions.

    Raises:
        ConfigError: If gensim is missing or there is no such algorithm.
        DataError: If no word is frequent enough.
    """
    check_gensim()
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"algorithm: {algorithm!r} is not one of {', '.join(ALGORITHMS)}.")
    from gensim.models import FastText, Word2Vec

    options = {
        "vector_size": size,
        "window": window,
        "min_count": min_count,
        "sg": int(algorithm != "cbow"),
        "seed": seed,
        "workers": workers,
        "hashfxn": _stable_hash,
    }
    model = FastText(**options, bucket=buckets) if algorithm == "fasttext" else Word2Vec(**options)
    model.build_vocab(sentences)
    if not len(model.wv):
        raise DataError(
            f"no word occurs {min_count} times in the text; give more text, or a smaller {argument('min_count')}."
        )
    model.train(sentences, total_examples=model.corpus_count, epochs=epochs)
    return model


def check_output(path: str | Path, *, overwrite: bool = False) -> None:
    """Check that word vectors can be written to a path, before they are trained.

    Raises:
        OutputError: If its suffix is none of `SUFFIXES`, or it is there and is not to be replaced, or its folder cannot
            be written.
    """
    if Path(path).suffix not in SUFFIXES:
        raise OutputError(
            f"output: {path} ends in none of {', '.join(SUFFIXES)} (.bin is binary, the others are text)."
        )
    if Path(path).is_dir() or (Path(path).exists() and not overwrite):
        raise OutputError(
            f"output: {path} is there already; give another name, or {switch('overwrite')} to replace it."
        )
    destination(path)
    check_writable(Path(path).parent)


def write_vectors(model: Word2Vec | KeyedVectors, path: str | Path, *, overwrite: bool = False) -> None:
    """Write word vectors for `read_vectors`; the file appears whole or not at all.

    Args:
        model: A trained one, or the vectors alone.
        path: ``.bin``: word2vec's binary format, or of a fastText model Facebook's, which keeps the n-grams. ``.txt``,
            ``.vec``: text.
        overwrite: Replace the file if it is there.

    Raises:
        OutputError: See `check_output`, or if the file cannot be written.
    """
    from gensim.models import FastText, KeyedVectors
    from gensim.models.fasttext import save_facebook_model

    check_output(path, overwrite=overwrite)
    with writing_to(path), whole_path(path) as partial:
        if isinstance(model, FastText) and Path(path).suffix == ".bin":
            save_facebook_model(model, str(partial))
        else:
            vectors = model if isinstance(model, KeyedVectors) else model.wv
            vectors.save_word2vec_format(str(partial), binary=Path(path).suffix == ".bin")


def neighbours(vectors: KeyedVectors, words: int = 5, near: int = 5) -> dict[str, list[str]]:
    """Return the nearest neighbours of a few frequent words, as a check by eye.

    Args:
        vectors: The most frequent first, as gensim sorts them.
        words: How many; such as have letters only, and more than three, so that most have a meaning of their own.
        near: Neighbours of each, the nearest first.
    """
    shown = [word for word in vectors.index_to_key if word.isalpha() and len(word) > 3][:words]
    return {word: [name for name, _ in vectors.most_similar(word, topn=near)] for word in shown}


def _stable_hash(text: str) -> int:
    """Return a hash that is the same in every process, unlike Python's own."""
    return zlib.crc32(text.encode("utf-8", errors="replace"))
