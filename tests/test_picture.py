"""The picture holds: one direction, thin recipes, documents that speak of what is there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hf_tagging.training import parse_arguments
from hf_tagging.training.baseline_arguments import ENCODERS

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
    assert parse_recipe(recipe[1], ["--config", str(path)]).given


def parse_recipe(name, flags):
    """Reads a recipe's flags as it does itself."""
    task, _, family = name.partition("_")
    return parse_arguments(task, flags, family="baseline" if family == "baseline" else "encoder")


def commands():
    """Every command line in the code blocks of the documents, continuation lines joined."""
    found = []
    for document in DOCUMENTS:
        for block in re.findall(r"^```(?:sh|bash|console|)\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                line = line.split("  #")[0].strip()
                if re.match(r"(accelerate launch|torchrun|python|make|hf-tagging|pip) ", line):
                    found.append((document.name, line))
    return found


def test_documents_show_commands():
    assert len(commands()) >= 12


@pytest.mark.parametrize(("document", "line"), commands())
def test_every_command_in_the_documents_parses(document, line, tmp_path):
    words = shlex.split(line)
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert set(targets) <= known
        return
    for word in words:
        if re.search(r"^(recipes|accelerate_configs|tests|benchmarks)/", word):
            assert (ROOT / word).exists(), word
    recipe = next((word for word in words if re.fullmatch(r"recipes/(pos|ner)_(bert|baseline)\.py", word)), None)
    if recipe:
        flags = words[words.index(recipe) + 1 :]
        for i, flag in enumerate(flags):
            names_a_file = re.fullmatch(r"--(\w+_file|dataset|model|word_vectors)", flag) and re.search(
                r"\.|^PATH", flags[i + 1]
            )
            if names_a_file and not (ROOT / flags[i + 1]).exists():
                flags[i + 1] = str(tmp_path / Path(flags[i + 1]).name)  # stands in for the reader's own file
                Path(flags[i + 1]).touch()
        parse_recipe(Path(recipe).stem, [*flags, "--use_cpu"])  # bf16 is refused where there is no GPU


def test_every_path_in_the_readme_is_there():
    text = (ROOT / "README.md").read_text()
    paths = set(re.findall(r"`((?:hf_tagging|recipes|accelerate_configs|tests|benchmarks)/[\w./-]+)`", text))
    assert len(paths) >= 5
    for path in paths:
        assert (ROOT / path).exists(), path


def test_help_of_the_command_is_quick_and_names_every_subcommand():
    done = subprocess.run([sys.executable, "-m", "hf_tagging.cli", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for command in ("ls", "copy", "validate", "train", "predict", "evaluate", "compare", "export", "report", "push"):
        assert f"\n    {command} " in done.stdout
