"""`hf-tagging serve` as a process: the snippets of its page, a proxy and a browser before it, SIGTERM under load."""

import http.client
import http.server
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from browser import browser  # noqa: F401
from fastapi.testclient import TestClient
from fork_server import Forked, fork
from recipe_runs import environment
from tiny_models import tiny_bert
from transformers import AutoConfig, AutoModelForTokenClassification

from hf_tagging import Tagger
from hf_tagging.cli import main
from hf_tagging.serving.models import load_models

ROOT = Path(__file__).parent.parent
PREFIX = "/tagger"
TOKEN = "s3cret"


def _blocks():
    spec = importlib.util.spec_from_file_location("docs_blocks", ROOT / "docs/blocks.py")
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [b for b in module.find_blocks(ROOT / "docs/serving.md") if b.title == "with the server running"]


SNIPPETS = _blocks()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return tiny_bert(folder).rename(folder / "ner")


def start(model: Path, *flags: object, env: dict[str, str] | None = None) -> tuple[Forked, str]:
    """Starts a server on a free port; it and its address, once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ("serve", model, "--port", port, "--device", "cpu", *flags)
    server = fork(ROOT / "hf_tagging/cli/__main__.py", *words, env=env or environment(), cwd=model.parent)
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{address}/ready").status_code == 200:
                return server, address
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(server.communicate(1))


@pytest.fixture(scope="module")
def served(model) -> Iterator[str]:
    """A server below a prefix that a proxy removes."""
    server, address = start(model, "--root_path", PREFIX)
    yield address
    os.kill(server.processes[0], signal.SIGINT)
    code, said, wrong = server.communicate(60)
    assert (code, wrong) == (0, "")
    assert said == f"Listening on {address} (/docs shows how).\nThe server has stopped.\n"


def test_there_are_snippets():
    assert [block.language for block in SNIPPETS] == ["sh", "python", "js", "sh"]


@pytest.mark.parametrize("block", SNIPPETS, ids=lambda block: f"{block.language}-{block.line}")
def test_a_snippet_of_the_page(block, served, model):
    code = block.text.replace("http://127.0.0.1:8000", served)
    programs = {"sh": ["bash", "-ec"], "python": [sys.executable, "-c"], "js": ["node", "--input-type=module", "-e"]}
    if block.language == "sh":
        code = code.replace("curl ", "curl --silent --show-error --fail ")
    env = environment(HF_TAGGING_SERVE_TOKEN=TOKEN)
    done = subprocess.run([*programs[block.language], code], capture_output=True, text=True, timeout=60, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    tagger = Tagger.from_pretrained(model, device="cpu")
    if block.language == "python":
        words = [["Maria", "flew", "to", "Porto", "."], ["Jordan", "reads", "."]]
        assert done.stdout == "".join(f"{tags}\n" for tags in tagger.tag(words))
    elif block.language == "js":
        texts = ["Maria flew to Porto.", "Jordan will book a table."]
        lines = [" ".join(f"{word.text}/{word.tag}" for word in tagger.tag_text(text).words) for text in texts]
        assert done.stdout.splitlines() == lines
    elif "/models" in code:
        assert json.loads(done.stdout)["models"][0]["name"] == "ner"
    else:
        assert (
            json.loads(done.stdout)["results"][0]["words"][0]["tag"]
            == tagger.tag_text("Maria flew to Porto.").words[0].tag
        )


def test_the_answers_of_the_page_have_the_form_of_real_ones(served):
    page = (ROOT / "docs/serving.md").read_text()
    shown = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)]
    answer = httpx.post(f"{served}/tag", json={"text": "Maria flew to Porto."}).json()
    refusal = httpx.post(f"{served}/tag", json={"words": ["a"] * 12_000}).json()
    assert shown[0].keys() == answer.keys()
    for kind in ("words", "entities"):
        assert shown[0]["results"][0][kind][0].keys() == answer["results"][0][kind][0].keys()
    assert shown[1] == refusal


class _Proxy(http.server.BaseHTTPRequestHandler):
    """Hands on what is below a prefix, without it; nothing else is there."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if not self.path.startswith(f"{PREFIX}/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = http.client.HTTPConnection(self.server.behind, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        behind.request(self.command, self.path.removeprefix(PREFIX), body, headers)
        answer = behind.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        behind.close()

    do_POST = do_GET

    def log_message(self, format, *args):
        pass


@pytest.fixture
def proxy(served) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    server.behind = served.removeprefix("http://")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
    server.shutdown()


def test_behind_a_proxy(proxy, served):
    body = {"text": "Maria flew to Porto."}
    assert httpx.post(f"{proxy}/tag", json=body).json() == httpx.post(f"{served}/tag", json=body).json()
    assert httpx.get(f"{proxy}/openapi.json").json()["servers"] == [{"url": PREFIX}]
    assert httpx.get(f"{proxy}/models").json()["models"][0]["name"] == "ner"


@pytest.mark.slow
def test_the_page_tags_a_sentence_in_a_browser_without_a_network(browser, proxy):  # noqa: F811
    page = browser.new_page()
    page.set_default_timeout(60_000)
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{proxy}/docs")
    page.locator("#operations-default-tag_tag_post .opblock-summary").click()
    editor = page.locator("#operations-default-tag_tag_post textarea.body-param__text")
    assert "Maria Duarte" in editor.input_value()
    editor.fill('{"text": "Jordan waved."}')
    page.locator("#operations-default-tag_tag_post .execute").click()
    answer = page.locator("#operations-default-tag_tag_post .live-responses-table .response-col_description code").first
    answer.wait_for()
    found = json.loads(answer.inner_text())
    assert [word["text"] for word in found["results"][0]["words"]] == ["Jordan", "waved", "."]
    assert f"{proxy}/tag" in asked
    assert [url for url in asked if not url.startswith((proxy, "data:"))] == []
    assert wrong == []
    page.close()


@pytest.mark.failure_mode("serve-sigterm")
def test_sigterm_under_load_loses_no_request_that_was_accepted(model):
    env = environment(HF_TAGGING_SERVE_TOKEN=TOKEN)
    server, address = start(model, "--drain_seconds", 1, env=env)
    headers, text = {"Authorization": f"Bearer {TOKEN}"}, "Two old ships sailed past Porto. " * 3
    asked_to_end = threading.Event()
    answered, refused = [], []

    def keep_asking() -> tuple[bool, httpx.TransportError]:
        """Until nobody listens any more: whether the request without an answer began after the signal, and why."""
        with httpx.Client(timeout=60, headers=headers) as client:
            while True:
                is_late = asked_to_end.is_set()
                try:
                    answer = client.post(f"{address}/tag", json={"text": text})
                except httpx.TransportError as error:
                    return is_late, error
                (answered if answer.status_code == 200 else refused).append(answer)

    with ThreadPoolExecutor(16) as clients:
        ends = [clients.submit(keep_asking) for _ in range(16)]
        while len(answered) < 48:
            time.sleep(0.01)
        os.kill(server.processes[0], signal.SIGTERM)
        asked_to_end.set()
    assert [error for is_late, error in (end.result() for end in ends) if not is_late] == []
    code, said, wrong = server.communicate(60)
    assert (code, wrong) == (0, "")
    assert said.endswith("The server has stopped.\n")
    expected = Tagger.from_pretrained(model, device="cpu").tag_text(text)
    for answer in answered:
        assert [word["tag"] for word in answer.json()["results"][0]["words"]] == [word.tag for word in expected.words]
    assert refused
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in refused} == {(503, "draining")}


