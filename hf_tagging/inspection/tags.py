"""Checks of tags: a column that holds no tags, schemes that are mixed, types that are rare or everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hf_tagging.data.findings import ENOUGH_WORDS, MANY_TYPES, TYPES_PER_ENTITY, is_number
from hf_tagging.data.inventory import MIXED
from hf_tagging.data.notes import Remark
from hf_tagging.data.prefixes import B, I, O, S
from hf_tagging.inspection.corpus import Corpus, SplitWords
from hf_tagging.inspection.remarks import counted, graded, percent
from hf_tagging.problems import argument

_RARE = 10  # entities or words of a type, below which it is hardly learned
_ENOUGH = 100  # entities or words, to speak of shares
_MOST_OF_ONE = 0.95
_MOST_OUTSIDE = 0.995


def too_many_types(corpus: Corpus) -> Iterator[Remark]:
    """Yield entity types (or tags) so many that they are another column: words, lemmas, numbers."""
    counts, names = _type_counts(corpus)
    used, items = int(np.count_nonzero(counts)), int(counts.sum())
    task = corpus.task
    examples = [repr(names[i]) for i in np.flatnonzero(counts)[:3]]
    if used > MANY_TYPES and used > TYPES_PER_ENTITY * items:
        yield Remark(
            "many_types",
            f"{used:,} {task.classes} for {items:,} {task.items}: more than {MANY_TYPES} and than a tenth of the "
            f"{task.items}, so this is hardly the column of the tags; give it with {argument('tags_column')}",
            "wrong",
            examples=examples,
        )
    elif used >= 20 and used > 0.5 * len(corpus.vocabulary):
        yield Remark(
            "types_like_words",
            f"{used:,} {task.classes} are nearly as many as the {len(corpus.vocabulary):,} different words: "
            "is this the column of the tags?",
            "suspicious",
            examples=examples,
        )


def numbers_as_tags(corpus: Corpus) -> Iterator[Remark]:
    """Yield tags that are mostly numbers: ids without names, offsets, or another column."""
    counts, names = _type_counts(corpus)
    used = np.flatnonzero(counts)
    numbers = [i for i in used if is_number(names[i])]
    if len(used) >= 3 and 2 * len(numbers) > len(used):
        yield Remark(
            "number_tags",
            f"{len(numbers):,} of {len(used):,} {corpus.task.classes} are numbers: give the names of integer tags with "
            f"{argument('tag_names')}, or the column of the tags with {argument('tags_column')}",
            "wrong",
            examples=[repr(names[i]) for i in numbers[:3]],
        )


def outside_words(corpus: Corpus) -> Iterator[Remark]:
    """Yield data of entities without words outside of them, or with hardly a word inside."""
    if not corpus.task.has_entities:
        return
    outside = words = 0
    for split in corpus.splits.values():
        annotated = split.tags[split.tags >= 0]
        words += len(annotated)
        outside += int(np.count_nonzero(corpus.schema.prefixes[annotated] == O))
    if words and not outside and words >= _ENOUGH // 2:
        most = [f"{name!r} ({count:,})" for name, count in _most_frequent(corpus)]
        yield Remark(
            "no_outside",
            f"none of {words:,} words is outside of entities. Give the tag of those that are with "
            f"{argument('outside')}, or the column of the tags with {argument('tags_column')}; the tags of all words "
            "are parts of speech, which are another task",
            "wrong" if words >= ENOUGH_WORDS else "suspicious",
            examples=most,
        )
    elif words >= ENOUGH_WORDS and outside > _MOST_OUTSIDE * words:
        yield Remark(
            "few_entities",
            f"of {words:,} words are in entities ({percent(words - outside, words)}): a model may learn to find none",
            "suspicious",
            words - outside,
        )


def imbalance(corpus: Corpus) -> Iterator[Remark]:
    """Yield entity types (or tags) of train that are nearly all, or hardly there."""
    train = corpus.splits.get("train")
    if train is None:
        return
    counts, names = _type_counts(corpus, train)
    total, task = int(counts.sum()), corpus.task
    if total < _ENOUGH:
        return
    most = int(counts.argmax())
    if counts[most] > _MOST_OF_ONE * total and np.count_nonzero(counts) > 1:
        yield Remark(
            "one_type",
            f"{percent(counts[most], total)} of the {task.items} of train are {names[most]}: figures over all "
            f"{task.items} say little of the others; see the macro F1",
            "suspicious",
        )
    rare = [i for i in np.argsort(counts, kind="stable") if 0 < counts[i] < _RARE]
    yield from counted(
        "rare_types",
        f"{task.classes} have fewer than {_RARE} {task.items} in train, too few to be learned",
        len(rare),
        examples=[f"{names[i]} ({counts[i]})" for i in rare[:3]],
    )


def sentences_without(corpus: Corpus) -> Iterator[Remark]:
    """Yield a training split in which every sentence has an entity: what is none cannot be learned from other text."""
    train = corpus.splits.get("train")
    if train is None or len(train) < _ENOUGH or not corpus.task.has_entities:
        return
    inside = np.searchsorted(train.offsets, corpus.entities["train"].first, side="right") - 1
    if len(np.unique(inside)) == len(train):
        yield Remark(
            "entities_everywhere",
            f"every one of {len(train):,} sentences of train has an entity: text as it will be tagged has sentences "
            "without any, so some of those belong to the data",
        )


def few_sentences(corpus: Corpus) -> Iterator[Remark]:
    """Yield a training split that is small."""
    train = corpus.splits.get("train")
    if train is not None and 0 < len(train) < _ENOUGH:
        text = "sentences are all of train: few to learn from, and figures will differ much from seed to seed"
        yield Remark("few_sentences", text, count=len(train))


def schemes(corpus: Corpus) -> Iterator[Remark]:
    """Yield splits whose tags are partly in one scheme and partly in another."""
    schema = corpus.schema
    if not corpus.task.has_entities:
        return
    for split in corpus.splits.values():
        found = corpus.entities[split.name]
        if not len(found):
            continue
        prefix = schema.prefixes[split.tags[found.first]]
        if schema.scheme == "IOB2":
            odd, text = prefix == I, "begin with I-, which IOB2 does not have: they are repaired to B-"
        elif schema.scheme == "IOB1":
            odd = (prefix == B) & ~_follows(found.first, found.last, found.types, split)
            text = "begin with B- though none of their type is before them, which IOB1 does not have: repaired to I-"
        else:
            single = found.first == found.last
            odd = np.where(single, prefix != S, prefix != B)
            text = "do not begin as BIOES has it: they are repaired"
        yield from counted(
            "mixed_schemes",
            f"entities of {split.name} {text} ({percent(odd.sum(), len(found))})",
            odd.sum(),
            severity=graded(odd.mean(), MIXED) if len(found) >= _RARE else "note",
            examples=corpus.entity_examples(split, np.flatnonzero(odd)),
        )


def _follows(first: np.ndarray, last: np.ndarray, types: np.ndarray, split: SplitWords) -> np.ndarray:
    """Return which entities directly follow another of their type in their sentence. (entities,) bool"""
    follows = np.zeros(len(first), bool)
    follows[1:] = (first[1:] == last[:-1] + 1) & (types[1:] == types[:-1])
    return follows & ~np.isin(first, split.offsets[:-1])


def _type_counts(corpus: Corpus, *splits: SplitWords) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return how many entities each type has (words each tag, for a task without entities), and the names."""
    schema = corpus.schema
    of_entities = corpus.task.has_entities
    names = schema.entity_types if of_entities else schema.tags
    total = np.zeros(len(names), np.int64)
    for split in splits or corpus.splits.values():
        found = corpus.entities[split.name].types if of_entities else split.tags[split.tags >= 0]
        total += np.bincount(found, minlength=len(names))
    return total, names


def _most_frequent(corpus: Corpus) -> list[tuple[str, int]]:
    total = np.zeros(len(corpus.schema.tags), np.int64)
    for split in corpus.splits.values():
        total += np.bincount(split.tags[split.tags >= 0], minlength=len(total))
    return [(corpus.schema.tags[i], int(total[i])) for i in np.argsort(-total, kind="stable")[:3] if total[i]]
