"""Tagger: one tag per word for words, and words with tags and entities for text.

Sentences are cut into windows by the `Aligner` that training uses, so that a word is read here where it was read in
the evaluation. Windows are sorted by length and batched under a budget of subwords, padding counted, and batches run
side by side (`WindowReader`); what happens per subword or word is arithmetic on arrays. A stream reads and tokenizes
its next block while the model is busy with the one before.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import torch

from hf_tagging.data.rows import row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.window_plans import parts_of
from hf_tagging.data.windows import Aligner, Windows
from hf_tagging.deprecation import renamed_arguments
from hf_tagging.devices import find_device
from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.inference.cutting import BY_SCRIPT, Splitter, TextCutter, trained_splitter
from hf_tagging.inference.ensemble import Averaging, common_schema
from hf_tagging.inference.nbest import Paths
from hf_tagging.inference.odds import EntityOdds, word_labels
from hf_tagging.inference.onnx_model import OnnxModel
from hf_tagging.inference.reading import ACCELERATOR_BATCH, CPU_BATCH, Precision, TagModel, WindowReader
from hf_tagging.inference.results import NO_SCORES, TaggedText, WordLabels, joined, tagged_text
from hf_tagging.inference.sentences import as_sentences, blocks, check_words, encodable
from hf_tagging.problems import argument

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_Block = tuple[Windows, np.ndarray]


class Tagger:
    """Tagger for words or text, with any token-classification model.

    On a CPU it uses as many cores as `torch.get_num_threads()` returns when it is called.

    Args:
        model: Model; put in evaluation mode and moved to `device`. Or an exported one, which stays on its device.
        tokenizer: Fast tokenizer of the model.
        device: Device to run on. Default: the accelerator if there is one, else the CPU.
        tokens_per_batch: Subwords per batch, including padding; a longer window is a batch of its own. Default: 8192 on
            an accelerator, 512 on a CPU.
        precision: How matrices are multiplied. ``"exact"``: in the dtype of the weights. ``"fast"``: in bfloat16, and
            windows in which two tags are close are read again in the dtype of the weights, so that tags are those of
            ``"exact"``; scores differ slightly. How close is a margin that a training run measures on its validation
            data and keeps in the model's `config.json`. ``"bfloat16"``: in bfloat16 throughout; tags can differ.
            Default: ``"fast"`` for `tag` and `tag_stream` if the model has a margin for this kind of device, the
            device multiplies bfloat16 natively, and few windows are read again; else, and for all scores, ``"exact"``.
        min_confidence: Entities with a lower score are left out, so that their words are ``O``; without entities, a
            word with a lower score has the tag ``_``. `probabilities` and `tag_nbest` do not heed it. Default: 0, all.

    Raises:
        ModelError: The tokenizer is not a fast one.
        ConfigError: `tokens_per_batch` is not positive, `min_confidence` is not between 0 and 1, there is no such
            device, or the model cannot run in this precision.
    """

    @renamed_arguments(batch_subwords="tokens_per_batch", half=("precision", {True: None, False: "exact", None: None}))
    def __init__(
        self,
        model: TagModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        device: str | torch.device | None = None,
        tokens_per_batch: int | None = None,
        precision: Precision | None = None,
        min_confidence: float = 0.0,
    ):
        # Imported here: `from hf_tagging import Tagger` need not wait for the modeling code of Transformers.
        from hf_tagging.inference.loading import longest_window, margins

        self.model: TagModel
        if isinstance(model, OnnxModel):
            if device is not None and find_device(device) != model.device:
                raise ConfigError(f"device: an exported model stays on its device, {model.device}. Leave it out.")
            self.device, self.model = model.device, model
        else:
            self.device = find_device(device)
            self.model = model.eval().to(self.device)
        if tokens_per_batch is None:
            tokens_per_batch = CPU_BATCH if self.device.type == "cpu" else ACCELERATOR_BATCH
        if tokens_per_batch < 1:
            raise ConfigError(f"tokens_per_batch: {tokens_per_batch} is not a positive number of subwords.")
        self.min_confidence = _confidence(min_confidence)
        if columns := getattr(model.config, "word_features", None):
            logger.warning(
                "The model was trained with the columns %s. Tagging words alone leaves them out, which costs a little "
                "accuracy compared with its evaluation.",
                ", ".join(columns),
            )
        self.tokenizer = tokenizer
        self.schema = TagSchema.from_config(model.config)
        self.tokens_per_batch = tokens_per_batch
        self._splitter = trained_splitter(model.config)
        self._cutter: TextCutter | None = None
        self.context_subwords: int = getattr(model.config, "context_subwords", None) or 0
        self._aligner = Aligner(tokenizer, max_length=longest_window(model, tokenizer), context=self.context_subwords)
        self._reader = WindowReader(
            self.model,
            device=self.device,
            tokens_per_batch=tokens_per_batch,
            pad_token_id=tokenizer.pad_token_id or 0,
        )
        self._margins = margins(self.model, self.device, precision)

    @classmethod
    @renamed_arguments(name_or_dir="model", batch_subwords="tokens_per_batch")
    def from_pretrained(
        cls,
        model: str | Path | Sequence[str | Path],
        *,
        revision: str | None = None,
        trust_remote_code: bool = False,
        device: str | torch.device | None = None,
        tokens_per_batch: int | None = None,
        precision: Precision | None = None,
        min_confidence: float = 0.0,
        dtype: str | torch.dtype | None = None,
    ) -> Tagger:
        """Load a tagger.

        Args:
            model: Output folder of a run or of an export, any other folder with a token-classification model, an
                adapter (PEFT) that has its `config.json` beside it, or a name on the Hub. Several
                of them make an `Ensemble`.
            revision: Branch, tag or commit of a model on the Hub.
            trust_remote_code: Run code that comes with the model.
            device: See `Tagger`; the default for an exported model is the CPU.
            tokens_per_batch: See `Tagger`.
            precision: See `Tagger`.
            min_confidence: See `Tagger`.
            dtype: Dtype of the weights, such as ``"bfloat16"``; ``"auto"``: the one that they were saved in. Default:
                float32, or as the model was exported.

        Raises:
            ModelError: There is no such model, or it has no trained tag head.
            ConfigError: There is no such device or dtype, or the model cannot run on it or in this precision; or of
                several models, tags or schemes differ.
        """
        _confidence(min_confidence)
        if not isinstance(model, str | Path):
            if revision is not None and len(model) > 1:
                raise ConfigError(f"{argument('revision', revision)}: of which of the models? Leave it out.")
            load = partial(
                cls.from_pretrained,
                revision=revision,
                trust_remote_code=trust_remote_code,
                device=device,
                tokens_per_batch=tokens_per_batch,
                precision=precision,
                dtype=dtype,
            )
            if len(model) == 1:
                return load(model[0], min_confidence=min_confidence)
            return Ensemble([load(one) for one in model], min_confidence=min_confidence)
        from hf_tagging.inference.loading import load_tagger  # here, as in __init__

        loaded, tokenizer = load_tagger(
            str(model),
            revision=revision,
            trust_remote_code=trust_remote_code,
            dtype=_dtype(dtype),
            device=None if device is None else find_device(device),
        )
        return cls(
            loaded,
            tokenizer,
            device=device,
            tokens_per_batch=tokens_per_batch,
            precision=precision,
            min_confidence=min_confidence,
        )

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

        Of a model with a CRF they are found by list Viterbi, exactly; of other models they are the best products of the
        probabilities of single words, exactly too. A sentence longer than the model is read in windows, whose tags are
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
        return tagged_text(text, cut.spans, joined(labels), self.schema, starts=cut.starts)

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

    def _label_parts(
        self, parts: Iterable[Sequence[Sequence[str]]], block: int, *, exact: bool
    ) -> Iterator[WordLabels]:
        exact = exact or self.min_confidence > 0
        ahead = self._prepared(parts, block)
        prepared, error = _next_of(ahead)
        while prepared is not None:
            odds = self._odds(prepared[1], exact)
            with self._reader.reading(*prepared, margin=self._margin(exact), odds=odds) as result:
                following, error = _next_of(ahead)  # read and tokenized while the model runs
                labels = result()
            yield from word_labels(*labels, prepared[1], odds, least=self.min_confidence)
            prepared = following
        if error is not None:
            raise error

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
        exact = exact or self.min_confidence > 0
        windows, bounds = self._prepare(sentences, first, documents)
        odds = self._odds(bounds, exact)
        with self._reader.reading(windows, bounds, margin=self._margin(exact), odds=odds) as result:
            return word_labels(*result(), bounds, odds, least=self.min_confidence)

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
        windows, bounds = self._prepare(sentences, first, documents)
        table = self._reader.probabilities(windows, bounds, margin=self._margins.scores)
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
        windows, bounds = self._prepare(sentences, first, documents)
        odds = self._odds(bounds, exact=True)
        table = self._reader.probabilities(windows, bounds, margin=self._margins.scores, odds=odds)
        entities = [] if odds is None else odds.of_sentences(table.argmax(-1), bounds)
        return table, np.concatenate([NO_SCORES, *entities])

    @property
    def name(self) -> str:
        """Last part of the model's name or folder, without any path; "hf_tagging" for a model without a name."""
        return Path(str(getattr(self.model.config, "name_or_path", "") or "")).name or "hf_tagging"

    @property
    def batch_subwords(self) -> int:
        """Former name of `tokens_per_batch`; deprecated."""
        message = "batch_subwords is now tokens_per_batch; the old name goes with the next release."
        warnings.warn(message, FutureWarning, stacklevel=2)
        return self.tokens_per_batch

    @property
    def splitter(self) -> str | None:
        """Name of the splitter that cuts texts, as the words of training were cut; None: by script."""
        return None if self._splitter in BY_SCRIPT else self._splitter

    @property
    def max_length(self) -> int:
        """Number of subwords in the longest window."""
        return self._aligner.max_length

    def windows(self, sentences: Sequence[Sequence[str]], documents: Sequence[int] | None = None) -> Windows:
        """Return the windows that the model reads of a batch of sentences.

        Args:
            sentences: Words. (sentences, words)
            documents: See `label`.
        """
        words = encodable(sentences)
        if documents is None or not self.context_subwords:
            return self._aligner.windows(words)
        ends = row_starts(np.asarray(documents, np.int64))
        sizes = (map(len, parts_of(words[a:b])) for a, b in pairwise(ends))
        return self._aligner.windows(words, row_starts(np.fromiter(chain.from_iterable(sizes), np.int64)))

    def _paths(self, sentences: Sequence[Sequence[str]], n: int) -> list[Paths]:
        """Return the n most probable paths of each sentence."""
        windows, bounds = self._prepare(sentences, 0)
        return self._reader.paths(windows, bounds, n, margin=self._margins.scores)

    def _margin(self, exact: bool) -> float | None:
        return self._margins.scores if exact else self._margins.tags

    def _odds(self, bounds: np.ndarray, exact: bool) -> EntityOdds | None:
        """Return what collects the probabilities of entities; None where nobody reads them."""
        return EntityOdds(self.schema, int(bounds[-1])) if exact and self.schema.entity_types else None

    def _prepared(self, parts: Iterable[Sequence[Sequence[str]]], size: int) -> Iterator[_Block]:
        first = 0
        for block in blocks(parts, size):
            sentences = [*chain.from_iterable(block)]
            yield self._prepare(sentences, first, [*map(len, block)])
            first += len(sentences)

    def _prepare(
        self, sentences: Sequence[Sequence[str]], first: int, documents: Sequence[int] | None = None
    ) -> _Block:
        """Return windows, and the number of each sentence's first word with the end. (sentences + 1,)"""
        check_words(sentences, first)
        bounds = row_starts(np.fromiter(map(len, sentences), np.int64, len(sentences)))
        return self.windows(sentences, documents), bounds


