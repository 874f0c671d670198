"""Run by `make wheel-test` in an environment that holds the wheel alone: import, help, recipes, one tagged sentence."""

import json
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


def output(*words: str) -> str:
    """What the command prints, in a folder that holds nothing of the source tree."""
    done = subprocess.run([command, *words], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


with tempfile.TemporaryDirectory() as folder:
    assert "predict" in output("--help")
    kinds = [item["kind"] for item in json.loads(output("ls", "--json"))]
    assert min(map(kinds.count, ("recipe", "config", "accelerate config"))) >= 5, kinds
    launch = output("train", "pos/quickstart", "--accelerate_config", "cpu", "--dry_run").split()
    assert launch[:3] == ["accelerate", "launch", "--config_file"]
    paths = [word for word in launch if word.endswith((".py", ".yaml"))]
    assert len(paths) == 3
    assert all("site-packages" in path and Path(path).is_file() for path in paths), launch
    output("copy", "compare/quickstart", "mine.yaml")
    assert "8 runs, all right" in output("validate", "mine.yaml")
    assert output("train", "mine.yaml", "--dry_run").endswith("--config mine.yaml\n")
    output("train", "ner/hmm_conll2003", "--dataset", "sample", "--output_dir", "runs/hmm", "--use_cpu")
    assert Path(folder, "runs/hmm/report.html").is_file()  # with its template, which is no Python
    model = tiny_bert(Path(folder))
    text = "Jordan will book a table ."
    tagged = output("predict", str(model), "--text", text)
    assert "Jordan" in tagged, tagged
    scored = json.loads(output("evaluate", str(model), "--dataset", "sample", "--json"))
    assert scored["figures"]["words"] == 1148, scored
    sample = hf_tagging.load_tagging_dataset("sample", task="pos", cache_dir=folder)
    assert set(sample) == {"train", "validation", "test"}
print(f"The wheel of hf_tagging imports, helps and tags: {tagged.strip().splitlines()[0][:100]}")
