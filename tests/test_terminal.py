"""Words, tags and names of others are shown by a terminal, and never obeyed."""

import io
import json
import logging
import runpy
import sys
import time
from pathlib import Path

import pytest
from tiny_models import tiny_bert

from hf_tagging.cli import main
from hf_tagging.console import log_to_terminal, text_table
from hf_tagging.errors import DataError, printable
from hf_tagging.evaluation import results_table
from hf_tagging.inference.files import tag_file
from hf_tagging.inference.tagger import Tagger

EVIL = "LOC\x1b[31m\x9b2J\x07\u202e"
SHOWN = r"LOC\x1b[31m\x9b2J\x07\u202e"


def controls(text: str) -> set[str]:
    return {character for character in text if not character.isprintable()} - {"\n", "\t"}


@pytest.mark.parametrize(
    ("text", "line_ends", "shown"),
    [
        ("Zürich 東京", False, "Zürich 東京"),
        (EVIL, True, SHOWN),
        ("a\nb\tc", False, r"a\nb\tc"),
        ("a\nb\tc\r", True, "a\nb\tc\\r"),
        ("\ud800", True, r"\ud800"),
    ],
)
def test_printable(text, line_ends, shown):
    assert printable(text, line_ends=line_ends) == shown


@pytest.mark.failure_mode("escape-sequences")
def test_results_table():
    figures = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "words": 2, "per_type": {f"{EVIL}\nx": {"f1": 1.0}}}
    table = results_table("ner", {"test": figures})
    assert not controls(table)
    assert len(table.split("\n")) == 3
    assert SHOWN in table


def test_text_tables_align_numbers_right_and_count_wide_characters_twice():
    rows = [["", "f1"], ["東京", "0.5"], ["e\u0301", "0.25"]]
    assert text_table(rows).split("\n") == ["        f1", "東京   0.5", "e\u0301     0.25"]
    assert text_table(rows, left=(0, 1)).split("\n") == ["      f1", "東京  0.5", "e\u0301     0.25"]


def test_errors():
    assert str(DataError(f"the tag {EVIL}\nis not there")) == f"the tag {SHOWN}\nis not there"


@pytest.mark.failure_mode("escape-sequences")
def test_logs(monkeypatch, capsys):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    log_to_terminal()
    logging.getLogger("hf_tagging.data").warning("tags: %s", f"{EVIL}\nforged line")
    assert capsys.readouterr().err == f"tags: {SHOWN}\\nforged line\n"


@pytest.mark.failure_mode("escape-sequences")
def test_commands(tmp_path, capsys):
    file = tmp_path / "predictions.conll"
    file.write_text(f"Lisbon B-{EVIL} B-{EVIL}\n")
    main(["evaluate", "--predictions", str(file)])
    shown = capsys.readouterr()
    assert SHOWN in shown.out
    assert not controls(shown.out + shown.err)
    file.write_text(f"Lisbon {EVIL}\nx y z\n")
    with pytest.raises(SystemExit):
        main(["evaluate", "--predictions", str(file)])
    assert not controls(capsys.readouterr().err)


@pytest.mark.parametrize("format", ["column", "jsonl"])
def test_predict_on_a_terminal(tmp_path, monkeypatch, format):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    tagger = Tagger.from_pretrained(str(tiny_bert(tmp_path)), device="cpu")
    file = tmp_path / "input"
    file.write_text(f"{EVIL}\n" if format == "column" else json.dumps({"tokens": [EVIL]}, ensure_ascii=False) + "\n")
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    tag_file(tagger, file, format=format)
    assert not controls(terminal.getvalue())
    tag_file(tagger, file, tmp_path / "tagged", format=format)
    assert "\x9b" in (tmp_path / "tagged").read_text()  # a file holds what was given


@pytest.mark.failure_mode("plain-pipeline")
def test_recipe_of_the_plain_pipeline(tmp_path, monkeypatch, capsys):
    """Nothing of hf_tagging is in it, so nothing of it looks after messages and terminal either."""
    recipe = str(Path(__file__).parent.parent / "recipes" / "tag_with_pipeline.py")
    assert "import hf_tagging" not in Path(recipe).read_text()
    assert "from hf_tagging" not in Path(recipe).read_text()
    folder = tiny_bert(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = dict.fromkeys(config["id2label"], f"B-{EVIL}")
    (folder / "config.json").write_text(json.dumps(config))

    def run(model, text="Jordan\x1b[2J waved"):
        monkeypatch.setattr(sys, "argv", [recipe, "--model", str(model), "--text", text])
        runpy.run_path(recipe, run_name="__main__")

    run(folder)
    shown = capsys.readouterr().out
    assert f"B-{SHOWN}" in shown
    assert not controls(shown)
    began = time.monotonic()
    with pytest.raises(SystemExit, match=r"there is no config\.json in it, so it holds no model"):
        run(tmp_path)
    for name in (tmp_path / "nowhere", "nobody/nothing", "nothing"):
        with pytest.raises(SystemExit, match="there is no such folder, and the Hub cannot be asked for it"):
            run(name)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(SystemExit, match=str(folder)):
        run(folder)
    assert time.monotonic() - began < 20
