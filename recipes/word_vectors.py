"""Train word vectors on the words of tagging data, or on any text: skip-gram, CBOW or fastText.

    python recipes/word_vectors.py --dataset conll2003 --output vectors.txt
    python recipes/word_vectors.py --text_file news.txt more.txt --algorithm fasttext --output vectors.bin
    python recipes/word_vectors.py --train_file posts.jsonl --text_column text --algorithm cbow --output vectors.txt

Taggers from scratch start from the file with `--word_vectors FILE`. A name that ends in .bin is written in binary (of
fastText with its n-grams, so that unseen words have vectors too), .txt and .vec as text.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from datasets import load_dataset
from datasets.exceptions import DatasetsError

from hf_tagging.console import plain_errors
from hf_tagging.data import load_tagging_dataset, split_words
from hf_tagging.data.plain_text import read_table
from hf_tagging.data.spool import Spool
from hf_tagging.errors import DataError, Problem, printable
from hf_tagging.models.vector_training import check_output, neighbours, train_vectors, write_vectors
from hf_tagging.models.word_vectors import check_gensim
from hf_tagging.training.config.checks import below, missing_files, refuse
from hf_tagging.training.flags import read_arguments


@dataclass
class VectorConfig:
    """Data and settings of word vectors."""

    output: str = field(default="", metadata={"help": "File to write: .txt, .vec (text) or .bin (binary)."})
    dataset: str | None = field(
        default=None, metadata={"help": "Tagging data, or with text_column any data: a name, folder or file."}
    )
    train_file: list[str] | None = field(default=None, metadata={"help": "The same as files."})
    text_file: list[str] | None = field(default=None, metadata={"help": "Plain text, a sentence or paragraph a line."})
    text_column: str | None = field(
        default=None, metadata={"help": "Column of running text, or of words without tags, in the data."}
    )
    algorithm: Literal["skipgram", "cbow", "fasttext"] = field(default="skipgram", metadata={"help": "How to train."})
    size: int = field(default=100, metadata={"help": "Dimensions of a vector."})
    window: int = field(default=5, metadata={"help": "Words on each side that count as context, at most."})
    min_count: int = field(default=2, metadata={"help": "Leave out words that are less frequent."})
    epochs: int = field(default=10, metadata={"help": "Passes over the text."})
    seed: int = field(default=42, metadata={"help": "With one worker, the same seed gives the same vectors."})
    workers: int = field(default=1, metadata={"help": "Threads."})
    buckets: int = field(default=200_000, metadata={"help": "Vectors that the n-grams of fastText share."})
    lowercase: bool = field(default=False, metadata={"help": "Read the text in lower case."})
    overwrite: bool = field(default=False, metadata={"help": "Replace the output file if it is there."})

    def __post_init__(self) -> None:
        counts = ("size", "window", "min_count", "epochs", "workers", "buckets")
        problems = list(below(self, 1, *counts))
        problems += [] if self.output else [Problem("output", None, "is missing; give a FILE")]
        sources = [name for name in ("dataset", "train_file", "text_file") if getattr(self, name)]
        if len(sources) != 1:
            found = " and ".join(sources) or "none of them"
            problems.append(Problem("dataset, train_file, text_file", None, f"expected one of them, got {found}"))
        if self.text_column and self.text_file:
            fix = "give train_file or dataset, or leave it out"
            problems.append(Problem("text_column", self.text_column, "a plain text has no columns", fix))
        refuse([*problems, *missing_files(self, "train_file", "text_file")])


def main() -> None:
    args = read_arguments(VectorConfig, description=__doc__)
    check_gensim()
    check_output(args.output, overwrite=args.overwrite)

    # Words in: in memory, as every epoch reads them again.
    sentences = [[word.lower() for word in words] if args.lowercase else words for words in read_words(args)]
    print(f"{sum(map(len, sentences)):,} words in {len(sentences):,} sentences")
    started = time.perf_counter()
    names = ("algorithm", "size", "window", "min_count", "epochs", "seed", "workers", "buckets")
    model = train_vectors(sentences, **{name: getattr(args, name) for name in names})
    seconds = time.perf_counter() - started

    write_vectors(model, args.output, overwrite=args.overwrite)
    print(f"{args.output}: {len(model.wv):,} words of {args.size} dimensions, trained in {seconds:.1f} s")
    for word, near in neighbours(model.wv).items():
        print(printable(f"  {word}: {', '.join(near)}"))


def read_words(args: VectorConfig) -> Iterator[list[str]]:
    if not args.text_file and not args.text_column:
        yield from load_tagging_dataset(args.dataset, task="pos", train_file=args.train_file)["train"]["tokens"]
        return
    for row in read_column(args) if args.text_column else read_lines(args.text_file or []):
        words = [row[start:end] for start, end in split_words(row)] if isinstance(row, str) else row
        if words:
            yield words


def read_lines(files: list[str]) -> Iterator[str]:
    with Spool() as spool:
        for name in files:
            with open(spool.file(name), encoding="utf-8-sig", errors="replace") as file:
                yield from file


def read_column(args: VectorConfig) -> Iterator[str | list[str]]:
    name, path = str(args.dataset), Path(str(args.dataset)).expanduser()
    files = args.train_file or ([name] if path.exists() and not path.is_dir() else None)
    try:
        rows = read_table(files) if files else load_dataset(name, split="train")
    except (OSError, ValueError, DatasetsError) as error:
        raise DataError(f"{', '.join(files or [name])}: cannot be read ({' '.join(str(error).split())}).") from error
    if args.text_column not in rows.column_names:
        raise DataError(f"text_column: {args.text_column} is none of the columns {', '.join(rows.column_names)}.")
    yield from rows[args.text_column]


if __name__ == "__main__":
    with plain_errors(interrupted="No output file was changed."):
        main()
