"""Request for the annotation of a corpus: what is annotated by which tagger, and how its shards are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from hf_tagging.errors import ConfigError, Problem
from hf_tagging.inference.reading import Precision
from hf_tagging.inference.word_tagger import checked_confidence

InputFormat = Literal["parquet", "arrow", "jsonl", "csv", "text"]
OutputFormat = Literal["parquet", "jsonl"]
Engine = Literal["local", "ray"]
ROWS_PER_SHARD = 10_000
MAX_CHARACTERS = 1_000_000

# What may differ when an annotation goes on: where and how fast it runs, not what it gives.
_FREE = frozenset({"input", "output", "model", "device", "tokens_per_batch", "workers", "engine", "ray_address"})


@dataclass(frozen=True, kw_only=True)
class AnnotationRequest:
    """An annotation of a corpus.

    Args:
        model: Tagger, as `Tagger.from_pretrained` takes it; several make an ensemble.
        input: Files, folders of files, folders of `save_to_disk`, or one name on the Hub.
        output: Folder of the shards.
        format: Format of the shards, ``"parquet"`` or ``"jsonl"``.
        input_format: Format of the input. Default: by suffix and first bytes.
        text_column: Column of the texts. Default: ``text``.
        tokens_column: Column of the words, for rows that are divided into words. Default: ``tokens``, if there is one.
        prefix: Put before the names of the columns that are added.
        separator: Separator of CSV: ``tab`` or one character. Default: the one with which there is the column.
        split: Split of a dataset on the Hub or of `save_to_disk`. Needed where there are several.
        dataset_config: Configuration of a dataset on the Hub.
        dataset_revision: Branch, tag or commit of a dataset on the Hub.
        splitter: How text is cut into words; see `Tagger.tag_text`.
        split_sentences: Tag a text sentence by sentence; see `Tagger.tag_text`.
        max_characters: A longer text is set aside.
        rows_per_shard: Rows of the input in each shard.
        revision: Of a model on the Hub.
        trust_remote_code: Run code that comes with the model.
        device: Device of every worker. Default: the accelerators in turns, else the CPU.
        precision: See `Tagger`.
        dtype: See `Tagger.from_pretrained`.
        tokens_per_batch: See `Tagger`.
        min_confidence: See `Tagger`.
        rules: File of rules beside the tagger, ``"none"`` for none. Default: those that come with it.
        workers: Processes that tag, each with a model of its own. Default: one per accelerator, else one per core, at
            most eight.
        engine: ``"local"``, processes of this machine, or ``"ray"``, Ray Data on this machine or a cluster.
        ray_address: Of a Ray cluster. Default: the one that ``RAY_ADDRESS`` names, else one of this machine alone.
    """

    model: Sequence[str]
    input: Sequence[str]
    output: str
    format: OutputFormat = "parquet"
    input_format: InputFormat | None = None
    text_column: str | None = None
    tokens_column: str | None = None
    prefix: str = ""
    separator: str | None = None
    split: str | None = None
    dataset_config: str | None = None
    dataset_revision: str | None = None
    splitter: str | None = None
    split_sentences: bool = True
    max_characters: int = MAX_CHARACTERS
    rows_per_shard: int = ROWS_PER_SHARD
    revision: str | None = None
    trust_remote_code: bool = False
    device: str | None = None
    precision: Precision | None = None
    dtype: str | None = None
    tokens_per_batch: int | None = None
    min_confidence: float = 0.0
    rules: str | None = None
    workers: int | None = None
    engine: Engine = "local"
    ray_address: str | None = None

    def __post_init__(self) -> None:
        checked_confidence(self.min_confidence)
        if problems := [*self._problems()]:
            raise ConfigError(problems)

    def _problems(self) -> list[Problem]:
        found = [
            Problem(name, value, f"{value!r} is not one of {', '.join(get_args(kind))}")
            for name, kind in (("format", OutputFormat), ("input_format", InputFormat), ("engine", Engine))
            if (value := getattr(self, name)) is not None and value not in get_args(kind)
        ]
        found += [
            Problem(name, value, f"{value} is not a positive number")
            for name in ("rows_per_shard", "max_characters", "workers", "tokens_per_batch")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if self.text_column is not None and self.tokens_column is not None:
            found.append(Problem("text_column, tokens_column", None, "rows are tagged by one of them", "leave one out"))
        if self.ray_address is not None and self.engine != "ray":
            found.append(Problem("ray_address", self.ray_address, "goes with the engine ray", "leave it out"))
        if isinstance(self.model, str) or isinstance(self.input, str) or not self.model or not self.input:
            found.append(Problem("model, input", None, "expected a list of names for each"))
        return found

    def asked(self) -> dict[str, object]:
        """Return the arguments that decide what is written; the others may differ when an annotation goes on."""
        return {name: value for name, value in asdict(self).items() if name not in _FREE}

    @classmethod
    def from_arguments(cls, values: Mapping[str, object]) -> AnnotationRequest:
        """Return the request that parsed arguments make; names of `values` are those of the fields."""
        return cls(**values)  # type: ignore[arg-type]  # argparse has converted and checked them
