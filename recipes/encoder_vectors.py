"""Write the word vectors of an encoder: a tagger from scratch starts from what the encoder knows of words.

    python recipes/encoder_vectors.py --model minilm --dataset conll2003 --output vectors.txt
    python recipes/encoder_vectors.py --model runs/minilm --dataset conll2003 --lowercase --output vectors.txt
    python recipes/encoder_vectors.py --model minilm --train_file train.txt --words_file words.txt --output vectors.txt

The words are those of the training split, and those of --words_file, one a line, such as the most frequent words of a
language: `--vector_words N` lets the tagger know words that its training lacks. Give --lowercase and --fold_digits
where the tagger has them.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from hf_tagging.console import plain_errors
from hf_tagging.data import load_tagging_dataset
from hf_tagging.data.spool import Spool
from hf_tagging.errors import Problem, printable
from hf_tagging.models.encoder_vectors import encoder_vectors
from hf_tagging.models.vector_training import check_output, neighbours, write_vectors
from hf_tagging.training.config.checks import below, missing_files, refuse
from hf_tagging.training.flags import read_arguments


@dataclass
class EncoderVectorConfig:
    """Words, and the encoder that reads them."""

    output: str = field(default="", metadata={"help": "File to write: .txt, .vec (text) or .bin (binary)."})
    model: str = field(default="minilm", metadata={"help": "An encoder, or a tagger that has one: name or folder."})
    model_revision: str | None = field(default=None, metadata={"help": "Revision of a model on the Hub."})
    dataset: str | None = field(default=None, metadata={"help": "Tagging data: a name, folder or file."})
    train_file: list[str] | None = field(default=None, metadata={"help": "The same as files."})
    words_file: list[str] | None = field(default=None, metadata={"help": "Further words, one a line."})
    size: int = field(default=128, metadata={"help": "Dimensions of a vector."})
    lowercase: bool = field(default=False, metadata={"help": "Write all words in lower case."})
    fold_digits: bool = field(default=False, metadata={"help": "Write every digit as 0."})
    overwrite: bool = field(default=False, metadata={"help": "Replace the output file if it is there."})

    def __post_init__(self) -> None:
        problems = list(below(self, 1, "size"))
        problems += [] if self.output else [Problem("output", None, "is missing; give a FILE")]
        if (self.dataset is None) == (self.train_file is None):
            problems.append(Problem("dataset, train_file", None, "expected one of them"))
        refuse([*problems, *missing_files(self, "train_file", "words_file")])


def main() -> None:
    args = read_arguments(EncoderVectorConfig, description=__doc__)
    check_output(args.output, overwrite=args.overwrite)

    data = load_tagging_dataset(args.dataset, task="pos", train_file=args.train_file)
    counts = Counter(chain.from_iterable(data["train"]["tokens"]))
    trained = dict.fromkeys(folded(args, word) for word, _ in counts.most_common())
    words = list(trained | dict.fromkeys(folded(args, word) for word in read_words(args)))
    print(f"{len(words):,} words, {len(trained):,} of them from training")

    started = time.perf_counter()
    vectors = encoder_vectors(words, args.model, size=args.size, revision=args.model_revision)
    write_vectors(vectors, args.output, overwrite=args.overwrite)
    print(f"{args.output}: {args.size} dimensions, written after {time.perf_counter() - started:.1f} s")
    for word, near in neighbours(vectors).items():
        print(printable(f"  {word}: {', '.join(near)}"))


def read_words(args: EncoderVectorConfig) -> Iterator[str]:
    with Spool() as spool:
        for name in args.words_file or []:
            with open(spool.file(name), encoding="utf-8-sig", errors="replace") as file:
                yield from filter(None, map(str.strip, file))


def folded(args: EncoderVectorConfig, word: str) -> str:
    word = word.lower() if args.lowercase else word
    return re.sub(r"\d", "0", word) if args.fold_digits else word


if __name__ == "__main__":
    with plain_errors(interrupted="No output file was changed."):
        main()
