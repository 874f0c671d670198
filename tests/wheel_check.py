"""Run by `make wheel-test` in an environment that holds the wheel alone: import, help, and one tagged sentence."""

import subprocess
import sys
import tempfile
from pathlib import Path

import hf_tagging

here = Path(__file__).resolve().parent
assert here.parent not in Path(hf_tagging.__file__).resolve().parents or ".venv-wheel" in hf_tagging.__file__
assert "site-packages" in hf_tagging.__file__, f"the source tree was imported: {hf_tagging.__file__}"

sys.path.insert(0, str(here))  # for the builder of a tiny model, which needs nothing of the source tree
from tiny_models import tiny_bert  # noqa: E402

command = str(Path(sys.executable).parent / "hf-tagging")
with tempfile.TemporaryDirectory() as folder:
    usage = subprocess.run([command, "--help"], capture_output=True, text=True, check=True, cwd=folder)
    assert "predict" in usage.stdout
    model = tiny_bert(Path(folder))
    text = "Jordan will book a table ."
    tagged = subprocess.run(
        [command, "predict", str(model), "--text", text], capture_output=True, text=True, check=True, cwd=folder
    )
    assert "Jordan" in tagged.stdout, tagged.stdout
    sample = hf_tagging.load_tagging_dataset("sample", task="pos", cache_dir=folder)
    assert set(sample) == {"train", "validation", "test"}
print(f"The wheel of hf_tagging imports, helps and tags: {tagged.stdout.strip().splitlines()[0][:100]}")
