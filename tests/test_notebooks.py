"""The notebooks run from their first cell to their last, and are kept without outputs."""

from pathlib import Path

import pytest
from recipe_runs import ROOT

nbformat = pytest.importorskip("nbformat", reason="pip install 'hf-tagging[dev]'")
nbclient = pytest.importorskip("nbclient", reason="pip install 'hf-tagging[dev]'")

NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))


def test_there_are_two():
    assert len(NOTEBOOKS) == 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_without_outputs_and_paths(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 4
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any(part in path.read_text() for part in (str(ROOT), str(Path.home()), "/tmp/"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [
        output.get("data", {}).get("text/html", "") for cell in notebook.cells for output in cell.get("outputs", [])
    ]
    assert any("<table" in html or "<mark" in html for html in shown)
    assert list(tmp_path.glob("runs/*/model.safetensors"))
