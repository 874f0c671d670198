"""Annotation of a corpus from its plan to its summary, by either engine."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from hf_tagging.annotating.local import default_workers, run_local
from hf_tagging.annotating.model import describe_model
from hf_tagging.annotating.plan import PLAN, Plan, check_same, make_plan, read_plan, write_plan
from hf_tagging.annotating.progress import Dashboard
from hf_tagging.annotating.request import AnnotationRequest
from hf_tagging.annotating.shards import (
    PROGRESS,
    ShardRecord,
    finished,
    rejected_file,
    remove_partial,
)
from hf_tagging.annotating.work import Job, Outcome
from hf_tagging.atomic import Json, read_json, remove, whole_file, write_json
from hf_tagging.disk import check_writable, expanded, writing_to
from hf_tagging.errors import OutputError
from hf_tagging.locks import LOCK, FolderLock
from hf_tagging.problems import argument, current
from hf_tagging.training.environment import cores, peak_memory, versions

SUMMARY, REJECTED = "annotation.json", "rejected.jsonl"

logger = logging.getLogger(__name__)


def annotate_corpus(request: AnnotationRequest, *, overwrite: bool = False) -> dict[str, Json]:
    """Annotate a corpus of any size, shard by shard, or go on with one that was interrupted.

        annotate_corpus(AnnotationRequest(model=["runs/ner"], input=["news.parquet"], output="annotated"))

    Args:
        request: What is annotated, by which tagger, where to.
        overwrite: Remove an earlier annotation in the folder and begin anew.

    Returns:
        The summary, as it is in ``annotation.json``.

    Raises:
        ConfigError: An argument is wrong.
        DataError: The input cannot be read, or has no column to tag.
        ModelError: The tagger cannot be loaded, or a shard has ended its worker twice.
        OutputError: The folder cannot be written, holds something else, or an annotation that was asked something else.
    """
    folder = expanded(request.output).absolute()
    check_writable(folder)
    with FolderLock(folder, advice=f"choose another {argument('output')}"):
        _check_folder(folder, overwrite=overwrite)
        plan = _planned(request, folder)
        remove_partial(folder)
        try:
            return _carry_out(request, plan, folder)
        finally:
            remove_partial(folder)  # of workers that were ended


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    """Make sure that a folder is empty or holds an annotation; remove that with `overwrite`."""
    ours = {PLAN, SUMMARY, REJECTED, PROGRESS, LOCK}
    there = [path for path in folder.iterdir() if path.name not in ours and not _is_part(path)]
    if there or not ((folder / PLAN).exists() or not any(path.name != LOCK for path in folder.iterdir())):
        found = f" ({sorted(path.name for path in there)[0]}, for example)" if there else ""
        raise OutputError(f"{folder}: holds files that are of no annotation{found}. Give a new {argument('output')}.")
    if overwrite:
        for path in sorted(folder.iterdir(), key=lambda path: path.name != SUMMARY):
            if path.name not in (LOCK, PLAN):
                remove(path)
        remove(folder / PLAN)


def _is_part(path: Path) -> bool:
    return path.name.startswith(("part-", ".part-", f".{PLAN}.", f".{SUMMARY}.", f".{REJECTED}."))


def _planned(request: AnnotationRequest, folder: Path) -> Plan:
    """Return the plan of the folder, or a new one."""
    model = describe_model(request)
    plan = read_plan(folder)
    if plan is not None:
        check_same(plan, request, model, folder)
        return plan
    plan = make_plan(request, model, logger.info)
    logger.info(
        "%s rows, %s to be written", f"{plan.rows:,}", f"{len(plan.shards):,} shard{'s' * (len(plan.shards) > 1)}"
    )
    with writing_to(folder):
        write_plan(plan, folder)
    return plan


def _carry_out(request: AnnotationRequest, plan: Plan, folder: Path) -> dict[str, Json]:
    found = (finished(folder, shard.number) for shard in plan.shards)
    records = {record.shard: record for record in found if record is not None}
    todo = [shard.number for shard in plan.shards if shard.number not in records]
    if records:
        logger.info("%s of %s shards are written", f"{len(records):,}", f"{len(plan.shards):,}")
    if not todo and (before := read_json(folder / SUMMARY)):
        return before if isinstance(before, dict) else {}
    workers = request.workers or default_workers(cores())
    dashboard = Dashboard(plan.rows, sum(record.rows for record in records.values()), workers)
    memory = 0
    began = time.monotonic()
    if todo:
        # PyTorch's number is that of OMP_NUM_THREADS, where it is set.
        threads = max(1, min(torch.get_num_threads(), cores() // workers))
        job = Job(request, folder, threads, current())
        with dashboard:
            for outcome in _outcomes(job, todo, workers, dashboard):
                if outcome is None:
                    dashboard.show()
                    continue
                if outcome.error is not None:
                    raise outcome.error
                assert outcome.record is not None
                records[outcome.record.shard] = outcome.record
                memory = max(memory, outcome.memory)
                dashboard.finished(outcome.record)
    seconds = time.monotonic() - began
    speed: dict[str, Json] = {
        "workers": workers,
        "engine": request.engine,
        "seconds": round(seconds, 3),
        "worker_memory": memory,
        "process_memory": peak_memory()["process"],
    }
    return _summary(plan, [records[shard.number] for shard in plan.shards], folder, speed | dashboard.speed())


def _outcomes(job: Job, todo: Sequence[int], workers: int, dashboard: Dashboard) -> Iterator[Outcome | None]:
    if job.request.engine == "ray":
        from hf_tagging.annotating.on_ray import run_ray

        return run_ray(job, todo, workers)
    return run_local(job, todo, workers, dashboard.doing)


def _summary(plan: Plan, records: Sequence[ShardRecord], folder: Path, speed: dict[str, Json]) -> dict[str, Json]:
    """Write the rows that were set aside into one file, then the summary."""
    kinds: Counter[str] = Counter()
    for record in records:
        kinds.update(record.rejected)
    if kinds:
        _gather(records, folder)
    because: dict[str, Json] = dict(kinds.most_common())
    content: dict[str, Json] = {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": [*plan.model.names],
        "rows": sum(record.rows for record in records),
        "annotated": sum(record.annotated for record in records),
        "rejected": sum(kinds.values()),
        "rejected_because": because,
        "words": sum(record.words for record in records),
        "entities": sum(record.entities for record in records) if plan.model.entities else None,
        "shards": len(records),
        "last_start": speed,
        "versions": {**versions()},
    }
    with writing_to(folder / SUMMARY):
        write_json(folder / SUMMARY, content)
    return content


def _gather(records: Sequence[ShardRecord], folder: Path) -> None:
    path = folder / REJECTED
    with writing_to(path), whole_file(path) as file:
        for record in records:
            if record.rejected:
                with open(rejected_file(folder, record.shard), encoding="utf-8") as part:
                    file.writelines(part)
