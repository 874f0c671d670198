"""`recipes/serve_ray.py`: the application of `hf-tagging serve` in a replica of Ray Serve."""

import importlib.util
import signal
import socket
import subprocess
import sys
import tempfile
import time

import httpx
import pytest
from recipe_runs import ROOT, environment
from tiny_models import tiny_bert

from hf_tagging import Tagger

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: the extra ray"),
]


def test_a_replica_tags_as_the_tagger_does(tmp_path):
    model = tiny_bert(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        # The token of the environment is that of requests, as for `hf-tagging serve`.
        env = environment(
            HF_TAGGING_SERVE_TOKEN="s3cret", RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled", RAY_TMPDIR=folder
        )
        command = [sys.executable, "recipes/serve_ray.py", "--model", f"ner={model}", "--port", str(port)]
        server = subprocess.Popen(
            command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 240
            while not _is_ready(address):
                assert server.poll() is None, server.communicate()[0]
                assert time.monotonic() < deadline
                time.sleep(0.2)
            text = "Two old ships sailed past Porto. Maria waved."
            headers = {"Authorization": "Bearer s3cret"}
            asked = [(headers, {"text": text}), (headers, {"txt": text}), ({}, {"text": text})]
            answers = [httpx.post(f"{address}/tag", json=body, headers=h, timeout=60) for h, body in asked]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    assert [answer.status_code for answer in answers] == [200, 422, 401]
    tagged = Tagger.from_pretrained(model, device="cpu").tag_text(text)
    found = answers[0].json()["results"][0]
    assert [word["tag"] for word in found["words"]] == [word.tag for word in tagged.words]
    assert "Extra inputs are not permitted" in answers[1].json()["error"]["message"]


@pytest.mark.failure_mode("serve-open")
def test_replicas_for_other_machines_without_a_token_are_told():
    command = [sys.executable, "recipes/serve_ray.py", "--model", "runs/ner", "--host", "0.0.0.0"]
    env = environment(RAY_USAGE_STATS_ENABLED="0", HF_TAGGING_SERVE_TOKEN="")
    told = "0.0.0.0: anybody who reaches this address can use the models. Set a token: --token_file FILE"
    server = subprocess.Popen(
        [*command, "--ray_address", "no-address"], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    lines = []
    try:
        while not any(told in line for line in lines):
            lines.append(server.stderr.readline())
            assert lines[-1], lines
    finally:
        server.kill()
        server.communicate()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/ready").status_code == 200
    except httpx.TransportError:
        return False
