"""A small share of `make fuzz` that trains; that of files and YAMLs is in test_damaged.py."""

import pytest
from fuzz import checkpoints, kills


@pytest.mark.slow
def test_damaged_checkpoints(tmp_path):
    assert list(checkpoints.run(8, 7, tmp_path)) == []


@pytest.mark.slow
def test_killed_runs(tmp_path):
    assert list(kills.run(2, 7, tmp_path)) == []
