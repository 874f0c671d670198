"""Where a tagger is right and where it is wrong, and how sure that is: everything that a report shows.

An analysis is a dict of plain numbers, texts and lists, which goes into JSON as it is. It needs no model: what a model
says when it reads the words again comes in from outside, since evaluation knows no taggers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.calibration import calibration
from hf_tagging.analysis.error_kinds import Pairs, error_rows, pair_entities
from hf_tagging.analysis.examples import wrong_sentences
from hf_tagging.analysis.groups import Casings, groups_of, intervals_of
from hf_tagging.analysis.rereading import Rereading
from hf_tagging.analysis.seen import Seen
from hf_tagging.analysis.suspects import find_suspects
from hf_tagging.evaluation.metrics import Array, _mean, _scores
from hf_tagging.evaluation.statistics import RESAMPLES

NO_ENTITY = "O"
MOST_TAGS = 25  # in the confusion matrix
_UNKNOWN = "The model's tagger was not asked."


def analyse(
    answers: Answers,
    *,
    name: str = "",
    split: str = "test",
    scheme: str | None = None,
    history: Sequence[dict[str, Any]] = (),
    seen: Seen | str = _UNKNOWN,
    reading: Rereading | str = _UNKNOWN,
    casings: Casings | str = _UNKNOWN,
) -> dict[str, Any]:
    """Analyses the predictions for a split.

    Args:
        answers: Words with gold and predicted tags.
        name: Of the model.
        split: Of the data.
        scheme: Of entity tags.
        history: The evaluations while it was trained, as `run.json` has them.
        seen: What training has of the split, or why that is not known.
        reading: Tags and probabilities of a second reading, or why there is none.
        casings: Numbers of sentences, and their tags by the way in which their words were written; or why there are
            none.

    Returns:
        ``name, task, split, scheme, sentences, words, entities``;
        ``headline``: figures with 95 % intervals, bootstrapped over sentences (None of fewer than ten);
        ``tags``: tags or entity types by ``cost``, the errors in which they take part;
        ``confusion``: gold in rows, predicted in columns; entities by their pairs (`pair_entities`), whatever their
        words, with ``O`` for none, so that what was split or merged is in a cell for each of its parts;
        ``history``; ``calibration``; ``groups``; ``errors`` by kind; ``examples``: wrong sentences; ``suspects``:
        likely annotation errors. A part that cannot be had is ``{"missing": why}``.
    """
    entities = answers.task.has_entities
    pairs = pair_entities(answers) if entities else None
    tags = _tag_rows(answers)
    return {
        "name": name,
        "task": answers.task.name,
        "split": split,
        "scheme": scheme if entities else None,
        "sentences": len(answers),
        "words": int(answers.bounds[-1]),
        "entities": len(answers.gold_spans) if entities else None,
        "headline": _headline(answers, tags),
        "tags": tags,
        "confusion": _confusion(answers, pairs, [row["tag"] for row in tags]),
        "history": list(history),
        "groups": groups_of(answers, seen, casings),
        "errors": error_rows(pairs, int(np.count_nonzero(~answers.right))),
        "examples": wrong_sentences(answers, pairs),
        **_reread(answers, reading),
    }


def _reread(answers: Answers, reading: Rereading | str) -> dict[str, Any]:
    """What rests on probabilities."""
    if isinstance(reading, str):
        return {"calibration": {"missing": reading}, "suspects": {"missing": reading}}
    measured = calibration(reading.confidence, reading.right)
    return {"calibration": measured, "suspects": measured if "missing" in measured else find_suspects(answers, reading)}


def _headline(answers: Answers, tags: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The figures of the whole split, as the metrics give them."""
    values = answers.counts.values
    if answers.task.has_entities:
        correct, predicted, gold = values.T
        sides = {"Precision": np.stack([correct, predicted], axis=1), "Recall": np.stack([correct, gold], axis=1)}
        return _figures({"F1": answers.counts.ratio} | sides)
    whole = np.stack([(values[:, 0] == values[:, 1]) & (values[:, 1] > 0), values[:, 1] > 0], axis=1)
    macro = {"name": "Macro F1", "value": _mean([row["f1"] for row in tags]), "low": None, "high": None}
    return [*_figures({"Accuracy": values, "Sentence accuracy": whole.astype(int)}), macro]


def _figures(ratios: dict[str, Array]) -> list[dict[str, Any]]:
    """Figures by name, each the quotient of the two sums of its ratio. (sentences, 2) each"""
    rows = []
    edges = intervals_of(list(ratios.values()), resamples=RESAMPLES)
    for (name, ratio), (low, high) in zip(ratios.items(), edges, strict=True):
        over, under = ratio.sum(0).tolist()
        rows.append({"name": name, "value": over / under if under else 0.0, "low": low, "high": high})
    return rows


def _tag_rows(answers: Answers) -> list[dict[str, Any]]:
    """Scores of each tag or entity type, the costliest first."""
    counts = (np.bincount(x, minlength=len(answers.names)).tolist() for x in _named(answers))
    rows = []
    for tag, gold, predicted, correct in zip(answers.names, *counts, strict=True):
        scores = _scores(correct, predicted, gold)
        del scores["support"]
        numbers = {"gold": gold, "predicted": predicted, "correct": correct}
        rows.append({"tag": tag, **scores, **numbers, "cost": gold + predicted - 2 * correct})
    return sorted(rows, key=lambda row: (-row["cost"], -row["gold"], row["tag"]))


def _named(answers: Answers) -> tuple[Array, Array, Array]:
    """What is gold, what is predicted, and what of the gold is right, each as places in `answers.names`."""
    if not answers.task.has_entities:
        return answers.gold_ids, answers.predicted_ids, answers.gold_ids[answers.right]
    gold = answers.gold_spans.type
    return gold, answers.predicted_spans.type, gold[answers.found]


def _confusion(answers: Answers, pairs: Pairs | None, tags: Sequence[str]) -> dict[str, Any]:
    """What was taken for what, of the costliest tags and, for entities, of no entity."""
    shown = list(tags[:MOST_TAGS])
    places = {name: i for i, name in enumerate(shown)}
    place = np.array([places.get(name, -1) for name in answers.names] + [len(shown)], np.int64)  # the last: no entity
    if pairs is None:
        rows, columns = place[answers.gold_ids], place[answers.predicted_ids]
    else:
        sides = ((answers.gold_spans, pairs.gold), (answers.predicted_spans, pairs.predicted))
        rows, columns = (place[np.append(spans.type, -1)[numbers]] for spans, numbers in sides)
        shown.append(NO_ENTITY)
    both = (rows >= 0) & (columns >= 0)
    size = len(shown)
    counts = np.bincount(rows[both] * size + columns[both], minlength=size * size).reshape(size, size)
    return {"tags": shown, "counts": counts.tolist(), "left_out": len(tags) - len(tags[:MOST_TAGS])}
