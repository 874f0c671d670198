"""Tests of the number of documents, and of the memory that reading takes as a file grows."""

import pyarrow as pa
import pytest
from datasets import Dataset

from hf_tagging.data import load_tagging_dataset
from hf_tagging.data.documents import count_documents


@pytest.mark.parametrize(
    "ids",
    [
        ["train:1", "train:2", "train:3"],
        ["train:1", "train:1", "train:2"],
        ["a:1", "a:2", "b:1", "b:2", "b:2"],
        ["a:1", "b:1", "a:2", "b:2"],  # files in turns
        ["a:1", "a:3", "a:2", "a:3"],  # not in order: the second 3 was there
        ["a:3", "a:1", "a:3", "a:2"],
        ["5", ":5", "05", "a:05", "a:5", "a:٥", "a:", "a", ""],  # alike, and all different
        ["news-7", "news-8", "news-7", "x:news", "x:news"],
        ["a:99999999999999999998", "a:99999999999999999999", "a:99999999999999999998"],
        ["a:1"],
    ],
)
def test_number_of_documents(ids):
    assert count_documents(Dataset.from_dict({"document_id": ids})) == len(set(ids))


def test_documents_of_more_rows_than_a_batch():
    ids = [f"train:{row // 3}" for row in range(25_000)]
    assert count_documents(Dataset.from_dict({"document_id": ids})) == len(set(ids))
    shuffled = Dataset.from_dict({"document_id": ids}).shuffle(seed=1)
    assert count_documents(shuffled) == len(set(ids))
    assert count_documents(shuffled.select(range(10))) == len(set(shuffled["document_id"][:10]))


POOLS = []  # for good: what was taken from a pool is given back to it, whenever that is


def peak_of(rows, folder):
    """Return the most that Arrow holds while a column file of so many rows is read."""
    file = folder / f"train-{rows}.txt"
    file.write_text("Lisbon B-LOC\nsleeps O\n\n" * rows, encoding="utf-8")
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    POOLS.append(pool)
    pa.set_memory_pool(pool)
    try:
        dataset = load_tagging_dataset(file, task="ner", cache_dir=folder / f"cache-{rows}")
    finally:
        pa.set_memory_pool(before)
    assert len(dataset["train"]) == rows
    return pool.max_memory()


def test_memory_of_arrow_does_not_grow_with_the_file(tmp_path):
    """Whole columns would take more than twice as much of the larger file: their ids alone, 16 bytes a row and more."""
    least, most = peak_of(15_000, tmp_path), peak_of(60_000, tmp_path)
    assert least > 100_000  # of the batches: the pool is the one that is used
    assert most < 1.5 * least
