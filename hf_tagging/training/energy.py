"""Energy used by training, from the counters of the machine where they can be read.

Processors: RAPL, which Linux shows below ``/sys/class/powercap`` (as a rule to root alone). GPUs: NVML, the library
that comes with NVIDIA's driver. Nothing is estimated: what no counter tells is missing.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import torch

from hf_tagging.training.record import EnergyRecord

_POWERCAP = Path("/sys/class/powercap")
_NVML = "libnvidia-ml.so.1"

Counter = type[ctypes.c_ulonglong] | type[ctypes.c_uint]


class EnergyMeter:
    """Meter that reads the counters at the beginning and the end of a block: ``with EnergyMeter() as meter: train()``.

    Args:
        gpus: Whether the training uses GPUs; else they are left alone, CUDA with them.
        powercap: Where the system shows the processors' counters.
        seconds: Between two readings: a counter starts again at 0 every few minutes under load.
    """

    def __init__(self, *, gpus: bool = True, powercap: Path = _POWERCAP, seconds: float = 20.0):
        self._gpus = gpus
        self._packages = [_Package(folder) for folder in sorted(powercap.glob("intel-rapl:*")) if _is_package(folder)]
        self._seconds = seconds
        self._done = threading.Event()
        self._reader = threading.Thread(target=self._read_on, name="energy", daemon=True)
        self._gpu_start: int | None = None
        self._gpu_joules: float | None = None

    def __enter__(self) -> EnergyMeter:
        for package in self._packages:
            package.read()
        self._gpu_start = self._gpu_energy()
        if self._packages:
            self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._packages:
            self._done.set()
            self._reader.join()
            for package in self._packages:
                package.read()
        end = self._gpu_energy()
        if end is not None and self._gpu_start is not None:
            self._gpu_joules = (end - self._gpu_start) / 1000  # counted in mJ

    def _gpu_energy(self) -> int | None:
        return _gpu_total("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong) if self._gpus else None

    def _read_on(self) -> None:
        while not self._done.wait(self._seconds):
            for package in self._packages:
                package.read()

    def record(self) -> EnergyRecord:
        """Return the energy counted, for `run.json`.

        Returns:
            `processor_joules` and `gpu_joules`, over all processors and all GPUs that PyTorch sees here, other
            programs included; `gpu_watts`, the power that their driver allows these GPUs together, where they do not
            count. What is not known is left out.
        """
        found: EnergyRecord = {}
        if self._packages and all(package.joules is not None for package in self._packages):
            found["processor_joules"] = round(sum(package.joules or 0.0 for package in self._packages), 1)
        if self._gpu_joules is not None:
            found["gpu_joules"] = round(self._gpu_joules, 1)
        elif self._gpus and (limit := _gpu_total("nvmlDeviceGetEnforcedPowerLimit", ctypes.c_uint)) is not None:
            found["gpu_watts"] = limit / 1000  # told in mW
        return found


class _Package:
    """Counter of one processor.

    Args:
        folder: With `energy_uj`, and `max_energy_range_uj`, at which it starts again.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._last: int | None = None
        self.joules: float | None = 0.0

    def read(self) -> None:
        """Adds what was counted since the last time."""
        now, most = (_number(self._folder / name) for name in ("energy_uj", "max_energy_range_uj"))
        if now is None or most is None:
            self.joules = None
        elif self._last is not None and self.joules is not None:
            self.joules += (now - self._last + (most if now < self._last else 0)) / 1e6
        self._last = now


def _is_package(folder: Path) -> bool:
    """Return whether it is a whole processor: its parts, and the platform around it, count the same energy again."""
    try:
        return (folder / "name").read_text().startswith("package")
    except OSError:
        return False


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _gpu_total(function: str, kind: Counter) -> int | None:
    """Return the sum of a number over the GPUs that PyTorch sees; None without GPUs or such a counter."""
    if not torch.cuda.is_available() or torch.version.cuda is None:
        return None
    try:
        nvml = ctypes.CDLL(_NVML)
        ask, find = getattr(nvml, function), nvml.nvmlDeviceGetHandleByUUID
        if nvml.nvmlInit_v2():
            return None
    except (OSError, AttributeError):
        return None
    try:
        # By their names: the numbers of PyTorch, NVML and CUDA_VISIBLE_DEVICES need not agree.
        names = [f"GPU-{torch.cuda.get_device_properties(i).uuid}" for i in range(torch.cuda.device_count())]
        values = [_gpu_number(find, ask, name, kind) for name in names]
    finally:
        nvml.nvmlShutdown()
    told = [value for value in values if value is not None]
    return sum(told) if told and len(told) == len(values) else None


def _gpu_number(find: Callable[..., int], ask: Callable[..., int], name: str, kind: Counter) -> int | None:
    device, value = ctypes.c_void_p(), kind()
    if find(name.encode(), ctypes.byref(device)) or ask(device, ctypes.byref(value)):
        return None
    return int(value.value)
