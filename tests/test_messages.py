"""A message speaks of the flags that its command has."""

import argparse
import re

import pytest
from tiny_models import tiny_bert

from hf_tagging.cli import main, make_parser

FILES = {
    "folder/a.conll": "a B-PER\n", "folder/b.conll": "a B-PER\n", "two/train-test.conll": "a B-PER\n",
    "broken.conll": "a B-PER\nb\n", "mixed.conll": "a B-PER\nb PER\n", "one.conll": "a\nb\n",
    "head.conll": "x\ty\tz\na\tb\tc\n", "wide.conll": "a b c d e\n", "none.conll": "a _\nb _\n", "empty.conll": "",
    "keys.jsonl": '{"x": 1}\n', "words.jsonl": '{"tokens": ["a"]}\n', "ids.jsonl": '{"tokens": ["a"], "tags": [1]}\n',
    "notes.txt": "a b\nc d\n e f g h i\nx\n y z\n k l\n",
}  # fmt: skip
DATA = ("folder", "two", *(name for name in FILES if "/" not in name), "gone.conll", "./gone", "some/name")
MODELS = ("nope", "./nope", "some/name", "folder")
# What a message quotes as a command line, of this or another program, has its own flags.
_QUOTED = re.compile(r"`[^`]*`|(?:hf-tagging|accelerate launch|python|recipes/|in training)[^.\n]*")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("messages"))


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Runs a command that cannot do what it is asked; gives what it says, and the flags that it does not have."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    commands = next(a.choices for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))

    def _said(*words):
        with pytest.raises(SystemExit) as end:
            main([*map(str, words)])
        text = capsys.readouterr().err
        assert end.value.code in (1, 2), (words, text)
        assert "Traceback" not in text
        own = commands[words[0]]._option_string_actions
        return text, [flag for flag in re.findall(r"--[a-z]\w*", _QUOTED.sub("", text)) if flag not in own]

    return _said


@pytest.mark.parametrize("name", MODELS)
def test_of_a_model_that_is_none(name, said):
    for words in (
        ["predict", name, "--text", "x"],
        ["evaluate", name, "--dataset", "sample"],
        ["export", name, "--to", "onnx", "--output", "exported"],
        ["demo", name],
        ["compare", name],
        ["report", name],
        ["push", name, "user/x", "--dry_run"],
    ):
        text, foreign = said(*words)
        assert foreign == [], text
        assert name.removeprefix("./") in text


@pytest.mark.failure_mode("unknown-model")
def test_of_a_model_that_is_not_there_is_told_what_to_give(said):
    text, _ = said("predict", "./nope", "--text", "x")
    assert text.strip() == ("./nope: there is no such folder. Give the output folder of a run, or a name on the Hub.")


@pytest.mark.parametrize("name", DATA)
def test_of_data_that_cannot_be_used(name, said, model):
    refused = 0
    for words in (
        ["evaluate", model, "--dataset", name, "--task", "pos", "--tags_column", "9"],
        ["evaluate", model, "--dataset", name, "--task", "ner"],
        ["evaluate", model, "--test_file", name],
        ["evaluate", "--predictions", name, "--scheme", "IOB1"],
    ):
        try:
            text, foreign = said(*words)
        except pytest.fail.Exception:  # it could be used
            continue
        refused += 1
        assert foreign == [], text
    assert refused >= 2
    text, foreign = said("predict", model, "--input", name, "--tokens_column", "7", "--format", "column")
    assert foreign == [], text
    if name in ("broken.conll", "folder", "gone.conll"):
        text, foreign = said("export", model, "--to", "onnx", "--output", "exported", "--data", name)
        assert foreign == [], text
