"""No network, no shared caches, no real data unless it is there."""

import os
import sys
import tempfile
import warnings
from pathlib import Path

_KEPT = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "SYSTEMROOT", "VIRTUAL_ENV", "TMPDIR", "TEMP", "TMP"}
_KEPT |= {"PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "CUDA_VISIBLE_DEVICES"}
_KEPT_PREFIXES = ("PYTEST_", "HF_TAGGING_TEST_", "COV", "LD_", "DYLD_")

# Before any Hugging Face import: nothing that the user has set (a token, a proxy, offline modes, threads, colours, a
# locale) reaches a test or a process that it starts; caches of this run alone, and a Hub that says at once that it is
# not there.
_CACHE = tempfile.mkdtemp(prefix="hf_tagging_tests_")
_WARNINGS = "PYTHONWARNINGS" in os.environ
for _name in set(os.environ):
    if _name not in _KEPT and not _name.startswith(_KEPT_PREFIXES):
        del os.environ[_name]
os.environ |= {
    "HF_HOME": _CACHE,
    "HF_DATASETS_CACHE": f"{_CACHE}/datasets",
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "OMP_NUM_THREADS": "1",  # PyTorch's too: tiny models are slower with two threads, and tests share the cores
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "LC_ALL": "C.UTF-8",
}


def _forget_user_warnings() -> None:
    """Undoes PYTHONWARNINGS, which Python has read before any of this; `-W` of pytest's own stays."""
    sys.warnoptions.clear()
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):  # as without it
        warnings.simplefilter("ignore", category)


if _WARNINGS:
    _forget_user_warnings()

import shutil  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
from collections.abc import Callable  # noqa: E402

import huggingface_hub.constants  # noqa: E402
import pytest  # noqa: E402

from hf_tagging.hub import forget_answers  # noqa: E402

ROOT = Path(__file__).parent.parent

# What a shell starts in the background ignores Ctrl-C, and so would the processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A worker of pytest-xdist runs no script, and recipes would refuse to read its flags as they refuse a notebook's.
if not hasattr(sys.modules["__main__"], "__file__"):
    sys.modules["__main__"].__file__ = pytest.__file__


def pytest_configure(config: pytest.Config) -> None:
    if _WARNINGS:
        _forget_user_warnings()  # again: pytest puts the filters back that it found before it read this file


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(autouse=True)
def _ask_the_hub_anew() -> None:
    """A test may give the Hub another address, or none; the answer of the test before would stand."""
    forget_answers()


@pytest.fixture
def in_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path, str], None]:
    """Puts a folder where huggingface_hub would have left its download under a name."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def _in_cache(folder: Path, name: str) -> None:
        cached = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        (cached / "refs").mkdir(parents=True)
        (cached / "refs" / "main").write_text("0" * 40)
        shutil.copytree(folder, cached / "snapshots" / ("0" * 40))

    return _in_cache


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The addresses that are asked for a connection from here on."""
    asked: list[object] = []
    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: asked.append(address) or connect(self, address))
    return asked


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real CoNLL-2003 and tweets."""
    folder = Path(os.environ.get("HF_TAGGING_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "conll2003" / "train.txt").exists():
        pytest.skip(f"the real data is not at {folder}; set HF_TAGGING_TEST_DATA")
    return folder
