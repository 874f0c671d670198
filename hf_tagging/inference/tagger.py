"""Tagger: words in, as many tags out; text in, words with tags and entities out.

Sentences are cut into windows by the `Aligner` that training uses, so that a word is read here where it was read in
the evaluation. Windows are sorted by length and batched under a budget of subwords, padding counted, and batches run
side by side (`WindowReader`); what happens per subword or word is arithmetic on arrays. A stream reads and tokenizes
its next block while the model is busy with the one before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch

from hf_tagging.data.rows import row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.windows import Aligner, Windows
from hf_tagging.devices import computes_bfloat16, find_device
from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.inference.onnx_model import OnnxModel
from hf_tagging.inference.reading import ACCELERATOR_BATCH, CPU_BATCH, Labels, TagModel, WindowReader
from hf_tagging.inference.results import TaggedText, WordLabels, tagged_text
from hf_tagging.inference.sentences import as_sentences, blocks, check_words, checked_spans, encodable
from hf_tagging.inference.text import split_words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

Splitter = Callable[[str], Sequence[tuple[int, int]]]
_Block = tuple[Windows, np.ndarray]


class Tagger:
    """Tags words or text with any token-classification model.

    On a CPU it uses as many cores as ``torch.get_num_threads()`` says when it is called.

    Args:
        model: The model; put in evaluation mode and moved to `device`. Or an exported one, which runs where it is.
        tokenizer: Its tokenizer, a fast one.
        device: Where to run. Default: the accelerator if there is one, else the CPU.
        batch_subwords: Subwords per batch, padding counted; a longer window is a batch of its own. Default: 8192 on an
            accelerator, 512 on a CPU.
        half: Multiply matrices in bfloat16, which is faster where the device does so by itself. Windows in which two
            tags come out close are read again in float32, so that tags are those of float32 (of 97,797 words of
            CoNLL-2003 none differed); scores differ a little. Default: only where no scores are asked for (`tag`,
            `tag_stream`), of an encoder of Transformers with a linear tag head in float32, on a device that does so by
            itself.

    Raises:
        ModelError: If the tokenizer is not a fast one.
        ConfigError: If `batch_subwords` is not positive, there is no such device, or a model is to be halved that is
            exported or computes in float32 alone.
    """

    def __init__(
        self,
        model: TagModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        device: str | torch.device | None = None,
        batch_subwords: int | None = None,
        half: bool | None = None,
    ):
        # Imported here: `from hf_tagging import Tagger` need not wait for the modeling code of Transformers.
        from hf_tagging.inference.loading import longest_window

        self.model: TagModel
        if isinstance(model, OnnxModel):
            if half or (device is not None and find_device(device) != model.device):
                raise ConfigError("half, device: an exported model stays as it was exported, on the device it is on.")
            self.device, self.model = model.device, model
        else:
            if half and not _mixes_precision(model):
                raise ConfigError(f"half: {type(model).__name__} computes in float32 alone. Leave it out.")
            self.device = find_device(device)
            self.model = model.eval().to(self.device)
        if batch_subwords is None:
            batch_subwords = CPU_BATCH if self.device.type == "cpu" else ACCELERATOR_BATCH
        if batch_subwords < 1:
            raise ConfigError(f"batch_subwords: {batch_subwords} is not a positive number of subwords.")
        if columns := getattr(model.config, "word_features", None):
            logger.warning(
                "The model was trained with the columns %s, which words alone do not bring: it tags without them, as "
                "it has learned to, and not quite as well as in its evaluation.",
                ", ".join(columns),
            )
        self.tokenizer = tokenizer
        self.schema = TagSchema.from_config(model.config)
        self.batch_subwords = batch_subwords
        self._aligner = Aligner(tokenizer, max_length=longest_window(model, tokenizer))
        self._reader = WindowReader(
            self.model,
            device=self.device,
            batch_subwords=batch_subwords,
            pad_token_id=tokenizer.pad_token_id or 0,
        )
        self._half_scores = bool(half)
        self._half_tags = _tags_in_half(self.model, self.device) if half is None else half

    @classmethod
    def from_pretrained(
        cls,
        name_or_dir: str,
        *,
        revision: str | None = None,
        trust_remote_code: bool = False,
        device: str | torch.device | None = None,
        batch_subwords: int | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> Tagger:
        """Loads a tagger.

        Args:
            name_or_dir: The output folder of a run or of an export, any other folder with a token-classification
                model, an adapter (PEFT) that has its ``config.json`` beside it, or a name on the Hub.
            revision: Of a name on the Hub.
            trust_remote_code: Run code that comes with the model.
            device: See `Tagger`; of an exported model the default is the CPU.
            batch_subwords: See `Tagger`.
            dtype: Of the weights, such as ``"bfloat16"``. ``"float32"``: with `half` False, see `Tagger`. ``"auto"``:
                float32 with `half` True, where device and model compute in bfloat16. Default: float32, or as the model
                was exported, with `half` left to its default.

        Raises:
            ModelError: If there is no such model, or it has no trained tag head.
            ConfigError: If there is no such device or dtype, or an exported model has it not.
        """
        from hf_tagging.inference.loading import load_tagger  # here, as in __init__

        model, tokenizer = load_tagger(
            str(name_or_dir),
            revision=revision,
            trust_remote_code=trust_remote_code,
            dtype=_dtype(dtype),
            device=None if device is None else find_device(device),
        )
        half = None if dtype is None else dtype == "auto" and _can_halve(model, find_device(device))
        return cls(model, tokenizer, device=device, batch_subwords=batch_subwords, half=half)

    @overload
    def tag(self, words: list[str]) -> list[str]: ...
    @overload
    def tag(self, words: list[list[str]]) -> list[list[str]]: ...
    def tag(self, words: Any) -> Any:
        """Tags one sentence, or many.

        Args:
            words: The words of a sentence (words,), or a list of sentences (sentences, words).

        Returns:
            One tag per word, in the same shape.

        Raises:
            TaggingError: If a text was given instead of words, or something in the list is no word.
        """
        sentences, many = as_sentences(words)
        tags = [labels.tags(self.schema) for labels in self.label(sentences, exact=False)]
        return tags if many else tags[0]

    @overload
    def tag_with_scores(self, words: list[str]) -> list[tuple[str, float]]: ...
    @overload
    def tag_with_scores(self, words: list[list[str]]) -> list[list[tuple[str, float]]]: ...
    def tag_with_scores(self, words: Any) -> Any:
        """Like `tag`, each tag with its probability."""
        sentences, many = as_sentences(words)
        tags = [list(zip(x.tags(self.schema), x.scores.tolist(), strict=True)) for x in self.label(sentences)]
        return tags if many else tags[0]

    def tag_stream(self, sentences: Iterable[Sequence[str]], block: int = 1000) -> Iterator[list[str]]:
        """Tags sentences one after the other, in memory that does not grow with their number.

        Args:
            sentences: Any iterable of sentences; read one block ahead of the one whose tags come out.
            block: Sentences that are batched together.

        Yields:
            The tags of each sentence, in the order given.
        """
        for labels in self.label_stream(sentences, block, exact=False):
            yield labels.tags(self.schema)

    def tag_text(self, text: str, *, splitter: Splitter = split_words) -> TaggedText:
        """Splits a text into words, tags them as one sentence, and reads entities off the tags.

        Args:
            text: The text.
            splitter: Gives start and end of each word in order. Default: `split_words`, for English.

        Raises:
            TaggingError: If `text` is no string, or `splitter` gives something else than places in it.
        """
        if not isinstance(text, str):
            raise TaggingError(
                f"tag_text takes a string, and was given a {type(text).__name__}; words go to Tagger.tag."
            )
        spans = checked_spans(text, splitter(text))
        return tagged_text(text, spans, self.label([[text[a:b] for a, b in spans]])[0], self.schema)

    def label_stream(
        self, sentences: Iterable[Sequence[str]], block: int = 1000, *, exact: bool = True
    ) -> Iterator[WordLabels]:
        """Like `tag_stream`, but with label ids and scores; `exact` as in `label`."""
        ahead = self._prepared(sentences, block)
        prepared, error = _next_of(ahead)
        while prepared is not None:
            with self._reader.reading(*prepared, half=self._in_half(exact), exact=exact) as result:
                following, error = _next_of(ahead)  # read and tokenized while the model runs
                labels = result()
            yield from _per_sentence(labels, prepared[1])
            prepared = following
        if error is not None:
            raise error

    def label(self, sentences: Sequence[Sequence[str]], *, first: int = 0, exact: bool = True) -> list[WordLabels]:
        """Label ids and scores for a batch of sentences.

        Args:
            sentences: Words. (sentences, words)
            first: Number of the first sentence, for messages.
            exact: False: read as `tag` reads, where scores may be a little off for the sake of speed; see `Tagger`.

        Returns:
            One per sentence, in the same order.
        """
        windows, bounds = self._prepare(sentences, first)
        with self._reader.reading(windows, bounds, half=self._in_half(exact), exact=exact) as result:
            return _per_sentence(result(), bounds)

    def probabilities(self, sentences: Sequence[Sequence[str]], *, first: int = 0) -> list[np.ndarray]:
        """The probability of every tag for a batch of sentences: the softmax of what the model says of each word.

        Of a CRF or a hidden Markov model they are the posteriors, by forward-backward over the whole window; where its
        best sequence does not pass through a word's most probable tag, the tag of the sequence is raised to just above
        that one, so that the most probable tag is the one that `tag` gives.

        Args:
            sentences: Words. (sentences, words)
            first: Number of the first sentence, for messages.

        Returns:
            One per sentence, in the same order. (words, tags) float32 each, a tag's column its label id
        """
        windows, bounds = self._prepare(sentences, first)
        table = self._reader.probabilities(windows, bounds, half=self._half_scores)
        return [table[a:b] for a, b in pairwise(bounds)]

    @property
    def max_length(self) -> int:
        """Subwords of the longest window."""
        return self._aligner.max_length

    def windows(self, sentences: Sequence[Sequence[str]]) -> Windows:
        """What the model sees of a batch of sentences.

        Args:
            sentences: Words. (sentences, words)
        """
        return self._aligner.windows(encodable(sentences))

    def _in_half(self, exact: bool) -> bool:
        return self._half_scores if exact else self._half_tags

    def _prepared(self, sentences: Iterable[Sequence[str]], size: int) -> Iterator[_Block]:
        first = 0
        for block in blocks(sentences, size):
            yield self._prepare(block, first)
            first += len(block)

    def _prepare(self, sentences: Sequence[Sequence[str]], first: int) -> _Block:
        """Windows, and the number of each sentence's first word, with the end. (sentences + 1,)"""
        check_words(sentences, first)
        bounds = row_starts(np.fromiter(map(len, sentences), np.int64, len(sentences)))
        return self.windows(sentences), bounds


