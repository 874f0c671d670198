"""Inventory of a dataset: sentences, words, entities and types of each split, and the scheme with its evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from hf_tagging.data.conventions import types_in_two_cases
from hf_tagging.data.notes import Remark
from hf_tagging.data.prefixes import PLAIN, STANDARD, B, E, I, S, has_bioes_prefix, is_bare, unprefixed
from hf_tagging.data.rows import arrow_batches, first_of_rows, flat_lists
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.tag_ids import annotated_words
from hf_tagging.tasks import Task, get_task

MIXED = 0.05
"""Share of entities in another scheme that is more than mistakes."""


@dataclass(frozen=True)
class SplitInventory:
    """Contents of a split.

    Args:
        sentences: Number of rows.
        words: Number of words.
        unannotated: Words without a tag, which are neither learned from nor scored.
        entities: Number of entities; None for a task without.
        types: Entity types, or tags of a task without entities, with their frequency, the most frequent first.
        scheme: Scheme that the entities of this split are written in; None where nothing tells.
        evidence: Frequency of what tells schemes apart, by its description, such as "I- that begin an entity".
    """

    sentences: int
    words: int
    unannotated: int = 0
    entities: int | None = None
    types: dict[str, int] = field(default_factory=dict)
    scheme: str | None = None
    evidence: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Inventory:
    """Contents of a dataset.

    Args:
        splits: Split to what is in it.
        scheme: Scheme of the tags; "plain" without entities.
        evidence: What the scheme was told by, a clause.
        remarks: What is suspicious, and words that are not annotated.
    """

    splits: dict[str, SplitInventory]
    scheme: str
    evidence: str
    remarks: list[Remark] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the inventory as JSON can hold it, but for its remarks."""
        splits = {name: asdict(split) for name, split in self.splits.items()}
        return {"splits": splits, "scheme": self.scheme, "evidence": self.evidence}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Inventory:
        """Return an inventory that `as_dict` wrote."""
        splits = {name: SplitInventory(**split) for name, split in kept["splits"].items()}
        return cls(splits, kept["scheme"], kept["evidence"])

    def is_well_formed(self) -> bool:
        """Return whether an inventory that was read from a record holds what it should."""
        numbers: list[object] = []
        texts: list[object] = [self.scheme, self.evidence]
        for split in self.splits.values():
            numbers += [split.sentences, split.words, split.unannotated, split.entities or 0]
            numbers += [*split.types.values(), *split.evidence.values()]
            texts += [*split.types, split.scheme or ""]
        return all(type(number) is int for number in numbers) and all(isinstance(text, str) for text in texts)


def inventory(dataset: DatasetDict, *, task: str | Task) -> Inventory:
    """Count what is in a dataset: one pass over the tags, without the words.

    Args:
        dataset: Splits with `tokens` and `tags`, as `load_tagging_dataset` returns them.
        task: Name of a task, or a `Task`.
    """
    entities = get_task(task).has_entities
    splits = {str(name): (_of_entities if entities else _of_tags)(split) for name, split in dataset.items()}
    remarks = [remark for name, split in splits.items() for remark in _unannotated(name, split)]
    if not entities:
        return Inventory(splits, PLAIN, "the tags of this task are no entities", remarks)
    names = next(iter(dataset.values())).features["tags"].feature.names
    remarks += [*_of_names(names), *_of_schemes(splits)]
    total: Counter[str] = Counter()
    for split in splits.values():
        total.update(split.evidence)
    if not any(map(STANDARD.parts, names)) and not is_bare(names):
        return Inventory(splits, "IOB1", "types without prefixes, a run of equal tags is an entity", remarks)
    bioes = has_bioes_prefix(names) and not unprefixed(names)
    scheme = "BIOES" if bioes else "IOB1" if total[_BY_I] > total[_ALONE] else "IOB2"
    return Inventory(splits, scheme, _said(total, scheme), remarks)


def _of_tags(split: Dataset) -> SplitInventory:
    names = split.features["tags"].feature.names
    counts = np.zeros(len(names), np.int64)
    words = 0
    for batch in arrow_batches(split, "tags"):
        ids, _ = flat_lists(batch.column("tags"))
        words += len(ids)
        counts += np.bincount(ids[ids >= 0], minlength=len(names))
    return SplitInventory(len(split), words, words - int(counts.sum()), None, _ranked(names, counts))


def _of_entities(split: Dataset) -> SplitInventory:
    names = split.features["tags"].feature.names
    schema = TagSchema(tuple(names), "IOB2")  # entities are the same in any scheme
    counts = np.zeros(len(schema.entity_types), np.int64)
    evidence = np.zeros(len(_EVIDENCE), np.int64)
    words = unannotated = 0
    for batch in arrow_batches(split, "tags"):
        ids, offsets = flat_lists(batch.column("tags"))
        words += len(ids)
        if (known := annotated_words(ids, offsets)) is not None:
            mask, ids, offsets = known
            unannotated += len(mask) - len(ids)
        starts, ends, types = schema.entity_edges(ids, offsets)
        counts += np.bincount(types[starts], minlength=len(counts))
        first = first_of_rows(len(ids), offsets)
        evidence += _evidence(schema.prefixes[ids], starts, ends, types, first)
    found = dict(zip(_EVIDENCE, evidence.tolist(), strict=True))
    ranked = _ranked(schema.entity_types, counts)
    return SplitInventory(len(split), words, unannotated, int(counts.sum()), ranked, _scheme(found), found)


