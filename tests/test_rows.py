"""Columns read from end to end: the same rows, whatever a split lies in, and nothing held that was read."""

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets

from hf_tagging.data.rows import arrow_batches, flat_lists, reopened

ROWS = {"tags": [[1, 2], [], [3], [4, 5, 6]], "tokens": [["a", "b"], [], ["c"], ["d", "e", "f"]]}


@pytest.fixture
def in_files(tmp_path):
    Dataset.from_dict(ROWS).save_to_disk(tmp_path / "saved")
    return Dataset.load_from_disk(tmp_path / "saved")


@pytest.fixture(params=["in memory", "in files", "selected", "shuffled", "sorted", "both", "empty", "formatted"])
def split(request, in_files):
    in_memory = Dataset.from_dict(ROWS)
    return {
        "in memory": in_memory,
        "in files": in_files,
        "selected": in_files.select(range(1, 3)),
        "shuffled": in_files.shuffle(seed=1),
        "sorted": in_files.select([3, 0]),
        "both": concatenate_datasets([in_files, in_memory]),
        "empty": in_files.select([]),
        "formatted": in_files.with_transform(lambda rows: rows),
    }[request.param]


def test_all_rows_are_read_in_their_order(split):
    read = [row for batch in arrow_batches(split, "tags", size=3) for row in batch.column("tags").to_pylist()]
    assert read == [row["tags"] for row in split.with_format(None)]
    assert [batch.column_names for batch in arrow_batches(split, "tokens", "tags")] in ([], [["tokens", "tags"]])


def test_a_split_is_the_same_when_it_is_opened_again(split):
    assert reopened(split)._fingerprint == split._fingerprint  # caches know it by that


def mapped(file: str) -> int:
    """Bytes of a file that are in this process's memory."""
    lines = Path("/proc/self/smaps").read_text().split("\n")
    starts = [i for i, line in enumerate(lines) if line.endswith(file)]
    return sum(1024 * int(next(s for s in lines[i:] if s.startswith("Rss:")).split()[1]) for i in starts)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells it")
def test_what_was_read_is_not_held(tmp_path):
    Dataset.from_dict({"tags": [[i] * 1000 for i in range(4000)]}).save_to_disk(tmp_path)
    split = Dataset.load_from_disk(tmp_path)
    file = split.cache_files[0]["filename"]
    before = mapped(file)
    total = sum(int(flat_lists(batch.column("tags"))[0].sum()) for batch in arrow_batches(split, "tags"))
    assert total == 1000 * sum(range(4000))
    assert mapped(file) - before < 1_000_000
    assert int(np.concatenate(split.with_format("numpy")[:]["tags"]).sum()) == total
    assert mapped(file) - before > 20_000_000  # what reading through the split itself leaves


def test_a_split_whose_files_are_gone_is_read_on(in_files):
    for file in in_files.cache_files:
        Path(file["filename"]).unlink()
    assert sum(batch.num_rows for batch in arrow_batches(in_files, "tags")) == 4
