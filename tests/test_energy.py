"""The counters of a machine, as Linux shows them: files that a test can write."""

import os
import time

import pytest

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


def test_what_cannot_be_read_is_missing(powercap, tmp_path):
    with EnergyMeter(powercap=powercap, seconds=60) as meter:
        (powercap / "intel-rapl:1" / "energy_uj").unlink()
    assert "processor_joules" not in meter.record()
    with EnergyMeter(powercap=tmp_path / "nowhere") as meter:
        pass
    assert "processor_joules" not in meter.record()
