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
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from hf_tagging.data.rows import row_ranges
from hf_tagging.data.windows import Windows
from hf_tagging.inference.onnx_model import OnnxModel

TagModel: TypeAlias = PreTrainedModel | OnnxModel
Labels: TypeAlias = tuple[np.ndarray, np.ndarray]  # ids (words,) int64 and their probabilities (words,) float32
# A CPU is fastest where a batch's activations fit a core's cache: in two lanes, 256 or 512 subwords per batch give
# 376 and 374 sentences a second, 768 give 365. Half the calls of Python let more lanes share its lock.
CPU_BATCH, ACCELERATOR_BATCH = 512, 8192
# In bfloat16, no probability of the 97,797 words of CoNLL-2003's validation and test moves by more than 0.028. Without
# a second reading 24 of their tags are others than in float32, with it none.
_CLOSE = 0.06
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
        half: Multiply matrices in bfloat16; windows in which two tags come out close are read again in float32.
    """

    def __init__(
        self, model: TagModel, *, device: torch.device, batch_subwords: int, pad_token_id: int, half: bool = False
    ):
        self.model, self.device = model, device
        self.batch_subwords, self.pad_token_id, self.half = batch_subwords, pad_token_id, half
        self._many_lanes = device.type == "cpu" and runs_side_by_side(model)

    @contextmanager
    def reading(self, windows: Windows, bounds: np.ndarray) -> Iterator[Callable[[], Labels]]:
        """Reads every word of a block, while the caller does something else.

        Args:
            windows: From the aligner.
            bounds: Number of each sentence's first word, and the end. (sentences + 1,)

        Yields:
            A function that waits for the result. Leaving the block without it drops what has not begun.
        """
        ids, scores = np.zeros(bounds[-1], np.int64), np.zeros(bounds[-1], np.float32)

        def keep(words: np.ndarray, probabilities: Tensor) -> None:
            best, labels = probabilities.max(-1)
            ids[words], scores[words] = labels.cpu().numpy(), best.cpu().numpy()

        with self._running(windows, bounds, keep) as finish:

            def result() -> Labels:
                finish()
                return ids, scores

            yield result

    def probabilities(self, windows: Windows, bounds: np.ndarray) -> np.ndarray:
        """Reads every word of a block.

        Args:
            windows: From the aligner.
            bounds: Number of each sentence's first word, and the end. (sentences + 1,)

        Returns:
            The probability of every tag. (words, tags) float32
        """
        config: Any = self.model.config
        table = np.zeros((bounds[-1], config.num_labels), np.float32)

        def keep(words: np.ndarray, probabilities: Tensor) -> None:
            table[words] = probabilities.cpu().numpy()

        with self._running(windows, bounds, keep) as finish:
            finish()
        return table

    @contextmanager
    def _running(
        self, windows: Windows, bounds: np.ndarray, keep: Callable[[np.ndarray, Tensor], None]
    ) -> Iterator[Callable[[], None]]:
        """Runs all windows; `keep` is handed numbers of words (words,) and their probabilities (words, tags)."""
        starts, start_offsets = windows.word_starts()
        first_words = bounds[windows.sentence] + windows.first_word  # (windows,)

        def read(batch: np.ndarray) -> None:
            row, nth = row_ranges(start_offsets[batch + 1] - start_offsets[batch])
            words = first_words[batch][row] + nth
            keep(words, self._read(windows, batch, row, starts[start_offsets[batch][row] + nth]))

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
    def _read(self, windows: Windows, batch: np.ndarray, row: np.ndarray, at: np.ndarray) -> Tensor:
        """Runs one batch; reads it at subwords `at` of rows `row`, each (words,): probabilities (words, tags)."""
        ids, mask = (torch.from_numpy(x).to(self.device) for x in padded(windows, batch, self.pad_token_id))
        rows, places = torch.from_numpy(np.stack([row, at])).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            probabilities = self._probabilities(ids, mask, rows, places)
        if self.half and probabilities.shape[-1] > 1:
            best, second = probabilities.topk(2).values.unbind(-1)
            close = rows[best - second < _CLOSE].unique()  # rows of the batch, in their order
            if len(close):
                again = torch.isin(rows, close)
                new_rows = torch.searchsorted(close, rows[again])
                probabilities[again] = self._probabilities(ids[close], mask[close], new_rows, places[again])
        return probabilities

    def _probabilities(self, ids: Tensor, mask: Tensor, rows: Tensor, places: Tensor) -> Tensor:
        """(batch, subwords) to probabilities of the tags at some of the subwords. (words, tags)"""
        logits: Any = self.model(input_ids=ids, attention_mask=mask).logits
        probabilities: Tensor = logits[rows, places].float().softmax(-1)
        return probabilities


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
    configs: list[Any] = [part.config for part in model.modules() if isinstance(part, PreTrainedModel)]
    positions = [repr(getattr(config, "rope_parameters", None)) for config in configs]
    return _STATEFUL_MODELS.isdisjoint(config.model_type for config in configs) and not any(
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
