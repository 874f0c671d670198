"""What every tagger offers for words and text: tags, scores, the best tag sequences, documents, streams and texts.

All of it rests on a few things that a tagger of one model and an ensemble do in ways of their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise, tee
from typing import TypedDict, TypeVar, overload

import numpy as np
import torch

from hf_tagging.data.schema import TagSchema
from hf_tagging.data.window_plans import parts_of
from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.inference.cutting import BY_SCRIPT, CutText, Splitter, TextCutter
from hf_tagging.inference.nbest import Paths
from hf_tagging.inference.odds import EntityOdds
from hf_tagging.inference.reading import Precision
from hf_tagging.inference.results import NO_SCORES, TaggedText, WordLabels, joined, tagged_text
from hf_tagging.inference.sentences import as_sentences, checked_texts
from hf_tagging.problems import argument

T = TypeVar("T")


class TaggerOptions(TypedDict, total=False):
    """Options for loading a tagger; see `Tagger.from_pretrained`."""

    revision: str | None
    trust_remote_code: bool
    device: str | torch.device | None
    tokens_per_batch: int | None
    precision: Precision | None
    min_confidence: float
    dtype: str | torch.dtype | None


def checked_confidence(value: float) -> float:
    """Return a `min_confidence`.

    Raises:
        ConfigError: It is not between 0 and 1.
    """
    if not 0 <= value <= 1:
        raise ConfigError(f"{argument('min_confidence', value)}: is not between 0 and 1.")
    return value


class WordTagger(ABC):
    """Tagger of words and texts, whatever it reads them with.

    Attributes:
        schema: Tags.
        min_confidence: See `Tagger`.
        context_subwords: Subwords of its document that a sentence is read with on each side; 0: none.
        device: Where it runs.
        tokens_per_batch: See `Tagger`.
    """

    schema: TagSchema
    min_confidence: float
    context_subwords: int
    device: torch.device
    tokens_per_batch: int
    _splitter: str | None  # that cut the words of training
    _cutter: TextCutter | None = None

    @overload
    def tag(self, words: list[str]) -> list[str]: ...
    @overload
    def tag(self, words: list[list[str]]) -> list[list[str]]: ...
    def tag(self, words: list[str] | list[list[str]]) -> list[str] | list[list[str]]:
        """Tag one sentence or many.

        Args:
            words: Words of a sentence (words,), or a list of sentences (sentences, words).

        Returns:
            One tag per word, in the same shape.

        Raises:
            TaggingError: A string was given instead of words, or an item of the list is not a word.
        """
        sentences, many = as_sentences(words)
        tags = [labels.tags(self.schema) for labels in self.label(sentences, exact=False)]
        return tags if many else tags[0]

    @overload
    def tag_with_scores(self, words: list[str]) -> list[tuple[str, float]]: ...
    @overload
    def tag_with_scores(self, words: list[list[str]]) -> list[list[tuple[str, float]]]: ...
    def tag_with_scores(
        self, words: list[str] | list[list[str]]
    ) -> list[tuple[str, float]] | list[list[tuple[str, float]]]:
        """Tag like `tag`, and return each tag with its probability."""
        sentences, many = as_sentences(words)
        tags = [list(zip(x.tags(self.schema), x.scores.tolist(), strict=True)) for x in self.label(sentences)]
        return tags if many else tags[0]

    @overload
    def tag_nbest(self, words: list[str], n: int) -> list[tuple[list[str], float]]: ...
    @overload
    def tag_nbest(self, words: list[list[str]], n: int) -> list[list[tuple[list[str], float]]]: ...
    def tag_nbest(
        self, words: list[str] | list[list[str]], n: int
    ) -> list[tuple[list[str], float]] | list[list[tuple[list[str], float]]]:
        """Return the n most probable tag sequences of one sentence or of many, each with its probability.

        List Viterbi finds them for a CRF; for other models they are the best products of the probabilities of single
        words. Both are exact. A sentence longer than the model is read in windows, whose tags are
        independent.

        Args:
            words: Words of a sentence (words,), or a list of sentences (sentences, words).
            n: Number of sequences.

        Returns:
            Tags (words,) and probability of each sequence, the most probable first; a list of these for each sentence
            of many. Fewer than n where there are not as many, or only such as the scheme rules out. The first one has
            the tags of `tag`, unless a CRF splits a word of the sentence into several or reads it in several windows:
            `tag` takes the best path over all of them, and here they are summed over.

        Raises:
            ConfigError: `n` is not positive.
            TaggingError: See `tag`.
        """
        if n < 1:
            raise ConfigError(f"n: {n} is not a positive number of tag sequences.")
        sentences, many = as_sentences(words)
        found = [
            [
                ([self.schema.tags[i] for i in ids], probability)
                for ids, probability in zip(paths.ids.tolist(), np.exp(paths.logs).tolist(), strict=True)
            ]
            for paths in self._paths(sentences, n)
        ]
        return found if many else found[0]

    def tag_document(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """Tag the sentences of one document.

        A model that was trained with its sentences in context reads them so (`context_subwords`); any other reads them
        one by one, as `tag` does.

        Args:
            sentences: Words of the sentences of the document, from first to last. (sentences, words)

        Returns:
            One tag per word, sentence by sentence.

        Raises:
            TaggingError: A sentence was given instead of sentences, or an item of one is not a word.
        """
        found, many = as_sentences(sentences)
        if not many:
            raise TaggingError("Tagger.tag_document takes a list of sentences; one sentence goes to Tagger.tag.")
        return [labels.tags(self.schema) for labels in self.label(found, documents=[len(found)], exact=False)]

    def tag_stream(self, sentences: Iterable[Sequence[str]], block: int = 1000) -> Iterator[list[str]]:
        """Tag a stream of sentences in constant memory.

        Args:
            sentences: Any iterable of sentences; read one block ahead of the tags.
            block: Number of sentences that are batched together.

        Yields:
            Tags of each sentence, in the order given.
        """
        for labels in self.label_stream(sentences, block, exact=False):
            yield labels.tags(self.schema)

    def tag_text(
        self, text: str, *, splitter: str | Splitter | None = None, split_sentences: bool = True
    ) -> TaggedText:
        """Split a text into sentences of words, tag each sentence, and read entities off the tags.

        For a model that was trained with its sentences in context, the text is a document.

        Args:
            text: Text to tag.
            splitter: Name of a splitter (see `hf_tagging.data.get_splitter`), or a function that returns start and end
                of each word in order. Default: the one that cut the words of the model's training, as its config says;
                without that, by script: Han by characters, all else as in English.
            split_sentences: Tag sentence by sentence, as the model was trained. False: the text is one sentence.

        Raises:
            TaggingError: `text` is not a string, or `splitter` returns spans that are not in it.
            ConfigError: There is no splitter of this name, or its package is not installed.
        """
        if not isinstance(text, str):
            raise TaggingError(
                f"tag_text takes a string, and was given a {type(text).__name__}; words go to Tagger.tag."
            )
        cut = self.cutter(splitter, split_sentences=split_sentences)(text)
        labels = self.label(cut.sentences, documents=[len(cut.sentences)])
        return self._tagged(cut, labels)

    def tag_texts(
        self,
        texts: Iterable[str],
        *,
        splitter: str | Splitter | None = None,
        split_sentences: bool = True,
        block: int = 1000,
    ) -> Iterator[TaggedText]:
        """Tag a stream of texts like `tag_text`, in constant memory and with sentences of many texts in a batch.

        Args:
            texts: Any iterable of texts; read one block ahead of what is yielded.
            splitter: See `tag_text`.
            split_sentences: See `tag_text`.
            block: Number of sentences that are batched together.

        Returns:
            An iterator of what `tag_text` returns for each text, in the order given.

        Raises:
            TaggingError: See `tag_text`; of a text after the first, when it is reached.
            ConfigError: See `tag_text`.
        """
        if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
            hint = " one text goes to Tagger.tag_text." if isinstance(texts, str) else ""
            raise TaggingError(f"tag_texts takes texts, and was given a {type(texts).__name__};{hint}")
        cutter = self.cutter(splitter, split_sentences=split_sentences)
        cuts = ((cut, cut.sentences) for cut in map(cutter, checked_texts(texts)))
        return (self._tagged(cut, labels) for cut, labels in self.label_each(cuts, block))

    def _tagged(self, cut: CutText, labels: Sequence[WordLabels]) -> TaggedText:
        return tagged_text(cut.text, cut.spans, joined(labels), self.schema, starts=cut.starts)

    def cutter(self, splitter: str | Splitter | None = None, *, split_sentences: bool = True) -> TextCutter:
        """Return what cuts texts into sentences of words for this tagger; the arguments are those of `tag_text`."""
        if splitter is not None or not split_sentences:
            return TextCutter(splitter, trained=self._splitter, split_sentences=split_sentences)
        if self._cutter is None:
            self._cutter = TextCutter(trained=self._splitter)
        return self._cutter

    def label_stream(
        self, sentences: Iterable[Sequence[str]], block: int = 1000, *, exact: bool = True
    ) -> Iterator[WordLabels]:
        """Yield label ids and scores of each sentence, like `tag_stream`; `exact` as in `label`."""
        return self._label_parts(([sentence] for sentence in sentences), block, exact=exact)

    def label_documents(
        self, documents: Iterable[Iterable[Sequence[str]]], block: int = 1000, *, exact: bool = True
    ) -> Iterator[WordLabels]:
        """Yield label ids and scores of each sentence of a stream of documents, in constant memory.

        Args:
            documents: Sentences of each document, from first to last; read ahead as by `label_stream`.
            block: Number of sentences that are batched together.
            exact: See `label`.

        Yields:
            Labels of each sentence, document after document.
        """
        if not self.context_subwords:
            return self.label_stream(chain.from_iterable(documents), block, exact=exact)
        return self._label_parts(chain.from_iterable(map(parts_of, documents)), block, exact=exact)

    def label_each(
        self, items: Iterable[tuple[T, Sequence[Sequence[str]]]], block: int = 1000
    ) -> Iterator[tuple[T, list[WordLabels]]]:
        """Yield any items, each with the labels of the sentences that come with it, in constant memory.

        Args:
            items: Each with its sentences, which are one document; read ahead as by `label_stream`.
            block: Number of sentences that are batched together.
        """
        # What has been read and is not yet yielded waits in the tee: as much as the tagger reads ahead.
        here, ahead = tee(items)
        labels = self.label_documents((sentences for _, sentences in ahead), block)
        for item, sentences in here:
            yield item, [*islice(labels, len(sentences))]
        next(labels, None)  # raises what the items raised

    @abstractmethod
    def label(
        self,
        sentences: Sequence[Sequence[str]],
        *,
        documents: Sequence[int] | None = None,
        first: int = 0,
        exact: bool = True,
    ) -> list[WordLabels]:
        """Return label ids and scores for a batch of sentences.

        Args:
            sentences: Words. (sentences, words)
            documents: Number of sentences in each document, for a model that reads them in context. None: each
                sentence stands alone. (documents,)
            first: Number of the first sentence, for messages.
            exact: False: read in the precision of `tag`, in which scores may differ slightly, and without scores of
                entities; see `Tagger`.

        Returns:
            Labels of each sentence, in the same order.
        """

    def probabilities(
        self, sentences: Sequence[Sequence[str]], *, documents: Sequence[int] | None = None, first: int = 0
    ) -> list[np.ndarray]:
        """Return the probability of every tag for a batch of sentences: the softmax of the logits of each word.

        A CRF or a hidden Markov model returns posteriors, by forward-backward over the whole window. Where its best
        path does not pass through a word's most probable tag, the tag of the path is raised to just above it, so that
        the most probable tag is the one that `tag` returns.

        Args:
            sentences: Words. (sentences, words)
            documents: See `label`.
            first: Number of the first sentence, for messages.

        Returns:
            An array per sentence, in the same order. (words, tags) float32 each; a tag's column is its label id
        """
        table, bounds, _ = self._table(sentences, documents, first, entities=False)
        return [table[a:b] for a, b in pairwise(bounds)]

    def all_probabilities(
        self, sentences: Sequence[Sequence[str]], *, documents: Sequence[int] | None = None, first: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `probabilities` and those of the entities that the most probable tags make.

        Args:
            sentences: Words. (sentences, words)
            documents: See `label`.
            first: Number of the first sentence, for messages.

        Returns:
            Of every tag, all words in one array (words, tags), and of the entities, in order (entities,), both float32
        """
        table, bounds, odds = self._table(sentences, documents, first, entities=True)
        entities = [] if odds is None else odds.of_sentences(table.argmax(-1), bounds)
        return table, np.concatenate([NO_SCORES, *entities])

    @property
    @abstractmethod
    def name(self) -> str:
        """Name to show, without any path."""

    @property
    def splitter(self) -> str | None:
        """Name of the splitter that cuts texts, as the words of training were cut; None: by script."""
        return None if self._splitter in BY_SCRIPT else self._splitter

    def _odds(self, words: int) -> EntityOdds | None:
        """Return what collects the probabilities of the entities of a block of words; None without entity types."""
        return EntityOdds(self.schema, words) if self.schema.entity_types else None

    @abstractmethod
    def _label_parts(
        self, parts: Iterable[Sequence[Sequence[str]]], block: int, *, exact: bool
    ) -> Iterator[WordLabels]:
        """Yield labels of each sentence of a stream of parts of documents; see `label_documents`."""

    @abstractmethod
    def _paths(self, sentences: Sequence[Sequence[str]], n: int) -> list[Paths]:
        """Return the n most probable paths of each sentence."""

    @abstractmethod
    def _table(
        self, sentences: Sequence[Sequence[str]], documents: Sequence[int] | None, first: int, *, entities: bool
    ) -> tuple[np.ndarray, np.ndarray, EntityOdds | None]:
        """Return the probability of every tag (words, tags), the bounds of the sentences, and those of entities.

        Args:
            sentences: Words. (sentences, words)
            documents: See `label`.
            first: Number of the first sentence, for messages.
            entities: Collect the probabilities of entities.
        """
