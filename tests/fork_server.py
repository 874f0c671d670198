"""Python programs in processes of their own, forked from one that has imported PyTorch and this package already.

An import of them takes some seven seconds of a core, most of what a recipe with a tiny model takes. What is forked is
an interpreter that has imported modules and done nothing else: `__main__`, arguments, environment, exit code, standard
output and signals are as in a fresh process. Tests of what a program imports, or of a launcher, start a fresh one.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

_RECIPES = ("pos_bert", "ner_bert", "pos_baseline", "ner_baseline", "pretrain")
_LATER = (  # what they import while they run
    "accelerate.state", "hf_tagging.publishing.report.write", "transformers.models.bert.modeling_bert",
    "transformers.pipelines", "transformers.trainer",
)  # fmt: skip


class Forked:
    """Processes that run one program, alone or as the ranks of a distributed run.

    Args:
        processes: Their ids, which are also those of their groups.
        output: Where their standard output and standard error go.
    """

    def __init__(self, processes: Sequence[int], output: tuple[IO[str], IO[str]]):
        self.processes = processes
        self._output = output
        self._codes: dict[int, int] = {}

    def poll(self) -> int | None:
        """Return the exit code, the first that is not 0 where there are several, or None while one is at work."""
        for process in set(self.processes) - self._codes.keys():
            if (code := _ask({"ended": process})) is not None:
                self._codes[process] = code
        failed = [code for code in self._codes.values() if code]
        return failed[0] if failed else 0 if len(self._codes) == len(self.processes) else None

    def kill(self) -> None:
        """Kill all that is at work, as a machine that goes down does, and wait until it is gone."""
        for process in set(self.processes) - self._codes.keys():
            os.killpg(process, signal.SIGKILL)
        while len(self._codes) < len(self.processes):
            self.poll()
            time.sleep(0.005)

    def communicate(self, seconds: float) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error; where a rank fails, the others are killed.

        Raises:
            TimeoutError: If it has not ended in time; it is killed then.
        """
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self.kill()
        said = []
        for file in self._output:
            file.seek(0)
            said.append(file.read())
        if code is None:
            raise TimeoutError(f"not ended after {seconds} seconds:\n{said[0]}{said[1]}")
        return code, said[0], said[1]


def fork(script: Path, *words: object, processes: int = 1, env: Mapping[str, str], cwd: Path) -> Forked:
    """Run a script as `__main__` in new processes.

    Args:
        script: Its path.
        words: Its arguments.
        processes: How many; several find each other by the variables that torchrun sets.
        env: Their environment.
        cwd: Their working directory.
    """
    ranks: list[dict[str, str]] = [{}]
    if processes > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes),
                 "LOCAL_WORLD_SIZE": str(processes)}  # fmt: skip
        ranks = [there | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
    output, errors = (tempfile.TemporaryFile("w+", errors="replace") for _ in range(2))  # noqa: SIM115
    argv = [str(script), *map(str, words)]
    asked = {"argv": argv, "cwd": str(cwd), "fds": [output.fileno(), errors.fileno()], "of": os.getpid()}
    started = [_ask(asked | {"env": dict(env) | rank}) for rank in ranks]
    return Forked([process for process in started if process is not None], (output, errors))


_server: subprocess.Popen[str] | None = None


def _end(server: subprocess.Popen[str]) -> None:
    """End a server: the end of its questions is its end."""
    with contextlib.suppress(BrokenPipeError):
        server.communicate()


def _ask(question: Mapping[str, object]) -> int | None:
    """Return the server's answer; the first question starts it, and so does a new program where it has been ended."""
    global _server
    if _server is None or ("argv" in question and _server.poll() is not None):
        env = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        _server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env=env, start_new_session=True)  # fmt: skip
        atexit.register(_end, _server)
    assert _server.stdin is not None
    assert _server.stdout is not None
    _server.stdin.write(json.dumps(question) + "\n")
    _server.stdin.flush()
    answer: int | None = json.loads(_server.stdout.readline())
    return answer


def _serve() -> dict[str, object] | None:
    """Answer questions; return one in the process that is forked for it, and None where there are no more."""
    codes: dict[int, int] = {}
    for line in iter(sys.stdin.readline, ""):
        question = json.loads(line)
        if (process := question.get("ended")) is None:
            said = [
                os.open(f"/proc/{question['of']}/fd/{number}", os.O_WRONLY | os.O_APPEND) for number in question["fds"]
            ]
            if (process := os.fork()) == 0:
                return question | {"fds": said}
            for number in said:
                os.close(number)
            answer = process
        else:
            if process not in codes:
                ended, status = os.waitpid(process, os.WNOHANG)
                codes |= {ended: os.waitstatus_to_exitcode(status)} if ended else {}
            answer = codes.get(process)
        print(json.dumps(answer), flush=True)
    return None


def _become(program: dict) -> None:
    """Make this forked process one that has just been started."""
    os.setsid()
    for number, file in zip((1, 2), program["fds"], strict=True):
        os.dup2(file, number)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.chdir(program["cwd"])
    os.environ.clear()
    os.environ.update(program["env"])
    sys.argv[:] = program["argv"]
    sys.path[0] = str(Path(program["argv"][0]).parent)
    sys.path[1:1] = filter(None, program["env"].get("PYTHONPATH", "").split(os.pathsep))
    sys.modules["hf_tagging.processes"]._STARTED = os.getpid(), os.getppid()


def _run(script: str) -> NoReturn:
    """Run a script as the interpreter does; its own end, which takes all modules apart, is left out."""
    code = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    for _name in _RECIPES:
        runpy.run_path(str(Path(__file__).parent.parent / "recipes" / f"{_name}.py"), run_name="recipe")
    for _name in _LATER:
        importlib.import_module(_name)
    assert threading.active_count() == 1, threading.enumerate()
    gc.freeze()
    if (_program := _serve()) is not None:
        _become(_program)
        _run(sys.argv[0])
