"""score(): the metric that fits a task, called in the same way for every task."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hf_tagging.evaluation.figures import Figures
from hf_tagging.evaluation.metrics import EntityMetric, Tags, WordMetric
from hf_tagging.tasks import Task, get_task


def score(
    task: str | Task,
    predicted: Tags,
    gold: Tags,
    *,
    scheme: str | None = None,
    words: Sequence[Sequence[str]] | None = None,
    known_words: Collection[str] | None = None,
) -> Figures:
    """Score predicted tags: entities by `EntityMetric`, tags without entities by `WordMetric`.

    Args:
        task: Name of a task, or a `Task`.
        predicted: (sentences, words)
        gold: (sentences, words)
        scheme: Scheme of entity tags. Default: IOB2. Ignored without entities.
        words: The words themselves, for accuracy over unseen ones. Ignored with entities. (sentences, words)
        known_words: Words of the training split. Ignored with entities.

    Returns:
        The figures of the metric, plain numbers by name.

    Raises:
        DataError: Predicted and gold tags differ in length, or a tag is not valid in the scheme.
    """
    if get_task(task).has_entities:
        return EntityMetric(scheme=scheme or "IOB2").compute(predictions=predicted, references=gold)
    if known_words is None:
        words = None
    return WordMetric().compute(predictions=predicted, references=gold, words=words, known_words=known_words)
