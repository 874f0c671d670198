"""Two taggers on the same sentences: which sentences one has right and the other wrong, and whether that is chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, Unpack

import numpy as np

from hf_tagging.analysis.answers import Answers, Spans
from hf_tagging.analysis.error_kinds import pair_entities
from hf_tagging.analysis.examples import wrong_sentences
from hf_tagging.analysis.shape import Error, Span
from hf_tagging.data.in_memory import InMemory
from hf_tagging.disk import expanded
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.evaluation.metrics import Array
from hf_tagging.evaluation.predictions import spelled
from hf_tagging.evaluation.statistics import RESAMPLES, approximate_randomization, bootstrap_interval
from hf_tagging.inference.evaluating import EvaluationOptions, evaluate_predictions, evaluate_tagger
from hf_tagging.inference.evaluation import Evaluation
from hf_tagging.inference.word_tagger import WordTagger
from hf_tagging.problems import argument
from hf_tagging.tasks import Task

Outcome = Literal["first", "second", "both_wrong"]
OUTCOMES: tuple[Outcome, ...] = ("first", "second", "both_wrong")
_ALL = 1 << 62  # bytes: no sentence is left out for lack of room


class SideError(Error):
    """An error of one of the two, 0 or 1."""

    side: int


class Different(TypedDict):
    """A sentence that the two tag differently; `number` counts from 1.

    `outcome` says which of them has it right. Spans are start, end and type of entities, or of words with tags.
    """

    number: int
    outcome: Outcome
    words: list[str]
    gold: list[Span]
    first: list[Span]
    second: list[Span]
    errors: list[SideError]


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Two taggers compared sentence by sentence.

    Args:
        names: What the two are called.
        task: Their task.
        split: Split that both tagged.
        metric: Name of the score: "f1" or "accuracy".
        scores: Score of each.
        figures: Precision, recall and F1, or accuracy, of each.
        difference: Score of the second minus that of the first.
        interval: 95 % interval of the difference, by paired bootstrap over sentences.
        p_value: Of a paired approximate randomization test over sentences.
        sentences: Number of sentences: right in both, in the first or second only, wrong in both alike or differently.
        items: Number of gold entities, or words: right in both, in the first or second only, in neither.
        different: Sentences that are tagged differently, in their order.
    """

    names: tuple[str, str]
    task: Task
    split: str
    metric: str
    scores: tuple[float, float]
    figures: tuple[dict[str, float], dict[str, float]]
    difference: float
    interval: tuple[float, float]
    p_value: float
    sentences: dict[str, int]
    items: dict[str, int]
    different: list[Different]

    def as_dict(self) -> dict[str, object]:
        """Return all of it, for JSON."""
        return {**vars(self), "task": self.task.name}


def diff_taggers(
    first: str | Path | WordTagger,
    second: str | Path | WordTagger,
    dataset: str | Path | InMemory | None = None,
    *,
    split: str | None = None,
    task: str | Task | None = None,
    scheme: str | None = None,
    dataset_revision: str | None = None,
    resamples: int = RESAMPLES,
    **options: Unpack[EvaluationOptions],
) -> Differences:
    """Tag the same data with two taggers, and find the sentences that one has right and the other wrong.

        found = diff_taggers("runs/ner", "runs/ner-2", "conll2003")
        print(found.sentences, found.p_value)

    Args:
        first: Tagger, a name or folder of one, or a predictions file with lines of ``word ... gold predicted``.
        second: Likewise; its score is compared with that of the first.
        dataset: As of `evaluate_tagger`; None if both are predictions files, which have their words and tags.
        split: As of `evaluate_tagger`.
        task: As of `evaluate_tagger`.
        scheme: As of `evaluate_tagger`.
        dataset_revision: Branch, tag or commit of a dataset on the Hub.
        resamples: Number of samples of sentences, for interval and p-value.
        **options: Further arguments of `evaluate_tagger`.

    Raises:
        ConfigError: There is no data for a model.
        DataError: The data cannot be read, or the two have other sentences or gold tags.
        ModelError: There is no such model.
    """
    sides = (first, second)
    if dataset is None and not options.get("test_file") and not all(map(is_predictions, sides)):
        raise ConfigError(f"{argument('dataset')}: a model is compared on data. Give its name or path.")
    found: list[Evaluation] = []
    for side in sides:
        if is_predictions(side) and not isinstance(side, WordTagger):
            found.append(evaluate_predictions(side, task=task, scheme=scheme))
        else:
            more = {"split": split, "task": task, "scheme": scheme, "dataset_revision": dataset_revision}
            found.append(evaluate_tagger(side, dataset, **more, **options))  # type: ignore[arg-type]  # a union of them
    names = _named([_name(side, place) for place, side in enumerate(sides)])
    return differences(*map(_answers, found), names=names, split=found[0].split, resamples=resamples)