def _next_of(blocks: Iterator[_Block]) -> tuple[_Block | None, Exception | None]:
    """The next one, None at the end; or the error in its place, which is raised when what came before it is tagged."""
    try:
        return next(blocks, None), None
    except Exception as error:
        return None, error


def _per_sentence(labels: Labels, bounds: np.ndarray) -> list[WordLabels]:
    ids, scores = labels
    return [WordLabels(ids[a:b], scores[a:b]) for a, b in pairwise(bounds)]


def _tags_in_half(model: TagModel, device: torch.device) -> bool:
    """Whether tags are read in bfloat16 unasked. A path through a CRF may turn where no two tags come out close."""
    if isinstance(model, OnnxModel) or not type(model).__module__.startswith("transformers.models."):
        return False
    return model.dtype == torch.float32 and _can_halve(model, device)


def _can_halve(model: TagModel, device: torch.device) -> bool:
    return _mixes_precision(model) and computes_bfloat16(device.type == "cpu")


def _mixes_precision(model: TagModel) -> bool:
    from hf_tagging.models.precision import mixes_precision  # here, as in Tagger.__init__

    return not isinstance(model, OnnxModel) and mixes_precision(model)


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if dtype is None:
        return None
    found = torch.float32 if dtype == "auto" else getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"dtype: {dtype!r} is not one of PyTorch's, such as float32 or bfloat16, nor auto.")
    return found
