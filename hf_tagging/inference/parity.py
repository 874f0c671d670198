"""Comparison of an exported tagger with its source: tags, scores, speed, size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hf_tagging.console import text_table
from hf_tagging.data.columns.conll import read_sentences
from hf_tagging.data.files import missing_path
from hf_tagging.data.prefixes import UNSCORED
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.spool import check_input
from hf_tagging.disk import expanded
from hf_tagging.errors import DataError
from hf_tagging.evaluation.metrics import Tags
from hf_tagging.evaluation.predictions import read_predictions
from hf_tagging.evaluation.scoring import score
from hf_tagging.inference.records import read_columns
from hf_tagging.inference.results import WordLabels
from hf_tagging.inference.tagger import Tagger
from hf_tagging.problems import argument
from hf_tagging.tasks import task_of_tags

VALIDATION = "predictions/validation.conll"
_WARM_UP = 50  # sentences, before the clock runs


@dataclass(frozen=True)
class Examples:
    """Sentences to compare two taggers on.

    Args:
        name: Where they are from.
        words: (sentences, words)
        gold: Their tags, where they are known and the tagger's own. (sentences, words)
    """

    name: str
    words: list[list[str]]
    gold: Tags | None


@dataclass(frozen=True)
class Side:
    """One of the two taggers: sentences per second, bytes of its weights, F1 or accuracy where there is gold."""

    speed: float
    size: int
    score: float | None


@dataclass(frozen=True)
class Parity:
    """Results of the comparison.

    Args:
        examples: Where the sentences are from.
        sentences: How many.
        words: How many words they have.
        equal: Share of words with equal tags.
        score_difference: The largest between the two probabilities of a word's tags, where the tags are equal.
        metric: What the scores are: ``f1`` of entities, or ``accuracy``.
        source: The tagger that was exported.
        exported: The result.
    """

    examples: str
    sentences: int
    words: int
    equal: float
    score_difference: float
    metric: str
    source: Side
    exported: Side

    def table(self, names: Sequence[str]) -> str:
        """Return the results as a table for a terminal.

        Args:
            names: Of the two taggers.
        """
        sides = (self.source, self.exported)
        columns = [
            ["", *names],
            ["sentences/s", *(f"{side.speed:,.0f}" for side in sides)],
            ["MB", *(f"{side.size / 1e6:,.1f}" for side in sides)],
        ]
        if self.source.score is not None:
            columns.append([self.metric, *(f"{side.score:.4f}" for side in sides)])
        table = text_table(list(zip(*columns, strict=True)))
        agreement = f"Equal tags: {self.equal:.2%} of {self.words:,} words of {self.examples}"
        return "\n".join([table, f"{agreement}; largest difference of a score: {self.score_difference:.2g}"])


def examples_file(model: str | Path, data: str | Path | None) -> Path:
    """Return the file of sentences to compare on: the one given, or else the validation predictions of the run.

    Args:
        model: The folder of the run.
        data: A column file, with tags or without.

    Raises:
        DataError: If there is neither.
    """
    path = expanded(model) / VALIDATION if data is None else expanded(data)
    if data is None and not path.is_file():
        raise DataError(
            f"{model}: has no {VALIDATION}, so there is nothing to compare the export on. Give "
            f"{argument('data', 'FILE')}, a column "
            "file of sentences like those that the model is for; they need no tags."
        )
    if not path.exists():
        raise missing_path(path)
    if path.is_dir():
        raise DataError(f"{argument('data', path)} is a folder; expected a file.")
    check_input(path)
    return path


def read_examples(path: Path, schema: TagSchema, *, of_run: bool) -> Examples:
    """Read the sentences of `examples_file`.

    Args:
        path: The file.
        schema: The tagger's; its gold tags count where they are all of this schema.
        of_run: Whether it is a run's predictions, whose columns are known.

    Raises:
        DataError: If it cannot be read as columns, or has no sentence.
    """
    if of_run:
        words, gold, _ = read_predictions(path)
        return Examples(VALIDATION, words, gold)
    words = [record.sentences[0] for record in read_columns(path) if record.sentences[0]]
    if not words:
        raise DataError(f"{argument('data', path)}: no sentence in this file; expected a word per line.")
    try:
        with open(path, "rb") as stream:
            request = ReadRequest(task=task_of_tags(has_entities=bool(schema.entity_types)))
            tagged = list(read_sentences(stream, file=str(path), request=request))
    except DataError:
        return Examples(path.name, words, None)  # words without tags
    gold = [sentence.tags for sentence in tagged]
    known = {tag for tags in gold for tag in tags} <= {*schema.tags, UNSCORED}
    return Examples(path.name, [sentence.words for sentence in tagged], gold if known else None)


def compare(source: Tagger, exported: Tagger, examples: Examples, *, sizes: tuple[int, int]) -> Parity:
    """Tag the examples with both taggers.

    Args:
        source: The tagger that was exported.
        exported: The result.
        examples: What to tag.
        sizes: Bytes of the weights of both.
    """
    schema, gold = source.schema, examples.gold
    labels, sides = [], []
    for tagger, size in zip((source, exported), sizes, strict=True):
        tagger.tag(examples.words[:_WARM_UP])
        began = time.perf_counter()
        tagger.tag(examples.words)
        speed = len(examples.words) / (time.perf_counter() - began)
        found = tagger.label(examples.words, exact=True)
        labels.append(found)
        sides.append(Side(speed, size, None if gold is None else _score(found, gold, schema)))
    ours, theirs = (np.concatenate([x.ids for x in found]) for found in labels)
    our_scores, their_scores = (np.concatenate([x.scores for x in found]) for found in labels)
    same = ours == theirs
    return Parity(
        examples=examples.name,
        sentences=len(examples.words),
        words=len(ours),
        equal=float(same.mean()),
        score_difference=float(np.abs(our_scores - their_scores)[same].max(initial=0.0)),
        metric=task_of_tags(has_entities=bool(schema.entity_types)).score_name,
        source=sides[0],
        exported=sides[1],
    )


def _score(found: Sequence[WordLabels], gold: Tags, schema: TagSchema) -> float:
    predicted = [labels.tags(schema) for labels in found]
    task = task_of_tags(has_entities=bool(schema.entity_types))
    figures = score(task, predicted, gold, scheme=schema.scheme)
    return figures["f1"] if task.has_entities else figures["accuracy"]
