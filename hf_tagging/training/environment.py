"""Provenance of a run: data, packages, machine, revision of the code."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import psutil
import pyarrow as pa
import torch
from accelerate import PartialState
from datasets import Dataset

from hf_tagging.data.rows import arrow_batches
from hf_tagging.processes import set_by_launcher
from hf_tagging.training.record import HardwareRecord, MemoryRecord, SplitRecord

_PACKAGES = (
    "torch",
    "transformers",
    "datasets",
    "tokenizers",
    "accelerate",
    "evaluate",
    "seqeval",
    "peft",
    "numpy",
)


def describe_environment() -> dict[str, object]:
    """Return versions and hardware in one flat mapping, as `hf-tagging env` prints them."""
    return versions() | hardware(PartialState().num_processes)


def versions() -> dict[str, str]:
    """Return versions of Python and of the packages that a figure may depend on."""
    found = {name: metadata.version(name) for name in _PACKAGES}
    return {"hf_tagging": metadata.version("hf-tagging"), "python": platform.python_version(), **found}


def hardware(processes: int) -> HardwareRecord:
    """Return the machine, its processors and the number of processes of the run."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "machine": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "gpus": gpus,
        "processes": processes,
    }


def use_cores(on_cpu: bool) -> None:
    """Share the cores between this machine's processes where a launcher left each a single thread.

    `accelerate launch` and `torchrun` set OMP_NUM_THREADS to 1 unless they are told otherwise: right for processes
    that feed a GPU, half the speed or less for one that trains on the CPU. A user's own OMP_NUM_THREADS is obeyed: it
    is in the environment of the launcher, too.
    """
    left_alone = os.environ.get("OMP_NUM_THREADS") != "1" or not set_by_launcher("OMP_NUM_THREADS")
    if not left_alone and (on_cpu or not torch.accelerator.is_available()):
        torch.set_num_threads(max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def cores() -> int:
    """Return how many of the machine's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Let glibc keep the memory that a step frees for the next one; fine-tuning on a CPU is about 5 % faster.

    Left alone, it hands the memory of large tensors back to the system, which fills it with zeros when the next step
    asks for it again. Other C libraries are left as they are. The numbers are those of ``malloc.h``.
    """
    mmap_threshold, trim_threshold = -3, -1
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 32 * 2**20)  # the most it takes
        libc.mallopt(trim_threshold, 2**31 - 1)


def give_back_memory() -> None:
    """Return the memory that Arrow has freed to the system: training does not need it."""
    pa.default_memory_pool().release_unused()


def peak_memory() -> MemoryRecord:
    """Bytes that this process has held at most and, where there is a GPU, that its tensors have held there."""
    peak: MemoryRecord = {"process": _peak_resident()}
    if torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated()
    return peak


def _peak_resident() -> int:
    # Linux counts in getrusage what the parent held when it started this process: a small run that a large program
    # starts would look large. VmHWM begins anew.
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
    if found is not None:
        return found
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def git_revision() -> str | None:
    """Return the revision of the running source; None for an installed package, even inside another checkout."""
    here = Path(__file__)
    if _git("ls-files", "--error-unmatch", here.name, cwd=here.parent) is None:
        return None
    return _git("rev-parse", "HEAD", cwd=here.parent)


def _git(*words: str, cwd: Path) -> str | None:
    try:
        result = subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def describe_split(split: Dataset) -> SplitRecord:
    """Return counts of a split, and a fingerprint of its words and tags that depends on no path and no date."""
    words = 0
    digest = sha256()
    for batch in arrow_batches(split, "tokens", "tags", size=1_000):
        words += len(batch.column("tokens").combine_chunks().flatten())
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema.remove_metadata()) as stream:
            stream.write_table(batch.replace_schema_metadata(None).combine_chunks())
        digest.update(sink.getvalue())
    return {"sentences": len(split), "words": words, "fingerprint": digest.hexdigest()[:16]}
