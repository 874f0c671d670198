"""Tag schemas: label ids, entity schemes, legal transitions.

A scheme says how entities are written as tags, one tag per word:

- ``IOB1``: ``I-X``; ``B-X`` only where an entity directly follows another of the same type (Ramshaw and Marcus 1995).
- ``IOB2``: every entity begins with ``B-X`` (CoNLL-2002 and most data on the Hub).
- ``BIOES``: ``B-X I-X E-X``, and ``S-X`` for an entity of one word. ``BILOU`` (L = E, U = S) and ``BMES``
  (M = I) are read as BIOES.
- ``plain``: no entities, as in part-of-speech tagging.

Which words make an entity is decided by one rule for all schemes, the rule of the CoNLL-2003 scorer ``conlleval``: an
entity starts at a word that is tagged ``B-`` or ``S-``, or that follows ``O``, an ``E-``, an ``S-`` or another type;
it ends before the next start or ``O``. Valid sequences of every scheme read as they were meant; an invalid one (an
``I-`` without its ``B-``) is read by the same rule, so that repairing it is: write down again what was read.

A word that is not annotated has the id -100, which it keeps in every scheme. Entities are read from the annotated
words of a sentence as if no other were there: ``B-X -100 I-X`` is one entity, and so is the ``B-X`` of ``B-X -100 O``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_tagging.data.bars import bars_on_terminals
from hf_tagging.data.prefixes import (
    PLAIN,
    PREFIXES,
    PREFIXES_OF,
    SCHEMES,
    B,
    E,
    I,
    O,
    S,
    guess_scheme,
    has_bioes_prefix,
    parse_tags,
    unprefixed,
    warn_of_prefixes,
)
from hf_tagging.data.rows import first_of_rows
from hf_tagging.data.tag_ids import Block, annotated_words, blocks, of_words, with_tags
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.problems import argument
from hf_tagging.tasks import Task, get_task

if TYPE_CHECKING:
    from datasets import DatasetDict

__all__ = ["PLAIN", "PREFIXES_OF", "SCHEMES", "Conversion", "TagSchema", "convert_tags"]


@dataclass(frozen=True)
class Conversion:
    """Outcome of a change of scheme; `repaired` words had a tag that was not valid in the original scheme."""

    source: str
    target: str
    words: int
    repaired: int


@dataclass(frozen=True)
class TagSchema:
    """Tags of a task in the order of their label ids, and their scheme.

    Args:
        tags: All tags; a tag's label id is its position.
        scheme: ``"IOB1"``, ``"IOB2"``, ``"BIOES"`` or ``"plain"``.
    """

    tags: tuple[str, ...]
    scheme: str = PLAIN

    @classmethod
    def detect(cls, dataset: DatasetDict, *, task: str | Task) -> TagSchema:
        """Detect tags and scheme from all splits of a dataset.

        For a task without entities the scheme is always plain. With entities it is BIOES where an ``E-``/``S-`` (or
        ``L-``/``U-``, ``M-``) occurs; else IOB1 where more entities begin with ``I-`` than there are ``B-`` that do
        not follow an entity of their own type; else IOB2. Tags without any prefix (``PER``) count as IOB1: a run
        of equal tags is an entity. Bare prefixes (``B I O``) are those of one type, ``ENT``, which is warned of; so
        are prefixes in lower case (``b-per``, ``o``), which count as entity types like any other tag.

        Args:
            dataset: Splits with a column `tags` of List(ClassLabel).
            task: Name of a task, or a `Task`.

        Raises:
            DataError: If the tags of entities are partly with and partly without prefixes.
        """
        names = tuple(next(iter(dataset.values())).features["tags"].feature.names)
        if not get_task(task).has_entities:
            return cls(names)
        return cls.of_entities(names, chain.from_iterable(map(blocks, dataset.values())))

    @classmethod
    def of_entities(cls, names: Sequence[str], blocks: Iterable[Block]) -> TagSchema:
        """Detect the scheme of entity tags from their names and, where these leave it open, from their use.

        Args:
            names: All tags, in the order of their label ids.
            blocks: Label ids of the sentences; read only where the names do not tell.

        Raises:
            DataError: Some tags have prefixes and others do not.
        """
        warn_of_prefixes(names)
        return cls(tuple(names), _detect_scheme(names, blocks))

    @classmethod
    def from_config(cls, config: Any) -> TagSchema:
        """Return the schema of a saved tagger from its config: `id2label`, and `tag_scheme` if this package saved it.

        Without `tag_scheme`, the tags decide. Where all but ``O`` have a prefix, or are nothing but one (``B I O``),
        the scheme is BIOES with ``E-``/``S-`` (or ``L-``/``U-``, ``M-``), IOB1 without any ``B-``, else IOB2: IOB1
        with a ``B-`` cannot be told from it. Anything else is plain, entity types without prefixes (``O PER LOC``)
        too: short names in capitals are part-of-speech tags as well.
        """
        names = tuple(config.id2label[i] for i in range(len(config.id2label)))
        return cls(names, getattr(config, "tag_scheme", None) or guess_scheme(names))

    @property
    def id2label(self) -> dict[int, str]:
        """Label id to tag, as a Transformers config holds it."""
        return dict(enumerate(self.tags))

    @property
    def label2id(self) -> dict[str, int]:
        """Tag to label id, as a Transformers config holds it."""
        return {tag: i for i, tag in enumerate(self.tags)}

    @property
    def entity_types(self) -> tuple[str, ...]:
        """Entity types in the order of their first tag; empty for a plain schema."""
        return () if self.scheme == PLAIN else parse_tags(self.tags)[2]

    @property
    def prefixes(self) -> np.ndarray:
        """Per label id, the position of its prefix in ``OBIES``; zeros for a plain schema. (tags,) int8."""
        return np.zeros(len(self.tags), np.int8) if self.scheme == PLAIN else parse_tags(self.tags)[0]

    @property
    def types(self) -> np.ndarray:
        """Per label id, the index of its entity type, -1 for ``O`` and plain tags. (tags,) int32."""
        return np.full(len(self.tags), -1, np.int32) if self.scheme == PLAIN else parse_tags(self.tags)[1]

    @property
    def spelled(self) -> list[str]:
        """Per label id, the tag with B, I, E or S before its type: `S-PER` for `U-PER`, `I-PER` for a bare `PER`."""
        types = self.entity_types
        return [
            f"{PREFIXES[prefix]}-{types[kind]}" if kind >= 0 else "O"
            for prefix, kind in zip(self.prefixes, self.types, strict=True)
        ]

    def in_scheme(self, scheme: str) -> TagSchema:
        """Return the schema with the same entity types in another scheme, with every tag that the scheme allows.

        Raises:
            ConfigError: If `scheme` is unknown, or the schema is plain.
        """
        if scheme not in SCHEMES or self.scheme == PLAIN:
            raise ConfigError(
                f"scheme: cannot write {self.scheme} tags as {scheme!r}; it is one of {', '.join(SCHEMES)}."
            )
        tags = ["O"] + [f"{prefix}-{name}" for name in self.entity_types for prefix in PREFIXES_OF[scheme]]
        # An inventory that is this one already keeps its order of ids: the Hub's CoNLL-2003 starts with O, B-PER.
        return TagSchema(self.tags if set(tags) == set(self.tags) else tuple(tags), scheme)

    @bars_on_terminals()
    def convert(self, dataset: DatasetDict, to: str) -> tuple[DatasetDict, TagSchema, Conversion]:
        """Rewrite the column `tags` in another scheme; in the same scheme, repair invalid sequences.

        Lossless on valid input. Entities are read by the rule in the head of this module.

        Args:
            dataset: Splits with a column `tags` in this schema.
            to: The scheme to write.

        Returns:
            The dataset, its new schema, and how many words had a tag that was invalid in this schema's scheme. The
            dataset is the same one where nothing of it changes.
        """
        target = self.in_scheme(to)
        words = repaired = 0
        own = self.in_scheme(self.scheme)
        for split in dataset.values():
            for ids, offsets in blocks(split):
                words += len(ids)
                repaired += int(np.count_nonzero(~self._same_tags(ids, self.rewrite(ids, offsets, own), own)))
        conversion = Conversion(self.scheme, target.scheme, words, repaired)
        if not repaired and target == self:  # a second copy on disk would be mapped beside the first
            return dataset, target, conversion
        change, desc = partial(self.rewrite, target=target), f"Tags as {target.scheme}"
        converted = {n: with_tags(split, target.tags, change, desc=desc) for n, split in dataset.items()}
        return type(dataset)(converted), target, conversion

    @bars_on_terminals()
    def adopt(self, dataset: DatasetDict, other: TagSchema | None) -> tuple[DatasetDict, TagSchema]:
        """Use the label ids of a model that already knows all these tags.

        Args:
            dataset: Splits with a column `tags` in this schema.
            other: The model's schema, or None.

        Returns:
            The dataset in the other schema and that schema; both unchanged where it lacks one of the tags, or is of
            another scheme: the same tags mean other entities there, and BIOES has all the tags of IOB2.
        """
        if other is None or other.scheme != self.scheme or not set(self.tags) <= set(other.tags):
            return dataset, self
        if other.tags == self.tags:
            return dataset, self
        adopted = TagSchema(other.tags, self.scheme)
        table = np.array([adopted.label2id[tag] for tag in self.tags])
        change, desc = partial(_looked_up, table), f"Tags as {adopted.scheme}"
        moved = {n: with_tags(split, adopted.tags, change, desc=desc) for n, split in dataset.items()}
        return type(dataset)(moved), adopted

    def rewrite(self, ids: np.ndarray, offsets: np.ndarray, target: TagSchema) -> np.ndarray:
        """Write the entities of label ids in another schema.

        Args:
            ids: Label ids of all words, sentence after sentence, -100 of a word that is not annotated. (words,)
            offsets: Where each sentence starts, and the end. (sentences + 1,)
            target: The schema to write; it must hold this schema's entity types.

        Returns:
            Label ids in `target`; -100 stays. (words,) int64
        """
        if (known := annotated_words(ids, offsets)) is not None:
            mask, annotated, bounds = known
            spread: np.ndarray = np.array(ids, np.int64)
            spread[mask] = self.rewrite(annotated, bounds, target)
            return spread
        starts, ends, types = self.entity_edges(ids, offsets)
        prefix = np.full(len(ids), I, np.int8)
        if target.scheme == "IOB1":
            follows = np.zeros(len(ids), bool)
            follows[1:] = (types[1:] == types[:-1]) & ~first_of_rows(len(ids), offsets)[1:]
            prefix[starts & follows] = B
        else:
            prefix[starts] = B
        if target.scheme == "BIOES":
            prefix[ends] = E
            prefix[starts & ends] = S
        prefix[types < 0] = O
        rewritten: np.ndarray = target._lookup(self.entity_types)[types, prefix]
        return rewritten

    def entity_edges(self, ids: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the first and last words of entities, by the rule in the docstring of this module.

        Args:
            ids: Label ids of all words, sentence after sentence. (words,)
            offsets: Where each sentence starts, and the end. (sentences + 1,)

        Returns:
            Whether a word starts an entity, whether it ends one, and its entity type or -1. Each (words,)
            Between the first and the last word of an entity there may be words that are not annotated.
        """
        if (known := annotated_words(ids, offsets)) is not None:
            mask, annotated, bounds = known
            spread = np.zeros(len(ids), bool), np.zeros(len(ids), bool), np.full(len(ids), -1, self.types.dtype)
            for whole, part in zip(spread, self.entity_edges(annotated, bounds), strict=True):
                whole[mask] = part
            return spread
        prefix, types = self.prefixes[ids], self.types[ids]
        first = first_of_rows(len(ids), offsets)
        starts = first | (prefix == B) | (prefix == S)
        starts[1:] |= (types[1:] != types[:-1]) | (prefix[:-1] == E) | (prefix[:-1] == S)
        starts &= types >= 0
        ends = types >= 0
        ends[:-1] &= starts[1:] | first[1:] | (types[1:] < 0)
        return starts, ends, types

    def transitions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the sequences of tags that are legal in this scheme.

        Returns:
            Whether a sentence may begin with each tag (tags,), whether the second of two tags may follow the first
            (tags, tags), and whether a sentence may end with each tag (tags,). All bool; all true for a plain schema.
        """
        p, same = self.prefixes, self.types[:, None] == self.types[None, :]
        inside = ~np.isin(p, (B, O, S))  # the tags that go on with an entity: I, E
        anything = np.ones(len(p), bool)
        if self.scheme == "IOB1":  # I- may stand anywhere; B- only directly after an entity of its type
            return p != B, (p != B)[None, :] | (same & (p != O)[:, None]), anything
        if self.scheme == "IOB2":
            return ~inside, ~inside[None, :] | (same & (p != O)[:, None]), anything
        if self.scheme == "BIOES":
            unfinished = np.isin(p, (B, I))
            return (
                ~inside,
                np.where(unfinished[:, None], inside[None, :] & same, ~inside[None, :]),
                ~unfinished,
            )
        return anything, np.ones((len(p), len(p)), bool), anything

    def goes_on(self) -> np.ndarray:
        """Return whether the second of two tags goes on with the entity of the first, as `entity_edges` reads them.

        Returns:
            (tags, tags) bool; all false for a plain schema.
        """
        p, same = self.prefixes, self.types[:, None] == self.types[None, :]
        found: np.ndarray = (
            same & (self.types >= 0)[:, None] & ~np.isin(p, (E, S))[:, None] & ~np.isin(p, (B, S))[None, :]
        )
        return found

    def continuation_ids(self) -> np.ndarray:
        """Per label id, the label of a word's further subwords: ``B-X`` and ``S-X`` become ``I-X``. (tags,) int64."""
        inside = self._lookup(self.entity_types)[self.types, I]
        return np.where(np.isin(self.prefixes, (B, S)) & (inside >= 0), inside, np.arange(len(self.tags)))

    def _lookup(self, entity_types: Sequence[str]) -> np.ndarray:
        """Return a table of label ids by entity type and prefix code; row -1 is O. (types + 1, prefixes)"""
        table = np.full((len(entity_types) + 1, len(PREFIXES)), -1)
        table[-1] = self.label2id.get("O", 0)
        rows = {name: row for row, name in enumerate(entity_types)}
        for i in reversed(np.flatnonzero(self.types >= 0)):  # of two tags that read alike (E-X, L-X) the first stays
            if (row := rows.get(self.entity_types[self.types[i]])) is not None:
                table[row, self.prefixes[i]] = i
        return table

    def _same_tags(self, ids: np.ndarray, other_ids: np.ndarray, other: TagSchema) -> np.ndarray:
        return of_words(self.prefixes, ids, O) == of_words(other.prefixes, other_ids, O)


