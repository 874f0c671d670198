"""Progress bars of libraries: on terminals, and nowhere else; a setting of the user's own is left alone."""

import contextlib
import sys

import datasets
import pytest
from transformers.utils import logging

from hf_tagging import load_tagging_dataset
from hf_tagging.data.bars import bars_on_terminals


def shown() -> tuple[bool, bool]:
    return not datasets.are_progress_bars_disabled(), logging.is_progress_bar_enabled()


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_bars_are_hidden_but_on_terminals_and_are_as_before_afterwards(terminal, before, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    was = shown()
    for module in (datasets.enable_progress_bars, logging.enable_progress_bar) if before else (
        datasets.disable_progress_bars, logging.disable_progress_bar
    ):  # fmt: skip
        module()
    try:
        seen = []
        with contextlib.suppress(KeyError), bars_on_terminals():
            seen.append(shown())
            raise KeyError
        assert seen == [(before, before) if terminal else (False, False)]
        assert shown() == (before, before)
    finally:
        (datasets.enable_progress_bars if was[0] else datasets.disable_progress_bars)()
        (logging.enable_progress_bar if was[1] else logging.disable_progress_bar)()


def test_loading_data_draws_no_bar_into_a_log(capsys, tmp_path):
    load_tagging_dataset("sample", task="ner", cache_dir=tmp_path)
    assert capsys.readouterr().err == ""
