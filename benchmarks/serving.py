"""`hf-tagging serve` against FastAPI with `pipeline`: words per second and latency with 1, 8 and 64 clients; memory.

    python benchmarks/serving.py --model runs/ner
    python benchmarks/serving.py --model runs/ner --exported runs/ner-int8 --seconds 10 --minutes 10

All servers run as processes of their own on this machine, on loopback, each idle while another one is asked. The
client is wrk (`apt-get install wrk`) with one thread, on the same machine: every connection sends a request, waits
for the answer, and sends the next. A request is a sentence of the test split as text. The peer is `plain_server.py`:
FastAPI and `pipeline` as their documentation shows them. Ours runs at its default (float32), with `--precision fast`
where the model has a margin for this device, and, with --exported, from a folder that `hf-tagging export` has written.

--minutes asks ours at its default with 64 clients for so long, and looks at its memory every few seconds.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from common import (
    INTERRUPTED,
    alternate,
    column,
    describe_data,
    load_corpus,
    make_parser,
    positive,
    row,
    write_result,
)

from hf_tagging import Tagger
from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError, ModelError

CLIENTS = (1, 8, 64)
PLAIN = "FastAPI and pipeline"
OURS, FAST, EXPORTED = "serving", "serving, fast", "serving, exported model"
_PATIENCE = 300  # seconds in which a server must be ready
_LOOK = 5  # seconds between two looks at the memory
_IDLE = 5  # percent of a core that an idle server may use
# wrk calls these functions; `done` gives latencies in microseconds.
_SCRIPT = """
local bodies, number = {}, 0
for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
local headers = {["Content-Type"] = "application/json"}
local busy = 0
function request()
  number = number % #bodies + 1
  return wrk.format("POST", "/tag", headers, bodies[number])
end
function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  print(string.format('{"requests": %d, "microseconds": %d, "status": %d, "failed": %d, "p50": %d, "p99": %d}',
    summary.requests, summary.duration, errors.status, failed, latency:percentile(50), latency:percentile(99)))
end
"""


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, model=None, device="cpu")
    parser.add_argument("--exported", type=Path, metavar="DIR", help="an exported folder of the same model")
    parser.add_argument("--seconds", type=positive, default=10, help="per side, number of clients and round (10)")
    parser.add_argument("--minutes", type=positive, help="of the look at the memory; default: none")
    args = parser.parse_args(argv)
    if args.model is None:
        raise ConfigError("--model: give the folder of a trained tagger.")
    if shutil.which("wrk") is None:
        raise ConfigError("serving.py: needs wrk, which is not installed. Type: apt-get install wrk")
    return args


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Args:
        process: Its process.
        address: Where it listens.
    """

    process: psutil.Process
    address: str

    def figures(self) -> dict[str, float]:
        """Return our server's counts of requests by status."""
        with urllib.request.urlopen(f"{self.address}/metrics") as page:
            lines = page.read().decode().splitlines()
        counts = (line.rpartition(" ") for line in lines if line.startswith('hf_tagging_requests_total{path="/tag"'))
        return {name.partition('status="')[2][:3]: float(count) for name, _, count in counts}


@contextlib.contextmanager
def server(command: Sequence[str], page: str, **env: str) -> Iterator[Server]:
    """Run a server until the block ends.

    Args:
        command: Its command line, without the port.
        page: A page that answers when it is ready.
        env: Further environment variables.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([*command, "--port", str(port)], env=os.environ | env, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _answers(f"{address}/{page}"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ModelError(f"{' '.join(command)}: has not come up.")
            time.sleep(0.2)
        yield Server(psutil.Process(process.pid), address)
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address).status == 200
    except OSError:
        return False


def asked(address: str, bodies: Path, words: float, clients: int, seconds: int) -> dict[str, float]:
    """Return the figures of a server under the load of some clients.

    Args:
        address: Of the server.
        bodies: File of the requests' bodies, a line each.
        words: Mean number of words of a request.
        clients: Number of connections.
        seconds: Time.
    """
    script = bodies.with_name("requests.lua")
    script.write_text(_SCRIPT)
    command = ["wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s", "--timeout", "60s"]
    env = os.environ | {"BODIES": str(bodies)}
    done = subprocess.run([*command, "--script", script, address], capture_output=True, text=True, env=env, check=True)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    answered = found["requests"] - found["status"]
    return {
        "words_per_second": answered * words / (found["microseconds"] / 1e6),
        "p50_ms": found["p50"] / 1000,
        "p99_ms": found["p99"] / 1000,
        "refused": found["status"],
        "failed": found["failed"],
    }


def in_turn(one: Server, ask: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Return the figures of a server, when it has done what clients asked and no longer wait for."""
    figures = ask()
    if not figures["words_per_second"]:
        raise ConfigError("--seconds: a server has answered nothing in this time. Give more.")
    while one.process.cpu_percent(interval=0.5) > _IDLE:
        pass
    return figures


