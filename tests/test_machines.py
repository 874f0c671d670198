"""A run on several machines: the same figures, and an end where one of them is lost."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta

import psutil
import pytest
import yaml
from recipe_runs import ROOT, check_alike, environment, record, run_recipe, without_dropout
from tiny_models import tiny_bert
from torch.distributed import TCPStore
from torch.distributed.run import get_args_parser
from two_machines import Machine, said, two_machines

from hf_tagging.console import GO_ON
from hf_tagging.processes import lost_process
from hf_tagging.training import machines
from hf_tagging.training.checkpoints import is_complete
from hf_tagging.training.machines import Heartbeat, watch_machines

SMALL = ("--dataset", "sample", "--max_train_samples", 80, "--max_eval_samples", 40, "--use_cpu", "--bf16", "false",
         "--per_device_eval_batch_size", 3)  # fmt: skip
GLOO = "/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:537"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return without_dropout(tiny_bert(tmp_path_factory.mktemp("tiny")))


def launcher(how, first, rank, port, processes):
    """The command that is typed on the machine with this rank."""
    if how == "torchrun":
        return [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", str(processes),
                "--node_rank", str(rank), "--master_addr", first.address, "--master_port", str(port)]  # fmt: skip
    return [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--config_file",
            "accelerate_configs/multi_node_cpu.yaml", "--machine_rank", str(rank),
            "--main_process_ip", first.address]  # fmt: skip


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def begin(how, pair, *flags, port=29500, processes=1):
    recipe = str(ROOT / "recipes" / "pos_bert.py")
    return [machine.start([*launcher(how, pair[0], rank, port, processes), recipe, *map(str, flags)])
            for rank, machine in enumerate(pair)]  # fmt: skip


def wait_until(true, seconds, processes=()):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "".join(map(said, processes))
        time.sleep(0.05)


@pytest.mark.slow
def test_two_machines_of_two_processes_give_what_one_process_gives(model, tmp_path):
    """The last batch of an epoch has three sentences for four processes, the last one of evaluation a sentence."""
    flags = ("--model", model, *SMALL, "--max_train_samples", 75, "--max_eval_samples", 37, "--num_train_epochs", 2)
    with two_machines() as pair:
        four = ("--output_dir", tmp_path / "four", "--per_device_train_batch_size", 2)
        runs = begin("torchrun", pair, *flags, *four, processes=2)
        wait_until(lambda: all(run.poll() is not None for run in runs), 300, runs)
    assert [run.returncode for run in runs] == [0, 0], "".join(map(said, runs))
    assert record(tmp_path / "four")["hardware"]["processes"] == 4
    run_recipe("pos_bert", *flags, "--output_dir", tmp_path / "one", "--per_device_train_batch_size", 8)
    check_alike(tmp_path / "one", tmp_path / "four")


@pytest.mark.failure_mode("machine-lost")
@pytest.mark.slow
def test_both_machines_end_within_a_minute_when_their_link_is_down(model, tmp_path):
    out = tmp_path / "run"
    flags = ("--model", model, *SMALL, "--output_dir", out, "--per_device_train_batch_size", 4)
    with two_machines() as pair:
        runs = begin("accelerate", pair, *flags, "--num_train_epochs", 3000, "--save_total_limit", 2)
        wait_until(lambda: "epoch 3/" in said(runs[0]), 300, runs)
        pair[1].pull_the_cable()
        pulled = time.monotonic()
        wait_until(lambda: all(run.poll() is not None for run in runs), 60, runs)
        assert time.monotonic() - pulled < 60
    for run, lost in zip(runs, ("Machine 1 (", "Machine 0 (10.77.0.1, port 29500)"), strict=True):
        assert run.returncode == 1
        told = said(run)
        reason = told.index(f"\n{lost}")
        assert GO_ON in told[reason:].splitlines()[1]
        assert "Traceback" not in told[:reason]
    assert record(out)["status"] != "finished"
    assert any(is_complete(checkpoint) for checkpoint in out.glob("checkpoint-*"))


@pytest.mark.failure_mode("process-lost")
@pytest.mark.slow
def test_a_process_that_loses_those_of_another_machine_says_so_in_a_sentence(model, tmp_path):
    flags = ("--model", model, *SMALL, "--output_dir", tmp_path / "run", "--num_train_epochs", 3000)
    here = Machine(None, "lo", "127.0.0.1")
    runs = begin("torchrun", (here, here), *flags, port=free_port())
    try:
        wait_until(lambda: "epoch 2/" in said(runs[0]), 300, runs)
        for process in [*psutil.Process(runs[1].pid).children(recursive=True), runs[1]]:
            process.kill()
        wait_until(lambda: runs[0].poll() is not None, 60, runs)
    finally:
        for run in runs:
            run.kill()
    told = said(runs[0])
    reason = told.index("\nAnother process of this run has ended, or its machine is out of reach (")
    assert GO_ON in told[reason:].splitlines()[1]
    assert "Traceback" not in told[:reason]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            RuntimeError(
                f"[{GLOO}] Read error [10.77.0.2]:4574: Connection reset by peer. This is typically caused by"
            ),
            "Read error [10.77.0.2]:4574: Connection reset by peer",
        ),
        (
            RuntimeError(f"[{GLOO}] Connection closed by peer [10.77.0.2]:4574. This is typically caused by a remote"),
            "Connection closed by peer [10.77.0.2]:4574",
        ),
        (RuntimeError("a reset of the connection"), ""),
        (ValueError(f"[{GLOO}] Connection closed by peer [10.77.0.2]:4574."), ""),
    ],
)
def test_errors_of_broken_connections_are_told_from_others(error, expected):
    assert lost_process(error) == expected


@pytest.fixture
def hearts(monkeypatch):
    """Heartbeats of two machines, in a hurry."""
    monkeypatch.setattr(machines, "INTERVAL", 0.05)
    monkeypatch.setattr(machines, "PATIENCE", 1.0)
    ended = []
    monkeypatch.setattr(machines, "_end", ended.append)
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=5))
    pair = [Heartbeat(machine, 2, ("127.0.0.1", store.port), "run") for machine in range(2)]
    yield pair, ended
    for heart in pair:
        heart.stop()


def both_heard(pair):
    return all(heart._names for heart in pair)


def test_a_machine_that_goes_on_is_not_lost(hearts):
    pair, ended = hearts
    for heart in pair:
        heart.start()
    wait_until(lambda: both_heard(pair), 10)
    time.sleep(1.5)
    assert [heart.lost() for heart in pair] == ["", ""]
    assert ended == []


def test_a_machine_that_has_ended_by_itself_is_not_lost(hearts):
    pair, _ = hearts
    for heart in pair:
        heart.start()
    wait_until(lambda: both_heard(pair), 10)
    pair[1].stop()
    time.sleep(1.5)
    assert pair[0].lost() == ""


def test_the_store_of_a_machine_that_has_ended_by_itself_is_not_missed(hearts, monkeypatch):
    pair, ended = hearts
    for heart in pair:
        heart.start()
    wait_until(lambda: both_heard(pair), 10)
    pair[0].stop()
    wait_until(lambda: pair[1]._last[0][0] >= machines._ENDED, 10)
    monkeypatch.setattr(pair[1], "_exchange", lambda store, beats: None)  # as when the store has gone
    time.sleep(1.5)
    assert pair[1].lost() == ""
    assert ended == []


def test_a_machine_that_falls_silent_is_lost_by_name(hearts, monkeypatch):
    pair, ended = hearts
    for heart in pair:
        heart.start()
    wait_until(lambda: both_heard(pair), 10)
    monkeypatch.setattr(pair[1], "_exchange", lambda store, beats: None)  # as after a kill
    wait_until(lambda: any(re.match(r"Machine 1 \(.+\) has not answered for \d+ seconds", lost) for lost in ended), 10)


def test_a_machine_that_has_not_begun_is_waited_for(hearts):
    pair, ended = hearts
    pair[0].start()
    time.sleep(1.5)
    assert pair[0].lost() == ""
    assert ended == []


@pytest.mark.parametrize(
    "variables", [{}, {"GROUP_WORLD_SIZE": "1", "LOCAL_RANK": "0"}, {"GROUP_WORLD_SIZE": "2", "LOCAL_RANK": "1"}]
)
def test_one_machine_or_a_second_process_has_no_heartbeat(variables):
    assert watch_machines(variables) is None


@pytest.fixture
def cluster(tmp_path):
    """Stand-ins for what a cluster has: one machine without GPUs, and a launcher that runs the command there."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, lines in {
        "scontrol": 'test "$1 $2 $3" = "show hostnames node-[7]" && echo 127.0.0.1',
        "srun": 'test "$1" = --kill-on-bad-exit=1 && shift && exec env SLURM_NODEID=0 "$@"',
        "python": f'exec {sys.executable} "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/bash\n{lines}\n")
        (programs / name).chmod(0o755)
    return environment(
        PATH=f"{programs}:{os.environ['PATH']}", SLURM_JOB_NODELIST="node-[7]", SLURM_JOB_NUM_NODES="1",
        SLURM_JOB_ID=str(free_port() - 20000), SLURM_CPUS_PER_TASK="1",
    )  # fmt: skip


