"""No network, no shared caches, no real data unless it is there."""

import os
import tempfile
from pathlib import Path

# Before any Hugging Face import: caches of this run alone, and a Hub that answers at once that it is not there.
_CACHE = tempfile.mkdtemp(prefix="hf_tagging_tests_")
os.environ |= {
    "HF_HOME": _CACHE,
    "HF_DATASETS_CACHE": f"{_CACHE}/datasets",
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "OMP_NUM_THREADS": "1",  # tiny models are slower with two threads than with one, and tests share the cores
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

import shutil  # noqa: E402

import pytest  # noqa: E402

ROOT = Path(__file__).parent.parent


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real CoNLL-2003 and tweets."""
    folder = Path(os.environ.get("HF_TAGGING_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "conll2003" / "train.txt").exists():
        pytest.skip(f"the real data is not at {folder}; set HF_TAGGING_TEST_DATA")
    return folder
