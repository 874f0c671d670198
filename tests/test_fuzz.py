"""A small share of `make fuzz` that trains, and of reading; that of other files and of YAMLs is in test_damaged.py."""

import json

import datasets
import pytest
from fuzz import checkpoints, kills, reading

from hf_tagging.data.formats import FORMATS


@pytest.mark.slow
def test_damaged_checkpoints(tmp_path):
    assert list(checkpoints.run(8, 7, tmp_path)) == []


@pytest.mark.slow
def test_killed_runs(tmp_path):
    assert list(kills.run(1, 7, tmp_path)) == []


@pytest.mark.failure_mode("damaged-data")
@pytest.mark.slow
def test_corpora_in_every_format_whole_damaged_and_noise(tmp_path):
    """Words in are words out, or are counted; whatever cannot be read is refused with the file."""
    level = datasets.logging.get_verbosity()
    try:
        assert list(reading.run(240, 11, tmp_path)) == []
    finally:
        datasets.enable_progress_bars()
        datasets.logging.set_verbosity(level)
    outcomes = json.loads((tmp_path / "outcomes.json").read_text())
    assert sum(count for found in outcomes.values() for count in found.values()) == 240
    whole = [found for kind, found in outcomes.items() if kind.startswith("whole")]
    read, refused = (sum(found.get(what, 0) for found in whole) for what in ("loaded", "refused"))
    assert read > 2 * refused


def test_every_format_is_fuzzed():
    assert {form for _, form in reading.SPAN_SHAPES.values()} == set(FORMATS)