def submit(cluster, *flags):
    script = ["bash", str(ROOT / "recipes" / "launch.slurm")]
    return subprocess.Popen([*script, *map(str, flags)], cwd=ROOT, env=cluster, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip


@pytest.mark.failure_mode("sigterm")
@pytest.mark.slow
def test_a_slurm_job_goes_on_after_it_was_preempted(model, tmp_path, cluster):
    out = tmp_path / "run"
    flags = ("recipes/pos_bert.py", "--model", model, *SMALL, "--output_dir", out, "--num_train_epochs", 5)
    job = submit(cluster, *flags)
    wait_until(lambda: list(out.glob("checkpoint-*")) or job.poll() is not None, 300)
    os.killpg(job.pid, signal.SIGTERM)
    said_first, _ = job.communicate(timeout=120)
    assert "Ended by SIGTERM" in said_first
    assert record(out)["status"] != "finished"
    again, _ = submit(cluster, *flags).communicate(timeout=300)
    assert record(out)["status"] == "finished", again
    assert record(out)["resumed_from"].startswith("checkpoint-")


def test_a_slurm_job_without_a_recipe_says_what_to_give(cluster):
    job = submit(cluster)
    assert "give a recipe and its arguments" in job.communicate()[0]
    assert job.returncode == 2


def test_the_skypilot_task_starts_a_launcher_on_each_machine(tmp_path):
    task = yaml.safe_load((ROOT / "recipes" / "launch.sky.yaml").read_text())
    assert set(task) <= {"name", "num_nodes", "resources", "workdir", "envs", "setup", "run", "file_mounts"}
    told = tmp_path / "python"
    told.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    told.chmod(0o755)
    env = task["envs"] | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1",
        "SKYPILOT_NUM_GPUS_PER_NODE": "8", "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
    }  # fmt: skip
    done = subprocess.run(["bash", "-c", task["run"]], env=env, capture_output=True, text=True, check=True)
    module, launched, *words = done.stdout.split()
    assert (module, launched) == ("-m", "torch.distributed.run")
    options = get_args_parser().parse_args(words)
    assert (options.nnodes, options.node_rank, options.nproc_per_node) == ("2", 1, "8")
    assert (options.master_addr, options.master_port) == ("10.0.0.1", 29500)
    assert (ROOT / options.training_script).exists()
    assert options.training_script_args[-3:] == ["--output_dir", "/checkpoints/run", "--resume"]
