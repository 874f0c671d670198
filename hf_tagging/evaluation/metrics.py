"""Entity and word metrics as `evaluate.Metric` classes of the package, so that no figure needs the Hub.

Both see words, never subwords: one list of tags per sentence. Every figure is a plain Python number, 0.0
where its denominator is 0, so that a result goes into JSON as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import evaluate
import numpy as np
import numpy.typing as npt
from datasets import Features, List, Value
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB1, IOB2, IOBES, Token, Tokens

from hf_tagging.data.schema import PREFIXES_OF
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.evaluation.annotated import annotated_words, entity_sides
from hf_tagging.evaluation.figures import Figures, TagFigures
from hf_tagging.foreign.evaluate import InMemoryMetric

Tags = list[list[str]]  # (sentences, words)
Array = npt.NDArray[Any]
EntityReader = Callable[[list[str]], Iterable[tuple[str, int, int]]]  # a sentence's (type, start, end)

SCHEMES: dict[str, type[Token]] = {"IOB1": IOB1, "IOB2": IOB2, "BIOES": IOBES}


class _TaggingMetric(InMemoryMetric):
    """Base of both metrics: a list of tags per sentence, kept in memory and checked when it is added."""

    def __init__(self, *, keep_in_memory: bool = True, cache_dir: str | None = None) -> None:
        # No **kwargs: evaluate swallows names that it does not know.
        super().__init__(keep_in_memory=keep_in_memory, cache_dir=cache_dir)

    def _info(self) -> evaluate.MetricInfo:
        tags = List(Value("string"))
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="Tjong Kim Sang and De Meulder (2003), CoNLL-2003; Nakayama (2018), seqeval.",
            features=Features({"predictions": tags, "references": tags}),
        )

    def add_batch(self, *, predictions: Tags | None = None, references: Tags | None = None, **named: object) -> None:
        """Add sentences: predicted and gold tags, `(sentences, words)` each.

        Checked here because evaluate takes `predictions=[]` beside any number of references without a word.

        Raises:
            DataError: where the two differ in length, or hold something other than lists of strings.
        """
        first = len(self) + 1
        ours = _checked_strings("predictions", predictions, first)
        theirs = _checked_strings("references", references, first)
        _check_lengths("predictions", ours, "references", theirs, first)
        super().add_batch(predictions=predictions, references=references, **named)

    def add(
        self, *, prediction: list[str] | None = None, reference: list[str] | None = None, **named: list[str]
    ) -> None:
        """Add one sentence: its predicted and its gold tags, `(words,)` each."""
        # `combine` passes plural names.
        one: dict[str, Any] = {"predictions": prediction, "references": reference, **named}
        self.add_batch(**{name: [tags] for name, tags in one.items()})

    def compute(self, *, predictions: Tags | None = None, references: Tags | None = None, **named: object) -> Figures:
        """Return the figures of all that was added, of nothing zeros, for which evaluate raises an AttributeError."""
        if predictions is None and references is None and self.writer is None and self.buf_writer is None:
            predictions, references = [], []
        found: Figures = super().compute(predictions=predictions, references=references, **named)
        return found


class EntityMetric(_TaggingMetric):
    """Precision, recall and F1 over entities, read from the tags by seqeval.

    An entity is correct if its first word, last word and type are correct. The plain figures take seqeval's
    default mode, which is conlleval's lenient reading: an `I-` after `O` starts an entity (Tjong Kim Sang and
    De Meulder, 2003). The `strict_` figures take its strict mode, where only what the scheme allows is an
    entity. A mode is never passed without its scheme: seqeval would silently fall back to the default.

    `compute(predictions, references, scheme=None)` takes tags `(sentences, words)` and returns:

    - `precision, recall, f1`: pooled over all entities (micro); `support`: gold entities.
    - `macro_precision, macro_recall, macro_f1`: unweighted means over the types in gold or prediction.
    - `per_type`: `{type: {precision, recall, f1, support}}`.
    - `sentence_f1`: F1 of each sentence, averaged over the sentences with a gold or a predicted entity, 0.0
      if there is none. Some courses teach this figure; it is not comparable with published F1.
    - `strict_precision, strict_recall, strict_f1, strict_per_type`: the same in strict mode. Gold that breaks
      the scheme loses entities there: compare the supports.
    - `accuracy`: share of words with the correct tag; `words`; `sentences`: those with at least one word.
      A reference `-100` is a word that is not annotated: it is none of the words. A gold entity goes on behind it
      where the next annotated word continues it; elsewhere, predicted entities that it is in are left out.
    - `mode, strict_mode, scheme`: how the above was read.

    Args:
        scheme: IOB1, IOB2 or BIOES (seqeval's IOBES); `compute(scheme=...)` wins over it. Set it here for
            `evaluate.combine`, which hands every keyword to every metric.

    Raises:
        ConfigError: for an unknown scheme.
        DataError: for lengths that differ, or a tag that the scheme cannot hold (`E-PER` in IOB2, or `NN`).
    """

    def __init__(self, *, scheme: str = "IOB2", keep_in_memory: bool = True, cache_dir: str | None = None) -> None:
        self.scheme = _known_scheme(scheme)
        super().__init__(keep_in_memory=keep_in_memory, cache_dir=cache_dir)

    def _compute(self, *, predictions: Tags, references: Tags, scheme: str | None = None) -> Figures:
        scheme = self.scheme if scheme is None else _known_scheme(scheme)
        sides = [entity_sides(*pair) for pair in zip(predictions, references, strict=True)]
        ours, theirs = [side for side, _ in sides], [side for _, side in sides]
        _check_entity_tags("predictions", predictions, scheme)
        _check_entity_tags("references", theirs, scheme)
        strict = _score_entities(ours, theirs, partial(_strict_entities, scheme=SCHEMES[scheme]))
        annotated, answered = annotated_words(references, predictions)
        right, lengths = _compare(answered, annotated)
        return {
            **_score_entities(ours, theirs, get_entities),
            "strict_precision": strict["precision"],
            "strict_recall": strict["recall"],
            "strict_f1": strict["f1"],
            "strict_per_type": strict["per_type"],
            "accuracy": _mean(right),
            "words": len(right),
            "sentences": len(lengths),
            "mode": "default",
            "strict_mode": "strict",
            "scheme": scheme,
        }


class WordMetric(_TaggingMetric):
    """Accuracy and F1 of plain tags, such as parts of speech.

    `compute(predictions, references, words=None, known_words=None)` takes tags `(sentences, words)` and
    returns:

    - `accuracy`: share of words with the correct tag, pooled over all words.
    - `sentence_accuracy`: share of sentences with every word correct.
    - `mean_sentence_accuracy`: accuracy of each sentence, averaged over sentences, so that short ones weigh
      as much as long ones. Some courses teach this figure.
    - `macro_f1`: unweighted mean over the tags in gold or prediction.
    - `per_tag`: `{tag: {precision, recall, f1, support}}` for the same tags.
    - `words`; `sentences`: those with at least one word, as in every mean over sentences. Words with the reference
      `-100` are not annotated, and none of these figures counts them.
    - With `words`, the words themselves `(sentences, words)`, and `known_words`, the training data's words in
      the same spelling: `unseen_accuracy` over the words that are not known, `unseen_words`, how many those
      are, and `seen_accuracy` over the others.

    Raises:
        ConfigError: for `known_words` without `words`.
        DataError: for lengths that differ.
    """

    def _compute(
        self,
        *,
        predictions: Tags,
        references: Tags,
        words: Sequence[Sequence[str]] | None = None,
        known_words: Collection[str] | None = None,
    ) -> Figures:
        if known_words is not None:
            if words is None:
                raise ConfigError("known_words without words: pass words=[[...], ...] too, a list per sentence.")
            _check_lengths("words", words, "references", references)
        references, predictions, words = annotated_words(references, predictions, words or references)
        right, lengths = _compare(predictions, references)  # (words,), (sentences,)
        per_sentence = _accuracy_per_sentence(right, lengths)
        per_tag = _score_tags(predictions, references)
        result: Figures = {
            "accuracy": _mean(right),
            "sentence_accuracy": _mean(per_sentence == 1.0),
            "mean_sentence_accuracy": _mean(per_sentence),
            "macro_f1": _mean([scores["f1"] for scores in per_tag.values()]),
            "per_tag": per_tag,
            "words": len(right),
            "sentences": len(lengths),
        }
        if known_words is not None:
            result |= _score_unseen(right, words, known_words)
        return result


def _known_scheme(scheme: str) -> str:
    if scheme not in SCHEMES:
        raise ConfigError(f"scheme {scheme!r} is unknown. Choose one of: {', '.join(SCHEMES)}.")
    return scheme


def _checked_strings(name: str, tags: Tags | None, first: int) -> Tags:
    """Return the tags; refuse anything but lists of strings; `first` is the number of the first sentence."""
    if tags is None:
        raise DataError(f"{name} is missing: pass predictions and references, a list of tags per sentence.")
    for number, sentence in enumerate(tags, first):
        if isinstance(sentence, str) or not hasattr(sentence, "__len__"):
            raise DataError(f"{name}, sentence {number}: expected a list of tags, found {sentence!r}.")
        if not all(issubclass(kind, str) for kind in set(map(type, sentence))):  # types are few, so it is fast
            wrong = next(tag for tag in sentence if not isinstance(tag, str))
            hint = "Turn label ids into tags with id2label first; a reference that is not annotated is '-100', as text."
            raise DataError(f"{name}, sentence {number}: expected tags as strings, found {wrong!r}. {hint}")
    return tags


def _check_lengths(
    name: str, left: Sequence[Sequence[object]], other_name: str, right: Sequence[Sequence[object]], first: int = 1
) -> None:
    """Refuse two columns unless they have as many sentences and, in each, as many words."""
    if len(left) != len(right):
        raise DataError(f"{name} has {len(left)} sentences, {other_name} has {len(right)}: expected as many.")
    for number, (ours, theirs) in enumerate(zip(left, right, strict=True), first):
        if len(ours) != len(theirs):
            counts = f"{name} has {len(ours)} words, {other_name} has {len(theirs)}"
            raise DataError(f"sentence {number}: {counts}. Metrics need one tag per word.")


def _check_entity_tags(name: str, tags: Tags, scheme: str) -> None:
    """Refuse tags that seqeval would take for nonsense (`NN` for an entity `N`) with at most a warning."""
    legal = re.compile(rf"O|[{PREFIXES_OF[scheme]}](-.+)?", re.DOTALL)
    wrong = {tag for tag in set(chain.from_iterable(tags)) if not legal.fullmatch(tag)}
    if wrong:
        number, tag = next((n, tag) for n, sentence in enumerate(tags, 1) for tag in sentence if tag in wrong)
        expected = ", ".join(["O", *(f"{prefix}-TYPE" for prefix in PREFIXES_OF[scheme])])
        raise DataError(
            f"{name}, sentence {number}: {tag!r} is not a tag of scheme {scheme}, which has {expected}. "
            f"Pass the scheme of the data as scheme= ({', '.join(SCHEMES)}); for parts of speech use WordMetric."
        )


def _strict_entities(tags: list[str], scheme: type[Token]) -> list[tuple[str, int, int]]:
    """Return the entities of one sentence `(words,)` as seqeval's strict mode reads them."""
    return [(entity.tag, entity.start, entity.end) for entity in Tokens(tags, scheme).entities]


def _score_entities(predictions: Tags, references: Tags, read: EntityReader) -> Figures:
    """Score the entities that `read` finds in each sentence: pooled, by type and by sentence."""
    correct, predicted, gold = counters = Counter[str](), Counter[str](), Counter[str]()
    sentence_f1 = []
    for ours, theirs in zip(map(set, map(read, predictions)), map(set, map(read, references)), strict=True):
        found = (ours & theirs, ours, theirs)
        for counter, entities in zip(counters, found, strict=True):
            counter.update(entity[0] for entity in entities)
        if ours or theirs:
            sentence_f1.append(_scores(*map(len, found))["f1"])
    per_type = {name: _scores(correct[name], predicted[name], gold[name]) for name in sorted(predicted | gold)}
    return {
        **_scores(correct.total(), predicted.total(), gold.total()),
        "macro_precision": _mean([row["precision"] for row in per_type.values()]),
        "macro_recall": _mean([row["recall"] for row in per_type.values()]),
        "macro_f1": _mean([row["f1"] for row in per_type.values()]),
        "per_type": per_type,
        "sentence_f1": _mean(sentence_f1),
    }


def _score_tags(predictions: Tags, references: Tags) -> dict[str, TagFigures]:
    """Score each tag that occurs in gold or prediction."""
    tags = sorted({*chain.from_iterable(predictions), *chain.from_iterable(references)})
    ids = {tag: i for i, tag in enumerate(tags)}
    ours, theirs = (  # (words,) each
        np.fromiter(map(ids.__getitem__, chain.from_iterable(side)), int) for side in (predictions, references)
    )
    counts = (np.bincount(x, minlength=len(tags)).tolist() for x in (ours[ours == theirs], ours, theirs))
    return {tag: _scores(*row) for tag, *row in zip(tags, *counts, strict=True)}


def _score_unseen(right: Array, words: Sequence[Sequence[str]], known: Collection[str]) -> Figures:
    """Return the accuracy over the words outside and inside `known`; `right` is `(words,)`."""
    seen = np.fromiter(map(frozenset(known).__contains__, chain.from_iterable(words)), bool)  # (words,)
    unseen = right[~seen]
    return {
        "unseen_accuracy": _mean(unseen),
        "unseen_words": len(unseen),
        "seen_accuracy": _mean(right[seen]),
    }


def _scores(correct: int, predicted: int, gold: int) -> TagFigures:
    """Return precision, recall and F1 of three counts, 0.0 where a denominator is 0, with the support."""
    return {
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / gold if gold else 0.0,
        "f1": 2 * correct / (predicted + gold) if predicted + gold else 0.0,
        "support": gold,
    }


def _compare(predictions: Tags, references: Tags) -> tuple[Array, Array]:
    """Return which words are right `(words,)` and the lengths of the non-empty sentences `(sentences,)`."""
    ours, theirs = (np.array(list(chain.from_iterable(x)), object) for x in (predictions, references))
    return ours == theirs, np.array([len(sentence) for sentence in references if sentence], int)


def _accuracy_per_sentence(right: Array, lengths: Array) -> Array:
    """Return the accuracy of each sentence `(sentences,)` of `lengths`, none of them 0."""
    sentence = np.repeat(np.arange(len(lengths)), lengths)  # (words,)
    return np.bincount(sentence, weights=right, minlength=len(lengths)) / lengths


def _mean(values: npt.ArrayLike) -> float:
    """Return the mean as a Python float, 0.0 of nothing (NumPy warns and returns NaN)."""
    values = np.asarray(values)
    return float(values.mean()) if values.size else 0.0
