"""Running the plan of a comparison: each run in its own process, resumed if unfinished, never repeated.

POSIX only. A run's log is locked while any of its processes lives, so that neither a second comparison in the same
folder nor one after a killed comparison starts the same run twice.
"""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hf_tagging.comparison.children import Child, Interrupts, end_children, is_free, start_child
from hf_tagging.comparison.compare import compare_runs
from hf_tagging.comparison.page import write_comparison
from hf_tagging.comparison.plan import Job, Plan
from hf_tagging.comparison.plots import MISSING, can_draw, draw_plots
from hf_tagging.comparison.result import Comparison
from hf_tagging.comparison.runs import read_run
from hf_tagging.disk import check_writable
from hf_tagging.errors import DataError, OutputError
from hf_tagging.hub import first_line
from hf_tagging.locks import FolderLock
from hf_tagging.problems import argument

GO_ON = "Type the same command again to go on: finished runs are kept, begun ones go on from their last checkpoint."


@dataclass
class _Process:
    job: Job
    child: Child


def describe_plan(plan: Plan) -> str:
    """Return the state and the command of each run."""
    states = {True: "finished", False: "to go on"}
    lines = []
    for job in plan.jobs:
        state = states[job.finished] if (job.folder / "run.json").exists() else "to do"
        lines.append(f"{job} ({state}):\n  {shlex.join(job.command)}")
    return "\n".join(lines)


def check_folders(plan: Plan) -> None:
    """Make sure that every folder is free, or holds the planned run.

    Raises:
        OutputError: With every run that has other arguments, or one that is running; or if the folder cannot be
            written.
    """
    check_writable(plan.output_dir)
    other = [(job.folder, changes) for job in plan.jobs if (changes := job.changes())]
    if other:
        lines = [f"{folder}:\n    " + "\n    ".join(changes) for folder, changes in other]
        raise OutputError(
            "There are runs that were asked something else:\n  " + "\n  ".join(lines) + "\nNothing was started. Give "
            "the old values, choose another output_dir, or move these folders away to run them anew."
        )
    busy = [job for job in plan.jobs if job.log.exists() and not is_free(job.log)]
    if busy:
        raise OutputError(
            f"{busy[0].log}: the run that writes it is running, of a comparison that was killed or is still there. "
            "Nothing was started. Wait for it, or end it, and type the same command again."
        )


def carry_out(plan: Plan) -> Comparison:
    """Run everything that is not finished, `parallel` runs at a time, and update the table after each.

    Args:
        plan: Result of `read_plan`.

    Raises:
        OutputError: If a folder holds a run with other arguments, or one that is running; if another comparison is
            writing into the plan's folder.
        DataError: If two runs were scored on different data.
    """
    with FolderLock(plan.output_dir, advice=f"choose another {argument('output_dir')}"):
        return _carry_out(plan)


def _carry_out(plan: Plan) -> Comparison:
    check_folders(plan)
    done = [job for job in plan.jobs if job.finished]
    waiting = [job for job in plan.jobs if not job.finished]
    count = f"{len(plan.jobs)} run{'s' * (len(plan.jobs) != 1)}, {len(done)} finished before"
    _say(f"{count}; what they print: {plan.output_dir}/RUN/SEED.log")
    for job in done:
        _say(f"{job}: {_score(job, plan.split)}, finished before")
    failures: dict[Path, str] = {}
    running: list[_Process] = []
    with Interrupts() as interrupts:
        try:
            while waiting or running:
                while waiting and len(running) < plan.parallel:
                    job = waiting.pop(0)
                    try:
                        running.append(_start(job, plan.parallel))
                    except (OutputError, OSError) as error:  # this run's alone: the others go on
                        failures[job.folder] = str(error)
                        _say(f"{job}: could not be started: {error}")
                time.sleep(0.1)
                interrupts.check()
                _show(running)
                for process in [p for p in running if p.child.popen.poll() is not None]:
                    running.remove(process)
                    count = f"{len(plan.jobs) - len(waiting) - len(running)} of {len(plan.jobs)}"
                    if not _report(process, plan, failures, count):
                        waiting.clear()
        except BaseException:
            _show([])
            end_children([process.child for process in running], interrupts)
            raise
    comparison = _compare(plan, failures)
    plots = draw_plots(comparison, plan.output_dir) if can_draw() else []
    write_comparison(comparison, plan.output_dir, plots)
    _say(f"\n{comparison}\n\nWritten to {plan.output_dir}" + ("" if can_draw() else f". {MISSING}"))
    return comparison


def _report(process: _Process, plan: Plan, failures: dict[Path, str], count: str) -> bool:
    """Print the result of a run and update the table; return False if further runs could not be compared with it.

    Errors of the table do not stop running runs; those that persist are raised at the end.
    """
    try:
        _say(f"{_outcome(process, plan.split, failures)} ({count})")
        write_comparison(_compare(plan, failures), plan.output_dir)
    except Exception as error:
        is_refused = isinstance(error, DataError)
        what = "no further run is started" if is_refused else "the runs go on"
        _say(f"{process.job}: could not be compared, {what}: {first_line(error)}")
        return not is_refused
    return True


def _compare(plan: Plan, failures: dict[Path, str]) -> Comparison:
    return compare_runs(plan.runs, split=plan.split, reference=plan.reference, problems=failures)


def _start(job: Job, parallel: int) -> _Process:
    busy = "another comparison has started this run. Wait for it, or end it."
    return _Process(job, start_child(job.command, job.log, parallel=parallel, secrets=job.secrets, busy=busy))


def _outcome(process: _Process, split: str, failures: dict[Path, str]) -> str:
    """Return the result of a run in one line; the reason of a failure goes into `failures`."""
    job, child = process.job, process.child
    if child.popen.returncode == 0 and job.finished:
        return f"{job}: {_score(job, split)}, {child.seconds:.0f} s"
    why = child.why_it_failed()
    failures[job.folder] = why
    return f"{job}: failed after {child.seconds:.0f} s: {why} (see {job.log})"


def _score(job: Job, split: str) -> str:
    run = read_run(job.folder, split)
    return run.problem if run.counts is None else f"{run.counts.metric} {run.counts.score:.4f}"


def _say(line: str) -> None:
    if sys.stdout.isatty():
        line = f"\r\x1b[2K{line}"  # over what `_show` has left
    print(line, flush=True)


def _show(running: list[_Process]) -> None:
    """Show the running runs in a line that the next one replaces; on a terminal only."""
    if sys.stdout.isatty():
        line = "; ".join(f"{process.job} ({process.child.seconds:.0f} s)" for process in running)
        print(f"\r\x1b[2K{line[:100]}", end="", flush=True)
