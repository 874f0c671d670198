"""Training on a stream: its blocks become windows and batches while it is read, and a checkpoint knows the place.

Every process reads its own shards, and so does every worker of its loader; see `Stream.blocks`. A checkpoint keeps
where the block of the next batch begins and how many batches of it were learned from: a run goes on with the very batch
that would have been next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import (
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from hf_tagging.atomic import write_json
from hf_tagging.data.aligned import without_marked_labels
from hf_tagging.data.alignment import align_split
from hf_tagging.data.bars import no_bars
from hf_tagging.data.batching import Collator, CountedWindows, Steps, TokenBudgetBatches, WindowRows
from hf_tagging.data.case_dropout import drop_case
from hf_tagging.data.schema import PLAIN, TagSchema
from hf_tagging.data.streaming import START, Place, Stream
from hf_tagging.data.windows import Aligner
from hf_tagging.errors import ConfigError, DataError, TaggingError
from hf_tagging.models.packing import unwrapped
from hf_tagging.problems import argument, switch
from hf_tagging.training.loader import shares_of_a_step
from hf_tagging.training.student import StudentTrainer

Batch = dict[str, torch.Tensor]
_MOST_CHANGES = 5  # in a message
_EMPTY_BLOCKS = 100  # in a row: of a stream without words


@dataclass(frozen=True)
class StreamWindows:
    """Windows of the sentences of a stream, as those of a training split are.

    Args:
        source: Tags of the stream.
        schema: Tags of the model.
        aligner: Tokenizer and window size.
        label_strategy: See `align_split`.
        markers: Case markers behind which a subword has no label. (markers,)
        case_dropout: Share of the sentences that lose their casing.
    """

    source: TagSchema
    schema: TagSchema
    aligner: Aligner
    label_strategy: str
    markers: np.ndarray
    case_dropout: float

    @no_bars()
    def of(self, sentences: Dataset, *, seed: int) -> Dataset:
        """Return the windows of sentences.

        Args:
            sentences: From `Stream.blocks`.
            seed: Decides which sentences lose their casing.
        """
        block = DatasetDict(train=sentences)
        if self.source.scheme != PLAIN:
            block, written, _ = self.source.convert(block, to=self.schema.scheme)
            block, _ = written.adopt(block, self.schema)
        else:
            block, _ = self.source.adopt(block, self.schema)
        words = block["train"]
        if self.case_dropout:
            words = drop_case(words, self.case_dropout, seed=seed)
        split = align_split(words, self.aligner, self.schema, label_strategy=self.label_strategy)
        return without_marked_labels(split, self.markers).features


class Bookmark(NamedTuple):
    """Place of the next batch of a reader.

    Args:
        place: Where its block begins.
        taken: Batches of the block that were learned from.
    """

    place: Place = START
    taken: int = 0


@dataclass
class Progress:
    """Part of a stream that a process has learned from.

    Args:
        sizes: Files of the stream; see `Stream`.
        batches: Number of batches.
        bookmarks: By the number of the reader among those of the process.
    """

    sizes: dict[str, int | None]
    batches: int = 0
    bookmarks: dict[int, Bookmark] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        """Write a file that `load` reads."""
        marks = {str(reader): [*mark.place, mark.taken] for reader, mark in self.bookmarks.items()}
        files = [*self.sizes.items()]
        write_json(file, {"batches": self.batches, "bookmarks": marks, "files": files})

    def load(self, file: Path) -> None:
        """Go on where the process was that has written a file.

        Raises:
            DataError: The stream has other files than there were then, so that places in it are others.
        """
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["files"] != [[*item] for item in self.sizes.items()]:
            raise DataError(
                f"{switch('resume')} goes on at a place in a stream, whose files have changed:\n  "
                + "\n  ".join(_changes(dict(kept["files"]), self.sizes))
                + f"\nGive the old files, or give {switch('overwrite')} to start again."
            )
        self.batches = kept["batches"]
        self.bookmarks = {
            int(reader): Bookmark(Place(*place), taken) for reader, (*place, taken) in kept["bookmarks"].items()
        }


def _changes(old: dict[str, int | None], new: dict[str, int | None]) -> list[str]:
    """Return a line for each of the first changed files, and one for all others."""
    lines = [f"{name}: is gone" for name in old if name not in new]
    lines += [f"{name}: is new" for name in new if name not in old]
    sizes = ((name, old[name], new[name]) for name in old if name in new and old[name] != new[name])
    lines += [f"{name}: had {before:,} bytes, has {now:,}" for name, before, now in sizes]
    rest = len(lines) - _MOST_CHANGES
    return [*lines[:_MOST_CHANGES], *([f"and {rest:,} more"] if rest > 0 else [])] or ["the order of the files"]


@dataclass(frozen=True)
class BatchPlan:
    """Rules by which the windows of a block become batches.

    Args:
        budget: Subwords of a batch, padding counted; None: windows are counted.
        windows: Windows of a batch.
        order: See `CountedWindows`.
    """

    budget: int | None
    windows: int
    order: str

    def batches(self, lengths: np.ndarray, *, seed: int) -> Steps:
        """Return the batches of a block, from the subwords of its windows. (windows,)"""
        if self.budget is None:
            return CountedWindows(lengths, self.windows, order=self.order, seed=seed)
        return TokenBudgetBatches(lengths, self.budget, seed=seed)


class StreamBatches(IterableDataset[tuple[int, Bookmark, Batch] | TaggingError]):
    """Batches of a process without end, each with its reader and the place of the next one.

    Args:
        stream: The sentences.
        windows: Makes windows of them.
        plan: Makes batches of windows.
        collator: Makes tensors of the windows of a batch.
        seed: Of the order.
        process: Number of this process.
        processes: How many there are.
    """

    def __init__(
        self,
        stream: Stream,
        windows: StreamWindows,
        plan: BatchPlan,
        collator: Collator,
        *,
        seed: int,
        process: int,
        processes: int,
    ):
        self.stream, self.windows, self.plan, self.collator = stream, windows, plan, collator
        self.seed, self.process, self.processes = seed, process, processes
        self.progress = Progress(stream.sizes)

    def __iter__(self) -> Iterator[tuple[int, Bookmark, Batch] | TaggingError]:
        """Yield batches; an error as the last item, since a loader would raise one of a worker with its traceback."""
        try:
            yield from self._batches()
        except TaggingError as error:
            yield error

    def _batches(self) -> Iterator[tuple[int, Bookmark, Batch]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        # A loader takes a batch of each worker in turn, and begins with the first one: it has to be the reader whose
        # turn it was when the checkpoint was written.
        own = (number + self.progress.batches) % workers
        reader, readers = self.process * workers + own, self.processes * workers
        mark, empty = self.progress.bookmarks.get(own, Bookmark()), 0
        for place, sentences in self.stream.blocks(mark.place, reader=reader, readers=readers, seed=self.seed):
            taken = mark.taken if place == mark.place else 0
            seed = int(np.random.default_rng([self.seed, reader, place.block]).integers(2**31))
            windows = self.windows.of(sentences, seed=seed)
            empty = 0 if len(windows) else empty + 1
            if empty == _EMPTY_BLOCKS:
                raise DataError(f"{self.stream.sample.place}: no words in {empty} blocks of sentences")
            for rows in list(self._plan(windows, seed))[taken:]:
                taken += 1
                yield own, Bookmark(place, taken), self.collator(WindowRows(windows).__getitems__(rows))

    def _plan(self, windows: Dataset, seed: int) -> Iterator[list[int]]:
        lengths = windows.with_format("numpy")["length"][:] if len(windows) else np.zeros(0, np.int32)
        return iter(self.plan.batches(np.asarray(lengths), seed=seed)) if len(windows) else iter(())


class StreamLoader(DataLoader[Any]):
    """Loader of `StreamBatches` that notes what was learned from; accelerate has nothing to share out."""

    dataset: StreamBatches

    def __init__(self, batches: StreamBatches, args: TrainingArguments):
        super().__init__(
            batches,
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            multiprocessing_context=args.dataloader_multiprocessing_context,
            generator=torch.Generator(),  # its own: a resumed run draws from the other one as if it had never stopped
        )

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # the Trainer wants no more than an iterator
        for item in super().__iter__():
            if isinstance(item, TaggingError):
                raise item
            reader, mark, batch = item
            progress = self.dataset.progress
            progress.batches += 1
            progress.bookmarks[reader] = mark
            yield batch


def _as_it_is(item: object) -> object:
    return item


class ShareOfSteps(TrainerCallback):
    """Counts the share of `max_steps` as the epoch, which a resumed `Trainer` would count from its first step."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Set it before the step is logged."""
        state.epoch = state.global_step / state.max_steps


