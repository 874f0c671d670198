"""One writer per folder: whoever comes second is told who is there, and no lock outlives its process."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from recipe_runs import ROOT, environment, recipe_command, record, run_here, run_recipe, weights
from run_configs import run_config
from test_compare import make_run
from tiny_models import tiny_bert

from hf_tagging.cli import main
from hf_tagging.comparison.plan import Job, Plan
from hf_tagging.comparison.runner import carry_out
from hf_tagging.errors import OutputError
from hf_tagging.locks import LOCK, FolderLock
from hf_tagging.training.folder import RunFolder

SMALL = ("--dataset", "sample", "--max_train_samples", 80, "--max_eval_samples", 40, "--learning_rate", 1e-2,
         "--use_cpu")  # fmt: skip

HOLD = """
import multiprocessing, subprocess, sys, time
from hf_tagging.locks import FolderLock
lock = FolderLock(sys.argv[1])
if sys.argv[2:] == ["children"]:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    print(child.pid, subprocess.Popen(["sleep", "60"]).pid, flush=True)
else:
    print("held", flush=True)
sys.stdin.read()
"""

RACE = """
import os, sys
from contextlib import suppress
from pathlib import Path
from hf_tagging.errors import OutputError
from hf_tagging.locks import FolderLock
folder, mark, held = Path(sys.argv[1]), Path(sys.argv[2]), 0
while held < 200:
    with suppress(OutputError), FolderLock(folder):  # another process has it: try again
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))  # fails if another process holds the lock too
        held += 1
        os.unlink(mark)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def another():
    """Lets another process hold a folder; gives that process."""
    started = []

    def _another(folder, *words):
        process = subprocess.Popen([sys.executable, "-c", HOLD, folder, *words], cwd=ROOT, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        started.append(process)
        process.said = process.stdout.readline().split()
        return process

    yield _another
    for process in started:
        process.kill()
        process.communicate()


def test_the_second_is_told_who_is_there(tmp_path, another):
    holder = another(tmp_path / "run")
    said = rf"^.*run is being written by process {holder.pid} since 20\d\d-.* \(on {os.uname().nodename}\)\. "
    with pytest.raises(OutputError, match=said + r"Wait for it, or choose another folder\.$"):
        FolderLock(tmp_path / "run")
    holder.communicate("")
    FolderLock(tmp_path / "run").release()
    assert list(tmp_path.iterdir()) == []  # neither lock nor the folder that was made for it


@pytest.mark.failure_mode("stale-lock")
def test_a_killed_process_leaves_no_lock_though_its_children_live(tmp_path, another):
    """A forked child shares its parent's locks unless it gives them up."""
    holder = another(tmp_path, "children")
    with pytest.raises(OutputError, match="is being written by process"):
        FolderLock(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    children = list(map(int, holder.said))
    try:
        assert (tmp_path / LOCK).exists()
        FolderLock(tmp_path).release()
        for child in children:
            os.kill(child, 0)  # it is still there
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
    assert not (tmp_path / LOCK).exists()


def test_never_two_at_once(tmp_path):
    """Its file is removed again and again while others have it open already, and the folder with it."""
    command = [sys.executable, "-c", RACE, tmp_path / "out" / "run", tmp_path / "mark"]
    racers = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [racer.communicate(timeout=60)[1] for racer in racers]
    assert [(racer.returncode, error) for racer, error in zip(racers, errors, strict=True)] == [(0, "")] * 4
    assert not list(tmp_path.rglob(LOCK))


def test_a_process_may_lock_twice(tmp_path, another):
    first, second = FolderLock(tmp_path), FolderLock(tmp_path / ".")
    first.release()
    first.release()
    assert (tmp_path / LOCK).exists()
    second.release()
    assert not (tmp_path / LOCK).exists()
    lock = FolderLock(tmp_path)
    del lock  # nobody can release it any more
    assert another(tmp_path).said == ["held"]


def test_a_record_cannot_free_the_folder(tmp_path):
    make_run(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(record | {"files": [LOCK, f"./{LOCK}", "config.json"]}))
    with FolderLock(tmp_path):
        RunFolder(tmp_path).remove_run()
        assert not (tmp_path / "run.json").exists()
        assert (tmp_path / LOCK).exists()


@pytest.mark.failure_mode("planted-lock")
def test_what_somebody_has_planted_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("mine")
    for place in ("link", "pipe", "folder"):
        (tmp_path / place).mkdir()
    (tmp_path / "link" / LOCK).symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / "pipe" / LOCK)
    (tmp_path / "folder" / LOCK).mkdir()
    for place in ("link", "pipe", "folder", "precious", "precious/below", "nul\0"):
        with pytest.raises(OutputError, match=r"cannot be written \(|is not a file\. Remove it"):
            FolderLock(tmp_path / place)
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "link" / LOCK).is_symlink()


