"""Words without tags, from plain text or from tagging data.

They go where tagged words go, with one and the same tag for every word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, DatasetBuilder, DatasetDict, Features, List, Value, concatenate_datasets
from datasets.packaged_modules.csv.csv import Csv
from datasets.packaged_modules.json.json import Json
from datasets.packaged_modules.parquet.parquet import Parquet
from datasets.packaged_modules.text.text import Text

from hf_tagging.data.files import missing_path, split_files
from hf_tagging.data.json_rows import check_rows
from hf_tagging.data.prefixes import UNSCORED_ID
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.sources import BuilderCache, reading_files
from hf_tagging.data.splitting import HoldOut
from hf_tagging.data.spool import Spool
from hf_tagging.disk import expanded
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

NO_TAGS = TagSchema(("word",))
_FEATURES = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=list(NO_TAGS.tags)))})

_EXPECTED = {
    Text: "a sentence or paragraph a line",
    Json: "a JSON object a line",
    Csv: "a line of names and rows",
    Parquet: "Parquet",
}

Splitter = Callable[[str], list[tuple[int, int]]]  # text to start and end of its words


def load_text(
    files: Sequence[str | Path],
    split_words: Splitter,
    *,
    validation_share: float | None = None,
    seed: int = 42,
    num_proc: int | None = None,
) -> DatasetDict:
    """Load plain text with one sentence or paragraph per line.

    Args:
        files: UTF-8; characters that are none are replaced.
        split_words: Splits a line into words.
        validation_share: Share of the lines to hold out as validation.
        seed: Decides which.
        num_proc: Processes that split lines.

    Returns:
        `train` and, if there is one, `validation`, with the columns `tokens` and `tags` (`NO_TAGS`).

    Raises:
        DataError: If a file cannot be read, or there is no word in any.
    """
    names = [str(expanded(file)) for file in files]
    lines = _lines(names)
    train = lines.map(
        _split_lines,
        batched=True,
        remove_columns=lines.column_names,
        features=_FEATURES,
        fn_kwargs={"split_words": split_words},
        num_proc=num_proc,
        desc="Splitting lines into words",
    )
    if not len(train):
        raise DataError(f"{argument('text_file', list(names))}: there is no word in it.")
    return DatasetDict(HoldOut(validation_share=validation_share, seed=seed).split({"train": train}, names[0]))


def add_text(
    dataset: DatasetDict, files: Sequence[str | Path], split_words: Splitter, *, num_proc: int | None = None
) -> DatasetDict:
    """Add the lines of plain text to the training split, as sentences whose words are not annotated.

    Args:
        dataset: Words and tags.
        files: See `load_text`.
        split_words: Splits a line into words.
        num_proc: Processes that split lines.

    Raises:
        DataError: If there is no training split, or a file cannot be read.
    """
    if "train" not in dataset:
        raise DataError(f"{argument('text_file', list(files))}: the data has no training split to be added to.")
    train = dataset["train"].select_columns(["tokens", "tags", "document_id"])
    text = load_text(files, split_words, num_proc=num_proc)["train"].map(
        _unannotated,
        batched=True,
        with_indices=True,
        features=train.features,
        fn_kwargs={"name": Path(files[0]).name},
        num_proc=num_proc,
        desc="Adding text",
    )
    return DatasetDict({**dataset, "train": concatenate_datasets([train, text])})


def _unannotated(batch: dict[str, Any], numbers: list[int], name: str) -> dict[str, Any]:
    tags = [[UNSCORED_ID] * len(words) for words in batch["tokens"]]
    return {"tokens": batch["tokens"], "tags": tags, "document_id": [f"{name}:{number}" for number in numbers]}


def read_lines(files: Sequence[str | Path]) -> Iterator[str]:
    """Yield the lines of plain text.

    Args:
        files: See `load_text`.

    Raises:
        DataError: If a file cannot be read.
    """
    yield from _lines([str(expanded(file)) for file in files])["text"]


def _lines(files: Sequence[str | Path]) -> Dataset:
    return _read_rows(Text, files, encoding="utf-8-sig", encoding_errors="replace")


def read_table(files: Sequence[str | Path]) -> Dataset:
    """Read the rows of any JSON Lines, Parquet or CSV files, all of the kind of the first; without a suffix, of JSON.

    Raises:
        DataError: If one is not there or cannot be read, or there is no row in any.
    """
    return _read_rows({".parquet": Parquet, ".csv": Csv}.get(Path(files[0]).suffix.lower(), Json), files)


def _read_rows(builder_class: type[DatasetBuilder], files: Sequence[str | Path], **options: Any) -> Dataset:
    """Read files or pipes with a builder of `datasets`, from the cache if the same content is there."""
    paths = [expanded(file) for file in files]
    for path in paths:
        if not path.exists():
            raise missing_path(path)
        if path.is_dir():
            raise DataError(f"{path} is a folder; expected a file.")
    with Spool() as spool, BuilderCache() as builders:
        found = split_files(paths, spool, kind="text")
        if not any(path.stat().st_size for path in found.paths):
            raise DataError(f"{', '.join(found.names)}: the file is empty; expected {_EXPECTED[builder_class]}.")
        with reading_files(found, builder_class.__name__):
            check = check_rows if builder_class is Json else None
            dataset, _ = builders.prepare(builder_class, found, "train", check=check, **options)
            dataset.data.validate(full=True)  # Parquet and JSON may hold bytes that are not UTF-8
            return dataset


def _split_lines(batch: dict[str, Any], split_words: Splitter) -> dict[str, Any]:
    sentences = [[line[start:end] for start, end in split_words(line)] for line in batch["text"]]
    sentences = [words for words in sentences if words]
    return {"tokens": sentences, "tags": [[0] * len(words) for words in sentences]}


def without_tags(dataset: DatasetDict) -> DatasetDict:
    """Return the words of train and validation with the single tag `NO_TAGS`; a test split is left out."""
    return DatasetDict({name: _untagged(split) for name, split in dataset.items() if name != "test"})


def _untagged(split: Dataset) -> Dataset:
    words = split.select_columns("tokens").with_format("arrow")
    return words.map(_add_one_tag, batched=True, features=_FEATURES, desc="Leaving tags out").with_format(None)


def _add_one_tag(table: pa.Table) -> pa.Table:
    words = table.column("tokens").combine_chunks()
    none = pa.array([0] * len(words.flatten()), pa.int64())
    offsets = pc.cast(pc.subtract(words.offsets, words.offsets[0]), pa.int32())
    return table.append_column("tags", pa.ListArray.from_arrays(offsets, none))
