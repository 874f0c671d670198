"""Checks between splits, and of what occurs twice: leaks, unseen words and tags, duplicates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hf_tagging.data.notes import Remark
from hf_tagging.inspection.corpus import Corpus, SplitWords, gram_hashes, span_hashes
from hf_tagging.inspection.remarks import counted, graded, percent

_LEAST = 5  # words; shorter sentences (a date, a place, a score) recur in any text
_GRAM = 8  # words that no two sentences share by chance
_NEAR = 0.5  # share of a sentence's sequences of 8 words
_MOST_SHARED = 0.05  # share of the sentences; CoNLL-2003 has 2.7 % in validation and 1.6 % in test
_MOST_UNSEEN = 0.4  # share of the words; a test set of another kind of text, or another column
_MOST_REPEATED = 0.2


def shared_sentences(corpus: Corpus) -> Iterator[Remark]:
    """Yield how many sentences of validation and test are in train too, word for word."""
    for split, train in _against_train(corpus):
        long = split.lengths >= _LEAST
        shared = long & np.isin(split.sentences, train.sentences)
        yield from counted(
            "shared_sentences",
            f"sentences of {split.name} are in train too, word for word ({percent(shared.sum(), long.sum())} of those "
            f"with {_LEAST} words or more): their figures measure memory",
            shared.sum(),
            severity=graded(shared.sum() / max(long.sum(), 1), _MOST_SHARED),
            examples=corpus.examples(split, np.flatnonzero(shared)),
        )


def near_sentences(corpus: Corpus) -> Iterator[Remark]:
    """Yield how many sentences of validation and test have half of their sequences of 8 words in train."""
    known: np.ndarray | None = None
    for split, train in _against_train(corpus):
        if known is None:
            known = np.unique(gram_hashes(train, _GRAM)[0])
        grams, sentence = gram_hashes(split, _GRAM)
        if not len(known) or not len(grams):
            continue
        hits = known[np.minimum(np.searchsorted(known, grams), len(known) - 1)] == grams
        every = np.bincount(sentence, minlength=len(split))
        whole = int(np.count_nonzero(every))
        share = np.bincount(sentence[hits], minlength=len(split)) / np.maximum(every, 1)
        near = (share >= _NEAR) & ~np.isin(split.sentences, train.sentences)
        yield from counted(
            "near_sentences",
            f"further sentences of {split.name} are nearly in train: half of their sequences of {_GRAM} words or more "
            f"({percent(near.sum(), whole)} of those as long)",
            near.sum(),
            severity=graded(near.sum() / max(whole, 1), _MOST_SHARED),
            examples=corpus.examples(split, np.flatnonzero(near)),
        )


def unseen_words(corpus: Corpus) -> Iterator[Remark]:
    """Yield how many words of validation and test do not occur in train."""
    for split, train in _against_train(corpus):
        seen = np.zeros(len(corpus.vocabulary), bool)
        seen[train.words] = True
        unseen = split.words[~seen[split.words]]
        yield from counted(
            "unseen_words",
            f"words of {split.name} do not occur in train ({percent(len(unseen), len(split.words))})",
            len(unseen),
            severity=graded(len(unseen) / max(len(split.words), 1), _MOST_UNSEEN) if _is_large(train) else "note",
            examples=corpus.quoted(unseen),
        )


def unseen_tags(corpus: Corpus) -> Iterator[Remark]:
    """Yield the entity types (or the tags) of validation and test that train never has."""
    schema = corpus.schema
    of_entities = corpus.task.has_entities
    names = schema.entity_types if of_entities else schema.tags
    for split, train in _against_train(corpus):
        if of_entities:
            found, known = (corpus.entities[part.name].types for part in (split, train))
        else:
            found, known = (part.tags[part.tags >= 0] for part in (split, train))
        counts = np.bincount(found, minlength=len(names))
        counts[known] = 0
        shown = [f"{names[i]} ({counts[i]:,})" for i in np.argsort(-counts, kind="stable")[:5] if counts[i]]
        yield from counted(
            "unseen_tags",
            f"{corpus.task.items} of {split.name} are of {corpus.task.classes} that train never has "
            f"({np.count_nonzero(counts):,}), so no model can find them",
            counts.sum(),
            severity="suspicious",
            examples=shown,
        )


def repeated_sentences(corpus: Corpus) -> Iterator[Remark]:
    """Yield how many sentences occur again in their own split."""
    for split in corpus.splits.values():
        rows = np.flatnonzero(split.lengths >= _LEAST)
        _, first, counts = np.unique(split.sentences[rows], return_index=True, return_counts=True)
        again = int((counts - 1).sum())
        yield from counted(
            "repeated_sentences",
            f"sentences of {split.name} repeat an earlier one ({percent(again, len(rows))} of those with {_LEAST} "
            "words or more)",
            again,
            severity=graded(again / max(len(rows), 1), _MOST_REPEATED),
            examples=corpus.examples(split, np.sort(rows[first[counts > 1]])),
        )


def repeated_documents(corpus: Corpus) -> Iterator[Remark]:
    """Yield how many documents occur twice, in one split or in two."""
    seen: dict[int, str] = {}
    for split in corpus.splits.values():
        begins = np.flatnonzero(np.diff(split.documents, prepend=-1))
        if len(begins) == len(split):  # each sentence is a document of its own: no documents are known
            continue
        bounds = split.offsets[np.append(begins, len(split))]
        hashes = span_hashes(split.words, bounds[:-1], bounds[1:]).tolist()
        elsewhere = [i for i, value in enumerate(hashes) if seen.get(value, split.name) != split.name]
        again = len(hashes) - len(set(hashes))
        yield from counted(
            "shared_documents",
            f"documents of {split.name} are, word for word, in another split too",
            len(elsewhere),
            severity="suspicious",
            examples=corpus.examples(split, begins[elsewhere]),
        )
        yield from counted("repeated_documents", f"documents of {split.name} occur there before", again)
        for value in hashes:
            seen.setdefault(value, split.name)


def _against_train(corpus: Corpus) -> Iterator[tuple[SplitWords, SplitWords]]:
    """Yield each other split with train."""
    if (train := corpus.splits.get("train")) is not None:
        yield from ((split, train) for split in corpus.splits.values() if split is not train)


def _is_large(split: SplitWords) -> bool:
    return len(split.words) >= 10_000  # of a smaller one, most words are unseen elsewhere
