"""Arguments that say where words and tags come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hf_tagging.data.request import ReadOptions
from hf_tagging.data.splitting import CUTS, HoldOut
from hf_tagging.data.spool import input_problem
from hf_tagging.disk import expanded
from hf_tagging.errors import Problem
from hf_tagging.training.config.checks import below, missing_files, missing_paths, refuse, wrong_kinds
from hf_tagging.training.config.given import Config, Given, remembering


@dataclass(kw_only=True)
class DataSource:
    """Where words and tags come from."""

    dataset: str = field(
        default="conll2003",
        metadata={
            "help": "A name on the Hub (`conll2003` for short), `sample` (the embedded corpus), a folder or file of "
            "columns, CoNLL-U, JSON Lines or Parquet, or a folder written by save_to_disk."
        },
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a dataset on the Hub."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Revision of a dataset on the Hub."})
    train_file: list[str] | None = field(default=None, metadata={"help": "File or files to train on."})
    validation_file: list[str] | None = field(default=None, metadata={"help": "File or files to validate on."})
    test_file: list[str] | None = field(default=None, metadata={"help": "File or files to test on."})


@remembering
@dataclass
class DataConfig(ReadOptions, DataSource, Config):
    """Where words and tags come from, how they are read, and how they become windows."""

    also_test: list[str] | None = field(
        default=None,
        metadata={
            "help": "File or files with the sentences of the test split and other tags, such as corrected ones: the "
            "predictions are scored against both. Columns and scheme are detected anew."
        },
    )
    validation_share: float | None = field(
        default=None, metadata={"help": "Share of the training documents to hold out for validation, as 0.1."}
    )
    test_share: float | None = field(
        default=None,
        metadata={
            "help": "Share of the training documents to hold out for test. What is held out is drawn with split_seed."
        },
    )
    folds: int | None = field(
        default=None,
        metadata={
            "help": "Cut the training documents into N parts and test on one of them; drawn as for test_share. Over "
            "all N runs with one split_seed every sentence is tested once."
        },
    )
    fold: int | None = field(default=None, metadata={"help": "The part to test on, from 0 to folds - 1."})
    split_seed: int | None = field(
        default=None,
        metadata={
            "help": "Seed that draws what validation_share, test_share and folds hold out, and nothing else: runs over "
            "several seeds that are to be compared want one. Default: data_seed (of the order of batches), without it "
            "seed."
        },
    )
    scheme: Literal["IOB1", "IOB2", "BIOES"] | None = field(
        default=None,
        metadata={"help": "How the model writes entities as tags (NER). Default: IOB2, or that of a model that tags."},
    )
    label_strategy: Literal["first", "all"] = field(
        default="first", metadata={"help": "Subwords that carry a word's label: the first, or all."}
    )
    case_dropout: float = field(
        default=0.0,
        metadata={
            "help": "Share of the training sentences that are read in lower case or in capitals, half and half, so "
            "that the tagger learns to do without casing."
        },
    )
    text_file: list[str] | None = field(
        default=None,
        metadata={
            "help": "Plain text, a sentence or paragraph a line, to learn from beside the training data: a teacher "
            "tags it."
        },
    )
    streaming: bool = field(
        default=False,
        metadata={
            "help": "Read the training split while it is learned from, for corpora larger than the disk: JSON Lines, "
            "Parquet, column files, tables, or a dataset of the Hub. Its tags are those of its first sentences, of the "
            "other splits, or tag_names. Needs max_steps."
        },
    )
    max_length: int | None = field(
        default=None,
        metadata={"help": "Subwords per window, special tokens included. Default: what the model takes, at most 512."},
    )
    window_overlap: int | None = field(
        default=None,
        metadata={"help": "Subwords by which windows overlap at least. Default: a quarter of a window."},
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on the first N sentences only."})
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "Validate and test on the first N sentences only."}
    )
    num_proc: int | None = field(default=None, metadata={"help": "Processes that read and align the data."})

    def __post_init__(self, given: Given | None) -> None:
        refuse(wrong_kinds(self))
        problems = [*below(self, 1, "max_train_samples", "max_eval_samples", "num_proc"), *below(self, 3, "max_length")]
        problems += below(self, 0, "window_overlap", "split_seed")
        if not 0 <= self.case_dropout <= 1:
            problems.append(Problem("case_dropout", self.case_dropout, f"{self.case_dropout} is not between 0 and 1"))
        if self.split_seed is not None and all(getattr(self, cut) is None for cut in CUTS):
            reason = "nothing is drawn with it"
            problems.append(
                Problem("split_seed", self.split_seed, reason, f"give one of {', '.join(CUTS)}, or leave it out")
            )
        hold_out = HoldOut(
            validation_share=self.validation_share, test_share=self.test_share, folds=self.folds, fold=self.fold
        )
        problems += hold_out.problems()
        problems += missing_files(self, "train_file", "validation_file", "test_file", "also_test", "text_file")
        problems += missing_paths(self, "dataset")
        path = expanded(self.dataset)
        if path.exists() and not path.is_dir() and (unreadable := input_problem(self.dataset)):
            problems.append(Problem("dataset", self.dataset, unreadable))
        refuse(problems)
