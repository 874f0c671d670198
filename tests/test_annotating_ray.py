"""Corpora annotated by Ray Data: on one machine, and on two nodes in network namespaces of which one is killed."""

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from recipe_runs import ROOT, environment, recipe_command
from test_annotating import TEXTS, records, rows_of, wait_until
from tiny_models import tiny_bert
from two_machines import said, two_machines

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: the extra ray"),
]
PORT = 6399
# Its clusters are open to whom they listen to: one to loopback, the other to a namespace.
RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}


@pytest.fixture(autouse=True)
def place(monkeypatch):
    """A folder of Ray's own, short as paths of sockets must be: what is left there no other Ray finds."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        monkeypatch.setitem(RAY, "RAY_TMPDIR", folder)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("model"))


def corpus(path, count):
    path.write_text("".join(json.dumps({"id": i, "text": f"{TEXTS[i % 4]} {i}"}) + "\n" for i in range(count)))
    return path


def command(model, source, output, *flags):
    return recipe_command("annotate", "--model", model, "--input", source, "--output", output, "--device", "cpu",
                          "--rows_per_shard", 50, "--format", "jsonl", *flags)  # fmt: skip


def test_ray_writes_what_worker_processes_write(model, tmp_path):
    source = corpus(tmp_path / "in.jsonl", 200)
    for engine in ("local", "ray"):
        flags = ("--engine", engine, "--workers", 1)
        started = subprocess.run(command(model, source, tmp_path / engine, *flags), env=environment(**RAY), cwd=ROOT,
                                 capture_output=True, text=True, timeout=300)  # fmt: skip
        assert started.returncode == 0, started.stderr
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local")
    assert [row["id"] for row in rows_of(tmp_path / "ray")] == list(range(200))


@pytest.fixture
def nodes(place):
    """Two nodes of Ray, each in a network namespace of its own."""
    with two_machines() as (head, other):
        flags = ("--head", "--port", PORT, "--include-dashboard", "false", "--node-ip-address", head.address)
        start_ray(head, *flags)
        start_ray(other, "--address", f"{head.address}:{PORT}", "--node-ip-address", other.address)
        yield head, other


def start_ray(machine, *flags):
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--num-cpus", 1, "--object-store-memory", 80_000_000]
    started = machine.start([*map(str, (*ray, *flags))], **RAY)
    assert started.wait(300) == 0, said(started)


@pytest.mark.failure_mode("annotate-node")
def test_nothing_is_lost_when_a_node_is_killed(model, nodes, tmp_path):
    source = corpus(tmp_path / "in.jsonl", 5000)
    flags = ("--engine", "ray", "--ray_address", f"{nodes[0].address}:{PORT}", "--workers", 2)
    line = ["ip", "netns", "exec", nodes[0].name, *command(model, source, tmp_path / "out", *flags)]
    process = subprocess.Popen(line, env=environment(**RAY), cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        wait_until(lambda: _taggers(nodes[1]) or process.poll() is not None, 180)
        wait_until(lambda: len(records(tmp_path / "out")) >= 10 or process.poll() is not None, 180)
        assert process.poll() is None, process.communicate()[1]
        nodes[1].kill()
        before = time.monotonic()
        printed, told = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, told
    summary = printed.splitlines()[-1]  # before it, Ray speaks of the lost node
    assert summary.startswith("5,000 of 5,000 rows annotated"), f"{printed} after {time.monotonic() - before:.0f} s"
    assert [row["id"] for row in rows_of(tmp_path / "out")] == list(range(5000))


def _taggers(machine):
    """Whether an actor has been started there."""
    return any(b"MapWorker" in _command_line(process) for process in machine.processes())


def _command_line(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