@pytest.fixture
def slow_model(model, tmp_path) -> Path:
    """The model with twelve wide layers: 150,000 words take it tens of seconds on two cores."""
    folder = shutil.copytree(model, tmp_path / "ner")
    sizes = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 12, "num_attention_heads": 12}
    config = AutoConfig.from_pretrained(folder, **sizes)
    AutoModelForTokenClassification.from_config(config).save_pretrained(folder)
    return folder


def test_a_second_ctrl_c_waits_for_no_answer(slow_model):
    server, address = start(slow_model, "--max_words", 200_000, "--max_bytes", 10_000_000)
    with ThreadPoolExecutor(1) as client:
        body = {"words": ["ships"] * 150_000}
        asked = client.submit(httpx.post, f"{address}/tag", json=body, timeout=60)
        while 'hf_tagging_queue_words{model="ner"} 150000.0' not in httpx.get(f"{address}/metrics").text:
            assert not asked.done()
            time.sleep(0.01)
        for _ in range(2):
            os.kill(server.processes[0], signal.SIGINT)
            time.sleep(0.2)
        answer = asked.result()
    code, said, wrong = server.communicate(60)
    assert (code, wrong) == (130, "")
    assert said.endswith("The server has stopped.\n")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")


@pytest.mark.failure_mode("serve-address")
def test_an_address_that_is_taken(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as end:
        main(["serve", str(tmp_path), "--port", str(taken.getsockname()[1])])
    assert end.value.code == 2
    assert re.search(r"--host, --port: cannot listen on 127\.0\.0\.1, port \d+ \(.*in use", capsys.readouterr().err)


@pytest.mark.failure_mode("serve-address")
def test_an_address_that_another_server_takes_while_models_are_loaded(capsys, model, monkeypatch):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))

        def load(*args, **options):
            other.listen()
            return load_models(*args, **options)

        monkeypatch.setattr("hf_tagging.serving.server.load_models", load)
        with pytest.raises(SystemExit) as end:
            main(["serve", str(model), "--port", str(other.getsockname()[1]), "--device", "cpu"])
    assert end.value.code == 2
    assert re.search(r"--host, --port: cannot listen on 127\.0\.0\.1, port \d+ \(.*in use", capsys.readouterr().err)


def test_rules_and_a_revision_go_to_the_model(model, monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr("hf_tagging.serving.server._let_in", lambda listener: None)
    monkeypatch.setattr("hf_tagging.serving.process.run_app", lambda app, *args, **options: asked.append(app))
    rules = tmp_path / "rules.jsonl"
    rules.write_text('{"label": "LOC", "pattern": "ships"}\n')
    main(["serve", str(model), "--port", "0", "--device", "cpu", "--rules", str(rules)])
    with TestClient(asked[0]) as client:
        (result,) = client.post("/tag", json={"words": ["ships"]}).json()["results"]
    assert result["words"][0]["source"] == "rule"
    for wrong, message in (
        ([str(model), "--rules", ""], "argument --rules: is empty; give a file, or none for no rules"),
        ([str(model), f"other={model}", "--revision", "v1"], "--revision v1: applies to one model"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["serve", *wrong])
        assert end.value.code == 2
        assert message in capsys.readouterr().err
