"""Windows through a model: batches of like length, on a CPU as many at a time as it has cores.

One batch after the other, each operation shared out over the cores, leaves them waiting for each other many times per
batch. A *lane* is a thread that runs batches of its own with a single core: on two cores, MiniLM tags 374 sentences
of CoNLL-2003 a second in two lanes, 318 with two cores per operation. What goes into a batch does not depend
on the number of lanes, so neither do the tags.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from hf_tagging.data.rows import row_ranges
from hf_tagging.data.windows import Windows
from hf_tagging.inference.onnx_model import OnnxModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TagModel: TypeAlias = "PreTrainedModel | OnnxModel"
Labels: TypeAlias = tuple[np.ndarray, np.ndarray]  # ids (words,) int64 and their probabilities (words,) float32
# A CPU is fastest where a batch's activations fit a core's cache: in two lanes, 256 or 512 subwords per batch give
# 376 and 374 sentences a second, 768 give 365. Half the calls of Python let more lanes share its lock.
CPU_BATCH, ACCELERATOR_BATCH = 512, 8192
# A lead of the best tag over the next one that bfloat16 cannot have made. Of a fine-tuned MiniLM no probability of the
# 97,797 words of CoNLL-2003's validation and test moves by more than 0.028; without a second reading 24 of their tags
# are others than in float32, with it none. What is rounded off grows with the logits, and of large ones turns even a
# clear lead of the probability: hence the second bound, as a share of a word's median logit. (Not of its largest: a CRF
# gives tags that may not stand there -200.)
_CLEAR, _CLEAR_LOGITS = 0.06, 0.05
# On a CPU that computes in bfloat16 it takes 0.62 of the time of float32. That pays while second readings take less
# than what is left: while they are expected of fewer windows than this share.
_WORTH_IT = 0.35
_TRIED_WORDS = 500  # of a block, before their share of unclear tags is believed
_KNOWN_CODE = ("torch.nn.", "transformers.models.", "transformers.activations", "hf_tagging.models.")
# They change themselves in every forward pass; looked for in all taggers of transformers 5.23. So do rotary positions
# of these kinds, as texts get longer.
_STATEFUL_MODELS, _STATEFUL_POSITIONS = {"big_bird", "funnel"}, ("dynamic", "longrope")


class WindowReader:
    """Runs a model over windows, and reads each word in the window that owns it.

    Args:
        model: In evaluation mode, and on `device`.
        device: Where to run.
        batch_subwords: Subwords per batch, padding counted; a longer window is a batch of its own.
        pad_token_id: What to pad with.
    """

    def __init__(self, model: TagModel, *, device: torch.device, batch_subwords: int, pad_token_id: int):
        self.model, self.device = model, device
        self.batch_subwords, self.pad_token_id = batch_subwords, pad_token_id
        self._many_lanes = device.type == "cpu" and runs_side_by_side(model)

    @contextmanager
    def reading(
        self, windows: Windows, bounds: np.ndarray, *, half: bool, exact: bool
    ) -> Iterator[Callable[[], Labels]]:
        """Reads every word of a block, while the caller does something else.

        Args:
            windows: From the aligner.
            bounds: Number of each sentence's first word, and the end. (sentences + 1,)
            half: Multiply matrices in bfloat16; windows with a tag that is not clear are read again in float32.
            exact: Probabilities matter. Else windows are read in float32 at once where a second reading is likely: of
                a tagger that is hardly trained, of all. Which ones depends on what other lanes have read by then.

        Yields:
            A function that waits for the result. Leaving the block without it drops what has not begun.
        """
        ids, scores = np.zeros(bounds[-1], np.int64), np.zeros(bounds[-1], np.float32)

        def keep(words: np.ndarray, probabilities: Tensor) -> None:
            best, labels = probabilities.max(-1)
            ids[words], scores[words] = labels.cpu().numpy(), best.cpu().numpy()

        rate = _UnclearWords() if half and not exact else None
        with self._running(windows, bounds, keep, half, rate) as finish:

            def result() -> Labels:
                finish()
                return ids, scores

            yield result

    def probabilities(self, windows: Windows, bounds: np.ndarray, *, half: bool) -> np.ndarray:
        """Reads every word of a block.

        Args:
            windows: From the aligner.
            bounds: Number of each sentence's first word, and the end. (sentences + 1,)
            half: Multiply matrices in bfloat16, but for windows with a tag that is not clear.

        Returns:
            The probability of every tag. (words, tags) float32
        """
        config: Any = self.model.config
        table = np.zeros((bounds[-1], config.num_labels), np.float32)

        def keep(words: np.ndarray, probabilities: Tensor) -> None:
            table[words] = probabilities.cpu().numpy()

        with self._running(windows, bounds, keep, half, None) as finish:
            finish()
        return table

    @contextmanager
    def _running(
        self,
        windows: Windows,
        bounds: np.ndarray,
        keep: Callable[[np.ndarray, Tensor], None],
        half: bool,
        rate: _UnclearWords | None,
    ) -> Iterator[Callable[[], None]]:
        """Runs all windows; `keep` is handed numbers of words (words,) and their probabilities (words, tags)."""
        starts, start_offsets = windows.word_starts()
        first_words = bounds[windows.sentence] + windows.first_word  # (windows,)

        def read(batch: np.ndarray) -> None:
            row, nth = row_ranges(start_offsets[batch + 1] - start_offsets[batch])
            words = first_words[batch][row] + nth
            at = starts[start_offsets[batch][row] + nth]
            pays = rate is None or rate.worth_it(len(words) / len(batch))
            probabilities, unclear = self._read(windows, batch, row, at, half and pays)
            if rate is not None and pays:
                rate.add(len(words), unclear)
            keep(words, probabilities)

        batches = list(batches_of(np.diff(windows.offsets), self.batch_subwords))
        with self._lanes(len(batches)) as lanes:
            pending = [] if lanes is None else [lanes.submit(read, batch) for batch in batches]

            def finish() -> None:
                for running in pending:
                    running.result()
                for batch in batches if lanes is None else ():
                    read(batch)

            try:
                yield finish
            finally:
                for running in pending:
                    running.cancel()

    @contextmanager
    def _lanes(self, batches: int) -> Iterator[ThreadPoolExecutor | None]:
        """Threads to run batches in; None where the caller's own is as good."""
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
        self, windows: Windows, batch: np.ndarray, row: np.ndarray, at: np.ndarray, half: bool
    ) -> tuple[Tensor, int]:
        """Runs one batch and reads it at subwords `at` of rows `row`, each (words,).

        Returns:
            Probabilities (words, tags), and how many words were not clear in bfloat16.
        """
        ids, mask = (torch.from_numpy(x).to(self.device) for x in padded(windows, batch, self.pad_token_id))
        rows, places = torch.from_numpy(np.stack([row, at])).to(self.device)
        logits = self._logits(ids, mask, rows, places, half)
        if not half:
            return logits.softmax(-1), 0
        unclear = rows[~are_clear(logits)]  # (unclear words,)
        rows_again = unclear.unique()  # in their order
        if len(rows_again):
            again = torch.isin(rows, rows_again)  # (words,)
            new_rows = torch.searchsorted(rows_again, rows[again])
            logits[again] = self._logits(ids[rows_again], mask[rows_again], new_rows, places[again], half=False)
        return logits.softmax(-1), len(unclear)

    def _logits(self, ids: Tensor, mask: Tensor, rows: Tensor, places: Tensor, half: bool) -> Tensor:
        """(batch, subwords) to the logits of some of the subwords. (words, tags)"""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            logits: Any = self.model(input_ids=ids, attention_mask=mask).logits
        read: Tensor = logits[rows, places].float()
        return read