def is_predictions(side: str | Path | WordTagger) -> bool:
    """Return whether what is compared is a file of predictions and no tagger."""
    return not isinstance(side, WordTagger) and expanded(side).is_file()


def differences(
    first: Answers, second: Answers, *, names: tuple[str, str], split: str, resamples: int = RESAMPLES
) -> Differences:
    """Compare two sets of predictions for the same sentences.

    Args:
        first: Words with gold tags and the predictions of the first.
        second: Likewise of the second.
        names: What the two are called.
        split: Name of the split.
        resamples: Number of samples of sentences, for interval and p-value.

    Raises:
        DataError: Sentences or gold tags differ.
    """
    _check_same(first, second, names)
    ours, theirs = first.counts, second.counts
    right = [_right(answers) for answers in (first, second)]
    different = list(_different(first, second, right))
    outcomes = Counter(sentence["outcome"] for sentence in different)
    both_wrong = int((~right[0] & ~right[1]).sum())
    sentences = {
        "both_right": int((right[0] & right[1]).sum()),
        "first": outcomes["first"],
        "second": outcomes["second"],
        "both_wrong_alike": both_wrong - outcomes["both_wrong"],
        "both_wrong_differently": outcomes["both_wrong"],
    }
    return Differences(
        names=names,
        task=first.task,
        split=split,
        metric=ours.metric,
        scores=(ours.score, theirs.score),
        figures=(_figures(first), _figures(second)),
        difference=theirs.score - ours.score,
        interval=bootstrap_interval(theirs, ours, resamples=resamples),
        p_value=approximate_randomization(theirs, ours, resamples=resamples),
        sentences=sentences,
        items=_items(first, second),
        different=different,
    )


def _answers(found: Evaluation) -> Answers:
    """Return an evaluation without sentences that have no word, which files of predictions do not hold."""
    rows = [row for row in zip(found.words, found.gold, found.predicted, strict=True) if row[0]]
    words, gold, predicted = ([row[i] for row in rows] for i in range(3))
    return Answers(found.task, words, gold, predicted)


def _name(side: str | Path | WordTagger, place: int) -> str:
    if isinstance(side, WordTagger):
        return f"tagger {place + 1}"
    path = Path(side)
    return path.parent.parent.name if is_predictions(side) and path.parent.name == "predictions" else path.name


def _named(names: Sequence[str]) -> tuple[str, str]:
    first, second = (name or f"tagger {place + 1}" for place, name in enumerate(names))
    return (first, second) if first != second else (f"{first} (1)", f"{second} (2)")


def _check_same(first: Answers, second: Answers, names: tuple[str, str]) -> None:
    """Refuse predictions for other sentences, or with other gold tags; files of predictions spell some words anew."""
    if first.task != second.task:
        raise DataError(f"{names[0]} was scored for {first.task.title}, {names[1]} for {second.task.title}.")
    if len(first) != len(second):
        raise DataError(f"{names[0]} has {len(first):,} sentences and {names[1]} {len(second):,}; expected the same.")
    for number, (ours, theirs) in enumerate(zip(first.words, second.words, strict=True), start=1):
        if ours != theirs and list(map(spelled, ours)) != list(map(spelled, theirs)):
            shown = f"{' '.join(ours)[:60]!r} and {' '.join(theirs)[:60]!r}"
            raise DataError(
                f"Sentence {number:,} of {names[0]} and {names[1]} differs: {shown}; expected the same data."
            )
    gold = [
        _spans(answers, answers.gold_spans) if answers.task.has_entities else answers.gold
        for answers in (first, second)
    ]
    for number, (one, other) in enumerate(zip(*gold, strict=True), start=1):
        if one != other:
            raise DataError(f"Sentence {number:,} has other gold tags for {names[0]} than for {names[1]}.")


