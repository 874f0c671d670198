"""Entities as columns of tags: which scheme they are in, and the same entities as the metrics spell them."""

from __future__ import annotations

import re
from itertools import chain, pairwise
from types import SimpleNamespace

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, List

from hf_tagging.data.rows import row_starts
from hf_tagging.data.schema import PLAIN, PREFIXES_OF, TagSchema
from hf_tagging.evaluation.metrics import Tags
from hf_tagging.tasks import NER

_LETTERS = "OBIES"
_PREFIXED = re.compile(r"[BIESLUM]-.")


def rewritten(tags: Tags, schema: TagSchema, scheme: str) -> tuple[Tags, int]:
    """Tags in another scheme, with the same entities.

    Args:
        tags: (sentences, words)
        schema: Theirs.
        scheme: The one to write.

    Returns:
        The tags (sentences, words), and how many words had a tag that was not valid in `schema`.
    """
    ids, offsets = _ids(tags, schema)
    own, target = schema.in_scheme(schema.scheme), schema.in_scheme(scheme)
    valid = np.array(spelling(own), object)[schema.rewrite(ids, offsets, own)]  # (words,)
    repaired = int(np.count_nonzero(valid != np.array(spelling(schema), object)[ids]))
    written = np.array(spelling(target), object)[schema.rewrite(ids, offsets, target)].tolist()  # (words,)
    return [written[a:b] for a, b in pairwise(offsets)], repaired


def in_metric_letters(tags: Tags, schema: TagSchema) -> Tags:
    """The same tags with the letters that the metrics know.

    Args:
        tags: (sentences, words)
        schema: Theirs.
    """
    names = dict(zip(schema.tags, spelling(schema), strict=True))
    return [[names[tag] for tag in sentence] for sentence in tags]


def spelling(schema: TagSchema) -> list[str]:
    """Per label id, the tag with B, I, E or S before its entity type: `U-PER` is `S-PER`, a bare `PER` is `I-PER`."""
    types = schema.entity_types
    return [
        f"{_LETTERS[prefix]}-{types[kind]}" if kind >= 0 else "O"
        for prefix, kind in zip(schema.prefixes, schema.types, strict=True)
    ]


def _ids(tags: Tags, schema: TagSchema) -> tuple[np.ndarray, np.ndarray]:
    """Label ids (words,), and where each sentence starts, with the end (sentences + 1,)."""
    ids = schema.label2id
    offsets = row_starts(np.fromiter(map(len, tags), np.int64, len(tags)))
    return np.fromiter((ids[tag] for tag in chain(*tags)), np.int64, int(offsets[-1])), offsets


def detected(tags: Tags, scheme: str | None) -> TagSchema:
    """The schema of a column of tags.

    Args:
        tags: (sentences, words)
        scheme: Of the tags, if that is known; else it is found.

    Raises:
        DataError: If they are partly with and partly without prefixes.
    """
    names = ("O", *sorted({*chain(*tags)} - {"O"}))
    ids, offsets = _ids(tags, TagSchema(names))
    features = Features({"tags": List(ClassLabel(names=list(names)))})
    rows = Dataset.from_dict({"tags": [ids[a:b].tolist() for a, b in pairwise(offsets)]}, features=features)
    found = TagSchema.detect(DatasetDict({"test": rows}), task=NER)
    return TagSchema(found.tags, scheme or found.scheme)


def may_be_in(scheme: str, tags: Tags, schema: TagSchema) -> bool:
    """Return whether predictions that look like another scheme may be in this one, with errors.

    A model that was trained on IOB2 predicts ``I-`` after ``O`` now and then, which looks like IOB1 and is a mistake.
    No mistake explains letters that the scheme has not, tags without any prefix, or, where it is IOB1, a ``B-`` before
    every single entity.

    Args:
        scheme: Of the gold tags.
        tags: Predictions. (sentences, words)
        schema: Theirs, as `detected` finds it.
    """
    names = dict(zip(schema.tags, spelling(schema), strict=True))
    used = {*chain(*tags)} - {"O"}
    if all(names[tag] == f"I-{tag}" for tag in used) or not {names[tag][0] for tag in used} <= {*PREFIXES_OF[scheme]}:
        return False
    return scheme != "IOB1" or rewritten(tags, schema, schema.scheme)[1] > 0


def are_entities(tags: set[str]) -> bool:
    """Whether tags are those of entities: one has a prefix before its type, or all are nothing but a prefix."""
    if any(_PREFIXED.match(tag) for tag in tags):
        return True
    return TagSchema.from_config(SimpleNamespace(id2label=dict(enumerate(sorted(tags))))).scheme != PLAIN