def commands(args: argparse.Namespace) -> dict[str, Sequence[str]]:
    """Return the command lines of our servers by side."""
    serve = [sys.executable, "-m", "hf_tagging.cli", "serve", "--device", args.device]
    sides = {OURS: [*serve, args.model]}
    with contextlib.suppress(ConfigError):
        Tagger.from_pretrained(args.model, device=args.device, precision="fast")
        sides[FAST] = [*serve, args.model, "--precision", "fast"]
    if args.exported:
        sides[EXPORTED] = [*serve, str(args.exported)]
    return sides


def watched(one: Server, ask: Callable[[int], dict[str, float]], minutes: int) -> dict[str, Any]:
    """Return the memory of a server over some minutes of load, in MB, and how requests were answered."""
    before, memory, figures = one.figures(), [], []
    deadline = time.monotonic() + 60 * minutes
    while time.monotonic() < deadline:
        figures.append(ask(_LOOK))
        memory.append(one.process.memory_info().rss / 1e6)
    statuses = {status: count - before.get(status, 0) for status, count in one.figures().items()}
    return {"memory_mb": memory, "statuses": statuses, "failed": sum(column(figures, "failed"))}


def compare(figures: dict[str, list[dict[str, float]]], sides: Sequence[str]) -> list[dict]:
    """Return the lines of the result: each of our sides against the plain server, for each number of clients."""
    lines = []
    for side in sides:
        for clients in CLIENTS:
            ours, peer = figures[f"{side}, {clients}"], figures[f"{PLAIN}, {clients}"]
            what = f"{side}, {clients} client{'s' * (clients > 1)}"
            lines.append(row(what, PLAIN, *(column(x, "words_per_second") for x in (ours, peer)), unit="words/s"))
            for name in ("p50", "p99"):
                times = (column(x, f"{name}_ms") for x in (ours, peer))
                lines.append(row(f"{what}: {name}", PLAIN, *times, unit="ms", less_is_better=True))
    return lines


def line_of_memory(memory: Sequence[float], minutes: int) -> dict:
    """Return the line of the memory at the end against that after a tenth of the time."""
    tenth = max(1, len(memory) // 10)
    ours, peer = median(memory[-tenth:]), median(memory[tenth : 2 * tenth] or memory)  # the first one warms up
    against = "its second tenth of the time"
    return row(f"memory after {minutes} min, 64 clients", against, [ours], [peer], unit="MB", show="growth")


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    corpus = load_corpus(args)
    test = corpus.draw("test", args.sentences, args.seed)
    words = sum(map(len, test["tokens"])) / len(test)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        bodies = Path(folder, "bodies.jsonl")
        bodies.write_text("".join(json.dumps({"text": " ".join(tokens)}) + "\n" for tokens in test["tokens"]))
        plain = [sys.executable, "-m", "uvicorn", "--app-dir", str(Path(__file__).parent), "plain_server:app"]
        quiet = ["--log-level", "warning", "--no-access-log"]
        servers = {name: running.enter_context(server(line, "ready")) for name, line in commands(args).items()}
        ours = [*servers]
        servers[PLAIN] = running.enter_context(server([*plain, *quiet], "docs", MODEL=str(args.model)))
        ask = {name: partial(asked, one.address, bodies, words) for name, one in servers.items()}
        for one in ask.values():
            one(8, 2)  # what is made at the first calls does not count
        sides = {
            f"{name}, {n}": partial(in_turn, servers[name], partial(one, n, args.seconds))
            for n in CLIENTS
            for name, one in ask.items()
        }
        figures: dict[str, Any] = alternate(sides, args.rounds)
        lines = compare(figures, ours)
        if args.minutes:
            figures["memory"] = watched(servers[OURS], partial(ask[OURS], CLIENTS[-1]), args.minutes)
            lines.append(line_of_memory(figures["memory"]["memory_mb"], args.minutes))
    write_result("serving", args, lines, figures, data=describe_data(corpus, test))


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
