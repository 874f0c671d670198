"""What a run does that is asked to end, and what becomes of it when its launcher is ended or killed."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
import torch
from recipe_runs import ROOT, environment, recipe_command, record, run_here, weights
from tiny_models import tiny_bert

from hf_tagging.cli import launching
from hf_tagging.processes import Terminated, follow_parent
from hf_tagging.training.folder import RunFolder

GO_ON = "The same command with --resume goes on from the last complete checkpoint."
WHILE_TRAINING = {signal.SIGTERM: 143, signal.SIGHUP: 129}
ALL = WHILE_TRAINING | {signal.SIGINT: 130}

# What a recipe does, without what takes time.
RECIPE = """
import os, sys, time
from pathlib import Path
from hf_tagging.console import plain_errors
from hf_tagging.errors import DataError
from hf_tagging.processes import asked, put_off

def main(how, place):
    Path(place).write_text(str(os.getpid()))
    if how == "fail":
        raise DataError("bad input")
    if how == "train":
        with put_off():
            while not asked():
                time.sleep(0.01)
            Path(place).write_text("saved")
    if how == "stuck":
        with put_off():
            time.sleep(60)
    time.sleep(60)

if __name__ == "__main__":
    with plain_errors():
        main(*sys.argv[-2:])
"""


@pytest.fixture
def begin(tmp_path):
    """Starts a recipe by a launcher; gives the launcher's process and the recipe's, once it is at work."""
    started = []

    def _begin(launcher, how):
        script, place, empty = tmp_path / "pos_mine.py", tmp_path / "place", tmp_path / "mine.yaml"
        script.write_text(RECIPE)
        empty.write_text("")
        commands = {
            "python": [sys.executable, script],
            "hf-tagging": [sys.executable, "-m", "hf_tagging.cli", "train", empty, "--recipe", script],
            "accelerate": [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--cpu", script],
        }
        process = subprocess.Popen([*commands[launcher], how, place], cwd=ROOT, env=environment(), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip
        wait_until(lambda: place.exists() and place.read_text(), 180)
        recipe = psutil.Process(int(place.read_text()))
        started.append((process, recipe))
        time.sleep(0.2)  # it has said so, and begins
        return process, recipe

    yield _begin
    for process, recipe in started:
        for one in (process, recipe):
            if one.is_running() if one is recipe else one.poll() is None:
                one.kill()
        process.communicate()


def wait_until(true, seconds=120):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_gone(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.failure_mode("ctrl-c")
@pytest.mark.parametrize("number", ALL, ids=lambda number: number.name)
@pytest.mark.parametrize("group", [False, True], ids=["one", "group"])
def test_signals_go_to_the_recipe_and_its_code_comes_back(begin, number, group):
    """A terminal and many schedulers send to a whole group: the recipe hears of it twice, and says it once."""
    process, recipe = begin("hf-tagging", "wait")
    (os.killpg if group else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=60)
    how = "Interrupted." if number == signal.SIGINT else f"Ended by {number.name}."
    assert (process.returncode, errors) == (ALL[number], f"\n{how} {GO_ON}\n")
    assert is_gone(recipe)


@pytest.mark.failure_mode("sighup")
@pytest.mark.parametrize("number", WHILE_TRAINING, ids=lambda number: number.name)
def test_training_ends_by_itself(begin, tmp_path, number):
    process, _ = begin("hf-tagging", "train")
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (WHILE_TRAINING[number], f"\nEnded by {number.name}. {GO_ON}\n")
    assert (tmp_path / "place").read_text() == "saved"


@pytest.mark.failure_mode("second-signal")
def test_a_second_signal_ends_at_once(begin):
    process, _ = begin("python", "stuck")
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=1.5)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, f"\nEnded by SIGTERM. {GO_ON}\n")


@pytest.mark.failure_mode("launcher-killed")
@pytest.mark.parametrize("launcher", ["hf-tagging", "accelerate"])
@pytest.mark.parametrize("how", ["wait", "train"])
def test_a_recipe_does_not_outlive_its_launcher(begin, tmp_path, launcher, how):
    process, recipe = begin(launcher, how)
    process.kill()
    wait_until(lambda: is_gone(recipe), 30)
    assert how == "wait" or (tmp_path / "place").read_text() == "saved"  # as after SIGTERM


@pytest.mark.failure_mode("shell-ends")
def test_what_no_launcher_has_started_goes_on(tmp_path):
    """As with nohup: the process that has started it ends, and it does not."""
    place, script = tmp_path / "place", tmp_path / "pos_mine.py"
    script.write_text(RECIPE)
    start = f"import subprocess; subprocess.Popen({[sys.executable, str(script), 'wait', str(place)]})"
    subprocess.run([sys.executable, "-c", start], cwd=ROOT, env=environment(), check=True)
    wait_until(lambda: place.exists() and place.read_text())
    recipe = psutil.Process(int(place.read_text()))
    time.sleep(0.5)
    assert not is_gone(recipe)
    recipe.kill()


@pytest.mark.failure_mode("shell-ends")
@pytest.mark.parametrize("name", ["ACCELERATE_MIXED_PRECISION", "LOCAL_RANK"])
def test_a_shell_is_no_launcher_whatever_it_exports(monkeypatch, name):
    """It was not there when the shell was started, as with a launcher, which sets another one beside it."""
    begun = []
    monkeypatch.setattr("threading.Thread.start", lambda thread: begun.append(thread))
    monkeypatch.setenv(name, "0")
    follow_parent()
    assert begun == []
    monkeypatch.setenv({"LOCAL_RANK": "TORCHELASTIC_RUN_ID"}.get(name, "ACCELERATE_DYNAMO_BACKEND"), "NO")
    follow_parent()
    assert [thread.name for thread in begun] == ["launcher"]


@pytest.mark.failure_mode("bad-input-accelerate")
def test_no_parent_is_ended(tmp_path):
    """Not even one whose command line reads like a launcher's."""
    script = tmp_path / "pos_mine.py"
    script.write_text(RECIPE)
    code = "import subprocess, sys; print('ended with', subprocess.run(sys.argv[3:]).returncode)"
    command = [sys.executable, "-c", code, "accelerate", "launch", sys.executable, script, "fail", tmp_path / "place"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended with 1\n", "\nbad input\n")


@pytest.mark.failure_mode("bad-input-accelerate")
def test_under_accelerate_the_message_stands_above_its_traceback(tmp_path):
    """Its exit code is 1 in any case; with `hf-tagging train` there is no traceback, and the code is the recipe's."""
    script = tmp_path / "pos_mine.py"
    script.write_text(RECIPE)
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--cpu", script]
    done = subprocess.run([*command, "fail", tmp_path / "place"], capture_output=True, text=True, cwd=ROOT,
                          env=environment(), timeout=60)  # fmt: skip
    assert done.returncode == 1
    assert 0 <= done.stderr.index("\nbad input\n") < done.stderr.index("CalledProcessError")


@pytest.mark.failure_mode("compare-threads")
@pytest.mark.parametrize(("users", "threads"), [("1", "1"), (None, "all")])
def test_a_users_number_of_threads_is_obeyed(users, threads):
    """A launcher sets it to 1 where nobody has: that is for processes that feed a GPU."""
    code = "from hf_tagging.training.environment import cores, use_cores; import torch; use_cores(True); "
    code += "print(torch.get_num_threads(), cores())"
    launcher = "import os, subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True, env={"
    launcher += "'OMP_NUM_THREADS': '1', 'ACCELERATE_MIXED_PRECISION': 'no'} | os.environ)"
    user = {name: value for name, value in environment().items() if name != "OMP_NUM_THREADS"}
    user |= {} if users is None else {"OMP_NUM_THREADS": users}
    done = subprocess.run([sys.executable, "-c", launcher, code], capture_output=True, text=True, cwd=ROOT, env=user)
    used, there = done.stdout.split()
    assert used == (there if threads == "all" else threads), done.stderr


# With real recipes

SMALL = ("--dataset", "sample", "--max_train_samples", 50, "--max_eval_samples", 20, "--learning_rate", 1e-2,
         "--per_device_train_batch_size", 1, "--ema_decay", 0.9, "--use_cpu")  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


def ended_in_the_middle(out, command, number, *, only=None):
    """Starts a run and asks it to end soon after the first epoch; gives its exit code and what it said."""
    process = subprocess.Popen([*map(str, command)], cwd=ROOT, env=environment(), text=True, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
    try:
        wait_until(lambda: list(out.glob("checkpoint-*/complete.json")))
        if only is None:
            os.killpg(process.pid, number)  # as schedulers do
        else:
            started = psutil.Process(process.pid).children()
            next(one for one in started if one.environ().get("LOCAL_RANK") == only).send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert errors.count(f"Ended by {number.name}. {GO_ON}") == 1
    assert record(out)["status"] == "interrupted"
    assert not (out / "model.safetensors").exists()
    last = RunFolder(out).last_checkpoint()
    assert f"{last.name} is saved" in errors
    return process.returncode, int(last.name.rpartition("-")[2])


def test_a_signal_before_the_recipe_is_started_is_not_lost(tmp_path, monkeypatch):
    """Accelerate runs other programs first, and takes no notice of how they end."""
    monkeypatch.setattr("accelerate.commands.launch.launch_command", lambda args: subprocess.run(["sleep", "5"]))
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(Terminated) as end:
        launching.launch([str(tmp_path / "recipe.py")])
    timer.join()
    assert end.value.number == signal.SIGTERM


@pytest.mark.failure_mode("sigterm")
@pytest.mark.slow
def test_a_run_that_was_asked_to_end_goes_on_bit_for_bit(model, tmp_path):
    flags = ("--model", model, *SMALL, "--num_train_epochs", 6)
    out, unbroken = tmp_path / "ended", tmp_path / "unbroken"
    run_here("pos_bert", *flags, "--output_dir", unbroken)
    empty = tmp_path / "mine.yaml"
    empty.write_text("")
    start = [sys.executable, "-m", "hf_tagging.cli", "train", empty, "--recipe", "pos_bert"]
    where = ("--output_dir", out, "--dataloader_num_workers", 1)  # which is told to end, too, and has to go on
    code, step = ended_in_the_middle(out, [*start, *flags, *where], signal.SIGTERM)
    history = record(unbroken)["history"]
    assert code == 143
    assert step < history[-1]["step"]
    run_here("pos_bert", *flags, *where, "--resume")
    assert record(out)["status"] == "finished"
    assert record(out)["resumed_from"] == f"checkpoint-{step}"
    expected = weights(unbroken)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(out).items())
    assert (out / "config.json").read_bytes() == (unbroken / "config.json").read_bytes()
    times = {"runtime", "samples_per_second", "steps_per_second"}
    for ours, theirs in zip(record(out)["history"], history, strict=True):
        assert {k: v for k, v in ours.items() if k not in times} == {k: v for k, v in theirs.items() if k not in times}


@pytest.mark.failure_mode("one-rank-asked")
@pytest.mark.slow
def test_all_processes_end_after_the_same_step_though_one_alone_was_asked(model, tmp_path):
    out = tmp_path / "run"
    flags = ("--model", model, *SMALL, "--num_train_epochs", 100, "--output_dir", out)
    code, step = ended_in_the_middle(out, recipe_command("pos_bert", *flags, processes=2), signal.SIGHUP, only="1")
    assert code == 1  # torchrun's own; each of its processes ended with 129
    states = [path.name for path in (out / f"checkpoint-{step}").glob("rng_state_*")]
    assert sorted(states) == ["rng_state_0.pth", "rng_state_1.pth"]
