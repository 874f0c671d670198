"""Tagger: words in, as many tags out; text in, words with tags and entities out.

Sentences are cut into windows by the `Aligner` that training uses, so that a word is read here where it was read in
the evaluation. Windows are sorted by length and batched under a budget of subwords, padding counted; what happens per
subword or word is arithmetic on arrays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_tagging.data.batching import WindowCollator
from hf_tagging.data.rows import row_ranges, row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.windows import Aligner, Windows
from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.hub import first_line
from hf_tagging.inference.loading import load_tagger
from hf_tagging.inference.results import TaggedText, WordLabels, tagged_text
from hf_tagging.inference.text import split_words
from hf_tagging.models.encoder import window_length

logger = logging.getLogger(__name__)

Splitter = Callable[[str], Sequence[tuple[int, int]]]
# A CPU is fastest where a batch's activations fit its cache: on a core, 1,000 sentences of CoNLL-2003 take MiniLM 3.9 s
# with 1024 subwords per batch, 7.1 s with 8192.
_CPU_BATCH, _ACCELERATOR_BATCH = 1024, 8192
_BLOCK_WORDS = 100_000  # a block of a stream is closed early where its sentences are very long


class Tagger:
    """Tags words or text with any token-classification model.

    Args:
        model: The model; put in evaluation mode and moved to `device`.
        tokenizer: Its tokenizer, a fast one.
        device: Where to run. Default: the accelerator if there is one, else the CPU.
        batch_subwords: Subwords per batch, padding counted; a longer window is a batch of its own. Default: 8192 on an
            accelerator, 1024 on a CPU.

    Raises:
        ModelError: If the tokenizer is not a fast one.
        ConfigError: If `batch_subwords` is not positive, or there is no such device.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        device: str | torch.device | None = None,
        batch_subwords: int | None = None,
    ):
        self.device = _device(device)
        if batch_subwords is None:
            batch_subwords = _CPU_BATCH if self.device.type == "cpu" else _ACCELERATOR_BATCH
        if batch_subwords < 1:
            raise ConfigError(f"batch_subwords: {batch_subwords} is not a positive number of subwords.")
        self.model = model.eval().to(self.device)
        if columns := getattr(model.config, "word_features", None):
            logger.warning(
                "The model was trained with the columns %s, which words alone do not bring: it tags without them, as "
                "it has learned to, and not quite as well as in its evaluation.",
                ", ".join(columns),
            )
        self.tokenizer = tokenizer
        self.schema = TagSchema.from_config(model.config)
        self.batch_subwords = batch_subwords
        self._aligner = Aligner(tokenizer, max_length=_window_length(model, tokenizer))
        self._collate = WindowCollator(tokenizer.pad_token_id or 0)

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
            name_or_dir: The output folder of a run, any other folder with a token-classification model, an adapter
                (PEFT) that has its ``config.json`` beside it, or a name on the Hub.
            revision: Of a name on the Hub.
            trust_remote_code: Run code that comes with the model.
            device: See `Tagger`.
            batch_subwords: See `Tagger`.
            dtype: Of the weights, such as ``"bfloat16"``. Default: float32.

        Raises:
            ModelError: If there is no such model, or it has no trained tag head.
        """
        model, tokenizer = load_tagger(
            str(name_or_dir), revision=revision, trust_remote_code=trust_remote_code, dtype=_dtype(dtype)
        )
        return cls(model, tokenizer, device=device, batch_subwords=batch_subwords)

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
        sentences, many = _as_sentences(words)
        tags = [labels.tags(self.schema) for labels in self.label(sentences)]
        return tags if many else tags[0]

    @overload
    def tag_with_scores(self, words: list[str]) -> list[tuple[str, float]]: ...
    @overload
    def tag_with_scores(self, words: list[list[str]]) -> list[list[tuple[str, float]]]: ...
    def tag_with_scores(self, words: Any) -> Any:
        """Like `tag`, each tag with its probability."""
        sentences, many = _as_sentences(words)
        tags = [list(zip(x.tags(self.schema), x.scores.tolist(), strict=True)) for x in self.label(sentences)]
        return tags if many else tags[0]

    def tag_stream(self, sentences: Iterable[Sequence[str]], block: int = 1000) -> Iterator[list[str]]:
        """Tags sentences one after the other, in memory that does not grow with their number.

        Args:
            sentences: Any iterable of sentences; read a block ahead.
            block: Sentences that are batched together.

        Yields:
            The tags of each sentence, in the order given.
        """
        for labels in self.label_stream(sentences, block):
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
        spans = _checked_spans(text, splitter(text))
        return tagged_text(text, spans, self.label([[text[a:b] for a, b in spans]])[0], self.schema)

    def label_stream(self, sentences: Iterable[Sequence[str]], block: int = 1000) -> Iterator[WordLabels]:
        """Like `tag_stream`, but with label ids and scores."""
        first = 0
        for sentences_of_block in _blocks(sentences, block):
            yield from self.label(sentences_of_block, first=first)
            first += len(sentences_of_block)

    def label(self, sentences: Sequence[Sequence[str]], *, first: int = 0) -> list[WordLabels]:
        """Label ids and scores for a batch of sentences.

        Args:
            sentences: Words. (sentences, words)
            first: Number of the first sentence, for messages.

        Returns:
            One per sentence, in the same order.
        """
        _check_words(sentences, first)
        windows = self._aligner.windows(_encodable(sentences))
        bounds = row_starts(np.fromiter(map(len, sentences), np.int64, len(sentences)))  # (sentences + 1,)
        ids, scores = self._read(windows, bounds)
        return [WordLabels(ids[a:b], scores[a:b]) for a, b in pairwise(bounds)]

    def _read(self, windows: Windows, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Runs the model over all windows and reads every word where it is owned.

        Args:
            windows: From the aligner.
            bounds: Number of each sentence's first word, and the end. (sentences + 1,)

        Returns:
            Label ids (words,) int64 and scores (words,) float32.
        """
        ids, scores = np.zeros(bounds[-1], np.int64), np.zeros(bounds[-1], np.float32)
        starts, start_offsets = windows.word_starts()
        first_words = bounds[windows.sentence] + windows.first_word  # (windows,)
        for batch in _batches(np.diff(windows.offsets), self.batch_subwords):
            row, nth = row_ranges(start_offsets[batch + 1] - start_offsets[batch])
            at = starts[start_offsets[batch][row] + nth]
            words = first_words[batch][row] + nth
            ids[words], scores[words] = self._predict(windows, batch, row, at)
        return ids, scores

    @torch.inference_mode()
    def _predict(
        self, windows: Windows, batch: np.ndarray, row: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Runs one batch; reads it at subwords `at` of rows `row`, each (words,)."""
        edges = zip(windows.offsets[batch], windows.offsets[batch + 1], strict=True)
        inputs = self._collate([{"input_ids": windows.input_ids[a:b]} for a, b in edges])
        logits = self.model(**{key: value.to(self.device) for key, value in inputs.items()}).logits
        places = torch.from_numpy(np.stack([row, at])).to(self.device)
        read = logits[places[0], places[1]].float()  # (words, tags)
        scores, ids = read.softmax(-1).max(-1)
        return ids.cpu().numpy(), scores.cpu().numpy()


def _batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Windows of like length together, the longest first, so that what does not fit the memory fails at once.

    Args:
        lengths: Subwords of each window. (windows,)
        budget: Subwords of a batch, padding counted.

    Yields:
        Numbers of windows. (batch,)
    """
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        end = begin + max(1, budget // int(lengths[order[begin]]))
        yield order[begin:end]
        begin = end


def _blocks(sentences: Iterable[Sequence[str]], size: int) -> Iterator[list[Sequence[str]]]:
    """Groups sentences; a block has at most `size` of them, or about `_BLOCK_WORDS` words."""
    block: list[Sequence[str]] = []
    words = 0
    for sentence in sentences:
        block.append(sentence)
        words += len(sentence) if _is_list(sentence) else 0  # `label` refuses what is not
        if len(block) >= size or words >= _BLOCK_WORDS:
            yield block
            block, words = [], 0
    if block:
        yield block


def _as_sentences(words: Any) -> tuple[list[Any], bool]:
    """What `tag` was given, as sentences, and whether it was more than one."""
    if isinstance(words, str | bytes) or not isinstance(words, Iterable):
        hint = " a text goes to Tagger.tag_text." if isinstance(words, str) else ""
        raise TaggingError(
            f"Tagger.tag takes a list of words or of sentences, and was given a {type(words).__name__};{hint}"
        )
    items = list(words)
    if not items:
        return [], True
    many = _is_list(items[0])  # the first item decides; any other of another kind is refused with its place
    return (items, True) if many else ([items], False)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)


def _check_words(sentences: Sequence[Any], first: int) -> None:
    """Makes sure that every sentence is a list of strings, and says where one is not."""
    for number, sentence in enumerate(sentences):
        place = f"sentence {first + number}"
        if not _is_list(sentence):
            raise TaggingError(f"{place} is a {type(sentence).__name__}, {sentence!r:.60}; expected a list of words.")
        if set(map(type, sentence)) <= {str}:
            continue
        for position, word in enumerate(sentence):
            if not isinstance(word, str):
                raise TaggingError(
                    f"{place}, word {position} is a {type(word).__name__}, {word!r:.60}; expected a string. (Words and "
                    "sentences count from 0.)"
                )


def _checked_spans(text: str, spans: Iterable[Any]) -> list[tuple[int, int]]:
    checked, behind = [], 0
    for span in spans:
        if not (isinstance(span, tuple | list) and len(span) == 2 and behind <= span[0] <= span[1] <= len(text)):
            raise TaggingError(
                f"splitter gave {span!r:.60}; expected (start, end) of words in the text, one after the other."
            )
        behind = span[1]
        checked.append((int(span[0]), int(span[1])))
    return checked


def _encodable(sentences: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Puts U+FFFD for lone surrogates, which no tokenizer takes; JSON can spell them."""
    try:
        "".join(map("".join, sentences)).encode()
    except UnicodeEncodeError:
        return [[word.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for word in s] for s in sentences]
    return sentences


def _window_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """What the tokenizer says, as our runs save it, where the model takes that; else what the model takes."""
    try:
        return window_length(model, tokenizer, tokenizer.model_max_length)
    except ConfigError:
        return window_length(model, tokenizer, None)


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # PyTorch asserts that it was built for the device
        raise ConfigError(
            f"device: {str(device)!r} cannot be used ({first_line(error)}). Leave it out, or give cpu."
        ) from error


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    found = torch.float32 if dtype is None else getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"dtype: {dtype!r} is not one of PyTorch's, such as float32 or bfloat16.")
    return found
