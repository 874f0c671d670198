"""Checks of single entities: borders beside the mark, and one text with several types."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_tagging.data.notes import Remark
from hf_tagging.data.rows import row_ranges, row_starts
from hf_tagging.inspection.corpus import Corpus, Entities, SplitWords, span_hashes
from hf_tagging.inspection.remarks import counted, graded, percent

_MOST_ODD = 0.05  # share of the entities
_MOST_AMBIGUOUS = 0.2
_MARKS = r"^[,;:.!?]+$"  # marks that are a word of their own
_GLUED = r"\w[,;:!?]$"  # after a letter; a period is part of Inc. and U.S.
_PAIRS = (("(", ")"), ("[", "]"), ("“", "”"), ("«", "»"), ("``", "''"))
_KNOWN = 0.9  # share of a name's occurrences that are annotated, for the others to be forgotten ones
_OFTEN = 10


def border_marks(corpus: Corpus) -> Iterator[Remark]:
    """Yield entities that begin or end with a punctuation mark, or whose last word has one at its end."""
    marks, glued = corpus.where(_MARKS), corpus.where(_GLUED)
    for split, found in _of_each(corpus):
        odd = marks[split.words[found.first]] | marks[split.words[found.last]]
        yield from _graded(
            corpus, split, odd, "punctuation_at_border", "have a punctuation mark as a word of its own at a border"
        )
        text = "end with a word that has a punctuation mark at its end, as where text is cut at blanks alone"
        yield from _graded(corpus, split, glued[split.words[found.last]], "punctuation_in_word", text)


def unclosed_pairs(corpus: Corpus) -> Iterator[Remark]:
    """Yield entities with one half of a pair of brackets or quotation marks."""
    for split, found in _of_each(corpus):
        odd = np.zeros(len(found), bool)
        span, nth = row_ranges(found.last + 1 - found.first)
        words = split.words[found.first[span] + nth]
        for left, right in _PAIRS:
            balance = _occurrences(corpus.vocabulary, left) - _occurrences(corpus.vocabulary, right)
            sums = np.zeros(len(words) + 1, np.int64)
            np.cumsum(balance[words], out=sums[1:])
            bounds = row_starts(found.last + 1 - found.first)
            odd |= sums[bounds[1:]] != sums[bounds[:-1]]
        yield from _graded(
            corpus, split, odd, "unclosed_pair", "have one half of a pair of brackets or quotation marks"
        )


def several_types(corpus: Corpus) -> Iterator[Remark]:
    """Yield names that are entities of several types: ambiguous ones, or annotated now so and now so."""
    hashes, types, parts, entities = _surfaces(corpus)
    pairs, first, counts = np.unique(np.stack([hashes, types.astype(np.uint64)]), axis=1, return_index=True,
                                     return_counts=True)  # fmt: skip
    if not pairs.size:
        return
    _, begins, kinds = np.unique(pairs[0], return_index=True, return_counts=True)
    of_name = np.add.reduceat(counts, begins)
    several = np.flatnonzero(kinds > 1)
    most = np.maximum.reduceat(counts, begins)
    examples = []
    for i in several[np.argsort(-(of_name - most)[several], kind="stable")][:3]:
        rows = sorted(range(begins[i], begins[i] + kinds[i]), key=lambda row: -counts[row])
        place = first[rows[0]]
        split, entity = _of_number(corpus, parts[place]), entities[place]
        found = corpus.entities[split.name]
        shown = " / ".join(f"{corpus.schema.entity_types[int(pairs[1][row])]} {counts[row]:,}" for row in rows[:4])
        text = corpus.text(split, int(found.first[entity]), int(found.last[entity]) + 1)
        examples.append(f"{text!r} {shown}")
    minority = int((of_name - most)[several].sum())
    yield from counted(
        "several_types",
        f"names have several entity types; {minority:,} entities ({percent(minority, len(hashes))}) have another one "
        "than their name mostly has",
        len(several),
        severity=graded(minority / len(hashes), _MOST_AMBIGUOUS),
        examples=examples,
    )


def forgotten(corpus: Corpus) -> Iterator[Remark]:
    """Yield words that are nearly always an entity of their own, and outside of entities elsewhere."""
    alone = np.zeros(len(corpus.vocabulary), np.int64)
    outside = np.zeros(len(corpus.vocabulary), np.int64)
    for split, found in _of_each(corpus):
        alone += np.bincount(split.words[found.first[found.first == found.last]], minlength=len(alone))
        is_outside = (split.tags >= 0) & (corpus.schema.types[np.maximum(split.tags, 0)] < 0)
        outside += np.bincount(split.words[is_outside], minlength=len(alone))
    often = (alone >= _OFTEN) & (alone >= _KNOWN * (alone + outside)) & (outside > 0)
    words = np.flatnonzero(often)
    words = words[np.argsort(-outside[words], kind="stable")]
    yield from counted(
        "forgotten_entities",
        f"words outside of entities are elsewhere nearly always entities ({len(words):,} different): some may "
        "have been forgotten",
        outside[words].sum(),
        examples=[f"{text} {outside[i]:,} of {outside[i] + alone[i]:,}"
                  for i, text in zip(words[:3], corpus.quoted(words[:3]), strict=False)],
    )  # fmt: skip


def _of_each(corpus: Corpus) -> Iterator[tuple[SplitWords, Entities]]:
    for name, split in corpus.splits.items():
        if len(corpus.entities[name]):
            yield split, corpus.entities[name]


def _graded(corpus: Corpus, split: SplitWords, odd: np.ndarray, kind: str, text: str) -> Iterator[Remark]:
    yield from counted(
        kind,
        f"entities of {split.name} {text} ({percent(odd.sum(), len(odd))})",
        odd.sum(),
        severity=graded(odd.mean(), _MOST_ODD),
        examples=corpus.entity_examples(split, np.flatnonzero(odd)),
    )


def _occurrences(vocabulary: pa.Array, mark: str) -> np.ndarray:
    return pc.count_substring(vocabulary, mark).to_numpy(zero_copy_only=False).astype(np.int64)


def _surfaces(corpus: Corpus) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return of each entity of all splits the hash of its words, its type, its split's number, and its own number."""
    columns: list[list[np.ndarray]] = [[np.zeros(0, kind)] for kind in (np.uint64, np.int64, np.int64, np.int64)]
    for number, (name, split) in enumerate(corpus.splits.items()):
        found = corpus.entities[name]
        hashes = span_hashes(split.words, found.first, found.last + 1)
        values = (hashes, found.types, np.full(len(found), number), np.arange(len(found)))
        for column, part in zip(columns, values, strict=True):
            column.append(part)
    hashes, types, parts, entities = map(np.concatenate, columns)
    return hashes, types, parts, entities


def _of_number(corpus: Corpus, number: int) -> SplitWords:
    return list(corpus.splits.values())[number]
