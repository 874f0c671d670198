"""Other tags for the sentences of the test split, such as corrected ones, from files of their own."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Unpack

from datasets import Dataset

from hf_tagging.data.files import ALSO_TEST
from hf_tagging.data.loading import load_tagging_dataset
from hf_tagging.data.prefixes import PLAIN, UNSCORED, UNSCORED_ID
from hf_tagging.data.request import ReadArguments
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.tag_lists import rewritten
from hf_tagging.errors import DataError
from hf_tagging.problems import argument
from hf_tagging.tasks import Task

logger = logging.getLogger(__name__)

Tags = list[list[str]]  # (sentences, words)


@dataclass(frozen=True)
class OtherTags:
    """Other tags for the sentences of the test split.

    They are no split that a model reads: its tags for the test split are scored against them too. No model, no
    inventory of tags and no figure of the test split depends on them.

    Args:
        words: `tokens` and `tags`, a row per sentence.
        schema: Tags of the column `tags`.
        files: Where they were read from.
    """

    words: Dataset
    schema: TagSchema
    files: tuple[str, ...]

    @property
    def given(self) -> str:
        """Argument that named the files, spelled for messages."""
        return argument(ALSO_TEST, list(self.files))

    def first(self, sentences: int | None) -> OtherTags:
        """Return the tags of the first sentences; None: of all."""
        if sentences is None:
            return self
        return replace(self, words=self.words.select(range(min(sentences, len(self.words)))))

    def check_words(self, test: Dataset, *, cut: str = "") -> None:
        """Make sure that the sentences and words are those of the test split.

        Args:
            test: The test split.
            cut: Argument that draws the test split from the training split; empty where it is not drawn.

        Raises:
            DataError: Naming the first sentence and word that differ.
        """
        pairs = enumerate(zip_longest(self.words["tokens"][:], test["tokens"][:]), 1)
        found = next((_difference(number, *pair) for number, pair in pairs if pair[0] != pair[1]), None)
        if found is None:
            return
        advice = f"Other sentences are scored by hf-tagging evaluate, as {argument('test_file')}."
        if cut:
            advice = (
                f"The test split is drawn from the training sentences ({argument(cut)}): give its sentences as "
                f"{argument('test_file')} in place of that."
            )
        raise DataError(
            f"{self.given}: {found}. It has {len(self.words):,} sentences, the test split {len(test):,}; expected the "
            f"same sentences in the same order, with other tags. {advice}"
        )

    def written_in(self, scheme: str) -> Tags:
        """Return the tags with their entities in a scheme, `-100` of a word that is not annotated.

        Args:
            scheme: That of the model; plain where there are no entities.
        """
        names = {**self.schema.id2label, UNSCORED_ID: UNSCORED}
        tags = [[names[label] for label in labels] for labels in self.words["tags"]]
        return tags if PLAIN in (scheme, self.schema.scheme) else rewritten(tags, self.schema, scheme)[0]

    def unseen_in(self, train: Dataset, scheme: str) -> dict[str, int]:
        """Count the words whose tag does not occur in training, by tag; no model trained there predicts them.

        Args:
            train: Training split, its tags written in the scheme.
            scheme: That of the model.
        """
        names = train.features["tags"].feature.names
        seen = {names[label] for label in {*chain.from_iterable(train["tags"])} - {UNSCORED_ID}} | {UNSCORED}
        counts = Counter(chain.from_iterable(self.written_in(scheme)))
        return {tag: count for tag, count in sorted(counts.items()) if tag not in seen}


def read_other_tags(
    files: Sequence[str],
    dataset: Mapping[str, Dataset],
    *,
    task: Task,
    place: str,
    cut: str = "",
    num_proc: int | None = None,
    **reading: Unpack[ReadArguments],
) -> OtherTags:
    """Read other tags of a test split, and make sure that its words are the same.

    Columns and scheme are detected in these files, whatever those of the test split are.

    Args:
        files: In order.
        dataset: Splits of the run, as `load_tagging_dataset` returns them.
        task: Task of both.
        place: Name of the dataset in messages.
        cut: Argument that draws the test split from the training split; empty where it is not drawn.
        num_proc: Processes to read with.
        **reading: How words and tags are read; see `load_tagging_dataset`.

    Raises:
        DataError: If there is no test split, the files cannot be read, the words differ, or the tags have nothing in
            common with those of the dataset.
    """
    given = argument(ALSO_TEST, list(files))
    if "test" not in dataset:
        raise DataError(
            f"{given}: are other tags of the test split, and {place} has none (there is {', '.join(dataset)}); give "
            f"{argument('test_file')}, or leave {argument(ALSO_TEST)} out"
        )
    logger.info("%s: read as a test split of its own", given)
    found = load_tagging_dataset(task=task, test_file=list(files), num_proc=num_proc, **reading)
    other = OtherTags(found["test"], TagSchema.detect(found, task=task), tuple(files))
    other.check_words(dataset["test"], cut=cut)
    known = TagSchema(tuple(dataset["test"].features["tags"].feature.names), other.schema.scheme)
    ours, theirs = ({*(schema.entity_types or schema.tags)} for schema in (other.schema, known))
    if not ours & theirs:
        raise DataError(
            f"{given}: has none of the {task.classes} of {place} ({_some(ours)} here, {_some(theirs)} there). Is it "
            f"the right column ({argument('tags_column')})?"
        )
    return other


def _difference(number: int, ours: Sequence[str] | None, theirs: Sequence[str] | None) -> str:
    """Return where two sentences differ; None is one that is not there."""
    pairs = enumerate(zip_longest(ours or (), theirs or ()), 1)
    place, (word, other) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
    left, right = ("missing" if side is None else repr(side) for side in (word, other))
    return f"sentence {number:,}, word {place:,} is {left}, in the test split {right}"


def _some(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")