def convert_tags(tags: Sequence[str], *, source: str, target: str) -> list[str]:
    """Convert the tags of one sentence; see `TagSchema.convert` for datasets.

    Args:
        tags: One tag per word.
        source: The scheme that they are in.
        target: The scheme to write.
    """
    schema = TagSchema(tuple(dict.fromkeys(["O", *tags])), source)
    other = schema.in_scheme(target)
    ids = np.array([schema.label2id[tag] for tag in tags], dtype=np.int64)
    return [other.tags[i] for i in schema.rewrite(ids, np.array([0, len(ids)]), other)]


def _detect_scheme(names: Sequence[str], blocks: Iterable[Block]) -> str:
    without = unprefixed(names)
    if without and len(without) < sum(name != "O" for name in names):
        raise DataError(
            f"Some tags have no prefix ({', '.join(without[:5])}) while others do: "
            "tags of entities have B-/I- (or B-/I-/E-/S-) before every tag but O, or before none. "
            f"Is this the right column ({argument('tags_column')})? If {without[0]!r} is the tag of words outside of "
            f"entities, name it with {argument('outside')}. Tags that are no entities need a task without them, such "
            "as pos."
        )
    if not without and has_bioes_prefix(names):
        return "BIOES"
    schema = TagSchema(tuple(names), "IOB2")
    started_by_i = isolated_b = 0
    for block in blocks:
        known = annotated_words(*block)
        ids, offsets = block if known is None else known[1:]
        starts, _, types = schema.entity_edges(ids, offsets)
        prefix = schema.prefixes[ids]
        started_by_i += int(np.count_nonzero(starts & (prefix == I)))
        follows = np.zeros(len(ids), bool)
        follows[1:] = (types[1:] == types[:-1]) & ~first_of_rows(len(ids), offsets)[1:]
        isolated_b += int(np.count_nonzero((prefix == B) & ~follows))
    return "IOB1" if started_by_i > isolated_b else "IOB2"


def _looked_up(table: np.ndarray, ids: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Return the ids that a table has for label ids; -100 stays. (words,)"""
    found: np.ndarray = np.where(ids < 0, ids, table[np.maximum(ids, 0)])
    return found