class StreamTrainer(StudentTrainer):
    """A `StudentTrainer` whose training split may be a stream, of which `train_dataset` is the sample.

    Attributes:
        markers: See `StreamWindows`.
    """

    markers: np.ndarray
    _loader: StreamLoader | None = None

    def prepare_stream(self) -> None:
        """Have the Trainer go on from the place in the stream, and not read it from the start again.

        Raises:
            ConfigError: If the model reads sentences in their documents.
        """
        if self.run.stream is None:
            return
        if getattr(unwrapped(cast(Any, self.model)).config, "context_subwords", None):
            raise ConfigError(
                f"{argument('streaming')}: the model reads sentences in their documents, and a stream gives sentences. "
                f"Give {argument('context', 'none')}, or leave streaming out."
            )
        self.args.ignore_data_skip = True
        self.add_callback(ShareOfSteps())

    def get_train_dataloader(self) -> DataLoader:
        """Return batches of the stream, or steps of the training split; see `StepTrainer.get_train_dataloader`."""
        stream = self.run.stream
        if stream is None:
            return super().get_train_dataloader()
        args, budget = self.args, self.choose_budget()
        plan = BatchPlan(
            budget and max(1, budget // shares_of_a_step(args)),
            args.train_batch_size,
            str(getattr(args.train_sampling_strategy, "value", args.train_sampling_strategy)),
        )
        batches = StreamBatches(
            stream,
            self._stream_windows(stream),
            plan,
            cast(Collator, self.data_collator),
            seed=args.seed if args.data_seed is None else args.data_seed,
            process=args.process_index,
            processes=args.world_size,
        )
        self._loader = StreamLoader(batches, args)
        return self._loader

    def _stream_windows(self, stream: Stream) -> StreamWindows:
        data, scheme = self.run.arguments.data, self.run.record.get("scheme", {})
        return StreamWindows(
            TagSchema(tuple(stream.tags.names), str(scheme.get("source", PLAIN))),
            self.schema,
            Aligner(cast(PreTrainedTokenizerBase, self.processing_class), overlap=data.window_overlap),
            data.label_strategy,
            self.markers,
            data.case_dropout,
        )

    # Checkpoints

    @contextmanager
    def saving_checkpoint(self, checkpoint: Path) -> Iterator[None]:
        """Write the place in the stream beside the step's weights, one file per process."""
        with super().saving_checkpoint(checkpoint):
            yield
            if self._loader is not None:
                self._loader.dataset.progress.save(self._place_file(checkpoint))

    def resumed(self, checkpoint: str | Path) -> None:
        """Go on at the place in the stream; see `WordTrainer.resumed`."""
        super().resumed(checkpoint)
        if self._loader is not None:
            self._loader.dataset.progress.load(self._place_file(Path(checkpoint)))

    def _place_file(self, checkpoint: Path) -> Path:
        return checkpoint / f"stream-{self.args.process_index}.json"