@pytest.mark.failure_mode("command-in-use")
def test_every_command_that_writes_into_a_folder(tmp_path, another, capsys, monkeypatch):
    """Each is refused before it loads anything, and nothing is changed."""
    monkeypatch.chdir(tmp_path)
    run = make_run(Path("run"))
    Path("test.tsv").write_text("the\tDT\n\n")
    Path("words.conll").write_text("the DT DT\n\n")
    holders = {name: another(tmp_path / name) for name in ("run", "out")}
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for words, folder in {
        "report run": "run",
        "push run me/run": "run",
        "evaluate nothing --test_file test.tsv --output out": "out",
        "evaluate --predictions words.conll --task pos --output out": "out",
        "compare run --output out": "out",
        "export nothing --to onnx --output out": "out",
        "demo me/tagger --space out": "out",
    }.items():
        with pytest.raises(SystemExit) as end:
            main(words.split())
        told = capsys.readouterr().err
        assert end.value.code == 1, words
        assert f"{folder} is being written by process {holders[folder].pid} since" in told, words
    job = Job("a", 1, None, Path("out/a/seed-1"), ("false",), {})
    with pytest.raises(OutputError, match=r"out is being written by .* Wait for it, or choose another output_dir\.$"):
        carry_out(Plan(Path("out"), "test", "a", 1, (job,)))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert run.exists()


def wait_until(true, seconds=120):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.failure_mode("folder-in-use")
@pytest.mark.slow
def test_a_run_holds_its_folder_from_the_first_check_to_the_last_file(model, tmp_path):
    out = tmp_path / "run"
    flags = ("--model", model, "--output_dir", out, *SMALL, "--num_train_epochs", 15, "--dataloader_num_workers", 1)
    process = subprocess.Popen(recipe_command("pos_bert", *flags), cwd=ROOT, env=environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)  # fmt: skip
    try:
        wait_until((out / LOCK).exists)
        early = not (out / "run.json").exists()
        wait_until(lambda: list(out.glob("checkpoint-*/complete.json")))
        for how in ([], ["--resume"], ["--overwrite"], ["--overwrite", "--seed", 1]):
            with pytest.raises(OutputError, match=rf"run is being written by process {process.pid} since"):
                run_here("pos_bert", *flags, *how)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    assert early
    assert record(out)["seed"] == 42
    run_here("pos_bert", *flags, "--resume")
    assert record(out)["status"] == "finished"
    assert weights(out)
    assert not (out / LOCK).exists()


@pytest.mark.failure_mode("folder-in-use")
@pytest.mark.slow
def test_all_processes_of_a_run_are_refused(model, tmp_path, another):
    holder = another(tmp_path)
    done = run_recipe(
        "pos_bert", "--model", model, "--output_dir", tmp_path, *SMALL, processes=2, check=False, fresh=True
    )
    assert done.returncode == 1
    assert done.stderr.count(f"is being written by process {holder.pid} since") == 1
    assert json.loads((tmp_path / LOCK).read_text())["process"] == holder.pid
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


@pytest.mark.failure_mode("seeds-side-by-side")
@pytest.mark.parametrize(
    ("flags", "folder"),
    [
        ([], "runs/pos-minilm-sample-seed-42"),
        (["--seed", "7"], "runs/pos-minilm-sample-seed-7"),
        (["--seed", "7", "--folds", "5", "--fold", "2"], "runs/pos-minilm-sample-seed-7-fold-2"),
        (["--seed", "7", "--output_dir", "mine"], "mine"),
    ],
)
def test_seeds_side_by_side_have_folders_of_their_own(flags, folder):
    args = run_config("pos", ["--model", "minilm", "--dataset", "sample", *flags])
    assert args.training.output_dir == folder


def test_a_lock_that_cannot_be_signed_is_held_all_the_same(tmp_path, another):
    """Its file says who holds it; on a full disk it stays empty, and the lock was never released."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        lock = FolderLock(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / LOCK).read_text() == ""
    lock.release()
    FolderLock(tmp_path).release()
    assert another(tmp_path).said == ["held"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave a file of another user")
def test_what_another_user_has_left_is_no_obstacle():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / LOCK).write_text("{}")
        (folder / LOCK).chmod(0o644)
        folder.chmod(0o777)
        os.seteuid(65534)
        try:
            FolderLock(folder).release()
            assert list(folder.iterdir()) == []
        finally:
            os.seteuid(0)
