"""Running the plan of a comparison: each run in its own process, resumed if unfinished, never repeated.

POSIX only. A run's log is locked while any of its processes lives, so that neither a second comparison in the same
folder nor one after a killed comparison starts the same run twice.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

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
from hf_tagging.processes import ASKING, Handler, Terminated, is_echo
from hf_tagging.training.environment import cores

GO_ON = "Type the same command again to go on: finished runs are kept, begun ones go on from their last checkpoint."
_PATIENCE = 10.0  # seconds that a run gets to end by itself
_TO_SAVE = 25.0  # and to end a step and save a checkpoint before; schedulers often give 30
_LAST_LINES = 200
_ERROR = re.compile(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b.*")


@dataclass
class _Process:
    job: Job
    popen: subprocess.Popen[bytes]
    began: float
    log_offset: int

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


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
    busy = [job for job in plan.jobs if job.log.exists() and not _is_free(job.log)]
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
    with _Interrupts() as interrupts:
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
                for process in [p for p in running if p.popen.poll() is not None]:
                    running.remove(process)
                    count = f"{len(plan.jobs) - len(waiting) - len(running)} of {len(plan.jobs)}"
                    if not _report(process, plan, failures, count):
                        waiting.clear()
        except BaseException:
            _end(running, interrupts)
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
    """Start a run in its own session, so that it can be ended with all its processes."""
    environment = os.environ | job.secrets
    if parallel > 1:  # otherwise each would take all cores
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // parallel)))
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with open(job.log, "ab") as log:
        if not _lock(log):
            raise OutputError(f"{job.log}: another comparison has started this run. Wait for it, or end it.")
        log.write(f"$ {shlex.join(job.command)}\n\n".encode())
        log.flush()
        offset = log.tell()
        # The lock goes with the open file to the process and its children, and ends with the last of them.
        popen = subprocess.Popen(
            job.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    return _Process(job, popen, time.monotonic(), offset)


def _outcome(process: _Process, split: str, failures: dict[Path, str]) -> str:
    """Return the result of a run in one line; the reason of a failure goes into `failures`."""
    job, code = process.job, process.popen.returncode
    if code == 0 and job.finished:
        return f"{job}: {_score(job, split)}, {process.seconds:.0f} s"
    with open(job.log, "rb") as log:
        log.seek(process.log_offset)
        why = why_it_failed(log.read().decode(errors="replace"), code)
    failures[job.folder] = why
    return f"{job}: failed after {process.seconds:.0f} s: {why} (see {job.log})"


def _score(job: Job, split: str) -> str:
    run = read_run(job.folder, split)
    return run.problem if run.counts is None else f"{run.counts.metric} {run.counts.score:.4f}"


def why_it_failed(printed: str, code: int) -> str:
    """Return the reason of a failure in one line: the last error, or else the last line.

    Args:
        printed: Output of the run.
        code: Exit code; below 0, the signal that ended it.
    """
    if code < 0:
        return f"ended by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
    lines = [line.rstrip() for line in printed.rstrip().split("\n")[-_LAST_LINES:]]
    if any(line.startswith("Traceback") for line in lines):
        errors = [line for line in lines if _ERROR.fullmatch(line)]
        if errors:
            return errors[-1]
    # Our own errors are a message behind an empty line, of one line or more.
    start = max((i for i, line in enumerate(lines) if not line), default=-1)
    return " ".join(" ".join(lines[start + 1 :]).split()) or f"ended with exit code {code}"


class _Interrupts:
    """Record Ctrl-C, SIGTERM and SIGHUP instead of raising, which could lose a run that is being started."""

    def __init__(self) -> None:
        self.count = 0
        self.number = int(signal.SIGINT)  # the first that came
        self._before: dict[int, Handler] = {}

    def __enter__(self) -> _Interrupts:
        for number in ASKING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if not is_echo():
            self.number = self.number if self.count else number
            self.count += 1

    def check(self) -> None:
        """Raise a recorded signal."""
        if self.count:
            raise Terminated(self.number)


def _end(running: list[_Process], interrupts: _Interrupts) -> None:
    """End runs: forward the signal, then terminate, then kill; another signal shortens the wait.

    SIGTERM and SIGHUP let a run save a checkpoint first. A launcher may exit before its processes do.
    """
    _show([])
    first = interrupts.number
    steps = [(first, _PATIENCE if first == signal.SIGINT else _TO_SAVE), (signal.SIGTERM, _PATIENCE)]
    for number, patience in (*steps, (signal.SIGKILL, _PATIENCE)):
        for process in running if number == signal.SIGKILL else filter(_is_alive, running):
            with suppress(ProcessLookupError):
                os.killpg(process.popen.pid, number)
        deadline, heard = time.monotonic() + patience, interrupts.count
        while any(map(_is_alive, running)) and time.monotonic() < deadline and interrupts.count == heard:
            time.sleep(0.05)


def _is_alive(process: _Process) -> bool:
    return process.popen.poll() is None or not _is_free(process.job.log)


def _lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(log: Path) -> bool:
    with open(log, "ab") as file:
        return _lock(file)


def _say(line: str) -> None:
    if sys.stdout.isatty():
        line = f"\r\x1b[2K{line}"  # over what `_show` has left
    print(line, flush=True)


def _show(running: list[_Process]) -> None:
    """Show the running runs in a line that the next one replaces; on a terminal only."""
    if sys.stdout.isatty():
        line = "; ".join(f"{process.job} ({process.seconds:.0f} s)" for process in running)
        print(f"\r\x1b[2K{line[:100]}", end="", flush=True)
