"""Whatever a person has set in the shell, the tests see none of it: no token, no proxy, no offline mode, no locale."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOKEN = "hf_" + "notForTests" * 3
HOSTILE = {
    "HF_TOKEN": TOKEN,
    "HUGGING_FACE_HUB_TOKEN": TOKEN,
    "HF_HOME": "/nowhere/hf home",
    "HF_HUB_CACHE": "/nowhere/hub",
    "HF_DATASETS_CACHE": "/nowhere/datasets",
    "HF_ENDPOINT": "http://127.0.0.1:1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_CACHE": "/nowhere/transformers",
    "HF_HUB_DISABLE_PROGRESS_BARS": "0",
    "HF_HUB_DISABLE_XET": "0",
    "HF_HUB_DISABLE_TELEMETRY": "0",
    "TRANSFORMERS_VERBOSITY": "debug",
    "DATASETS_VERBOSITY": "debug",
    "XDG_CACHE_HOME": "/nowhere/cache",
    "OMP_NUM_THREADS": "3",
    "MKL_NUM_THREADS": "3",
    "TOKENIZERS_PARALLELISM": "true",
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"), "http://127.0.0.1:1"),
    "NO_PROXY": "",
    "ACCELERATE_USE_CPU": "false",
    "ACCELERATE_MIXED_PRECISION": "fp16",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_USE_FSDP": "true",
    "LOCAL_RANK": "1",
    "RANK": "1",
    "WORLD_SIZE": "2",
    "COLUMNS": "20",
    "LINES": "3",
    "NO_COLOR": "1",
    "FORCE_COLOR": "1",
    "TERM": "dumb",
    "LANG": "xx_XX.ISO-8859-1",
    "LC_ALL": "xx_XX.ISO-8859-1",
    "LANGUAGE": "xx",
    "PYTHONWARNINGS": "error",
    "PYTHONHASHSEED": "1",
    "PYTHONIOENCODING": "ascii",
    "GIT_DIR": "/nowhere/git",
}
# A few of each kind: what asks the Hub, its caches and tokens; what a terminal changes; what opens a socket or a
# process.
SHARE = [
    "test_environment.py::test_nothing_of_the_shell_is_left",
    "test_loading.py::test_offline",
    "test_tagger.py::TestFromPretrained::test_loads_from_the_cache_without_a_retry_where_the_hub_is_away",
    "test_hub.py::test_without_a_token_or_a_network_nothing_is_tried",
    "test_metrics.py::test_nothing_is_written_and_no_socket_opened",
    "test_cli.py::TestHelp::test_no_word_is_cut",
    "test_cli.py::TestHelp::test_is_quick",
    "test_cli.py::TestShelf::test_tables_on_a_terminal",
    "test_flags.py::test_mistakes_leave_no_folder",
]


def test_nothing_of_the_shell_is_left() -> None:
    from huggingface_hub import constants, get_token

    assert get_token() is None
    assert TOKEN not in " ".join(os.environ.values())
    assert not constants.HF_HUB_OFFLINE
    assert constants.ENDPOINT == "http://127.0.0.1:9"
    for name, value in HOSTILE.items():
        assert os.environ.get(name) != value, name


@pytest.mark.failure_mode("hostile-shell")
@pytest.mark.slow
def test_a_share_of_the_tests_passes_whatever_is_set(tmp_path: Path) -> None:
    temporary = tmp_path / "with a space"
    temporary.mkdir()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += [f"{ROOT / 'tests' / name}" for name in SHARE]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = ours | HOSTILE | {"TMPDIR": str(temporary)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=300)
    said = (done.stdout + done.stderr).decode(errors="replace")

    assert done.returncode == 0, said
    assert TOKEN not in said
    assert list(temporary.glob("hf_tagging_tests_*")) == []  # its caches went with it