_AFTER, _ALONE, _BY_I = "B- after an entity of the same type", "other B-", "I- that begin an entity"
_SINGLE, _CLOSED = "S- for an entity of one word", "E- at the end of an entity"
_OPEN_SINGLE, _OPEN = "entities of one word without S-", "entities without E- at their end"
_EVIDENCE = (_AFTER, _ALONE, _BY_I, _SINGLE, _CLOSED, _OPEN_SINGLE, _OPEN)


def _evidence(
    prefix: np.ndarray, starts: np.ndarray, ends: np.ndarray, types: np.ndarray, first: np.ndarray
) -> np.ndarray:
    """Count what tells schemes apart, in the order of `_EVIDENCE`. Each argument (words,)"""
    after = np.zeros(len(types), bool)
    after[1:] = starts[1:] & ~first[1:] & (types[1:] == types[:-1])
    single, last = starts & ends, ends & ~starts
    chosen = (
        (prefix == B) & starts & after,
        (prefix == B) & starts & ~after,
        (prefix == I) & starts,
        single & (prefix == S),
        last & (prefix == E),
        single & (prefix != S),
        last & (prefix != E),
    )
    return np.array([np.count_nonzero(words) for words in chosen])


def _scheme(found: Mapping[str, int]) -> str | None:
    """Return the scheme that the entities of a split look like; None where nothing tells."""
    if found[_SINGLE] or found[_CLOSED]:
        return "BIOES"
    if not found[_BY_I] and not found[_ALONE]:
        return None
    return "IOB1" if found[_BY_I] > found[_ALONE] else "IOB2"


def _said(found: Mapping[str, int], scheme: str) -> str:
    """Return what a scheme is told by, in words."""
    after, alone, by_i = (found[what] for what in (_AFTER, _ALONE, _BY_I))
    if scheme == "IOB2":
        return f"{alone + after:,} entities begin with B-, {by_i:,} with I-"
    if scheme == "IOB1":
        return (
            f"{by_i:,} entities begin with I-, {after:,} with B- right after one of their type, {alone:,} with other B-"
        )
    return (
        f"{found[_SINGLE]:,} entities of one word have S-, {found[_OPEN_SINGLE]:,} have not; "
        f"{found[_CLOSED]:,} longer ones end with E-, {found[_OPEN]:,} do not"
    )


def _of_schemes(splits: dict[str, SplitInventory]) -> Iterable[Remark]:
    """Yield remarks on splits, and entities of a split, that are in different schemes."""
    known = {name: (split.scheme, split.evidence) for name, split in splits.items() if split.scheme is not None}
    if len({scheme for scheme, _ in known.values()}) > 1:
        each = "; ".join(f"{name} like {scheme} ({_said(found, scheme)})" for name, (scheme, found) in known.items())
        yield Remark("mixed_schemes", f"the splits look as if they were in different schemes: {each}", "suspicious")
    for name, (scheme, found) in known.items():
        closed, unclosed = found[_SINGLE] + found[_CLOSED], found[_OPEN_SINGLE] + found[_OPEN]
        one, other = (closed, unclosed) if scheme == "BIOES" else (found[_BY_I], found[_ALONE])
        if min(one, other) > MIXED * (one + other):
            text = f"{name} looks as if it were partly in another scheme than {scheme}: {_said(found, scheme)}"
            yield Remark("mixed_schemes", text, "suspicious")


def _of_names(names: list[str]) -> Iterable[Remark]:
    """Yield remarks on the names of entity tags."""
    without = unprefixed(names)
    if without and len(without) < len({*names} - {"O"}):
        text = f"some tags have no prefix ({', '.join(without[:3])}) while others do"
        yield Remark("partly_prefixed", text, "wrong")
    if is_bare(names):
        bare = " ".join(names)
        yield Remark("bare_prefixes", f"the tags {bare} are prefixes without an entity type: read as one type, ENT")
    for group in types_in_two_cases(TagSchema(tuple(names), "IOB2").entity_types):
        yield Remark("type_case", f"entity types that differ in case only: {', '.join(group)}", "suspicious")


def _unannotated(name: str, split: SplitInventory) -> Iterable[Remark]:
    if split.unannotated:
        words = "word is" if split.unannotated == 1 else "words are"
        text = f"{words} not annotated in {name}: not learned from and not scored"
        yield Remark("unscored_words", text, count=split.unannotated)


def _ranked(names: Iterable[str], counts: np.ndarray) -> dict[str, int]:
    found = {name: int(count) for name, count in zip(names, counts, strict=True) if count}
    return dict(sorted(found.items(), key=lambda item: -item[1]))
