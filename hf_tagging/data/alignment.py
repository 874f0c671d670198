"""Alignment of words and subwords: labels with -100 on the way in, one tag per word on the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, Features
from datasets.fingerprint import Hasher
from transformers import PreTrainedTokenizerBase

from hf_tagging.data import casing, documents, prefixes, pretokenized, rows, window_plans
from hf_tagging.data import schema as schemas
from hf_tagging.data import windows as windowing
from hf_tagging.data import word_features as further_columns
from hf_tagging.data.aligned import IGNORED, AlignedSplit
from hf_tagging.data.bars import bars_on_terminals
from hf_tagging.data.documents import document_bounds
from hf_tagging.data.rows import arrow_batches, flat_lists, reopened, row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.windows import Aligner, Windows
from hf_tagging.data.word_features import feature_ids
from hf_tagging.errors import ConfigError
from hf_tagging.foreign.datasets import fingerprint_of

LABEL_STRATEGIES = ("first", "all")


@bars_on_terminals()
def align_dataset(
    dataset: DatasetDict,
    tokenizer: PreTrainedTokenizerBase,
    schema: TagSchema,
    *,
    overlap: int | None = None,
    context: int = 0,
    label_strategy: str = "first",
    word_features: Mapping[str, Sequence[str]] | None = None,
    num_proc: int | None = None,
) -> dict[str, AlignedSplit]:
    """Align every split of a dataset with the subwords of a tokenizer.

    Args:
        dataset: Splits with `tokens` and, where labels are wanted, `tags`.
        tokenizer: Fast; its `model_max_length` is the length of a window.
        schema: The tags; `dataset`'s label ids are this schema's.
        overlap: See `Aligner`.
        context: See `Aligner`; documents are the runs of rows with one `document_id`.
        label_strategy: See `align_split`.
        word_features: See `align_split`.
        num_proc: Processes.
    """
    aligner = Aligner(tokenizer, overlap=overlap, context=context)
    return {
        name: align_split(
            split,
            aligner,
            schema,
            label_strategy=label_strategy,
            word_features=word_features,
            num_proc=num_proc,
        )
        for name, split in dataset.items()
    }


def align_split(
    dataset: Dataset,
    aligner: Aligner,
    schema: TagSchema,
    *,
    label_strategy: str = "first",
    word_features: Mapping[str, Sequence[str]] | None = None,
    num_proc: int | None = None,
) -> AlignedSplit:
    """Align a split; `datasets` caches the result by source, tokenizer, settings and the code of this module.

    Args:
        dataset: `tokens` and, where labels are wanted, `tags`.
        aligner: Tokenizer and window size.
        schema: The tags; `dataset`'s label ids are this schema's.
        label_strategy: ``"first"``: a word's first subword carries its label, the others -100. ``"all"``: every
            subword does, ``B-X`` and ``S-X`` turned ``I-X`` inside a word. Words are read at their first subword
            in both cases. The subword behind a case marker carries its word's label too, as `pipeline` takes marker
            and word for two words, which are then one entity.
        word_features: Further columns of `dataset` with their values in the order of their ids, as `feature_values`
            finds them. A value's id is its position + 1; 0 is any other value, and a special token.
        num_proc: Processes.

    Raises:
        ConfigError: If `label_strategy` is unknown.
        DataError: If a further column is not there, or has not one string per word.
    """
    if label_strategy not in LABEL_STRATEGIES:
        raise ConfigError(f"label_strategy: {label_strategy!r} is not one of {', '.join(LABEL_STRATEGIES)}.")
    tokenizer = aligner.tokenizer
    further = [(column, list(values)) for column, values in (word_features or {}).items()]
    # The tokenizer's own hash changes when it is used; its content does not.
    fingerprint = Hasher.hash(
        (fingerprint_of(dataset), tokenizer.backend_tokenizer.to_str(), aligner.max_length, aligner.overlap,
         aligner.context, aligner._separator, aligner._lead, schema.tags, schema.scheme, label_strategy,
         further, _code_hash())
    )  # fmt: skip
    source = reopened(dataset).with_format("arrow")
    features = source.map(
        _align_batch,
        batched=True,
        with_indices=True,
        remove_columns=dataset.column_names,
        features=Features.from_arrow_schema(pa.schema(_types(aligner, schema, further=bool(further)))),
        fn_kwargs={
            "aligner": aligner,
            "schema": schema,
            "label_strategy": label_strategy,
            "further": dict(further),
            "documents": _Documents(source, document_bounds(dataset)) if aligner.context else None,
        },
        num_proc=num_proc,
        new_fingerprint=fingerprint,
        desc="Aligning words and subwords",
    )
    sizes = [pc.list_value_length(batch.column("tokens")).to_numpy() for batch in arrow_batches(dataset, "tokens")]
    return AlignedSplit(
        dataset, features.with_format(None), row_starts(np.concatenate([np.zeros(0, np.int64), *sizes]))
    )


@cache
def _code_hash() -> str:
    """Return a hash of this code, so that results of older code are not taken from the cache."""
    modules = (casing, windowing, window_plans, rows, documents, pretokenized, schemas, prefixes, further_columns)
    files = [__file__, *(str(module.__file__) for module in modules)]
    return str(Hasher.hash([Path(file).read_bytes() for file in files]))


def _types(aligner: Aligner, schema: TagSchema, *, further: bool) -> dict[str, pa.DataType]:
    """Return the narrowest column types of `features` that fit, since the file is mapped into memory."""
    label, position = (pa.int16() if n < 2**15 else pa.int32() for n in (len(schema.tags), aligner.max_length))
    lists = {"input_ids": pa.int32(), "labels": label, "word_starts": position}
    lists |= {"word_features": pa.int32()} if further else {}
    numbers = ("sentence", "first_word", "length", "vanished", "shortened", "unknown", "first_unknown")
    return {name: pa.list_(kind) for name, kind in lists.items()} | dict.fromkeys(numbers, pa.int32())


@dataclass(frozen=True)
class _Documents:
    """Documents of a split, of which `datasets` gives the rows in batches that know nothing of them.

    Args:
        source: The split, which reads as tables.
        bounds: See `document_bounds`.
    """

    source: Dataset
    bounds: np.ndarray

    def of(self, rows: list[int]) -> tuple[pa.Table, list[int], np.ndarray]:
        """Return the documents that begin in a batch of rows as a table, with its rows and the bounds in it.

        Whatever the size of batches and the number of processes, each document is whole in one of them.
        """
        first, end = np.searchsorted(self.bounds[:-1], [rows[0], rows[-1] + 1]).tolist()
        bounds = self.bounds[first : end + 1]
        begin, behind = int(bounds[0]), int(bounds[-1])
        return self.source[begin:behind], [*range(begin, behind)], bounds - begin


def _align_batch(
    table: pa.Table,
    indices: list[int],
    aligner: Aligner,
    schema: TagSchema,
    label_strategy: str,
    further: dict[str, list[str]],
    documents: _Documents | None,
) -> pa.Table:
    bounds = None
    if documents is not None:
        table, indices, bounds = documents.of(indices)
    windows = aligner.windows(table.column("tokens").to_pylist(), bounds)
    starts, start_offsets = windows.word_starts()
    if "tags" in table.column_names:
        labels = label_subwords(windows, flat_lists(table.column("tags"))[0], schema, label_strategy)
    else:
        labels = np.full(len(windows.input_ids), IGNORED)
    lists = {
        "input_ids": (windows.input_ids, windows.offsets),
        "labels": (labels, windows.offsets),
        "word_starts": (starts, start_offsets),
    }
    if further:
        ids = np.pad(feature_ids(table, further), ((0, 1), (0, 0)))  # (words + 1, columns); -1 is a special token's
        lists["word_features"] = (ids[windows.words].ravel(), windows.offsets * len(further))
    numbers = {
        "sentence": np.asarray(indices)[windows.sentence],
        "first_word": windows.first_word,
        "length": np.diff(windows.offsets),
        "vanished": windows.vanished,
        "shortened": windows.shortened,
        "unknown": windows.unknown,
        "first_unknown": windows.first_unknown,
    }
    types = _types(aligner, schema, further=bool(further))
    columns: dict[str, pa.Array] = {name: pa.array(values, types[name]) for name, values in numbers.items()}
    for name, (values, offsets) in lists.items():
        columns[name] = pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()), pa.array(values, types[name].value_type)
        )
    return pa.table({name: columns[name] for name in types})


def label_subwords(windows: Windows, label_ids: np.ndarray, schema: TagSchema, strategy: str = "first") -> np.ndarray:
    """Return labels for the subwords of all windows, -100 where a word is not scored.

    Args:
        windows: From `Aligner.windows`.
        label_ids: Label ids of all words of the batch, -100 of a word that is not annotated. (words,)
        schema: The tags.
        strategy: See `align_split`.

    Returns:
        Labels. (subwords,) int64
    """
    labels = np.full(len(windows.input_ids), IGNORED, dtype=np.int64)
    head = windows.owned & windows.heads
    labels[head] = label_ids[windows.words[head]]
    tail = windows.owned & ~windows.heads & (windows.marked | (strategy == "all"))
    ids = label_ids[windows.words[tail]]
    labels[tail] = np.where(ids < 0, IGNORED, schema.continuation_ids()[np.maximum(ids, 0)])
    return labels


def vocabulary(split: Dataset | None) -> frozenset[str] | None:
    """Return all distinct words of a split, in their original spelling; None without a split."""
    if split is None:
        return None
    batches = arrow_batches(split, "tokens")
    return frozenset().union(
        *(pc.unique(batch.column("tokens").combine_chunks().flatten()).to_pylist() for batch in batches)
    )
