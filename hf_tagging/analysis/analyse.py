"""Analysis of predictions: everything that a report shows.

It needs no model: tags and probabilities of a second reading are passed in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.calibration import calibration
from hf_tagging.analysis.confidence import confidence, scored_words
from hf_tagging.analysis.error_kinds import Pairs, error_rows, pair_entities
from hf_tagging.analysis.examples import wrong_sentences
from hf_tagging.analysis.groups import Casings, groups_of, intervals_of
from hf_tagging.analysis.rereading import Rereading
from hf_tagging.analysis.seen import Seen
from hf_tagging.analysis.shape import Analysis, Calibration, Confidence, Confusion, Estimate, Suspects, TagRow
from hf_tagging.analysis.suspects import find_suspects
from hf_tagging.evaluation.metrics import Array, _mean, _scores
from hf_tagging.evaluation.statistics import RESAMPLES

NO_ENTITY = "O"
MOST_TAGS = 25  # in the confusion matrix
_UNKNOWN = "The model was not run."


def analyse(
    answers: Answers,
    *,
    name: str = "",
    split: str = "test",
    scheme: str | None = None,
    history: Sequence[dict[str, float]] = (),
    seen: Seen | str = _UNKNOWN,
    reading: Rereading | str = _UNKNOWN,
    casings: Casings | str = _UNKNOWN,
) -> Analysis:
    """Analyse the predictions for a split.

    Args:
        answers: Words with gold and predicted tags.
        name: Name of the model.
        split: Name of the split.
        scheme: Scheme of the entity tags.
        history: Evaluations during training, as in `run.json`.
        seen: Words and entities of the split that occur in training, or the reason why they are unknown.
        reading: Tags and probabilities of a second reading, or the reason why there is none.
        casings: Indices of sentences and their tags by casing, or the reason why there are none.

    Returns:
        The analysis. Intervals are bootstrapped over sentences, and None for fewer than ten. The confusion matrix
        counts entities by their pairs (`pair_entities`), with ``O`` for no entity, so that a split or merged entity is
        in one cell for each of its parts.
    """
    entities = answers.task.has_entities
    pairs = pair_entities(answers) if entities else None
    tags = _tag_rows(answers)
    measured: Calibration
    suspects: Suspects
    sure: Confidence
    if isinstance(reading, str):
        measured, sure, suspects = {"missing": reading}, {"missing": reading}, {"missing": reading}
    else:
        items = reading.items or scored_words(answers, reading.confidence, reading.right)
        sure = confidence(items, answers.task.items, reading.before)
        measured = calibration(reading.confidence[answers.annotated], reading.right[answers.annotated])
        reason = measured.get("missing")
        suspects = {"missing": reason} if reason else find_suspects(answers, reading)
    return {
        "name": name,
        "task": answers.task.name,
        "split": split,
        "scheme": scheme if entities else None,
        "sentences": len(answers),
        "words": int(answers.annotated.sum()),
        "entities": len(answers.gold_spans) if entities else None,
        "headline": _headline(answers, tags),
        "tags": tags,
        "confusion": _confusion(answers, pairs, [row["tag"] for row in tags]),
        "history": list(history),
        "groups": groups_of(answers, seen, casings),
        "errors": error_rows(pairs, int(np.count_nonzero(answers.wrong))),
        "examples": wrong_sentences(answers, pairs),
        "calibration": measured,
        "confidence": sure,
        "suspects": suspects,
    }


def _headline(answers: Answers, tags: Sequence[TagRow]) -> list[Estimate]:
    """Return the figures of the whole split, as the metrics compute them."""
    values = answers.counts.values
    if answers.task.has_entities:
        correct, predicted, gold = values.T
        sides = {"Precision": np.stack([correct, predicted], axis=1), "Recall": np.stack([correct, gold], axis=1)}
        return _figures({"F1": answers.counts.ratio} | sides)
    whole = np.stack([(values[:, 0] == values[:, 1]) & (values[:, 1] > 0), values[:, 1] > 0], axis=1)
    macro: Estimate = {"name": "Macro F1", "value": _mean([row["f1"] for row in tags]), "low": None, "high": None}
    return [*_figures({"Accuracy": values, "Sentence accuracy": whole.astype(int)}), macro]


def _figures(ratios: dict[str, Array]) -> list[Estimate]:
    """Return figures, each the quotient of the two sums of its ratio. (sentences, 2) each"""
    rows: list[Estimate] = []
    edges = intervals_of(list(ratios.values()), resamples=RESAMPLES)
    for (name, ratio), (low, high) in zip(ratios.items(), edges, strict=True):
        over, under = ratio.sum(0).tolist()
        rows.append({"name": name, "value": over / under if under else 0.0, "low": low, "high": high})
    return rows


def _tag_rows(answers: Answers) -> list[TagRow]:
    """Return the scores of each tag or entity type, the costliest first."""
    counts = (np.bincount(x, minlength=len(answers.names)).tolist() for x in _named(answers))
    rows: list[TagRow] = []
    for tag, gold, predicted, correct in zip(answers.names, *counts, strict=True):
        scores = _scores(correct, predicted, gold)
        row: TagRow = {
            "tag": tag,
            "precision": scores["precision"],
            "recall": scores["recall"],
            "f1": scores["f1"],
            "gold": gold,
            "predicted": predicted,
            "correct": correct,
            "cost": gold + predicted - 2 * correct,
        }
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["cost"], -row["gold"], row["tag"]))


def _named(answers: Answers) -> tuple[Array, Array, Array]:
    """Return gold, predicted and correct items as indices into `answers.names`."""
    if not answers.task.has_entities:
        scored = answers.annotated
        return answers.gold_ids[scored], answers.predicted_ids[scored], answers.gold_ids[answers.right]
    gold = answers.gold_spans.type
    return gold, answers.predicted_spans.type, gold[answers.found]


def _confusion(answers: Answers, pairs: Pairs | None, tags: Sequence[str]) -> Confusion:
    """Return the confusion matrix of the costliest tags and, for entities, of no entity."""
    shown = list(tags[:MOST_TAGS])
    places = {name: i for i, name in enumerate(shown)}
    place = np.array([places.get(name, -1) for name in answers.names] + [len(shown)], np.int64)  # the last: no entity
    if pairs is None:
        rows, columns = (place[side[answers.annotated]] for side in (answers.gold_ids, answers.predicted_ids))
    else:
        sides = ((answers.gold_spans, pairs.gold), (answers.predicted_spans, pairs.predicted))
        rows, columns = (place[np.append(spans.type, -1)[numbers]] for spans, numbers in sides)
        shown.append(NO_ENTITY)
    both = (rows >= 0) & (columns >= 0)
    size = len(shown)
    counts = np.bincount(rows[both] * size + columns[both], minlength=size * size).reshape(size, size)
    return {"tags": shown, "counts": counts.tolist(), "left_out": len(tags) - len(tags[:MOST_TAGS])}
