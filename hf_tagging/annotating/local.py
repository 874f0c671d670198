"""Engine of one machine: worker processes, each with a tagger of its own, that are handed one shard after the other.

A worker that dies, killed by the system for its memory for example, is started again and its shard begun anew, once; if
the same shard ends a worker twice, the annotation ends with a message. Workers end with the process that started them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from hf_tagging.annotating.work import GO_ON, Job, Outcome, ShardWorker
from hf_tagging.errors import ModelError
from hf_tagging.problems import argument
from hf_tagging.processes import ASKING

_TRIES = 2  # of a shard whose worker dies
_EVERY = 0.5  # seconds between two looks at the workers
_PRELOADED = ["hf_tagging.annotating.work", "hf_tagging.inference.loading"]


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    at: int  # the shard that it annotates


def default_workers(cores: int) -> int:
    """Return one worker for each accelerator, else one for each core, and not more than eight."""
    return torch.accelerator.device_count() or min(cores, 8)


def run_local(
    job: Job, shards: Sequence[int], workers: int, told: Callable[[int, int], None]
) -> Iterator[Outcome | None]:
    """Annotate shards in worker processes.

    Args:
        job: What to do.
        shards: Numbers of the shards, in the order that they are begun in.
        workers: Number of processes.
        told: Gets the number of a shard and how many of its rows are done.

    Yields:
        The outcome of each shard as it comes, and None about twice a second in between.

    Raises:
        ModelError: A shard has ended its worker twice, or none can be started.
    """
    waiting = deque(shards)
    deaths: Counter[int] = Counter()
    running: dict[int, _Worker] = {}  # by the worker's position, which its device follows
    try:
        for position in range(min(workers, len(waiting))):
            running[position] = _start(job, position, waiting.popleft())
        while running:
            wait([worker.pipe for worker in running.values()], timeout=_EVERY)
            for position, worker in list(running.items()):
                outcome, alive = _heard(worker, told)
                if outcome is not None:
                    yield outcome
                if outcome is None and not alive:
                    deaths[worker.at] += 1
                    if deaths[worker.at] >= _TRIES:
                        raise ModelError(_lost(worker))
                    worker.process.join()
                    running[position] = _start(job, position, worker.at)
                elif outcome is not None and waiting and alive:
                    worker.at = waiting.popleft()
                    with suppress(OSError):  # it has died; the next look finds it so
                        worker.pipe.send(worker.at)
                elif outcome is not None:
                    _dismiss(running.pop(position))
            yield None
    finally:
        for worker in running.values():
            worker.process.kill()
        for worker in running.values():
            worker.process.join()


def _start(job: Job, position: int, shard: int) -> _Worker:
    devices = torch.accelerator.device_count() if job.request.device is None else 0
    current = torch.accelerator.current_accelerator() if devices else None
    mine = job.on(f"{current.type}:{position % devices}" if current else None)
    for _ in range(_TRIES):
        ours, theirs = multiprocessing.Pipe()
        process = _process(theirs, mine)
        with theirs, suppress(EOFError, OSError):  # the fork server was killed; the next start begins another one
            process.start()
            with suppress(OSError):  # the worker is gone already; the next look finds it so
                ours.send(shard)
            return _Worker(process, ours, shard)
        ours.close()
    raise ModelError(f"No worker can be started. If memory is short, give fewer {argument('workers')}. {GO_ON}")


def _process(pipe: Connection, job: Job) -> BaseProcess:
    """Return a process that works; where there is a fork server, what it needs is imported once."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn").Process(target=_work, args=(pipe, job), daemon=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context.Process(target=_work, args=(pipe, job), daemon=True)


def _heard(worker: _Worker, told: Callable[[int, int], None]) -> tuple[Outcome | None, bool]:
    """Return the outcome that a worker has sent, None for none yet; and whether it is still there."""
    try:
        while worker.pipe.poll():
            said = worker.pipe.recv()
            if isinstance(said, Outcome):
                return said, True
            told(worker.at, said)
    except (EOFError, OSError):
        return None, False
    return None, True


def _dismiss(worker: _Worker) -> None:
    with suppress(OSError):
        worker.pipe.send(None)
    worker.process.join()


def _lost(worker: _Worker) -> str:
    worker.process.join()
    code = worker.process.exitcode or 0
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    memory = ", which the system sends when memory runs out" if code == -signal.SIGKILL else ""
    return (
        f"The worker of shard {worker.at} {how}{memory}; it was the second one. If memory is short, give fewer "
        f"{argument('workers')}, a smaller {argument('tokens_per_batch')} or a smaller {argument('max_characters')}."
    )


def _work(pipe: Connection, job: Job) -> None:
    """Annotate the shards whose numbers come through a pipe, until None comes or its other end is gone."""
    for number in ASKING:  # a terminal sends Ctrl-C to all processes; the first one ends the others
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    worker = ShardWorker(job)
    done = 0

    def told(rows: int) -> None:
        nonlocal done
        done += rows
        pipe.send(done)

    with suppress(EOFError, OSError):
        while (number := pipe.recv()) is not None:
            done = 0
            pipe.send(worker(number, told))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
