"""Differences between texts and those that a tagger was trained on: words, shape, predictions and confidence.

    texts ───────► words ──► tags, probabilities ──┐
    training data ─────────► tags, probabilities ──┴─► figures, their difference, and what sampling alone gives

Gold tags are not looked at: the tagger reads both sides, so that its own errors are on both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import cast

import numpy as np
from datasets import Dataset

from hf_tagging.analysis.ratios import Ratios
from hf_tagging.data.documents import document_bounds
from hf_tagging.data.formats.base import Document
from hf_tagging.data.rows import arrow_batches
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.windows import Aligner
from hf_tagging.errors import DataError
from hf_tagging.evaluation.metrics import Array
from hf_tagging.inference.documents import word_rows, words_of
from hf_tagging.inference.ensemble import Ensemble
from hf_tagging.inference.results import WordLabels
from hf_tagging.inference.tagger import Tagger

MOST_REFERENCE = 5_000
"""Sentences of the training data that are tagged; of more, whole documents are drawn."""
FEW = 30
"""Texts, or documents, below which sentences are counted as independent."""
UNSURE = 0.9
_LEVEL = 0.95
_SHAPE = ("unknown words", "subwords per word", "words per sentence", "capitalized words", "words in capitals")
NUMBERS = ("subwords per word", "words per sentence")
_MEANS = (*NUMBERS, "confidence of words", "confidence of entities")  # all others are shares of words


@dataclass(frozen=True)
class DriftFigure:
    """A figure of the texts beside that of the training data.

    Args:
        name: What is measured. Figures but `subwords per word` and `words per sentence` are shares, and those of types
            or tags shares of the words.
        texts: Value of the texts; None where there is nothing to measure.
        reference: Value of the training data; likewise.
        difference: The first minus the second.
        low: Lower end of its interval. All intervals together hold with 95 %.
        high: Upper end.
    """

    name: str
    texts: float | None
    reference: float | None
    difference: float | None
    low: float | None
    high: float | None

    @property
    def moved(self) -> bool:
        """Return whether the interval is on one side of 0: sampling alone does not explain the difference."""
        return (self.low is not None and self.low > 0) or (self.high is not None and self.high < 0)


@dataclass(frozen=True)
class Drift:
    """Texts compared with the training data.

    Args:
        figures: All figures.
        reference: Split that the texts are compared with.
        is_learned: Whether the tagger has learned from this split, and so is too certain of it.
        texts: Number of texts, sentences and words, and of texts without words.
        data: Number of sentences of the split, how many of them are tagged, and their words.
        units: What is counted as independent: ``texts`` or ``sentences``, on either side.
    """

    figures: list[DriftFigure]
    reference: str
    is_learned: bool
    texts: dict[str, int]
    data: dict[str, int]
    units: tuple[str, str]

    @property
    def moved(self) -> list[str]:
        """Names of the figures that moved by more than sampling gives."""
        return [figure.name for figure in self.figures if figure.moved]

    def as_dict(self) -> dict[str, object]:
        """Return all of it, for JSON."""
        figures = [{**asdict(figure), "moved": figure.moved} for figure in self.figures]
        return {**asdict(self), "figures": figures, "moved": self.moved}


def find_drift(
    tagger: Tagger | Ensemble,
    texts: Iterable[str | Document],
    against: Mapping[str, Dataset],
    *,
    seed: int = 0,
) -> Drift:
    """Compare texts with the data that a tagger was trained on, in constant memory over the texts.

        drift = find_drift(tagger, open("texts.txt"), load_tagging_dataset("sample", task="ner"))
        print(drift.moved)

    Args:
        tagger: The tagger.
        texts: Texts, or documents; words that these bring with them are taken as they are.
        against: Splits with `tokens` and, as far as it is known, `document_id`. Words are known if they are in
            ``train``. Texts are compared with ``validation``, which the tagger has not learned from. Without it, they
            are compared with ``train``, where words in one sentence alone count as unknown.
        seed: Of the choice of documents, if there are more than `MOST_REFERENCE` sentences.

    Raises:
        DataError: One side has no words.
    """
    train = against.get("train") or next(iter(against.values()))
    name = "validation" if "validation" in against else next(iter(against))
    split = against[name]
    counts = _sentences_with(train)
    known = frozenset(word for word, count in counts.items() if count > 1 or split is not train)
    reference = _Side(tagger, known)
    reference.read(_reference(split, seed))
    here = _Side(tagger, frozenset(counts))
    cutter = tagger.cutter()
    documents = (Document(text=text, spans=[]) if isinstance(text, str) else text for text in texts)
    here.read([words_of(document, row) for row in word_rows(document, cutter)] for document in documents)
    for side, what in ((here, "the texts have"), (reference, f"the {name} split has")):
        if not side.words:
            raise DataError(f"drift: {what} no words, so there is nothing to compare.")
    return Drift(
        figures=_figures(here.names, here.ratios, reference.ratios),
        reference=name,
        is_learned=name == "train",
        texts={"texts": here.texts, "sentences": here.sentences, "words": here.words, "empty": here.empty},
        data={"sentences": len(split), "tagged": reference.sentences, "words": reference.words},
        units=(here.unit, reference.unit),
    )


class _Side:
    """Sums over the texts of one side, by text and by sentence.

    Args:
        tagger: The tagger.
        known: Words that are known.
    """

    def __init__(self, tagger: Tagger | Ensemble, known: frozenset[str]):
        self._tagger, self._known = tagger, known
        first = tagger.members[0] if isinstance(tagger, Ensemble) else tagger
        self._aligner = Aligner(cast(Tagger, first).tokenizer, max_length=cast(Tagger, first).max_length)
        self.names = _names(tagger.schema)
        shares = np.array([name not in _MEANS for name in self.names])
        self._by_text, self._by_sentence = Ratios(len(shares), shares), Ratios(len(shares), shares)
        self.texts = self.empty = self.sentences = self.words = 0

    def read(self, texts: Iterable[Sequence[Sequence[str]]]) -> None:
        """Tag texts, given as the words of their sentences, and add them."""
        for sentences, labels in self._tagger.label_each((text, text) for text in texts):
            self.texts += 1
            pairs = [self._measured(words, found) for words, found in zip(sentences, labels, strict=True) if len(words)]
            for above, below in pairs:
                self._by_sentence.add(above, below)
            if pairs:
                self._by_text.add(*(np.sum(part, axis=0) for part in zip(*pairs, strict=True)))
            self.empty += not pairs
            self.sentences += len(pairs)
            self.words += sum(map(len, sentences))

    @property
    def unit(self) -> str:
        """Units that are counted as independent."""
        return "sentences" if self._by_text.units < FEW else "texts"

    @property
    def ratios(self) -> Ratios:
        """Sums over what is independent."""
        return self._by_sentence if self.unit == "sentences" else self._by_text

    def _measured(self, words: Sequence[str], labels: WordLabels) -> tuple[Array, Array]:
        """Return the numerators and denominators of a sentence. (figures,) each"""
        schema, n = self._tagger.schema, len(words)
        unknown = sum(word not in self._known for word in words)
        capital = sum(word[:1].isupper() and not _in_capitals(word) for word in words)
        shape = [unknown, self._subwords(words), n, capital, sum(map(_in_capitals, words))]
        certain = [float(labels.scores.sum()), int((labels.scores < UNSURE).sum())]
        below = [n, n, 1, n, n, n, n]
        if schema.entity_types:
            starts, _, types = schema.entity_edges(labels.ids, np.array([0, n]))
            rates = np.bincount(types[starts.astype(bool)], minlength=len(schema.entity_types))
            certain, below = [*certain, float(labels.entities.sum())], [*below, len(labels.entities)]
        else:
            rates = np.bincount(labels.ids[labels.ids >= 0], minlength=len(schema.tags))
        return np.array([*shape, *certain, *rates], float), np.array([*below, *[n] * len(rates)], float)

    def _subwords(self, words: Sequence[str]) -> int:
        different = Counter(words)
        sizes, _ = self._aligner.measured([*different])
        return int(np.maximum(sizes, 1) @ np.fromiter(different.values(), np.int64))


def _names(schema: TagSchema) -> list[str]:
    certain = ["confidence of words", f"words below {UNSURE}"]
    if schema.entity_types:
        return [*_SHAPE, *certain, "confidence of entities", *schema.entity_types]
    return [*_SHAPE, *certain, *schema.tags]


def _in_capitals(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def _sentences_with(train: Dataset) -> Counter[str]:
    """Return the number of sentences that each word is in."""
    found: Counter[str] = Counter()
    for batch in arrow_batches(train, "tokens"):
        for words in batch.column("tokens").to_pylist():
            found.update(set(words))
    return found


def _reference(split: Dataset, seed: int) -> Iterator[list[list[str]]]:
    """Yield the sentences of the documents of a split; of a large one, of documents that are drawn."""
    bounds = document_bounds(split)
    chosen = np.random.default_rng(seed).permutation(len(bounds) - 1)
    sizes = np.diff(bounds)[chosen]
    chosen = chosen[np.cumsum(sizes) - sizes < MOST_REFERENCE]
    for document in np.sort(chosen).tolist():
        yield split[int(bounds[document]) : int(bounds[document + 1])]["tokens"]


def _figures(names: Sequence[str], texts: Ratios, reference: Ratios) -> list[DriftFigure]:
    """Return the figures with intervals of 95 % for all of them at once (Bonferroni)."""
    reach = NormalDist().inv_cdf(1 - (1 - _LEVEL) / (2 * len(names))) * np.sqrt(texts.variances + reference.variances)
    differences = texts.values - reference.values
    columns = (texts.values, reference.values, differences, differences - reach, differences + reach)
    rows = [[None if np.isnan(x) else float(x) for x in row] for row in np.stack(columns, axis=1)]
    return [DriftFigure(name, *row) for name, row in zip(names, rows, strict=True)]
