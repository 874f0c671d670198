"""A tagger, or several, as the teacher of a smaller one."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import torch

from hf_tagging.console import track
from hf_tagging.data.aligned import AlignedSplit
from hf_tagging.data.documents import document_bounds
from hf_tagging.data.rows import arrow_batches, flat_lists
from hf_tagging.data.schema import TagSchema
from hf_tagging.errors import ConfigError
from hf_tagging.inference.sentences import blocks
from hf_tagging.inference.word_tagger import WordTagger
from hf_tagging.problems import argument
from hf_tagging.training.config import TaggingConfig
from hf_tagging.training.distilling import SoftTags

_BLOCK = 1000  # sentences


def ask_teacher(teacher: WordTagger, split: AlignedSplit, schema: TagSchema, training: TaggingConfig) -> SoftTags:
    """Tag the words of a training split; a teacher that was trained with context reads documents.

    Args:
        teacher: The tagger.
        split: Words with gold tags, or with words that are not annotated.
        schema: Tags of the student.
        training: Its `teacher_temperature` and `gold_weight`.

    Raises:
        ConfigError: The teacher has tags that the student does not have, or writes entities in another scheme.
    """
    places = _places(teacher.schema, schema)
    table = np.zeros((int(split.sentence_starts[-1]), len(schema.tags)), np.float32)
    sentences = list(split.words["tokens"])
    documents = [sentences[a:b] for a, b in pairwise(document_bounds(split.words))]
    begin = 0
    parts = [*blocks(documents, _BLOCK)]
    for block in track(parts, total=len(parts), what="Tagging by the teacher"):
        for found in teacher.probabilities([*chain.from_iterable(block)], documents=[*map(len, block)]):
            table[begin : begin + len(found), places] = found
            begin += len(found)
    probabilities = torch.from_numpy(table)
    if training.teacher_temperature != 1:
        probabilities = probabilities.pow(1 / training.teacher_temperature)
        probabilities /= probabilities.sum(-1, keepdim=True)
    gold = np.concatenate([flat_lists(batch.column("tags"))[0] for batch in arrow_batches(split.words, "tags")])
    return SoftTags(
        probabilities, torch.from_numpy(gold.astype(np.int64)), training.teacher_temperature, training.gold_weight
    )


def _places(teacher: TagSchema, student: TagSchema) -> list[int]:
    """Return the student's label id of each tag of the teacher."""
    if teacher.scheme != student.scheme:
        raise ConfigError(
            f"teacher: it writes entities in {teacher.scheme}, and the student in {student.scheme}. Give "
            f"{argument('scheme', teacher.scheme)}."
        )
    if unknown := [tag for tag in teacher.tags if tag not in student.tags]:
        raise ConfigError(
            f"teacher: it has tags that the training data does not have ({', '.join(unknown[:6])}). Give a teacher "
            "with the tags of the data."
        )
    return [student.tags.index(tag) for tag in teacher.tags]
