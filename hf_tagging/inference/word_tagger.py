"""Methods of every tagger for words and text: tags, scores, the best tag sequences, documents, streams and texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, overload

import numpy as np
import torch

from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.inference.cutting import BY_SCRIPT, Splitter, TextCutter
from hf_tagging.inference.explaining import Explanation, checked_method, checked_position
from hf_tagging.inference.labelling import Labeller
from hf_tagging.inference.piping import column_of, cuts_of, features_of, tell_of_missing
from hf_tagging.inference.reading import Precision
from hf_tagging.inference.results import tagged_cut
from hf_tagging.inference.sentences import as_sentences, checked_texts, refuse_table
from hf_tagging.inference.tagged_text import TaggedText
from hf_tagging.problems import argument

if TYPE_CHECKING:
    from datasets import Features


class TaggerOptions(TypedDict, total=False):
    """Options for loading a tagger; see `Tagger.from_pretrained`."""

    revision: str | None
    trust_remote_code: bool
    device: str | torch.device | None
    tokens_per_batch: int | None
    precision: Precision | None
    min_confidence: float
    dtype: str | torch.dtype | None
    rules: str | Path | Literal[False] | None


def checked_confidence(value: float) -> float:
    """Return a `min_confidence`.

    Raises:
        ConfigError: It is not between 0 and 1.
    """
    if not 0 <= value <= 1:
        raise ConfigError(f"{argument('min_confidence', value)}: is not between 0 and 1.")
    return value


class WordTagger(Labeller):
    """Tagger of words and texts, whatever it reads them with."""

    _splitter: str | None  # that cut the words of training
    _cutter: TextCutter | None = None
    _told_of_missing: bool = False

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
        independent. Rules beside the model are not heeded.

        Args:
            words: Words of a sentence (words,), or a list of sentences (sentences, words).
            n: Number of sequences.

        Returns:
            Tags (words,) and probability of each sequence, the most probable first; a list of these for each sentence
            of many. Fewer than n where there are not as many, or only such as the scheme rules out. The first one has
            the tags of `tag`, unless a CRF splits a word of the sentence into several or reads it in several windows:
            `tag` takes the best path over all of them, and here they are summed over.

        Raises:
            ConfigError: `n` is not a positive whole number.
            TaggingError: See `tag`.
        """
        if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
            raise ConfigError(f"n: {n!r} is not a positive whole number of tag sequences.")
        sentences, many = as_sentences(words)
        found = [
            [
                ([self.schema.tags[i] for i in ids], probability)
                for ids, probability in zip(paths.ids.tolist(), np.exp(paths.logs).tolist(), strict=True)
            ]
            for paths in self._paths(sentences, n)
        ]
        return found if many else found[0]

    def explain(
        self, words: list[str], position: int, *, tag: str | None = None, method: str = "occlusion"
    ) -> Explanation:
        """Return what every word of a sentence contributes to the tag of one of them, without any rules.

        Words outside the window in which the word is read contribute nothing.

        Args:
            words: Words of the sentence. (words,)
            position: Number of the word whose tag is explained, from 0; negative ones count from the end.
            tag: Tag to explain. Default: the word's own.
            method: ``"occlusion"``: what the tag's probability loses where a word is unknown; its window is read
                once for each of its words. ``"integrated_gradients"``: the gradient of the probability, followed from a
                sentence of unknown words; for encoders, with or without a CRF, with captum installed. Of a CRF it is
                the probability of the word alone, and `Explanation.transitions` holds what comes on top.

        Raises:
            TaggingError: See `tag`.
            ConfigError: There is no such word, tag or method, or captum is not installed.
            ModelError: The model has no gradients to follow.
        """
        sentences, many = as_sentences(words)
        if many:
            raise TaggingError("Tagger.explain takes the words of one sentence, and was given a list of sentences.")
        sentence = list(sentences[0])
        place, how = checked_position(sentence, position), checked_method(method)
        if tag is not None and tag not in self.schema.label2id:
            raise ConfigError(f"tag: {tag!r} is not a tag of this model, which has {', '.join(self.schema.tags)}.")
        (table,) = self.probabilities([sentence])
        ids = table.argmax(-1)
        if tag is not None:
            ids[place] = self.schema.label2id[tag]
        label = int(ids[place])
        contributions = (self._occlusion if how == "occlusion" else self._gradients)(sentence, place, label)
        return Explanation(
            words=sentence,
            position=place,
            tag=self.schema.tags[label],
            probability=float(table[place, label]),
            contributions=contributions,
            method=how,
            transitions=self._transitions(ids, place),
        )

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
        return tagged_cut(cut, labels, self.schema)

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
            hint = "; one text goes to Tagger.tag_text" if isinstance(texts, str) else ""
            raise TaggingError(f"tag_texts takes texts, and not a value of type {type(texts).__name__}{hint}.")
        refuse_table(texts, "tag_texts takes texts")
        cutter = self.cutter(splitter, split_sentences=split_sentences)
        cuts = ((cut, cut.sentences) for cut in map(cutter, checked_texts(texts)))
        return (tagged_cut(cut, labels, self.schema) for cut, labels in self.label_each(cuts, block))

    def pipe(
        self,
        columns: object,
        column: str = "text",
        *,
        splitter: str | Splitter | None = None,
        split_sentences: bool = True,
    ) -> dict[str, list[object]]:
        """Tag a column of a table: columns in, columns out, for `datasets.Dataset.map` and pandas.

            dataset = dataset.map(tagger.pipe, batched=True, fn_kwargs={"column": "review"})
            frame = frame.assign(**tagger.pipe(frame["review"]))

        Args:
            columns: Columns by name, such as the batch that `map` gives or a DataFrame; or a column, such as a Series
                or a list.
            column: Name of the column with the texts. A list of words is tagged as the sentence that it is; its offsets
                are those of the words joined by blanks. None and NaN are texts without words, and are counted in
                a warning: that of `map` for its first batch with any, and for each call otherwise.
            splitter: See `tag_text`.
            split_sentences: See `tag_text`.

        Returns:
            Columns ``words``, ``tags`` and, of a tagger with entities, ``entities``, with an item for each text as
            `TaggedText.to_dict` returns it.

        Raises:
            TaggingError: There is no such column, or a value of it is no text.
            ConfigError: See `tag_text`.
        """
        values = column_of(columns, column)
        if not (isinstance(columns, Mapping) and self._told_of_missing):
            self._told_of_missing |= tell_of_missing(values, str(getattr(columns, "name", None) or column))
        cuts = cuts_of(values, self.cutter(splitter, split_sentences=split_sentences))
        rows = [
            tagged_cut(cut, found, self.schema).to_dict()
            for cut, found in self.label_each((cut, cut.sentences) for cut in cuts)
        ]
        return {name: [row[name] for row in rows] for name in self.pipe_features}

    @property
    def pipe_features(self) -> Features:
        """Types of the columns that `pipe` returns, for the `features` of `map`.

        `map` takes types from its first batch, and stops at the first entity after a batch without any:
        `dataset.map(tagger.pipe, batched=True, features=Features({**dataset.features, **tagger.pipe_features}))`.
        """
        return features_of(entities=bool(self.schema.entity_types), rules=self.rules is not None)

    def __getstate__(self) -> dict[str, object]:
        """Return the state without what was kept while tagging, so that `map` finds the columns of an earlier call."""
        return {**self.__dict__, "_cutter": None, "_told_of_missing": False}

    def cutter(self, splitter: str | Splitter | None = None, *, split_sentences: bool = True) -> TextCutter:
        """Return what cuts texts into sentences of words for this tagger; the arguments are those of `tag_text`."""
        if splitter is not None or not split_sentences:
            return TextCutter(splitter, trained=self._splitter, split_sentences=split_sentences)
        if self._cutter is None:
            self._cutter = TextCutter(trained=self._splitter)
        return self._cutter

    @property
    def splitter(self) -> str | None:
        """Name of the splitter that cuts texts, as the words of training were cut; None: by script."""
        return None if self._splitter in BY_SCRIPT else self._splitter
