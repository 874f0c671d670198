"""Checks of sentences and words: borders that are missing, words that are none, texts that are not cut into words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc

from hf_tagging.data.findings import ENOUGH_NUMBERS, MOSTLY
from hf_tagging.data.notes import Remark
from hf_tagging.inspection.corpus import Corpus, SplitWords
from hf_tagging.inspection.remarks import counted, graded, percent
from hf_tagging.problems import argument

_LONG = 1_000  # words of a sentence; the longest of treebanks have about 400
_FEW = 200  # words of a split that may be one sentence
_ENOUGH = 20  # sentences
_LONG_WORD = 100  # characters; addresses on the web are as long
_HAN = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Khmer}\p{Lao}]"


def giant_sentences(corpus: Corpus) -> Iterator[Remark]:
    """Yield splits that are one sentence, and sentences of more than 1,000 words."""
    for split in corpus.splits.values():
        if len(split) == 1 and len(split.words) > _FEW:
            yield Remark(
                "one_sentence",
                f"{split.name} is one sentence of {len(split.words):,} words: borders of sentences are missing, such "
                "as the blank lines of a column file",
                "suspicious",
            )
            continue
        giant = np.flatnonzero(split.lengths > _LONG)
        longest = int(split.lengths.max(initial=0))
        text = f"sentences of {split.name} have more than {_LONG:,} words (the longest {longest:,}): borders of "
        yield from counted(
            "giant_sentences",
            text + "sentences may be missing there",
            len(giant),
            severity="suspicious",
            examples=corpus.examples(split, giant),
        )


def single_words(corpus: Corpus) -> Iterator[Remark]:
    """Yield splits whose sentences are mostly one word."""
    for split in corpus.splits.values():
        single = int(np.count_nonzero(split.lengths == 1))
        if len(split) >= _ENOUGH and single > 0.9 * len(split):
            yield Remark(
                "one_word_sentences",
                f"sentences of {split.name} are a single word ({percent(single, len(split))}): rows are words there, "
                "or a blank line follows every word",
                "suspicious",
                single,
                corpus.examples(split, np.flatnonzero(split.lengths == 1)),
            )


def empty_sentences(corpus: Corpus) -> Iterator[Remark]:
    """Yield how many sentences have no word."""
    for split in corpus.splits.values():
        yield from counted("empty_sentences", f"sentences of {split.name} have no word", (split.lengths == 0).sum())


def counters(corpus: Corpus) -> Iterator[Remark]:
    """Yield splits whose words are numbers that count up in each sentence: they are word numbers."""
    numbers = _numbers(corpus)
    for split in corpus.splits.values():
        values, inside = numbers[split.words], _within(split)
        steps = values[1:] - values[:-1] == 1
        if inside.sum() >= ENOUGH_NUMBERS and steps[inside[1:]].mean() > MOSTLY:
            yield Remark(
                "counter_words",
                f"the words of {split.name} are numbers that count up in each sentence, so they are word numbers and "
                f"another column has the words; give it with {argument('tokens_column')}",
                "wrong",
                examples=corpus.examples(split, np.arange(min(2, len(split)))),
            )


def unsplit_words(corpus: Corpus) -> Iterator[Remark]:
    """Yield words that look like whole sentences: with blanks in them, very long, or many characters of Han or Thai."""
    lengths = pc.utf8_length(corpus.vocabulary).to_numpy(zero_copy_only=False)
    unsplit = corpus.where(_HAN + "{10}")
    kinds = (
        ("unsplit_text", f"are ten characters or more of a script without blanks: the text is not cut into words; "
         f"{argument('splitter')} cuts texts of annotated spans", unsplit, 0.01),
        ("blanks_in_words", "have a blank inside", corpus.where(r"\S\s+\S"), 0.01),
        ("long_words", f"have more than {_LONG_WORD} characters", (lengths > _LONG_WORD) & ~unsplit, 0.001),
    )  # fmt: skip
    for kind, text, chosen, limit in kinds:
        for split in corpus.splits.values():
            found = split.words[chosen[split.words]]
            yield from counted(
                kind,
                f"words of {split.name} {text}",
                len(found),
                severity=graded(len(found) / len(split.words), limit) if len(found) else "note",
                examples=corpus.quoted(found),
            )


def _numbers(corpus: Corpus) -> np.ndarray:
    """Return the value of each word of the vocabulary that is a whole number, and -10 of the others. (vocabulary,)"""
    values = np.full(len(corpus.vocabulary), -10, np.int64)
    for i in np.flatnonzero(corpus.where(r"^[0-9]{1,6}$")):
        values[i] = int(corpus.vocabulary[i].as_py())
    return values


def _within(split: SplitWords) -> np.ndarray:
    """Return which words follow another one of their sentence. (words,) bool"""
    inside = np.ones(len(split.words), bool)
    inside[split.offsets[:-1][split.lengths > 0]] = False
    return inside
