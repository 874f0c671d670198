"""Training data that is read while it is learned from, for corpora that are larger than the disk.

The first sentences of some of its shards, the sample, are loaded as any training split is: columns, tags and scheme are
found there. All other rows are then read as the sample was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, DatasetInfo, IterableDataset
from datasets.data_files import DataFilesDict, DataFilesList

from hf_tagging.data.bars import no_bars
from hf_tagging.data.files import SplitFiles, beginning_of
from hf_tagging.data.json_lines import JsonLines
from hf_tagging.data.json_rows import check_rows
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.source_columns import check_ids, item_kind, row_of_item, standard_columns
from hf_tagging.data.sources import BuilderCache, RawSplit, innermost_cause, named_splits
from hf_tagging.data.tag_columns import encoded
from hf_tagging.data.tag_names import UNSET_IDS, TagNames
from hf_tagging.data.text_lines import BOM
from hf_tagging.errors import DataError, TaggingError
from hf_tagging.problems import argument, either_way

SAMPLE = 10_000
"""Sentences by which a stream is known before it is read."""
BLOCK = 10_000
"""Sentences among which the windows of a batch are drawn."""
_TABLE = 1_000
_SAMPLED_SHARDS = 10
_CHECKED = 100  # rows of each file of JSON, in full and before anything is read; all others as they are read
_STREAMED = ("json", "parquet", "columns", "table")
_STREAM = "hf_tagging_stream"
_COMMIT = re.compile(r"@[0-9a-f]{40}(?=/)")  # in the address of a file of the Hub


class Place(NamedTuple):
    """Place in a stream where a block begins.

    Args:
        epoch: How often the reader has read its part of the stream.
        shard: Number of the shard among those of the reader, in the order of the epoch.
        row: Row of the shard.
        block: How many blocks were read before.
    """

    epoch: int = 0
    shard: int = 0
    row: int = 0
    block: int = 0


START = Place()


@dataclass(frozen=True)
class Stream:
    """Training split that is read in blocks, as often as wanted.

    Args:
        rows: As the source has them.
        shards: What messages call its shards.
        sizes: Bytes of files by name, in the order in which they are read; None for the size of a file of the Hub.
        sample: The split whose first rows are loaded.
        tags: What its tags are read as.
        has_ids: Tags of the source are integers.
    """

    rows: IterableDataset
    shards: tuple[str, ...]
    sizes: dict[str, int | None]
    sample: RawSplit
    tags: TagNames
    has_ids: bool

    def blocks(
        self, place: Place = START, *, reader: int = 0, readers: int = 1, seed: int = 0
    ) -> Iterator[tuple[Place, Dataset]]:
        """Yield blocks of sentences without end, each with the place where it begins; a block is of one epoch.

        Readers share the shards; where there are fewer shards than readers, they share the rows of each. Shards are in
        another order in every epoch.

        Args:
            place: Where to begin.
            reader: Number of this reader.
            readers: How many there are.
            seed: Of the order of shards.

        Yields:
            Place, and `tokens`, `tags` and `document_id` as `load_tagging_dataset` gives them.

        Raises:
            DataError: For rows that cannot be read, have other columns or tags than the sample, or are too few.
        """
        while True:
            begin, parts = place, list[Dataset]()
            for behind, part in self._parts(place, reader, readers, seed):
                parts.append(part)
                if sum(map(len, parts)) >= BLOCK:
                    yield begin, datasets.concatenate_datasets(parts)
                    begin, parts = behind._replace(block=begin.block + 1), []
            if parts:
                yield begin, datasets.concatenate_datasets(parts)
                begin = begin._replace(block=begin.block + 1)
            elif begin == place and not (place.shard or place.row):  # a whole epoch has no row
                raise DataError(
                    f"{self.sample.place}: too few rows for {readers} readers (processes times "
                    f"{argument('dataloader_num_workers')}). Start fewer, or leave {argument('streaming')} out."
                )
            place = Place(epoch=begin.epoch + 1, block=begin.block)

    def _parts(self, place: Place, reader: int, readers: int, seed: int) -> Iterator[tuple[Place, Dataset]]:
        """Yield what a reader reads in the rest of an epoch, each part with the place behind it."""
        count = self.rows.num_shards
        shared = count < readers  # by rows
        own = np.arange(count) if shared else np.arange(reader, count, readers)
        order = np.random.default_rng([seed, reader, place.epoch]).permutation(own).tolist()
        for number in range(place.shard, len(order)):
            for first, table in self._tables(order[number]):
                behind = first + len(table)
                if number == place.shard and behind <= place.row:
                    continue
                rows = np.arange(first, behind)
                rows = rows[rows % readers == reader] if shared else rows
                if len(rows):
                    part = table.take(rows - first) if shared else table
                    yield place._replace(shard=number, row=behind), self._loaded(part, self._name(order[number]), rows)

    def _tables(self, shard: int) -> Iterator[tuple[int, pa.Table]]:
        """Yield the rows of a shard in tables, each with the number of its first row."""
        first = 0
        try:
            for table in tables_of(self.rows, shard):
                yield first, table
                first += len(table)
        except TaggingError:
            raise
        except Exception as error:  # of files, of their formats, of the network
            raise DataError(
                f"{self._name(shard)}, behind row {first:,}: cannot be read ({innermost_cause(error)})"
            ) from error

    def _name(self, shard: int) -> str:
        """Return what messages call a shard."""
        is_file = len(self.shards) == self.rows.num_shards
        return self.shards[shard] if is_file else f"{self.sample.place}, shard {shard + 1}"

    @no_bars()
    def _loaded(self, table: pa.Table, shard: str, rows: np.ndarray) -> Dataset:
        """Return rows as `load_tagging_dataset` gives them. (rows,)"""
        place = f"{shard}, counted from row {rows[0] + 1:,}"
        raw = replace(self.sample, dataset=as_dataset([table], self.rows), place=place, notes=())
        dataset = standard_columns(raw)
        if self.has_ids and item_kind(dataset, "tags") == "string":
            dataset = dataset.cast_column("tags", datasets.List(datasets.Value("int64")))
        if self.has_ids:
            check_ids(dataset, "tags", len(self.tags.ids or ()), what="tag", place=place, unset=UNSET_IDS)
        else:
            self._check_tags(dataset, shard, rows)
        return encoded(dataset, tags=self.tags, split="train", cache_dir=None)

    def _check_tags(self, dataset: Dataset, shard: str, rows: np.ndarray) -> None:
        """Refuse a tag that the sample does not have: the model has no label for it."""
        column = dataset.data.column("tags")
        tags = pc.list_flatten(column)
        known = pa.array([*self.tags.read, None], pa.string())
        index = pc.index(pc.is_in(tags.cast(pa.string()), value_set=known), False).as_py()
        if index >= 0:
            row = rows[row_of_item(column, index)] + 1
            names = ["O", "B-PER", "I-PER"] if self.sample.request.task.has_entities else ["DET", "NOUN"]
            raise DataError(
                f"{shard}, row {row:,}: the tag {tags[index].as_py()!r} is neither in the first "
                f"{len(self.sample.dataset):,} rows nor in another split, so that the model has no label for it. Name "
                f"all tags: {either_way('tag_names', names)}"
            )


class StreamCache(BuilderCache):
    """A `BuilderCache` that opens the training split as a stream, and gives its sample in its place.

    Attributes:
        rows: The stream, once it was opened.
        shards: Its files; none where they are not known.
        sizes: See `Stream`.
    """

    rows: IterableDataset | None = None
    shards: tuple[str, ...] = ()
    sizes: Mapping[str, int | None] = MappingProxyType({})

    def prepare(
        self, builder_class: type[datasets.DatasetBuilder], files: SplitFiles, split: str, **options: Any
    ) -> tuple[Dataset, tuple[FileNotes, ...]]:
        """Build a split, see `BuilderCache.prepare`, or open the training split."""
        if split != "train":
            return super().prepare(builder_class, files, split, **options)
        check = options.pop("check", None)
        _check_streamed(files)
        if check is check_rows:
            builder_class = JsonLines
            for path in files.paths:
                check_rows(path, most=_CHECKED)
        facts = [(path.stat().st_size, path.stat().st_mtime_ns) for path in files.paths]
        listed = DataFilesList([str(path) for path in files.paths], facts)
        builder = builder_class(
            cache_dir=self.cache_dir, hash="stream", data_files=DataFilesDict({split: listed}), **options
        )
        self.shards = files.names
        self.sizes = {name: size for name, (size, _) in zip(files.names, facts, strict=True)}
        return self._opened(builder.as_streaming_dataset(split), files.place), tuple(map(FileNotes, files.names))

    def load(self, name: str, *args: Any, **options: Any) -> DatasetDict:
        """Open a dataset of the Hub; its other splits are read into memory."""
        builder = datasets.load_dataset_builder(name, *args, cache_dir=self.cache_dir, **options)
        found: dict[str, Any] = dict(builder.as_streaming_dataset())
        splits = cast(dict[str, Any], named_splits(found, place=name))
        train = next((split for split, rows in found.items() if rows is splits.get("train")), "")
        files = (builder.config.data_files or {}).get(train, [])
        self.sizes = dict.fromkeys(_COMMIT.sub("", file) for file in files)
        return DatasetDict(
            {
                split: self._opened(rows, name)
                if split == "train"
                else as_dataset([table for shard in range(rows.num_shards) for table in tables_of(rows, shard)], rows)
                for split, rows in splits.items()
            }
        )

    def stream(self, raw: RawSplit, dataset: Dataset, tags: TagNames) -> Stream:
        """Return the stream whose sample was loaded.

        Args:
            raw: Sample as the source has it.
            dataset: The same after `standard_columns`.
            tags: What its tags are read as.

        Raises:
            DataError: What was loaded is no stream, or its sentences are written over several rows.
        """
        if self.rows is None:
            raise DataError(f"{raw.place}: is on this disk as it is used; leave {argument('streaming')} out")
        if len(dataset) != len(raw.dataset):
            raise DataError(
                f"{raw.place}: a sentence is written over several rows; streaming reads rows of sentences, each with "
                f"lists of words and tags. Write it so, or leave {argument('streaming')} out"
            )
        return Stream(self.rows, self.shards, dict(self.sizes), raw, tags, has_ids=item_kind(dataset, "tags") == "id")

    def _opened(self, rows: IterableDataset, place: str) -> Dataset:
        self.rows = rows
        shards = min(rows.num_shards, _SAMPLED_SHARDS)
        tables = []
        for shard in range(shards):
            left = SAMPLE // shards
            for table in tables_of(rows, shard):
                tables.append(table.slice(0, left))
                left -= len(tables[-1])
                if not left:
                    break
        if not sum(map(len, tables)):
            raise DataError(f"{place}: no rows; expected one sentence in each")
        return as_dataset(tables, rows)


def with_stream(split: Dataset, stream: Stream) -> None:
    """Keep a stream with its sample, which stands for it until it is mapped or selected from."""
    vars(split)[_STREAM] = stream


def stream_of(split: Dataset) -> Stream | None:
    """Return the stream whose sample this is; None for a split that is whole."""
    found: Stream | None = vars(split).get(_STREAM)
    return found


def tables_of(rows: IterableDataset, shard: int) -> Iterator[pa.Table]:
    """Yield the rows of a shard in tables of one size, the same on every call."""
    part = rows.shard(num_shards=rows.num_shards, index=shard) if rows.num_shards > 1 else rows
    yield from part.with_format("arrow").iter(batch_size=_TABLE)


def as_dataset(tables: Sequence[pa.Table], rows: IterableDataset) -> Dataset:
    """Return tables of a stream as a dataset in memory."""
    table = pa.concat_tables(tables, promote_options="permissive")
    return Dataset(table, info=DatasetInfo(features=rows.features))


def _check_streamed(files: SplitFiles) -> None:
    """Refuse files that can only be read whole.

    Raises:
        DataError: One is no JSON Lines, Parquet, column file or table, or is no regular file.
    """
    advice = f"; write JSON Lines with hf-tagging convert, or leave {argument('streaming')} out"
    if files.kind not in _STREAMED:
        raise DataError(f"{files.place}: {files.kind} is read whole and cannot be streamed{advice}")
    for path, name, shape in zip(files.paths, files.names, files.shapes or [""] * len(files.paths), strict=True):
        is_array = files.kind == "json" and beginning_of(path).removeprefix(BOM).lstrip().startswith(b"[")
        if shape or is_array or str(path) != name:
            what = shape or ("an array of JSON" if is_array else "what is no regular file")
            raise DataError(f"{name}: {what} is read whole and cannot be streamed{advice}")
