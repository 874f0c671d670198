"""Queue of one model: requests that wait are given to it together, in one call.

The queue belongs to the event loop, the model to a thread of its own. There is no waiting for more requests: the model
gets what has come while it was busy. The tagger divides a call into batches under its own budget of subwords.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from hf_tagging.inference.reading import Precision
from hf_tagging.inference.results import WordLabels
from hf_tagging.serving.limits import Limits
from hf_tagging.serving.metrics import Metrics
from hf_tagging.serving.models import ServedModel
from hf_tagging.serving.parts import Part
from hf_tagging.serving.refusals import Refused, refusal_of

_BATCHES_PER_CALL = 4  # as many words as subwords of so many batches: lanes are busy, and nobody waits for long
_MEMORY = 0.2  # weight of the last call in the mean speed


@dataclass(frozen=True)
class Job:
    """Parts of one request.

    Args:
        parts: Texts or sentences.
        precision: See `ServedModel.tagger`.
        min_confidence: See `Tagger`.
        words: Number of words, at least 1.
        answer: Gets the labels of the sentences of each part.
    """

    parts: Sequence[Part]
    precision: Precision | None
    min_confidence: float
    words: int
    answer: asyncio.Future[list[list[WordLabels]]]

    @property
    def kind(self) -> tuple[Precision | None, float]:
        """Whatever must be the same for jobs of one call."""
        return self.precision, self.min_confidence


class Batcher:
    """Queue of one model.

    Args:
        model: The model.
        limits: `queue_words` bounds the queue.
        metrics: Counts words and calls.
    """

    def __init__(self, model: ServedModel, limits: Limits, metrics: Metrics):
        self.model = model
        self._limits, self._metrics = limits, metrics
        self._waiting: deque[Job] = deque()
        self._running: Sequence[Job] = ()  # what the thread has, also where the client has gone away
        self._words_per_second = 0.0
        self._work: asyncio.Task[None] | None = None
        metrics.queue_words.labels(model.name).set_function(lambda: self._words)

    async def label(
        self, parts: Sequence[Part], *, precision: Precision | None, min_confidence: float
    ) -> list[list[WordLabels]]:
        """Return the labels of the sentences of each part of a request; arguments as of `Job`.

        Raises:
            Refused: The queue is full, or the model has failed.
        """
        words = max(1, sum(len(part.cut.spans) for part in parts))
        self._check_room(words)
        answer: asyncio.Future[list[list[WordLabels]]] = asyncio.get_running_loop().create_future()
        self._waiting.append(Job(parts, precision, min_confidence, words, answer))
        if self._work is None:
            self._work = asyncio.create_task(self._answer_all())
        return await answer

    @property
    def _words(self) -> int:
        """Words of requests that wait for an answer, and of those that the thread has."""
        waiting = sum(job.words for job in self._waiting if not job.answer.done())
        return waiting + sum(job.words for job in self._running)

    def _check_room(self, words: int) -> None:
        """Refuse a request that the queue has no room for; an idle model takes one of any size."""
        held = self._words
        if not held or held + words <= self._limits.queue_words:
            return
        seconds = math.ceil(held / self._words_per_second) if self._words_per_second else 1
        seconds = max(1, min(seconds, math.ceil(self._limits.max_seconds)))
        raise Refused(
            429,
            "busy",
            f"{held:,} words wait for the model, and {self._limits.queue_words:,} may. Send the request again "
            f"in {seconds} s, as Retry-After says.",
            given=held + words,
            limit=self._limits.queue_words,
            headers={"Retry-After": str(seconds)},
        )

    async def _answer_all(self) -> None:
        """Answer what waits until nothing does."""
        try:
            while jobs := self._next_jobs():
                self._running = jobs
                answers = await self._answers(jobs)
                self._running = ()
                for job, answer in zip(jobs, answers, strict=True):
                    if job.answer.done():  # nobody waits for it any more
                        continue
                    if isinstance(answer, Refused):
                        job.answer.set_exception(answer)
                    else:
                        job.answer.set_result(answer)
        finally:
            self._running, self._work = (), None

    async def _answers(self, jobs: Sequence[Job]) -> Sequence[list[list[WordLabels]] | Refused]:
        """Return the labels of each job. Whatever fails is answered, so that later jobs get their turn."""
        loop, began = asyncio.get_running_loop(), time.perf_counter()
        try:
            answers = await loop.run_in_executor(self.model.thread, self._label, jobs)
            self._measure(jobs, time.perf_counter() - began)
        except Exception as error:
            return [refusal_of(error, f"Model {self.model.name}")] * len(jobs)
        return answers

    def _next_jobs(self) -> list[Job]:
        """Take the first job, and those of its kind that fit into one call with it."""
        waiting = [job for job in self._waiting if not job.answer.done()]
        jobs: list[Job] = []
        others: list[Job] = []
        room = _BATCHES_PER_CALL * self.model.tokens_per_batch
        for job in waiting:
            if job.kind == waiting[0].kind and (not jobs or job.words <= room):
                jobs.append(job)
                room -= job.words
            else:
                others.append(job)
        self._waiting = deque(others)
        return jobs

    def _label(self, jobs: Sequence[Job]) -> list[list[list[WordLabels]] | Refused]:
        """Return the labels of each job; of several that fail together, each is tried alone."""
        try:
            tagger = self.model.tagger(*jobs[0].kind)
            items = ((None, part.sentences) for job in jobs for part in job.parts)
            labels = [found for _, found in tagger.label_each(items)]
        except Exception as error:
            if len(jobs) > 1:
                return [self._label([job])[0] for job in jobs]
            return [refusal_of(error, f"Model {self.model.name}")]
        bounds = accumulate((len(job.parts) for job in jobs), initial=0)
        return [labels[a:b] for a, b in pairwise(bounds)]

    def _measure(self, jobs: Sequence[Job], seconds: float) -> None:
        words = sum(job.words for job in jobs)
        speed = words / max(seconds, 1e-9)
        self._words_per_second += (_MEMORY if self._words_per_second else 1) * (speed - self._words_per_second)
        self._metrics.words.labels(self.model.name).inc(words)
        self._metrics.call_requests.labels(self.model.name).observe(len(jobs))
        self._metrics.call_seconds.labels(self.model.name).observe(seconds)
