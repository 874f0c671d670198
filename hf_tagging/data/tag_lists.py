"""Entities as lists of tags: their scheme, and the same entities in another scheme or in the letters of the metrics.

The tag of a word that is not annotated is `-100`; it stays as it is.
"""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np

from hf_tagging.data.prefixes import PREFIXES_OF, UNSCORED, UNSCORED_ID
from hf_tagging.data.rows import row_starts
from hf_tagging.data.schema import TagSchema

Tags = list[list[str]]  # (sentences, words)


def detected(tags: Tags, scheme: str | None) -> TagSchema:
    """Return the schema of the entities in lists of tags.

    Args:
        tags: (sentences, words)
        scheme: Their scheme; None detects it.

    Raises:
        DataError: Some tags have prefixes and others do not.
    """
    names = ("O", *sorted({*chain(*tags)} - {"O", UNSCORED}))
    found = TagSchema.of_entities(names, [_ids(tags, TagSchema(names))])
    return TagSchema(names, scheme or found.scheme)


def rewritten(tags: Tags, schema: TagSchema, scheme: str) -> tuple[Tags, int]:
    """Write the entities of tags in another scheme.

    Args:
        tags: (sentences, words)
        schema: Their schema.
        scheme: The scheme to write.

    Returns:
        The tags (sentences, words), and the number of words whose tag was not valid in `schema`.
    """
    ids, offsets = _ids(tags, schema)
    own, target = schema.in_scheme(schema.scheme), schema.in_scheme(scheme)
    valid, found = _spelled(own, schema.rewrite(ids, offsets, own)), _spelled(schema, ids)  # (words,) each
    repaired = int(np.count_nonzero(valid != found))
    written = _spelled(target, schema.rewrite(ids, offsets, target)).tolist()  # (words,)
    return [written[a:b] for a, b in pairwise(offsets)], repaired


def in_metric_letters(tags: Tags, schema: TagSchema) -> Tags:
    """Return the same tags with the prefixes that the metrics know: ``U-PER`` becomes ``S-PER``.

    Args:
        tags: (sentences, words)
        schema: Their schema.
    """
    names = dict(zip(schema.tags, schema.spelled, strict=True)) | {UNSCORED: UNSCORED}
    return [[names[tag] for tag in sentence] for sentence in tags]


def may_be_in(scheme: str, tags: Tags, schema: TagSchema) -> bool:
    """Return whether predictions that look like another scheme may be in this one, with errors.

    A model that was trained on IOB2 predicts ``I-`` after ``O`` now and then, which looks like IOB1 and is a mistake.
    No mistake explains letters that the scheme does not have, tags without any prefix, or, in IOB1, a ``B-`` before
    every entity.

    Args:
        scheme: Scheme of the gold tags.
        tags: Predictions. (sentences, words)
        schema: Their schema, as `detected` finds it.
    """
    names = dict(zip(schema.tags, schema.spelled, strict=True))
    used = {*chain(*tags)} - {"O", UNSCORED}
    if all(names[tag] == f"I-{tag}" for tag in used) or not {names[tag][0] for tag in used} <= {*PREFIXES_OF[scheme]}:
        return False
    return scheme != "IOB1" or rewritten(tags, schema, schema.scheme)[1] > 0


def _ids(tags: Tags, schema: TagSchema) -> tuple[np.ndarray, np.ndarray]:
    """Return label ids (words,), and the offset of each sentence with the end (sentences + 1,)."""
    ids = {**schema.label2id, UNSCORED: UNSCORED_ID}
    offsets = row_starts(np.fromiter(map(len, tags), np.int64, len(tags)))
    return np.fromiter((ids[tag] for tag in chain(*tags)), np.int64, int(offsets[-1])), offsets


def _spelled(schema: TagSchema, ids: np.ndarray) -> np.ndarray:
    """Return the tags of label ids with the prefixes that the metrics know, `-100` of the id -100. (words,)"""
    names = np.array([*schema.spelled, UNSCORED], object)
    spelled: np.ndarray = names[np.where(ids < 0, len(schema.tags), ids)]
    return spelled
