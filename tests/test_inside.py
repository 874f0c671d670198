"""Names that come out of a file lead nowhere else: nothing outside a folder is removed, written or handed on."""

import json

import pytest
from recipe_runs import run_here
from tiny_models import tiny_bert

from hf_tagging.cli import main
from hf_tagging.comparison.runs import read_run
from hf_tagging.errors import OutputError
from hf_tagging.inference.evaluation import Evaluation, write_evaluation
from hf_tagging.publishing.demo.space import write_space
from hf_tagging.publishing.report.write import write_report
from hf_tagging.training.folder import RunFolder

FEW = ("--dataset", "sample", "--max_train_samples", 4, "--num_train_epochs", 1, "--use_cpu")
OUTSIDE = ("../victim", "/etc/hostname", "link/victim", "predictions/../../victim", "..", "a\0b")


@pytest.fixture
def run(tmp_path):
    """A folder with a record that lists some files, and a file that is not its own beside it."""
    (tmp_path / "victim").write_text("precious")
    folder = tmp_path / "run"
    (folder / "predictions").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    (folder / "config.json").write_text("{}")

    def _run(*names):
        record = {"task": "pos", "status": "finished", "arguments": {}, "files": ["config.json", *names]}
        (folder / "run.json").write_text(json.dumps(record))
        return folder

    return _run


@pytest.mark.failure_mode("record-leads-out")
@pytest.mark.parametrize("name", OUTSIDE)
def test_overwrite_removes_nothing_outside(run, name, tmp_path):
    folder = run(name)
    with pytest.raises(OutputError) as refused:
        run_here("pos_bert", "--model", tiny_bert(tmp_path), "--output_dir", folder, *FEW, "--overwrite")
    assert f"run.json: is damaged: it lists {name!r}, which is not a file of this folder" in str(refused.value)
    RunFolder(folder).remove_run()
    assert (tmp_path / "victim").read_text() == "precious"
    assert (folder / "config.json").exists()


@pytest.mark.failure_mode("record-leads-out")
def test_whoever_reads_the_record_says_so(run, capsys):
    folder = run("../victim")
    for words in (["report", str(folder)], ["push", str(folder), "user/x", "--dry_run"]):
        with pytest.raises(SystemExit):
            main(words)
        assert "is damaged: it lists '../victim'" in capsys.readouterr().err
    assert read_run(folder, "test").problem.startswith("run.json is damaged: it lists '../victim'")


@pytest.mark.failure_mode("links-in-a-run")
def test_overwrite_removes_links_and_leaves_what_they_lead_to(run, tmp_path):
    folder = run("model.safetensors", "predictions")
    (folder / "model.safetensors").symlink_to(tmp_path / "victim")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("kept")
    (folder / "checkpoint-1").symlink_to(tmp_path / "elsewhere")
    (folder / "checkpoint-2").write_text("a file")
    (folder / "notes.txt").write_text("mine")
    RunFolder(folder).remove_run()
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "elsewhere" / "kept").read_text() == "kept"
    assert sorted(path.name for path in folder.iterdir()) == ["link", "notes.txt"]


@pytest.mark.failure_mode("links-in-a-run")
@pytest.mark.parametrize("name", ["README.md", "config.json", "results.json", "run.json", "predictions", "report.html"])
def test_nothing_is_written_through_a_link_to_the_outside(run, name, tmp_path):
    folder = run("predictions/test.conll", "report.html", "README.md", "results.json")
    (folder / "predictions").rmdir()
    target = tmp_path / "victim"
    if name == "predictions":
        target = tmp_path / "elsewhere"
        target.mkdir()
    elif name == "run.json":
        target.write_text((folder / name).read_text())
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target)
    before = [(path, path.is_file() and path.read_text()) for path in (target, *target.glob("*"))]
    told = "is a link that leads out of the folder|which is not a file of this folder"
    model = tiny_bert(tmp_path)
    with pytest.raises(OutputError, match=told):
        run_here("pos_bert", "--model", model, "--output_dir", folder, *FEW, "--resume")
    if name in ("run.json", "report.html"):
        with pytest.raises(OutputError, match=told):
            write_report(folder)
    assert [(path, path.is_file() and path.read_text()) for path in (target, *target.glob("*"))] == before
    if name != "predictions":  # links are removed first; what they lead to is not
        RunFolder(folder).check(resume=False, overwrite=True)


def test_links_that_stay_inside_or_are_nobodys_are_fine(run, tmp_path):
    folder = run("README.md")
    (folder / "kept.md").write_text("x")
    (folder / "README.md").symlink_to("kept.md")
    (tmp_path / "shortcut").symlink_to(folder)
    RunFolder(tmp_path / "shortcut").check(resume=True, overwrite=False)  # "link" leads out, and is not written
    dangling = tmp_path / "fresh"
    dangling.mkdir()
    (dangling / "vocab.txt").symlink_to(tmp_path / "not-there")
    with pytest.raises(OutputError, match=r"vocab\.txt: is a link that leads out of the folder"):
        RunFolder(dangling).check(resume=False, overwrite=False)


@pytest.mark.failure_mode("planted-link")
def test_a_planted_folder_of_a_model_being_saved_is_not_followed(tmp_path):
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    (folder / ".model").symlink_to(elsewhere)
    run_here("pos_bert", "--model", tiny_bert(tmp_path), "--output_dir", folder, *FEW)
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]
    assert not (folder / ".model").is_symlink()
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()}
    assert modes["model.safetensors"] == modes["config.json"]


@pytest.mark.failure_mode("manifest-leads-out")
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_space_lists_its_own_files_alone(run, name, tmp_path, monkeypatch):
    space = tmp_path / "space"
    space.mkdir()
    (space / "link").symlink_to(tmp_path)
    (tmp_path / "victim").write_text("precious")
    (space / "space.json").write_text(json.dumps({"files": ["space.json", name]}))
    with pytest.raises(OutputError, match="is damaged: it lists"):
        write_space(["user/model"], space, overwrite=True)
    assert (tmp_path / "victim").read_text() == "precious"


def test_predictions_of_before_are_not_looked_for_through_a_link(tmp_path):
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "evaluation"
    elsewhere.mkdir()
    folder.mkdir()
    (elsewhere / "old.conll").write_text("precious")
    (folder / "predictions").symlink_to(elsewhere)
    (folder / "results.json").write_text(json.dumps({"old": {}}))
    found = Evaluation("pos", "test", {"words": 1}, [["a"]], [["X"]], [["X"]], {}, ())
    write_evaluation(found, folder, overwrite=True)
    assert (elsewhere / "old.conll").read_text() == "precious"
    odd = Evaluation("pos", "../../odd", {"words": 1}, [["a"]], [["X"]], [["X"]], {}, ())
    with pytest.raises(OutputError, match=r"'\.\./\.\./odd': a split of this name has no file in"):
        write_evaluation(odd, folder, overwrite=True)
    assert not (tmp_path / "odd.conll").exists()