def _right(answers: Answers) -> Array:
    """Return which sentences are wholly right. (sentences,) bool"""
    if not answers.task.has_entities:
        return answers.per_sentence(answers.sentence[answers.wrong]) == 0
    correct, predicted, gold = answers.counts.values.T
    return np.asarray((correct == predicted) & (correct == gold))


def _figures(answers: Answers) -> dict[str, float]:
    if not answers.task.has_entities:
        return {"accuracy": answers.counts.score}
    correct, predicted, gold = answers.counts.values.sum(0).tolist()
    return {
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / gold if gold else 0.0,
        "f1": answers.counts.score,
    }


def _items(first: Answers, second: Answers) -> dict[str, int]:
    """Count gold entities, or annotated words, by which of the two has them right."""
    if first.task.has_entities:
        ours, theirs = first.found, second.found
    else:
        ours, theirs = first.right[first.annotated], second.right[second.annotated]
    pairs = {"both": ours & theirs, "first": ours & ~theirs, "second": theirs & ~ours, "neither": ~ours & ~theirs}
    return {name: int(mask.sum()) for name, mask in pairs.items()}


def _different(first: Answers, second: Answers, right: Sequence[Array]) -> Iterator[Different]:
    """Yield the sentences that the two tag differently, unless both are right."""
    spans = _entity_spans if first.task.has_entities else _word_spans
    gold, ours, theirs = spans(first, second)
    errors = [_errors(answers) for answers in (first, second)]
    for number in np.flatnonzero(~(right[0] & right[1])).tolist():
        if ours[number] == theirs[number]:
            continue
        outcome: Outcome = "first" if right[0][number] else "second" if right[1][number] else "both_wrong"
        yield {
            "number": number + 1,
            "outcome": outcome,
            "words": list(first.words[number]),
            "gold": gold[number],
            "first": ours[number],
            "second": theirs[number],
            "errors": [{**error, "side": side} for side in (0, 1) for error in errors[side].get(number + 1, [])],
        }


def _errors(answers: Answers) -> dict[int, list[Error]]:
    """Return the errors of each wrong sentence, by its number from 1."""
    pairs = pair_entities(answers) if answers.task.has_entities else None
    found = wrong_sentences(answers, pairs, budget=_ALL)["sentences"]
    return {sentence["number"]: sentence["errors"] for sentence in found}


def _entity_spans(first: Answers, second: Answers) -> tuple[list[list[Span]], ...]:
    sides = ((first, first.gold_spans), (first, first.predicted_spans), (second, second.predicted_spans))
    return tuple(_spans(answers, spans) for answers, spans in sides)


def _spans(answers: Answers, spans: Spans) -> list[list[Span]]:
    """Return the entities of each sentence."""
    found: list[list[Span]] = [[] for _ in range(len(answers))]
    for sentence, start, end, name in spans.rows.tolist():
        found[sentence].append((start, end, answers.names[name]))
    return found


def _word_spans(first: Answers, second: Answers) -> tuple[list[list[Span]], ...]:
    """Return the words that either has wrong, with the three tags of each."""
    found: tuple[list[list[Span]], ...] = tuple([[] for _ in range(len(first))] for _ in range(3))
    for word in np.flatnonzero(first.wrong | second.wrong).tolist():
        sentence = int(first.sentence[word])
        at = word - int(first.bounds[sentence])
        for side, tags in zip(found, (first.gold, first.predicted, second.predicted), strict=True):
            side[sentence].append((at, at + 1, tags[sentence][at]))
    return found
