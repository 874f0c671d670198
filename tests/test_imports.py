"""Importing what tags is quick: it takes torch and leaves the libraries that only training needs alone."""

import ast
import subprocess
import sys
from pathlib import Path

import grimp
import pytest
from tiny_models import tiny_bert

import hf_tagging

ROOT = Path(hf_tagging.__file__).parent
LAZY = [path for path in sorted(ROOT.rglob("__init__.py")) if "lazy_names(" in path.read_text(encoding="utf-8")]
ONLY_FOR_TRAINING = "accelerate datasets evaluate pandas peft scipy sklearn seqeval transformers.modeling_utils"


def loaded_by(code):
    """Return which of the slow libraries a fresh interpreter has loaded after some code."""
    code += f"\nimport sys\nprint(*(name for name in {ONLY_FOR_TRAINING.split()} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("code", ["import hf_tagging.inference.tagger", "from hf_tagging import Tagger"])
def test_the_tagger_is_imported_without_what_only_training_needs(code):
    assert loaded_by(code) == []


def test_tagging_does_not_load_what_only_training_needs(tmp_path):
    folder = str(tiny_bert(tmp_path / "model"))
    code = f"from hf_tagging import Tagger\nassert Tagger.from_pretrained({folder!r}, device='cpu').tag(['a'])"
    # Transformers itself imports scipy, for losses, and accelerate.
    assert {*loaded_by(code)} <= {"transformers.modeling_utils", "scipy", "accelerate"}


@pytest.mark.parametrize("path", LAZY, ids=lambda path: path.parent.name)
def test_the_lists_of_public_names_agree(path):
    assert len(LAZY) > 9
    package = ".".join(path.parent.relative_to(ROOT.parent).parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and hasattr(node.targets[0], "id")
    }
    public, where = (ast.literal_eval(values[name]) for name in ("__all__", "_WHERE"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {f"{node.module}:{alias.name}" for node in guarded.body for alias in node.names}
    assert typed == {f"{package}.{module}:{name}" for module, names in where.items() for name in names}
    assert sorted(public) == sorted(name for names in where.values() for name in names)


def circles(imports):
    """Sets of modules that import each other, of more than one (Tarjan 1972).

    Args:
        imports: By module, those that it imports.
    """
    number, lowest, stack, found = {}, {}, [], []

    def visit(module):
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in sorted(imports[module]):
            if other not in number:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            at = stack.index(module)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for module in sorted(imports):
        if module not in number:
            visit(module)
    return found


def test_no_modules_import_each_other():
    """Packages count as modules, and imports inside of functions or for types alone as imports."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": {"d", "e"}, "f": {"a", "f"}}) == [
        ["d", "e"],
        ["b", "c"],
    ]
    graph = grimp.build_graph("hf_tagging", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 150
    assert "hf_tagging.training.config.run" in imports["hf_tagging.training.config"]  # for types alone
    assert "hf_tagging.training.environment" in imports["hf_tagging.cli.about"]  # inside of a function
    assert circles(imports) == []


def test_every_public_name_is_there():
    assert len(hf_tagging.__all__) > 20
    for name in hf_tagging.__all__:
        assert getattr(hf_tagging, name) is not None
    assert {*hf_tagging.__all__} <= {*dir(hf_tagging)}
    with pytest.raises(AttributeError, match="no attribute 'Taggre'"):
        hf_tagging.Taggre  # noqa: B018


# Of the documentation of an earlier release, and of the app.py in a Space that it wrote.
_FORMER = (
    "from hf_tagging.publishing.card import model_card",
    "from hf_tagging.publishing.demo import build_demo, known_figures, launch_demo, launch_options, load_taggers",
    "from hf_tagging.publishing.hub import push_folder",
    "from hf_tagging.publishing.report import write_report",
    "from hf_tagging.inference.evaluating import evaluate_model, evaluate_predictions",
)


def test_functions_are_where_they_were():
    code = "import hf_tagging.publishing.publish\n"  # the modules of the same names are loaded already
    for line in _FORMER:
        code += f"{line}\n"
        code += "".join(f"assert callable({name.strip()})\n" for name in line.partition("import ")[2].split(","))
    subprocess.run([sys.executable, "-c", code], check=True)