class Ensemble(Averaging, Tagger):  # type: ignore[misc]  # it refuses what only one model has
    """Tagger whose probabilities are the mean of those of several taggers, word by word.

        tagger = Tagger.from_pretrained(["runs/seed-1", "runs/seed-2", "runs/bert"])

    It takes the time of all of them. Each word gets the tag with the highest mean, as from a linear tag head; a member
    with a CRF gives its posteriors. Members may differ in tokenizer, window length and architecture.

    Args:
        members: Taggers with the same tags, in any order, and the same scheme.
        min_confidence: See `Tagger`.

    Raises:
        ConfigError: There are none, or tags or schemes differ; `min_confidence` is not between 0 and 1.
    """

    def __init__(self, members: Sequence[Tagger], *, min_confidence: float = 0.0):
        if not members:
            raise ConfigError("model: an ensemble of no models. Give their folders or names.")
        self.members, self.min_confidence = tuple(members), _confidence(min_confidence)
        self.schema = common_schema(members, [member.name for member in members])
        self.device, self.tokens_per_batch = members[0].device, members[0].tokens_per_batch
        self.context_subwords = max(member.context_subwords for member in members)
        self._average(self.members, self.schema)
        self._splitter, self._cutter = members[0].splitter, None
        if odd := {str(member.splitter) for member in members} - {str(self.splitter)}:
            logger.warning(
                "The models were trained on the words of different splitters: text is cut as by %s, and not as by %s.",
                self.splitter or "script",
                ", ".join(sorted(odd)),
            )

    @property
    def name(self) -> str:
        """Names of the members."""
        return "+".join(member.name for member in self.members)


def _next_of(blocks: Iterator[_Block]) -> tuple[_Block | None, Exception | None]:
    """Return the next block (None at the end), or the error in its place, to be raised after what came before it."""
    try:
        return next(blocks, None), None
    except Exception as error:
        return None, error


def _confidence(value: float) -> float:
    if not 0 <= value <= 1:
        raise ConfigError(f"{argument('min_confidence', value)}: is not between 0 and 1.")
    return value


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | Literal["auto"] | None:
    if dtype == "auto":
        message = (
            "dtype='auto' loads weights in the dtype that they were saved in; it no longer means precision='fast'."
        )
        warnings.warn(message, FutureWarning, stacklevel=4)
        return "auto"
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not isinstance(found, torch.dtype):
        raise ConfigError(f"dtype: {dtype!r} is not one of PyTorch's, such as float32 or bfloat16, nor auto.")
    return found
