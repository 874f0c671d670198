"""Work of one worker, the same for every engine: load the tagger once, then annotate shard after shard."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from hf_tagging.annotating.annotator import RowAnnotator
from hf_tagging.annotating.plan import Plan, read_plan
from hf_tagging.annotating.request import AnnotationRequest
from hf_tagging.annotating.shards import ShardRecord, annotate_shard, finished
from hf_tagging.errors import ModelError, TaggingError
from hf_tagging.inference.command import rules_of
from hf_tagging.inference.tagger import Tagger
from hf_tagging.memory import enough_memory, out_of_memory
from hf_tagging.problems import Spelling, spelled
from hf_tagging.training.environment import peak_memory

GO_ON = "The shards that are written stay. The same command goes on with the others."
ADVICE = "Give fewer {workers}, a smaller {tokens_per_batch} or a smaller {max_characters}."


@dataclass(frozen=True)
class Job:
    """What a worker has to know.

    Args:
        request: The annotation, with the device of this worker.
        folder: Where the plan is and the shards are written, absolute.
        threads: Threads that compute on a CPU.
        spelling: Of arguments in messages.
    """

    request: AnnotationRequest
    folder: Path
    threads: int
    spelling: Spelling

    def on(self, device: str | None) -> Job:
        """Return the job for a worker with a device of its own."""
        return replace(self, request=replace(self.request, device=device)) if device else self


@dataclass(frozen=True)
class Outcome:
    """What became of a shard: its record, or else why there is none.

    Args:
        record: Of a finished shard.
        error: Kind and message of an error, None for a finished shard.
        memory: Bytes that the worker has held at most so far.
    """

    record: ShardRecord | None = None
    error: TaggingError | None = None
    memory: int = 0


class ShardWorker:
    """Annotates shards with a tagger that is loaded once. An error is an outcome, which every engine can hand on.

    Args:
        job: What to do.
    """

    def __init__(self, job: Job):
        self._job = job
        self._plan: Plan | None = None
        self._annotator: RowAnnotator | None = None

    def __call__(self, number: int, told: Callable[[int], None] = lambda rows: None) -> Outcome:
        """Annotate a shard, unless it is finished.

        Args:
            number: Of the shard.
            told: Gets the number of rows of each batch that is done.
        """
        with spelled(self._job.spelling):
            try:
                with enough_memory(f"annotating shard {number}", advice=ADVICE):
                    return Outcome(self._record(number, told), memory=peak_memory()["process"])
            except TaggingError as error:
                return Outcome(error=_bare(error))
            except Exception as error:
                message = f"{type(error).__name__} while shard {number} was annotated:\n{traceback.format_exc()}"
                return Outcome(error=TaggingError(out_of_memory(error) or message))

    def _record(self, number: int, told: Callable[[int], None]) -> ShardRecord:
        if done := finished(self._job.folder, number):  # a worker was lost behind it
            return done
        if self._plan is None or self._annotator is None:
            self._plan, self._annotator = self._loaded()
        return annotate_shard(self._annotator, self._plan, self._plan.shards[number], self._job.folder, told)

    def _loaded(self) -> tuple[Plan, RowAnnotator]:
        request = self._job.request
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if self._job.threads > 1 else "false"
        torch.set_num_threads(self._job.threads)
        plan = read_plan(self._job.folder)
        if plan is None:
            raise ModelError(f"{self._job.folder}: has no plan here. Every node needs the same folders.")
        tagger = Tagger.from_pretrained(
            list(request.model),
            revision=request.revision,
            trust_remote_code=request.trust_remote_code,
            device=request.device,
            tokens_per_batch=request.tokens_per_batch,
            precision=request.precision,
            min_confidence=request.min_confidence,
            dtype=request.dtype,
            rules=rules_of(request.rules),
        )
        annotator = RowAnnotator(
            tagger,
            plan.tagged,
            splitter=request.splitter,
            split_sentences=request.split_sentences,
            max_characters=request.max_characters,
        )
        return plan, annotator


def _bare(error: TaggingError) -> TaggingError:
    """Return an error that travels between processes: of the same kind, with its message alone."""
    kind = type(error) if type(error).__module__ == TaggingError.__module__ else TaggingError
    return kind(str(error))