class _UnclearWords:
    """How many words of a block bfloat16 left unclear: whether it is worth while for the rest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._words = self._unclear = 0

    def add(self, words: int, unclear: int) -> None:
        """Counts a batch."""
        with self._lock:
            self._words, self._unclear = self._words + words, self._unclear + unclear

    def worth_it(self, words_per_window: float) -> bool:
        """Whether few enough windows of so many words are to be expected to have an unclear one."""
        with self._lock:
            words, unclear = self._words, self._unclear
        return words < _TRIED_WORDS or 1 - (1 - unclear / words) ** words_per_window < _WORTH_IT


def are_clear(logits: Tensor) -> Tensor:
    """Whether float32 would give the same tag as bfloat16 did.

    Args:
        logits: Read in bfloat16. (words, tags)

    Returns:
        True where the best tag leads by more than is lost to rounding; never where something is not a number. (words,)
    """
    if logits.shape[-1] < 2:
        return torch.ones(len(logits), dtype=torch.bool, device=logits.device)
    best, second = logits.topk(2).values.unbind(-1)
    likely, less_likely = logits.softmax(-1).topk(2).values.unbind(-1)
    scale = logits.abs().median(-1).values
    return (likely - less_likely >= _CLEAR) & (best - second >= _CLEAR_LOGITS * scale)


def batches_of(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
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


def padded(windows: Windows, batch: np.ndarray, pad_token_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows on the left, padding on the right.

    Args:
        windows: From the aligner.
        batch: Numbers of windows. (batch,)
        pad_token_id: What to pad with.

    Returns:
        `input_ids` and `attention_mask`, (batch, subwords) int64 each.
    """
    lengths = windows.offsets[batch + 1] - windows.offsets[batch]
    real = np.arange(lengths.max()) < lengths[:, None]  # (batch, subwords)
    row, nth = row_ranges(lengths)
    input_ids = np.full(real.shape, pad_token_id, np.int64)
    input_ids[real] = windows.input_ids[windows.offsets[batch][row] + nth]
    return input_ids, real.astype(np.int64)


def runs_side_by_side(model: TagModel) -> bool:
    """Whether forward passes at the same time leave each other alone; not assumed of code that is not known."""
    if isinstance(model, OnnxModel):
        return True
    if not all(type(part).__module__.startswith(_KNOWN_CODE) for part in model.modules()):
        return False
    configs: list[Any] = [part.config for part in model.modules() if hasattr(part, "config")]
    positions = [repr(getattr(config, "rope_parameters", None)) for config in configs]
    return _STATEFUL_MODELS.isdisjoint(getattr(config, "model_type", None) for config in configs) and not any(
        kind in text for text in positions for kind in _STATEFUL_POSITIONS
    )


class _TorchThreads:
    """How many threads PyTorch may use: a setting of the whole process, lent to lanes and given back.

    ``torch.set_num_threads`` sets three things: what new threads start with, what MKL uses in any thread, and what the
    calling thread itself uses. So only lanes call it, the last one of all to give back what was: the caller's thread
    never changes, and nothing stays changed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before, self._users = 1, 0

    def available(self) -> int:
        """What PyTorch was told, whatever lanes have made of it meanwhile."""
        with self._lock:
            return self._before if self._users else torch.get_num_threads()

    @contextmanager
    def shared(self, *, by: int, each: int) -> Iterator[ThreadPoolExecutor]:
        """Lanes with some threads for each.

        Args:
            by: How many lanes.
            each: Threads that an operation of one may use.
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
