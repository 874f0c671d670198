"""Tagger: one tag per word for words, and words with tags and entities for text.

Sentences are cut into windows by the `Aligner` that training uses, so that a word is read here where it was read in
the evaluation. Windows are sorted by length and batched under a budget of subwords, padding counted, and batches run
side by side (`WindowReader`); what happens per subword or word is arithmetic on arrays. A stream reads and tokenizes
its next block while the model is busy with the one before.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, overload

import numpy as np
import torch

from hf_tagging.data.pretokenized import unknown_token
from hf_tagging.data.rows import row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.window_plans import parts_of
from hf_tagging.data.windows import Aligner, Windows
from hf_tagging.deprecation import renamed_arguments
from hf_tagging.devices import find_device
from hf_tagging.errors import ConfigError
from hf_tagging.inference.cutting import TextCutter, trained_splitter
from hf_tagging.inference.ensemble import Ensemble
from hf_tagging.inference.explaining import Transition, crf_transitions, integrated_gradients, occlusion
from hf_tagging.inference.nbest import Paths
from hf_tagging.inference.odds import EntityOdds
from hf_tagging.inference.onnx_model import OnnxModel
from hf_tagging.inference.reading import Labels, Precision, TagModel, WindowReader, default_batch
from hf_tagging.inference.results import WordLabels
from hf_tagging.inference.ruling import Ruling, load_rules
from hf_tagging.inference.sentences import blocks, check_documents, check_words, encodable
from hf_tagging.inference.word_tagger import TaggerOptions, WordTagger, checked_confidence
from hf_tagging.problems import argument

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_Block = tuple[Windows, np.ndarray, Ruling | None]


class Tagger(WordTagger):
    """Tagger for words or text, with any token-classification model.

    On a CPU it uses as many cores as `torch.get_num_threads()` returns when it is called.

    Args:
        model: Model; put in evaluation mode and moved to `device`. Or an exported one, which stays on its device.
        tokenizer: Fast tokenizer of the model.
        device: Device to run on. Default: the accelerator if there is one, else the CPU.
        tokens_per_batch: Subwords per batch, including padding; a longer window is a batch of its own. Default: 8192 on
            an accelerator, 512 on a CPU, 2048 there for a tagger from scratch.
        precision: How matrices are multiplied. ``"exact"``: in the dtype of the weights. ``"fast"``: in bfloat16, and
            windows in which two tags are close are read again in the dtype of the weights, so that tags are those of
            ``"exact"``; scores differ slightly. How close is a margin that a training run measures on its validation
            data and keeps in the model's `config.json`. ``"bfloat16"``: in bfloat16 throughout; tags can differ.
            Default: ``"fast"`` for `tag` and `tag_stream` if the model has a margin for this kind of device, the
            device multiplies bfloat16 natively, and few windows are read again; else, and for all scores, ``"exact"``.
        min_confidence: Entities with a lower score are left out, so that their words are ``O``; without entities, a
            word with a lower score has the tag ``_``. `probabilities` and `tag_nbest` do not heed it. Default: 0, all.
        rules: File of rules that apply before or after the model or limit its tags, as ``docs/rules.md`` describes.
            `probabilities` and `tag_nbest` do not heed them.

    Raises:
        ModelError: The tokenizer is not a fast one.
        ConfigError: `tokens_per_batch` is not positive, `min_confidence` is not between 0 and 1, there is no such
            device, the model cannot run in this precision, or a rule is wrong.
        DataError: The file of rules cannot be read.
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
        rules: str | Path | None = None,
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
            tokens_per_batch = default_batch(self.model, self.device)
        if tokens_per_batch < 1:
            raise ConfigError(f"tokens_per_batch: {tokens_per_batch} is not a positive number of subwords.")
        self.min_confidence = checked_confidence(min_confidence)
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
        self.rules = None if rules is None else load_rules(rules, self.schema, self._splitter)

    @overload
    @classmethod
    def from_pretrained(cls, model: str | Path, **options: Unpack[TaggerOptions]) -> Tagger: ...
    @overload
    @classmethod
    def from_pretrained(cls, model: Sequence[str | Path], **options: Unpack[TaggerOptions]) -> Tagger | Ensemble: ...
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
        rules: str | Path | Literal[False] | None = None,
    ) -> Tagger | Ensemble:
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
            rules: File of rules, see `Tagger`; False: without rules. Default: `rules.jsonl` of the model, if it has
                one. Several models are an ensemble with the rules that all of them have.

        Raises:
            ModelError: There is no such model, or it has no trained tag head.
            ConfigError: There is no such device or dtype, or the model cannot run on it or in this precision; or of
                several models, tags, schemes or rules differ.
        """
        checked_confidence(min_confidence)
        from hf_tagging.inference.loading import common_rules, load_tagger  # here, as in __init__

        if not isinstance(model, str | Path):
            if revision is not None and len(model) > 1:
                raise ConfigError(f"{argument('revision', revision)}: applies to one model. Leave it out for several.")
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
                return load(model[0], min_confidence=min_confidence, rules=rules)
            members = [load(one, rules=False) for one in model]
            if rules is None:
                rules = common_rules(model, trust_remote_code=trust_remote_code)
            return Ensemble(members, min_confidence=min_confidence, rules=rules or None)
        loaded, tokenizer = load_tagger(
            str(model),
            revision=revision,
            trust_remote_code=trust_remote_code,
            dtype=_dtype(dtype),
            device=None if device is None else find_device(device),
        )
        if rules is None:
            rules = common_rules([model], revision=revision, trust_remote_code=trust_remote_code)
        return cls(
            loaded,
            tokenizer,
            device=device,
            tokens_per_batch=tokens_per_batch,
            precision=precision,
            min_confidence=min_confidence,
            rules=rules or None,
        )

    def _label_parts(
        self, parts: Iterable[Sequence[Sequence[str]]], block: int, *, exact: bool
    ) -> Iterator[WordLabels]:
        exact = exact or self.min_confidence > 0
        ahead = self._prepared(parts, block)
        prepared, error = _next_of(ahead)
        while prepared is not None:
            _, bounds, ruling = prepared
            odds = self._odds(int(bounds[-1])) if exact else None
            with self._reading(prepared, odds, exact=exact) as result:
                following, error = _next_of(ahead)  # read and tokenized while the model runs
                labels = result()
            yield from self._labels(*labels, bounds, odds, ruling)
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
        """Return label ids and scores for a batch of sentences; see `Labeller.label`."""
        exact = exact or self.min_confidence > 0
        windows, bounds = self._prepare(sentences, first, documents)
        ruling = self._ruling(sentences, bounds)
        odds = self._odds(int(bounds[-1])) if exact else None
        with self._reading((windows, bounds, ruling), odds, exact=exact) as result:
            return self._labels(*result(), bounds, odds, ruling)

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
    def max_length(self) -> int:
        """Number of subwords in the longest window."""
        return self._aligner.max_length

    def windows(self, sentences: Sequence[Sequence[str]], documents: Sequence[int] | None = None) -> Windows:
        """Return the windows that the model reads of a batch of sentences.

        Args:
            sentences: Words. (sentences, words)
            documents: See `label`.
        """
        check_documents(documents, len(sentences))
        words = encodable(sentences)
        if documents is None or not self.context_subwords:
            return self._aligner.windows(words)
        ends = row_starts(np.asarray(documents, np.int64))
        sizes = (map(len, parts_of(words[a:b])) for a, b in pairwise(ends))
        return self._aligner.windows(words, row_starts(np.fromiter(chain.from_iterable(sizes), np.int64)))

    def _occlusion(self, words: list[str], position: int, label: int) -> np.ndarray:
        """Return the probability that a tag loses where each word is unknown; see `occlusion`."""
        unknown, budget = unknown_token(self.tokenizer), self.tokens_per_batch
        return occlusion(self._reader.rows, self.windows([words]), len(words), position, label, unknown, budget)

    def _gradients(self, words: list[str], position: int, label: int) -> np.ndarray:
        """Return the contribution of every word by integrated gradients; see `integrated_gradients`."""
        windows = self.windows([words])
        return integrated_gradients(self.model, self.tokenizer, windows, len(words), position, label)

    def _transitions(self, ids: np.ndarray, position: int) -> tuple[Transition, ...]:
        """Return what a CRF says of the tags around a word; see `crf_transitions`."""
        return crf_transitions(self.model, self.schema, ids, position)

    def _paths(self, sentences: Sequence[Sequence[str]], n: int) -> list[Paths]:
        """Return the n most probable paths of each sentence."""
        windows, bounds = self._prepare(sentences, 0)
        return self._reader.paths(windows, bounds, n, margin=self._margins.scores)

    def _reading(
        self, block: _Block, odds: EntityOdds | None, *, exact: bool
    ) -> AbstractContextManager[Callable[[], Labels]]:
        """Read a block while the caller does something else; see `WindowReader.reading`."""
        windows, bounds, ruling = block
        exactly = None if ruling is None else ruling.limited
        margin = self._margins.scores if exact else self._margins.tags
        collectors = [collector for collector in (odds, ruling) if collector is not None]
        return self._reader.reading(windows, bounds, margin=margin, collectors=collectors, exactly=exactly)

    def _table(
        self, sentences: Sequence[Sequence[str]], documents: Sequence[int] | None, first: int, *, entities: bool
    ) -> tuple[np.ndarray, np.ndarray, EntityOdds | None]:
        windows, bounds = self._prepare(sentences, first, documents)
        odds = self._odds(int(bounds[-1])) if entities else None
        collectors = () if odds is None else (odds,)
        table = self._reader.probabilities(windows, bounds, margin=self._margins.scores, collectors=collectors)
        return table, bounds, odds

    def _prepared(self, parts: Iterable[Sequence[Sequence[str]]], size: int) -> Iterator[_Block]:
        first = 0
        for block in blocks(parts, size):
            sentences = [*chain.from_iterable(block)]
            windows, bounds = self._prepare(sentences, first, [*map(len, block)])
            yield windows, bounds, self._ruling(sentences, bounds)
            first += len(sentences)

    def _prepare(
        self, sentences: Sequence[Sequence[str]], first: int, documents: Sequence[int] | None = None
    ) -> tuple[Windows, np.ndarray]:
        """Return windows, and the number of each sentence's first word with the end. (sentences + 1,)"""
        check_words(sentences, first)
        bounds = row_starts(np.fromiter(map(len, sentences), np.int64, len(sentences)))
        return self.windows(sentences, documents), bounds


def _next_of(blocks: Iterator[_Block]) -> tuple[_Block | None, Exception | None]:
    """Return the next block (None at the end), or the error in its place, to be raised after what came before it."""
    try:
        return next(blocks, None), None
    except Exception as error:
        return None, error


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
