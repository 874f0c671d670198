"""Alignment of words and subwords: labels with -100 on the way in, one tag per word on the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

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
from hf_tagging.data.bars import bars_on_terminals
from hf_tagging.data.documents import document_bounds
from hf_tagging.data.prefixes import UNSCORED_ID
from hf_tagging.data.rows import arrow_batches, flat_lists, reopened, row_ranges, row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.windows import Aligner, Windows
from hf_tagging.data.word_features import feature_ids
from hf_tagging.errors import ConfigError
from hf_tagging.foreign.datasets import fingerprint_of

IGNORED = UNSCORED_ID  # the label that PyTorch's cross-entropy and the Trainer leave out
_EXAMPLES = 3
LABEL_STRATEGIES = ("first", "all")


@dataclass(frozen=True)
class AlignmentCounts:
    """Counts of everything that alignment changed in a split."""

    sentences: int
    words: int
    windows: int
    windowed_sentences: int
    vanished_words: int
    shortened_words: int
    unknown_words: int = 0
    unknown_examples: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return one line for the log; empty if every sentence fits a window and every word has its subwords."""
        parts = []
        if self.windowed_sentences:
            parts.append(
                f"{self.windowed_sentences:,} sentences longer than a window ({self.windows:,} windows in all)"
            )
        if self.vanished_words:
            parts.append(f"{self.vanished_words:,} words without subwords become the unknown token")
        if self.shortened_words:
            parts.append(f"{self.shortened_words:,} words longer than a window keep their beginning")
        if self.unknown_words:
            share, examples = f"{self.unknown_share:.1%}", ", ".join(map(repr, self.unknown_examples))
            parts.append(f"{self.unknown_words:,} words ({share}) are nothing but the unknown token ({examples})")
        return "; ".join(parts)

    @property
    def unknown_share(self) -> float:
        """Share of the words that are nothing but the unknown token."""
        return self.unknown_words / self.words if self.words else 0.0


@dataclass(frozen=True)
class AlignedSplit:
    """A split of a dataset with the windows that a model reads.

    Args:
        words: The source: `tokens`, `tags`, `document_id`, a row per sentence.
        features: A row per window: `input_ids`, `labels`; for reading the result `sentence` (row in `words` of the
            first one), `first_word`, `word_starts` (positions of the words that this window owns, with context of
            several sentences); `length`; for the counts
            `vanished`, `shortened`, `unknown` and `first_unknown`; with further columns `word_features`, their ids
            subword after subword, for each subword one per column.
        sentence_starts: Number of each sentence's first word in the split, and the end. (sentences + 1,)
    """

    words: Dataset
    features: Dataset
    sentence_starts: np.ndarray

    def counts(self) -> AlignmentCounts:
        """Return the counts of what alignment changed."""
        windows = np.zeros(len(self.words), np.int64)
        vanished = shortened = 0
        unknown = 0
        for batch in arrow_batches(self.features, "sentence", "vanished", "shortened", "unknown"):
            np.add.at(windows, batch.column("sentence").to_numpy(), 1)
            unknown += int(batch.column("unknown").to_numpy().sum())
            vanished += int(batch.column("vanished").to_numpy().sum())
            shortened += int(batch.column("shortened").to_numpy().sum())
        return AlignmentCounts(
            sentences=len(self.words),
            words=int(self.sentence_starts[-1]),
            windows=len(self.features),
            windowed_sentences=int(np.count_nonzero(windows > 1)),
            vanished_words=vanished,
            shortened_words=shortened,
            unknown_words=unknown,
            unknown_examples=self._unknown_examples() if unknown else (),
        )

    def _unknown_examples(self) -> tuple[str, ...]:
        """Return the first different words that are nothing but the unknown token."""
        found: dict[str, None] = {}
        for batch in arrow_batches(self.features, "sentence", "first_unknown"):
            sentence, word = (batch.column(name).to_numpy() for name in ("sentence", "first_unknown"))
            for window in np.flatnonzero(word >= 0).tolist():
                place = self.sentence_starts[sentence[window]] + word[window]
                row = int(np.searchsorted(self.sentence_starts, place, "right")) - 1  # of several with context
                found[self.words[row]["tokens"][int(place - self.sentence_starts[row])]] = None
                if len(found) == _EXAMPLES:
                    return tuple(found)
        return tuple(found)

    def longest_first(self) -> AlignedSplit:
        """Return the same split with its windows sorted by length, longest first, for batches with little padding."""
        order = np.argsort(-window_lengths(self.features), kind="stable")
        return AlignedSplit(self.words, self.features.select(order), self.sentence_starts)

    def read(self, windows: Sequence[np.ndarray], fill: int = IGNORED) -> np.ndarray:
        """Return one value per word from values per subword of the windows.

        Args:
            windows: For each row of `features` its values. (windows, at least that window's subwords)
            fill: The value of a word that no window owns; there is none unless `features` is a selection.

        Returns:
            Values, word after word, sentence after sentence. (words,)
        """
        result = np.full(self.sentence_starts[-1], fill, dtype=np.int64)
        begin = 0
        for batch in arrow_batches(self.features, "sentence", "first_word", "word_starts"):
            starts, bounds = flat_lists(batch.column("word_starts"))
            row, nth = row_ranges(np.diff(bounds))
            words = (self.sentence_starts[batch["sentence"].to_numpy()] + batch["first_word"].to_numpy())[row] + nth
            block = windows[begin : begin + batch.num_rows]
            widths = np.fromiter(map(len, block), np.int64, len(block))
            result[words] = np.concatenate(block)[row_starts(widths)[row] + starts]
            begin += batch.num_rows
        return result

    def per_sentence(self, values: Sequence[Any] | np.ndarray) -> list[list[Any]]:
        """Split values of words (words,) into a list per sentence."""
        bounds = self.sentence_starts
        return [list(values[a:b]) for a, b in pairwise(bounds)]


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


def window_lengths(features: Dataset) -> np.ndarray:
    """Return the number of subwords of each window of a split. (windows,)"""
    lengths = (batch.column("length").to_numpy() for batch in arrow_batches(features, "length"))
    return np.concatenate([np.zeros(0, np.int32), *lengths])


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


def without_marked_labels(split: AlignedSplit, markers: np.ndarray) -> AlignedSplit:
    """Return a split in which no subword behind a case marker has a label, for a model of chains of words.

    Args:
        split: From `align_split`.
        markers: Ids of the case markers. (markers,)
    """
    if not len(markers):
        return split
    features = split.features.with_format("arrow")
    changed = features.map(_unlabel_marked, batched=True, fn_kwargs={"markers": markers}, desc="Labels of words")
    return replace(split, features=changed.with_format(None))


def _unlabel_marked(table: pa.Table, markers: np.ndarray) -> pa.Table:
    ids, bounds = flat_lists(table.column("input_ids"))
    column = table.column("labels")
    labels = flat_lists(column)[0].copy()
    behind = np.zeros(len(ids), bool)
    behind[1:] = np.isin(ids[:-1], markers)
    labels[behind] = IGNORED
    lists = pa.LargeListArray if pa.types.is_large_list(column.type) else pa.ListArray
    at = table.schema.get_field_index("labels")
    return table.set_column(at, "labels", lists.from_arrays(bounds, pa.array(labels, column.type.value_type)))


def vocabulary(split: Dataset | None) -> frozenset[str] | None:
    """Return all distinct words of a split, in their original spelling; None without a split."""
    if split is None:
        return None
    batches = arrow_batches(split, "tokens")
    return frozenset().union(
        *(pc.unique(batch.column("tokens").combine_chunks().flatten()).to_pylist() for batch in batches)
    )
