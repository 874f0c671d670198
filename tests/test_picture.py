"""The picture holds: one direction, thin recipes, documents that speak of what is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import PROGRAMS, check_command, parse_recipe

from hf_tagging.training.config.scratch import ENCODERS

ROOT = Path(__file__).parent.parent
CONFIGS = sorted(path for task in ("pos", "ner") for path in ROOT.glob(f"recipes/configs/{task}/*.yaml"))
RECIPES = sorted(ROOT.glob("recipes/*.py"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "hf_tagging/data/sample/README.md"]


def test_stages_import_only_to_their_left():
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "1 kept, 0 broken" in done.stdout


def test_recipes_are_thin():
    assert len(RECIPES) >= 4
    for recipe in RECIPES:
        assert len(recipe.read_text().splitlines()) <= 120, recipe.name


def test_there_are_the_promised_configs():
    names = {"bert_base_conll2003", "modernbert_base_conll2003", "minilm_conll2003", "quickstart"}
    names |= {f"{encoder}_conll2003" for encoder in ENCODERS}
    for task in ("pos", "ner"):
        assert names <= {path.stem for path in CONFIGS if path.parent.name == task}
    assert {f"{encoder}_tweets" for encoder in ENCODERS} <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_config_parses(path):
    # Its head shows how to run it.
    recipe = re.search(rf"recipes/(\w+)\.py --config recipes/configs/{path.parent.name}/{path.name}", path.read_text())
    assert recipe
    parse_recipe(recipe[1], ["--config", str(path)])


def commands():
    """Every command line in the code blocks of the documents, continuation lines joined."""
    found = []
    for document in DOCUMENTS:
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE)
        for text in (text for language, text in blocks if language in ("", "sh", "bash", "console")):
            lines = (line.split("  #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
            found += [(document.name, line) for line in lines if line.partition(" ")[0] in PROGRAMS]
    return found


def test_documents_show_commands():
    assert sum(document == "README.md" for document, _ in commands()) >= 8  # the pages of docs/ have the others


@pytest.mark.parametrize(("document", "line"), commands())
def test_every_command_in_the_documents_parses(document, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_command(line, tmp_path)


def test_every_path_in_the_readme_is_there():
    text = (ROOT / "README.md").read_text()
    paths = set(re.findall(r"`((?:hf_tagging|recipes|accelerate_configs|tests|benchmarks)/[\w./-]+)`", text))
    paths |= set(re.findall(r"\]\(([\w./-]+)\)", text))  # links and pictures
    assert len(paths) >= 20
    for path in paths:
        assert (ROOT / path).exists(), path


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160
