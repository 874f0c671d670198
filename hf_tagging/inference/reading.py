"""Running a model over windows, in batches of like length; on a CPU, one batch per core at a time.

One batch after the other, each operation shared out over the cores, leaves them waiting for each other many times per
batch. A *lane* is a thread that runs batches of its own with a single core: on two cores, MiniLM tags 374 sentences
of CoNLL-2003 a second in two lanes, 318 with two cores per operation. What goes into a batch does not depend
on the number of lanes, so neither do the tags.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from hf_tagging.data.rows import row_ranges, row_starts
from hf_tagging.data.windows import Windows
from hf_tagging.inference.nbest import Paths, joined_paths, paths_of_windows, paths_of_words
from hf_tagging.inference.odds import Collector, WordChain
from hf_tagging.inference.onnx_model import OnnxModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TagModel: TypeAlias = "PreTrainedModel | OnnxModel"
Precision: TypeAlias = Literal["exact", "fast", "bfloat16"]
Labels: TypeAlias = tuple[np.ndarray, np.ndarray]  # ids (words,) int64 and their probabilities (words,) float32
# Gets numbers of words (words,), their probabilities (words, tags) and, where asked for, the chain of a CRF.
Keep: TypeAlias = Callable[[np.ndarray, Tensor, WordChain | None], None]
# A CPU is fastest where a batch's activations fit a core's cache: in two lanes, 256 or 512 subwords per batch give
# 376 and 374 sentences a second, 768 give 365. Half the calls of Python let more lanes share its lock.
CPU_BATCH, ACCELERATOR_BATCH = 512, 8192
# A tagger from scratch has few activations and spells each word of a batch once: an LSTM-CRF reads 13,500, 17,000 and
# 19,600 words of CoNLL-2003 a second of one core in batches of 512, 1,024 and 2,048 subwords.
SCRATCH_BATCH = 2048
_KNOWN_CODE = ("torch.nn.", "transformers.models.", "transformers.activations", "hf_tagging.models.")
# They change themselves in every forward pass; looked for in all taggers of transformers 5.23. So do rotary positions
# of these kinds, as texts get longer.
_STATEFUL_MODELS, _STATEFUL_POSITIONS = {"big_bird", "funnel"}, ("dynamic", "longrope")


class WindowReader:
    """Reader that runs a model over windows and takes each word from the window that owns it.

    Args:
        model: Model in evaluation mode, on `device`.
        device: Device to run on.
        tokens_per_batch: Subwords per batch, including padding; a longer window is a batch of its own.
        pad_token_id: Padding of `input_ids`.
    """

    def __init__(self, model: TagModel, *, device: torch.device, tokens_per_batch: int, pad_token_id: int):
        self.model, self.device = model, device
        self.tokens_per_batch, self.pad_token_id = tokens_per_batch, pad_token_id
        self._many_lanes = device.type == "cpu" and runs_side_by_side(model)

    @contextmanager
    def reading(
        self,
        windows: Windows,
        bounds: np.ndarray,
        *,
        margin: float | None,
        collectors: Sequence[Collector] = (),
        exactly: np.ndarray | None = None,
    ) -> Iterator[Callable[[], Labels]]:
        """Read every word of a block while the caller does something else.

        Args:
            windows: Windows from the aligner.
            bounds: Number of each sentence's first word, and the end. (sentences + 1,)
            margin: Multiply matrices in bfloat16, and read a window again without it if a tag leads by less than this
                in one of its words. None: without bfloat16.
            collectors: What collects probabilities beside the best tags: of entities, of words that rules limit.
            exactly: Words whose windows are read without bfloat16 in any case. (words,) bool

        Yields:
            A function that waits for the result. Leaving the block without calling it drops batches not yet begun.
        """
        ids, scores = np.zeros(bounds[-1], np.int64), np.zeros(bounds[-1], np.float32)

        def keep(words: np.ndarray, probabilities: Tensor, chain: WordChain | None) -> None:
            best, labels = probabilities.max(-1)
            ids[words], scores[words] = labels.cpu().numpy(), best.cpu().numpy()
            for collector in collectors:
                collector.keep(words, probabilities, chain)

        with self._running(windows, bounds, keep, margin, chained=bool(collectors), exactly=exactly) as finish:

            def result() -> Labels:
                finish()
                return ids, scores

            yield result

    def probabilities(
        self, windows: Windows, bounds: np.ndarray, *, margin: float | None, collectors: Sequence[Collector] = ()
    ) -> np.ndarray:
        """Return the probability of every tag for every word of a block; arguments as of `reading`.

        Returns:
            Probabilities. (words, tags) float32
        """
        table = np.zeros((bounds[-1], self.model.config.num_labels or 0), np.float32)

        def keep(words: np.ndarray, probabilities: Tensor, chain: WordChain | None) -> None:
            table[words] = probabilities.cpu().numpy()
            for collector in collectors:
                collector.keep(words, probabilities, chain)

        with self._running(windows, bounds, keep, margin, chained=bool(collectors)) as finish:
            finish()
        return table

    def paths(self, windows: Windows, bounds: np.ndarray, n: int, *, margin: float | None) -> list[Paths]:
        """Return the n most probable tag sequences of each sentence of a block; other arguments as of `reading`."""
        parts: dict[int, Paths] = {}  # by number of the first word

        def keep(words: np.ndarray, probabilities: Tensor, chain: WordChain | None) -> None:
            found = paths_of_words(probabilities, n) if chain is None else paths_of_windows(chain, n)
            places = row_starts(np.array([part.ids.shape[1] for part in found], np.int64))[:-1]
            parts.update(zip(words[places].tolist(), found, strict=True))

        with self._running(windows, bounds, keep, margin, chained=True) as finish:
            finish()
        return [joined_paths((parts[i] for i in range(a, b) if i in parts), n) for a, b in pairwise(bounds.tolist())]

    @torch.inference_mode()
    def rows(self, ids: np.ndarray, mask: np.ndarray, places: np.ndarray) -> Tensor:
        """Return the logits of one subword of each row, in the dtype of the weights. (rows, tags), on the CPU

        Args:
            ids: `input_ids`. (rows, subwords)
            mask: `attention_mask`. (rows, subwords)
            places: Subword of each row. (rows,)
        """
        values = [torch.from_numpy(x).to(self.device) for x in (ids, mask, np.arange(len(ids)), places)]
        return self._logits(*values, half=False).cpu()

    @contextmanager
    def _running(
        self,
        windows: Windows,
        bounds: np.ndarray,
        keep: Keep,
        margin: float | None,
        *,
        chained: bool,
        exactly: np.ndarray | None = None,
    ) -> Iterator[Callable[[], None]]:
        """Run all windows; `chained`: with the chain of a CRF, if the model has one; `exactly`: see `reading`."""
        read_batch = self._read_chain if chained and has_chain(self.model) else self._read
        starts, start_offsets = windows.word_starts()
        first_words = bounds[windows.sentence] + windows.first_word  # (windows,)

        def read(batch: np.ndarray, margin: float | None) -> None:
            row, nth = row_ranges(start_offsets[batch + 1] - start_offsets[batch])
            words = first_words[batch][row] + nth
            at = starts[start_offsets[batch][row] + nth]
            keep(words, *read_batch(windows, batch, row, at, margin))

        lengths, is_exact = np.diff(windows.offsets), np.zeros(len(windows), bool)
        if exactly is not None and margin is not None:
            window, nth = row_ranges(np.diff(start_offsets))
            is_exact[window[exactly[first_words[window] + nth]]] = True
        batches = [
            (chosen[batch], how)
            for chosen, how in ((np.flatnonzero(is_exact), None), (np.flatnonzero(~is_exact), margin))
            for batch in batches_of(lengths[chosen], self.tokens_per_batch)
        ]
        with self._lanes(len(batches)) as lanes:
            pending = [] if lanes is None else [lanes.submit(read, *batch) for batch in batches]

            def finish() -> None:
                for running in pending:
                    running.result()
                for batch in batches if lanes is None else ():
                    read(*batch)

            try:
                yield finish
            finally:
                for running in pending:
                    running.cancel()

    @contextmanager
    def _lanes(self, batches: int) -> Iterator[ThreadPoolExecutor | None]:
        """Yield threads to run batches in; None if the caller's own is as good."""
        if self.device.type != "cpu":  # one, so that the caller can tokenize beside it
            with ThreadPoolExecutor(1) as lane:
                yield lane
            return
        threads = _TORCH_THREADS.available()
        count = min(threads, batches) if self._many_lanes else 1
        if count < 2:
            yield None
            return
        with _TORCH_THREADS.shared(by=count, each=threads // count) as lanes:
            yield lanes

    @torch.inference_mode()
    def _read(
        self, windows: Windows, batch: np.ndarray, row: np.ndarray, at: np.ndarray, margin: float | None
    ) -> tuple[Tensor, None]:
        """Return probabilities (words, tags) of one batch, read at subwords `at` of rows `row`, each (words,)."""
        ids, mask, rows, places = self._batch(windows, batch, row, at)
        logits = self._logits(ids, mask, rows, places, half=margin is not None)
        if margin is None:
            return logits.softmax(-1), None
        rows_again = rows[~are_clear(logits, margin)].unique()  # in their order
        if len(rows_again):
            again = torch.isin(rows, rows_again)  # (words,)
            new_rows = torch.searchsorted(rows_again, rows[again])
            logits[again] = self._logits(ids[rows_again], mask[rows_again], new_rows, places[again], half=False)
        return logits.softmax(-1), None

    @torch.inference_mode()
    def _read_chain(
        self, windows: Windows, batch: np.ndarray, row: np.ndarray, at: np.ndarray, margin: float | None
    ) -> tuple[Tensor, WordChain]:
        """Return probabilities and the chain of one batch; arguments as of `_read`."""
        ids, mask, rows, places = self._batch(windows, batch, row, at)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=margin is not None):
            chain = self.model.tag_chain(input_ids=ids, attention_mask=mask)  # type: ignore[union-attr, operator]
        word = chain.word[rows, places]
        return chain.scores[rows, word].float().softmax(-1), WordChain(chain, rows, word)

    def _batch(
        self, windows: Windows, batch: np.ndarray, row: np.ndarray, at: np.ndarray
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `input_ids` and `attention_mask`, (batch, subwords) each, and the places of words, (words,) each."""
        ids, mask = (torch.from_numpy(x).to(self.device) for x in padded(windows, batch, self.pad_token_id))
        rows, places = torch.from_numpy(np.stack([row, at])).to(self.device)
        return ids, mask, rows, places

    def _logits(self, ids: Tensor, mask: Tensor, rows: Tensor, places: Tensor, *, half: bool) -> Tensor:
        """Return the logits of some subwords. (batch, subwords) to (words, tags)"""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            logits = self.model(input_ids=ids, attention_mask=mask).logits
        assert logits is not None
        read: Tensor = logits[rows, places].float()
        return read


def default_batch(model: TagModel, device: torch.device) -> int:
    """Return the subwords per batch that a model reads fast."""
    from hf_tagging.models.configuration_baseline import BaselineConfig  # here: it waits for Transformers

    if device.type != "cpu":
        return ACCELERATOR_BATCH
    return SCRATCH_BATCH if isinstance(model.config, BaselineConfig) else CPU_BATCH


def are_clear(logits: Tensor, margin: float) -> Tensor:
    """Return which words have the same tag in float32 as in bfloat16.

    Args:
        logits: Logits in bfloat16. (words, tags)
        margin: Lead that the best tag needs; see `hf_tagging.models.margins`.

    Returns:
        True where the best tag leads by the margin; False for logits that are not numbers. (words,)
    """
    if logits.shape[-1] < 2:
        return torch.ones(len(logits), dtype=torch.bool, device=logits.device)
    best, second = logits.topk(2).values.unbind(-1)
    return best - second >= margin


def batches_of(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Group windows of like length, the longest first, so that running out of memory happens at once.

    Args:
        lengths: Subwords of each window. (windows,)
        budget: Subwords per batch, including padding.

    Yields:
        Numbers of windows. (batch,)
    """
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        end = begin + max(1, budget // int(lengths[order[begin]]))
        yield order[begin:end]
        begin = end


def padded(windows: Windows, batch: np.ndarray, pad_token_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay windows out as arrays, padded on the right.

    Args:
        windows: Windows from the aligner.
        batch: Numbers of windows. (batch,)
        pad_token_id: Padding of `input_ids`.

    Returns:
        `input_ids` and `attention_mask`, (batch, subwords) int64 each.
    """
    lengths = windows.offsets[batch + 1] - windows.offsets[batch]
    real = np.arange(lengths.max()) < lengths[:, None]  # (batch, subwords)
    row, nth = row_ranges(lengths)
    input_ids = np.full(real.shape, pad_token_id, np.int64)
    input_ids[real] = windows.input_ids[windows.offsets[batch][row] + nth]
    return input_ids, real.astype(np.int64)


def has_chain(model: TagModel) -> bool:
    """Return whether a model gives the probabilities of whole tag sequences: one with a CRF."""
    return getattr(model, "crf", None) is not None and hasattr(model, "tag_chain")


def runs_side_by_side(model: TagModel) -> bool:
    """Return whether forward passes can run at the same time; unknown code is assumed not to allow it."""
    if isinstance(model, OnnxModel):
        return True
    if not all(type(part).__module__.startswith(_KNOWN_CODE) for part in model.modules()):
        return False
    configs = [getattr(part, "config", None) for part in model.modules()]
    positions = [repr(getattr(config, "rope_parameters", None)) for config in configs]
    return _STATEFUL_MODELS.isdisjoint(getattr(config, "model_type", None) for config in configs) and not any(
        kind in text for text in positions for kind in _STATEFUL_POSITIONS
    )


class _TorchThreads:
    """Number of threads that PyTorch may use: a setting of the whole process, lent to lanes and given back.

    ``torch.set_num_threads`` sets three things: what new threads start with, what MKL uses in any thread, and what the
    calling thread itself uses. So only lanes call it, the last one of all to give back what was: the caller's thread
    never changes, and nothing stays changed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before, self._users = 1, 0

    def available(self) -> int:
        """Return the number of threads that PyTorch was set to, whatever lanes have changed meanwhile."""
        with self._lock:
            return self._before if self._users else torch.get_num_threads()

    @contextmanager
    def shared(self, *, by: int, each: int) -> Iterator[ThreadPoolExecutor]:
        """Yield a pool of lanes.

        Args:
            by: Number of lanes.
            each: Threads per operation of a lane.
        """
        with self._lock:
            if not self._users:
                self._before = torch.get_num_threads()
            self._users += 1
        try:
            with ThreadPoolExecutor(by, initializer=torch.set_num_threads, initargs=(each,)) as lanes:
                yield lanes
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    last = threading.Thread(target=torch.set_num_threads, args=(self._before,))
                    last.start()
                    last.join()


_TORCH_THREADS = _TorchThreads()
