"""Suggesting which texts to annotate next: active learning for taggers.

    texts ──► words ──► probabilities ──► a number per text ──► the best of them, tagged for an annotator to correct

One pass over the texts keeps a number, and the best texts so far; no text's logits outlive its block.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import get_args

import numpy as np

from hf_tagging.data.formats.base import Document
from hf_tagging.data.tag_lists import rewritten
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.inference.documents import tag_documents, word_rows, words_of
from hf_tagging.inference.doubt import entropies, margins, of_text, spread_out, vote_entropies, votes_of
from hf_tagging.inference.exports import is_annotated
from hf_tagging.inference.suggestions import By, Doubt, Measure, Suggestion, Suggestions
from hf_tagging.inference.tagger import Tagger
from hf_tagging.inference.vectors import check_vectors, text_vectors
from hf_tagging.inference.word_tagger import WordTagger
from hf_tagging.problems import argument

MOST_VECTORS = 50_000
"""Texts whose vectors are compared; of more texts, this many are drawn."""

MOST_COVERED = 2_000
"""Annotated texts from which those chosen for diversity are kept apart; of more, the first ones."""

_BLOCK_WORDS, _BLOCK_VALUES = 20_000, 1 << 22  # words, and probabilities, that are in memory at once
_SPARE = 5  # times as many texts are kept as are asked for, so that near repetitions can be passed over
_NEARLY = 0.8  # of the words: then two texts are nearly the same
_DOUBTS = 3  # words of a suggestion that are shown


def suggest_texts(
    tagger: Tagger,
    texts: Iterable[str | Document],
    *,
    number: int = 100,
    by: By = "uncertainty",
    measure: Measure = "entropy",
    models: Sequence[WordTagger] = (),
    annotated: Iterable[str] = (),
    seed: int = 0,
    model: str | None = None,
) -> Suggestions:
    """Choose the texts whose annotation should teach a tagger most.

        for suggestion in suggest_texts(tagger, open("texts.txt"), number=20).chosen:
            print(suggestion.score, suggestion.document.text)

    - ``uncertainty``: texts with words whose tags are least certain, by the entropy of a word's tags or the lead of the
      best one (margin). Of the measures that Settles and Craven (2008, An Analysis of Active Learning Strategies for
      Sequence Labeling Tasks) compare, these are token entropy and token margin; the mean is taken over the least
      certain fifth of the words, and at least three, so that neither long nor short texts are preferred as such.
    - ``disagreement``: texts about whose words several models disagree, by vote entropy (Dagan and Engelson, 1995),
      averaged in the same way. Equal ones are in the order of the first model's entropy.
    - ``diversity``: texts that differ from each other and from those annotated, by the mean vectors of the encoder,
      drawn as k-means++ draws its centers.

    Texts that are annotated already and repeated ones are left out; a text nearly the same as a better one (four fifths
    of its words, digits alike) is passed over while there are others.

    Args:
        tagger: Tagger that is to be trained further; exported taggers too, but for diversity.
        texts: Texts, or documents; those with annotated spans count as annotated. Read once, as a stream.
        number: How many to choose.
        by: "uncertainty", "diversity" or "disagreement".
        measure: Of uncertainty: "entropy" or "margin".
        models: Further taggers with the same tags, for disagreement.
        annotated: Texts that are annotated already; white space does not matter.
        seed: Of what is drawn for diversity.
        model: Name of the model in the documents, as of `tag_documents`.

    Raises:
        ConfigError: There is no such way to choose, the models do not fit it, or `number` is below 1.
        DataError: There is no text left to choose from.
    """
    _check(tagger, number, by, measure, models)
    pool = _Pool(texts, annotated)
    choose = _choose_diverse if by == "diversity" else _choose_highest
    score = _scorer(tagger, models, by, measure)
    chosen, similar, drawn = choose(tagger, pool, number, score, seed)
    if not pool.texts - pool.left_out:
        raise DataError(f"There is no text to choose: {pool.told()}.")
    documents = tag_documents(tagger, (item.document for item in chosen), model=model)
    suggestions = [_described(tagger, item, document) for item, document in zip(chosen, documents, strict=True)]
    counts = {"repeated": pool.repeated, "annotated": pool.annotated, "empty": pool.empty}
    return Suggestions(by=by, chosen=suggestions, texts=pool.texts, similar=similar, drawn=drawn, **counts)


def _check(tagger: Tagger, number: int, by: str, measure: str, models: Sequence[WordTagger]) -> None:
    if number < 1:
        raise ConfigError(f"{argument('number', number)}: expected 1 or more")
    for name, value, known in (("by", by, get_args(By)), ("measure", measure, get_args(Measure))):
        if value not in known:
            raise ConfigError(f"{argument(name, value)}: expected one of {', '.join(known)}")
    if by == "disagreement" and not models:
        raise ConfigError(f"{argument('by', by)}: takes two models or more. Give others as {argument('models')}.")
    if by != "disagreement" and models:
        raise ConfigError(f"{argument('models')}: has an effect with {argument('by', 'disagreement')} only.")
    if by != "uncertainty" and measure != "entropy":
        raise ConfigError(f"{argument('measure', measure)}: has an effect with {argument('by', 'uncertainty')} only.")
    if by == "diversity":
        check_vectors(tagger)
    for other in models:
        if other.min_confidence > 0:
            raise ConfigError(
                f"{argument('min_confidence', other.min_confidence)}: leaves out tags that {argument('models')} vote "
                "with. Give taggers without it."
            )
        ours, theirs = ({*x.schema.entity_types} or {*x.schema.tags} for x in (tagger, other))
        if not ours & theirs or bool(tagger.schema.entity_types) != bool(other.schema.entity_types):
            raise ConfigError(
                f"{argument('models')}: the models have no tag in common: {', '.join(sorted(ours)[:5])} and "
                f"{', '.join(sorted(theirs)[:5])}. Their disagreement would say nothing."
            )


@dataclass(frozen=True)
class _Item:
    """A text in the running: its number from 1, words, and score; `tie` decides between equal scores."""

    number: int
    document: Document
    rows: list[list[str]]
    score: float = 0.0
    tie: float = 0.0

    @property
    def rank(self) -> tuple[float, float, int]:
        return (self.score, self.tie, -self.number)


class _Pool:
    """Texts to choose from; counts those that are left out."""

    def __init__(self, texts: Iterable[str | Document], annotated: Iterable[str]):
        self._texts = texts
        self.covered: list[Document] = []
        self._done = {self._covering(Document(text=text, spans=[])) for text in annotated}
        self.texts = self.repeated = self.annotated = self.empty = 0

    def _covering(self, document: Document) -> bytes:
        """Keep an annotated text, as long as there are few, and return its key."""
        if len(self.covered) < MOST_COVERED:
            self.covered.append(document)
        return _key(document.text)

    @property
    def left_out(self) -> int:
        """Number of texts that cannot be chosen."""
        return self.repeated + self.annotated + self.empty

    def told(self) -> str:
        """Return what became of the texts."""
        if not self.texts:
            return "none was read"
        why = f"{self.annotated:,} are annotated already, {self.repeated:,} are repeated, {self.empty:,} have no word"
        return f"of {self.texts:,}, {why}"

    def items(self, tagger: Tagger) -> Iterator[_Item]:
        """Yield the texts that can be chosen."""
        seen: set[bytes] = set()
        for number, text in enumerate(self._texts, start=1):
            document = text if isinstance(text, Document) else Document(text=text.rstrip("\r\n"), spans=[])
            self.texts = number
            key = _key(document.text)
            if key in self._done:
                self.annotated += 1
            elif is_annotated(document):
                self._done.add(self._covering(document))
                self.annotated += 1
            elif key in seen:
                self.repeated += 1
            elif rows := _rows(tagger, document):
                seen.add(key)
                yield _Item(number, document, rows)
            else:
                self.empty += 1


def _key(text: str) -> bytes:
    """Return what two texts have in common that differ in white space only, as raw text and its words do."""
    return blake2b("".join(text.split()).encode(errors="surrogatepass"), digest_size=16).digest()


_Scorer = Callable[[list[_Item]], list[_Item]]


def _scorer(tagger: Tagger, models: Sequence[WordTagger], by: By, measure: Measure) -> _Scorer:
    """Return what gives a block of texts their scores."""

    def score(items: list[_Item]) -> list[_Item]:
        rows = [row for item in items for row in item.rows]
        texts = [len(item.rows) for item in items]
        tables = tagger.probabilities(rows, documents=texts)
        uncertain = [1.0 - margins(table) if measure == "margin" else entropies(table) for table in tables]
        if by == "disagreement":
            votes = [_votes(tagger, [table.argmax(-1) for table in tables])]
            votes += [_votes(other, [labels.ids for labels in other.label(rows, documents=texts)]) for other in models]
            apart = [vote_entropies(votes_of(tags)) for tags in zip(*votes, strict=True)]
            return _with_scores(items, apart, uncertain)
        return _with_scores(items, uncertain, uncertain)

    return score


def _votes(tagger: WordTagger, ids: list[np.ndarray]) -> list[list[str]]:
    """Return the tags of rows, entities in IOB2 so that models of different schemes agree where they mean the same."""
    tags = [[tagger.schema.tags[i] for i in row.tolist()] for row in ids]
    return rewritten(tags, tagger.schema, "IOB2")[0] if tagger.schema.entity_types else tags


def _with_scores(items: list[_Item], by_row: list[np.ndarray], ties: list[np.ndarray]) -> list[_Item]:
    scored, at = [], 0
    for item in items:
        here = slice(at, at + len(item.rows))
        score, tie = (of_text(np.concatenate(words[here])) for words in (by_row, ties))
        scored.append(_Item(item.number, item.document, item.rows, score, tie))
        at += len(item.rows)
    return scored


def _blocks(items: Iterable[_Item], tags: int) -> Iterator[list[_Item]]:
    """Group texts so that their probabilities fit into memory."""
    most = min(_BLOCK_WORDS, _BLOCK_VALUES // max(1, tags))
    block: list[_Item] = []
    words = 0
    for item in items:
        block.append(item)
        words += sum(map(len, item.rows))
        if words >= most:
            yield block
            block, words = [], 0
    if block:
        yield block


def _choose_highest(
    tagger: Tagger, pool: _Pool, number: int, score: _Scorer, seed: int
) -> tuple[list[_Item], int, int]:
    """Return the texts with the highest scores, how many similar ones were passed over, and how many were compared."""
    heap: list[tuple[tuple[float, float, int], _Item]] = []
    for block in _blocks(pool.items(tagger), len(tagger.schema.tags)):
        for item in score(block):
            (heapq.heappush if len(heap) < _SPARE * number else heapq.heappushpop)(heap, (item.rank, item))
    best = [item for _, item in sorted(heap, key=lambda entry: entry[0], reverse=True)]
    chosen, similar = _without_similar(best, number)
    return chosen, similar, pool.texts - pool.left_out


def _without_similar(best: list[_Item], number: int) -> tuple[list[_Item], int]:
    """Return the first texts that are not nearly the same as one before, filled up with those where they are few."""
    chosen: list[_Item] = []
    passed: list[_Item] = []
    known: list[frozenset[str]] = []
    for item in best:
        if len(chosen) == number:
            break
        words = frozenset(_shape(word) for row in item.rows for word in row)
        if any(len(words & other) >= _NEARLY * len(words | other) for other in known):
            passed.append(item)
            continue
        known.append(words)
        chosen.append(item)
    filled = passed[: number - len(chosen)]
    return chosen + filled, len(passed) - len(filled)


def _shape(word: str) -> str:
    return "".join("0" if letter.isdigit() else letter for letter in word.lower())


def _choose_diverse(
    tagger: Tagger, pool: _Pool, number: int, score: _Scorer, seed: int
) -> tuple[list[_Item], int, int]:
    """Return texts that differ, none that was passed over, and how many were compared."""
    generator = np.random.default_rng(seed)
    kept: list[_Item] = []
    vectors: list[np.ndarray] = []
    met = 0
    for block in _blocks(pool.items(tagger), len(tagger.schema.tags)):
        for item, vector in zip(block, _vectors(tagger, block), strict=True):
            met += 1  # reservoir sampling: Vitter (1985), algorithm R
            if len(kept) < MOST_VECTORS:
                kept.append(item)
                vectors.append(vector)
            elif (place := int(generator.integers(met))) < MOST_VECTORS:
                kept[place], vectors[place] = item, vector
    if not kept:
        return [], 0, 0
    covered = _vectors(tagger, [_Item(0, document, _rows(tagger, document)) for document in pool.covered])
    drawn = spread_out(np.stack(vectors), number, covered=covered, seed=seed)
    chosen = [replace(kept[place], score=distance) for place, distance in drawn]
    return chosen, 0, len(kept)


def _rows(tagger: Tagger, document: Document) -> list[list[str]]:
    return [words_of(document, row) for row in word_rows(document, tagger.cutter())]


def _vectors(tagger: Tagger, items: list[_Item]) -> np.ndarray:
    """Return the vectors of texts: each the mean of those of its rows. (items, size)"""
    rows = [row for item in items for row in item.rows]
    owners = np.repeat(np.arange(len(items)), [len(item.rows) for item in items])
    vectors = text_vectors(tagger, rows)
    sums = np.zeros((len(items), vectors.shape[1]), np.float32)
    np.add.at(sums, owners, vectors)
    return sums / np.maximum(np.bincount(owners, minlength=len(items)), 1)[:, None].astype(np.float32)


def _described(tagger: Tagger, item: _Item, document: Document) -> Suggestion:
    """Return a chosen text with its figures."""
    table = np.concatenate(tagger.probabilities(item.rows, documents=[len(item.rows)]))
    words = [word for row in item.rows for word in row]
    entropy, lead = entropies(table), margins(table)
    least = np.argsort(lead, kind="stable")[:_DOUBTS].tolist()
    doubts = [_doubt(tagger, words[i], table[i]) for i in least]
    return Suggestion(document, item.number, item.score, of_text(entropy), 1.0 - of_text(1.0 - lead), doubts)


def _doubt(tagger: Tagger, word: str, row: np.ndarray) -> Doubt:
    order = np.argsort(-row, kind="stable")[:2].tolist()
    first, second = order[0], order[-1]
    tags = tagger.schema.tags
    return Doubt(word, tags[first], float(row[first]), tags[second], float(row[second]))
