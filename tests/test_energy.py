"""The counters of a machine, as Linux shows them: files that a test can write."""

import os
import time
from types import SimpleNamespace

import pytest
import torch

from hf_tagging.training import energy
from hf_tagging.training.energy import EnergyMeter


@pytest.fixture
def powercap(tmp_path):
    """Two processors, a part of one, and the platform around them; counters start again at 1,000 J."""
    for zone, name in {"0": "package-0", "1": "package-1", "0:0": "core", "2": "psys"}.items():
        folder = tmp_path / f"intel-rapl:{zone}"
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text("1000000000\n")
        (folder / "energy_uj").write_text("900000000\n")
    return tmp_path


def turn(powercap, zone, microjoules):
    new = powercap / "new"  # put in place at once, as the system does: nothing half-written is ever read
    new.write_text(f"{microjoules}\n")
    os.replace(new, powercap / f"intel-rapl:{zone}" / "energy_uj")


def test_processors_are_counted_once_and_over_the_end_of_a_counter(powercap):
    with EnergyMeter(powercap=powercap, seconds=60) as meter:
        turn(powercap, "0", 950_000_000)  # 50 J
        turn(powercap, "1", 100_000_000)  # 100 J to the end, and 100 J more
        turn(powercap, "0:0", 990_000_000)
        turn(powercap, "2", 990_000_000)
    assert meter.record()["processor_joules"] == 250.0


def test_counters_are_read_on_the_way(powercap):
    with EnergyMeter(powercap=powercap, seconds=0.01) as meter:
        for microjoules in (500_000_000, 900_000_000, 500_000_000, 900_000_000):  # twice around
            turn(powercap, "0", microjoules)
            time.sleep(0.3)
    assert meter.record()["processor_joules"] == 2000.0


def test_gpus_are_asked_only_where_they_are_used(powercap, monkeypatch):
    asked = []
    monkeypatch.setattr(energy, "_gpu_total", lambda function, kind: asked.append(function))
    with EnergyMeter(gpus=False, powercap=powercap, seconds=60) as meter:
        turn(powercap, "0", 950_000_000)
    assert meter.record() == {"processor_joules": 50.0}
    assert asked == []
    with EnergyMeter(powercap=powercap, seconds=60) as meter:
        pass
    assert meter.record() == {"processor_joules": 0.0}
    counter = "nvmlDeviceGetTotalEnergyConsumption"
    assert asked == [counter, counter, "nvmlDeviceGetEnforcedPowerLimit"]


@pytest.mark.parametrize("missing", ["nvmlInit_v2", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetTotalEnergyConsumption"])
def test_an_old_driver_counts_nothing(missing, powercap, monkeypatch):
    """A library that lacks a function, as an older driver's may."""

    class Library:
        def __getattr__(self, name):
            if name == missing:
                raise AttributeError(f"undefined symbol: {name}")  # as ctypes says it
            return lambda *_: 0

    monkeypatch.setattr(energy.ctypes, "CDLL", lambda _: Library())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="0"))
    with EnergyMeter(powercap=powercap, seconds=60) as meter:
        pass
    assert "gpu_joules" not in meter.record()


def test_what_cannot_be_read_is_missing(powercap, tmp_path):
    with EnergyMeter(powercap=powercap, seconds=60) as meter:
        (powercap / "intel-rapl:1" / "energy_uj").unlink()
    assert "processor_joules" not in meter.record()
    with EnergyMeter(powercap=tmp_path / "nowhere") as meter:
        pass
    assert "processor_joules" not in meter.record()
