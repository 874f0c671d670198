"""Data that is there already, and what its splits know of where they come from."""

from dataclasses import replace

import pandas as pd
import pytest
from datasets import Dataset, DatasetDict, IterableDataset

from hf_tagging import load_tagging_dataset
from hf_tagging.data.origin import Origin, origin_of
from hf_tagging.errors import DataError

ROWS = {"tokens": [["Ada", "ran"], ["in", "Rome", "."]] * 10, "tags": [["B-PER", "O"], ["O", "B-LOC", "O"]] * 10}


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame(ROWS),
        Dataset.from_dict(ROWS),
        {"train": pd.DataFrame(ROWS)},
        DatasetDict(train=Dataset.from_dict(ROWS)),
        pd.DataFrame(ROWS).rename(columns={"tokens": "words", "tags": "ner_tags"}),
    ],
    ids=["DataFrame", "Dataset", "frames", "DatasetDict", "other names"],
)
def test_data_that_is_there_is_read_as_files_are(data):
    found = load_tagging_dataset(data, task="ner", validation_share=0.2)
    assert {name: len(split) for name, split in found.items()} == {"train": 16, "validation": 4}
    assert found["train"].features["tags"].feature.names == ["O", "B-LOC", "B-PER"]
    assert {tuple(words) for words in found["train"]["tokens"]} == {("Ada", "ran"), ("in", "Rome", ".")}


def test_splits_know_their_task_and_their_source():
    found = load_tagging_dataset("sample", task="ner", num_proc=1)
    known = origin_of(found["test"].select(range(3)).shuffle(seed=1))
    assert replace(known, reading={}) == Origin("ner", {"dataset": "sample", "num_proc": 1})
    assert list(known.reading["splits"]) == ["train", "validation", "test"]
    assert origin_of(Dataset.from_dict(ROWS)) is None
    drawn = {"validation_share": 0.2, "split_seed": 7}  # whatever the seed of a training on it
    found = load_tagging_dataset(Dataset.from_dict(ROWS), task="ner", validation_share=0.2, seed=7)
    assert replace(origin_of(found["train"]), reading={}) == Origin("ner", drawn)


def test_what_is_no_data_is_refused():
    with pytest.raises(DataError, match="expected a Dataset or a pandas DataFrame with a sentence per row, found int"):
        load_tagging_dataset({"train": 5}, task="ner")
    with pytest.raises(DataError, match="is an IterableDataset"):
        load_tagging_dataset(IterableDataset.from_generator(lambda: iter([])), task="ner")
    with pytest.raises(DataError, match="the given data, split train: no column of tokens"):
        load_tagging_dataset(pd.DataFrame({"a": [1]}), task="ner")
