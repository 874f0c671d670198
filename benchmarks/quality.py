"""Quality, and the time to reach it, against the stock recipe: entity F1 over seeds, seconds until the peer's own F1.

    python benchmarks/quality.py
    python benchmarks/quality.py --seeds 1 2 3 4 5 --target 0.911 --work runs/quality

Long: two trainings for each seed. A finished training is kept in --work and never repeated, so the same command goes on
where it was interrupted. Not part of `make bench`.

Ours is `recipes/ner_bert.py` with `--config`: the checkpoint that is best on validation at the end of an epoch. The
peer is `AutoModelForTokenClassification` under the stock Trainer at its defaults (batches of 8, learning rate 5e-5,
linear schedule, three epochs), the model that its last step leaves. --epochs gives both the same number of epochs. Both
are scored over whole sentences of words by the metric of this project, as conlleval counts; words that the peer's
truncation drops count as O.

Both are evaluated on validation every quarter of an epoch besides, and the clock of the curve stands still meanwhile,
and while checkpoints are written: the seconds are those of training alone, on a CPU those that the process computes (of
all its threads), so that what else the machine does counts little. A target counts as reached at the first
evaluation that has it; between evaluations nothing is read off the curve. The F1 is not that of the curve's best point.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from common import (
    INTERRUPTED,
    Corpus,
    describe_data,
    device_of,
    load_corpus,
    make_parser,
    missing,
    positive,
    row,
    synchronize,
    write_result,
)
from datasets import Dataset, DatasetDict
from trainers import our_trainer, stock_trainer
from transformers import Trainer, TrainerCallback

from hf_tagging.atomic import json_text, whole_file
from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError
from hf_tagging.evaluation.statistics import (
    SentenceCounts,
    approximate_randomization,
    bootstrap_interval,
    count_sentences,
    sum_seeds,
)
from hf_tagging.training.environment import git_revision

CONFIG = Path(__file__).parent.parent / "recipes" / "configs" / "ner" / "minilm_conll2003.yaml"
OURS, STOCK = "ours", "stock Trainer"
STOCK_EPOCHS = 3.0
SPLITS = ("validation", "test")
Record = dict[str, Any]
Count = Callable[[str], SentenceCounts]  # of a split by name


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, rounds=argparse.SUPPRESS, seed=argparse.SUPPRESS, sentences=argparse.SUPPRESS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="(1 2 3)")
    parser.add_argument("--epochs", type=float, help="of both sides; default: ours as --config says, the peer 3")
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"of our recipe ({CONFIG.name})")
    parser.add_argument("--target", type=float, help="validation F1 to reach; default: the peer's own final one")
    parser.add_argument("--evaluations", type=positive, default=4, help="per epoch, for the curve (4)")
    parser.add_argument("--sentences", type=positive, help="the first N of each split; default: all")
    parser.add_argument("--work", type=Path, default=Path("runs/quality"), help="finished trainings (runs/quality)")
    return parser.parse_args(argv)


class Curve(TrainerCallback):
    """Validation F1 over seconds of training; while it is evaluated or saved the clock stands still.

    Args:
        score: The F1 of the model as it is.
        per_epoch: How often it is asked.
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, score: Callable[[], float], per_epoch: int, device: str):
        self.score, self.per_epoch, self.device = score, per_epoch, device
        self.seconds = 0.0
        self.points: list[dict[str, float]] = []
        self._since = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Starts the clock."""
        self._since = self._now()

    def on_step_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Takes the time of a step, and evaluates where that is due."""
        asked = args.num_train_epochs * self.per_epoch  # in all
        due = [int(step * asked / state.max_steps) for step in (state.global_step - 1, state.global_step)]
        if due[0] < due[1]:
            synchronize(self.device)
        self.seconds += self._now() - self._since
        if due[0] < due[1]:
            with torch.random.fork_rng():  # a loader draws a seed: the training goes on as if nobody had looked
                f1 = self.score()
            self.points.append({"epoch": due[1] / self.per_epoch, "seconds": round(self.seconds, 2), "f1": f1})
            print(f"  epoch {due[1] / self.per_epoch:g}: validation F1 {f1:.4f} ({self.seconds:.0f} s)", flush=True)
        self._since = self._now()

    def on_evaluate(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Leaves out the Trainer's own evaluation."""
        self._since = self._now()

    def on_save(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Leaves out the writing of a checkpoint."""
        self._since = self._now()

    def _now(self) -> float:
        return time.process_time() if self.device == "cpu" else time.perf_counter()


# The sides


def ours(corpus: Corpus, args: argparse.Namespace, seed: int, folder: Path) -> tuple[Trainer, Count]:
    """Our trainer, and what counts its entities in a split."""
    flags = ["--config", str(args.config)]
    if args.epochs is not None:
        flags += ["--num_train_epochs", str(args.epochs)]
    trainer = our_trainer(corpus.dataset, corpus.schema, flags=flags, folder=str(folder), **_options(args, seed))

    def count(split: str) -> SentenceCounts:
        outcome = trainer.predict_words(trainer.splits[split], split)
        return count_sentences("ner", outcome.gold, outcome.predicted)

    return trainer, count


def stock(corpus: Corpus, args: argparse.Namespace, seed: int, folder: Path) -> tuple[Trainer, Count]:
    """Return the peer's trainer, and the function that counts its entities: read at first subwords, O where none is."""
    options = _options(args, seed) | {"num_train_epochs": _stock_epochs(args), "folder": str(folder)}
    trainer = stock_trainer(corpus.dataset, corpus.schema, **options)

    def count(split: str) -> SentenceCounts:
        words, tags = corpus.dataset[split], corpus.schema.tags
        logits = np.asarray(trainer.predict(trainer.features[split]).predictions)  # (sentences, subwords, tags)
        gold = [[tags[i] for i in sentence] for sentence in words["tags"]]
        return count_sentences(
            "ner", gold, read_first_subwords(words, logits.argmax(-1), trainer.processing_class, tags)
        )

    return trainer, count


def _stock_epochs(args: argparse.Namespace) -> float:
    return STOCK_EPOCHS if args.epochs is None else float(args.epochs)


def _options(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    return {"model": args.model, "device": device_of(args), "seed": seed}


def read_first_subwords(words: Dataset, labels: np.ndarray, tokenizer: Any, tags: tuple[str, ...]) -> list[list[str]]:
    """Return the tag that stands at the first subword of each word; O for words that have none.

    Args:
        words: The sentences.
        labels: Predicted label ids. (sentences, subwords)
        tokenizer: That made the subwords.
        tags: By label id.
    """
    encoded = tokenizer(list(words["tokens"]), truncation=True, is_split_into_words=True)
    read = []
    for i, sentence in enumerate(words["tokens"]):
        found = ["O"] * len(sentence)
        previous = None
        for position, word in enumerate(encoded.word_ids(batch_index=i)):
            if word is not None and word != previous:
                found[word] = tags[labels[i, position]]
            previous = word
        read.append(found)
    return read


# The trainings


def train(side: str, seed: int, corpus: Corpus, args: argparse.Namespace, asked: Record) -> Record:
    """Trains a side, or takes it from `--work` where it is finished.

    Raises:
        ConfigError: If what is there was asked something else.
    """
    name = f"{side.split()[0]}-seed-{seed}"
    path = args.work / f"{name}.json"
    if path.exists():
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["asked"] != asked:
            raise ConfigError(f"{path}: was asked {record['asked']}, and now {asked}. Give another --work.")
        print(f"{side}, seed {seed}: finished before", flush=True)
        return record
    print(f"{side}, seed {seed}:", flush=True)
    folder = args.work / f"{name}.run"
    shutil.rmtree(folder, ignore_errors=True)  # of a training that was interrupted
    trainer, count = (ours if side == OURS else stock)(corpus, args, seed, folder)
    curve = Curve(lambda: count("validation").score, args.evaluations, device_of(args))
    trainer.add_callback(curve)
    trainer.train()
    counts = {split: count(split) for split in SPLITS}
    record = {
        "asked": asked,
        "seconds": round(curve.seconds, 2),
        "curve": curve.points,
        "f1": {split: c.score for split, c in counts.items()},
        "counts": {split: c.values.tolist() for split, c in counts.items()},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_revision": git_revision(),
    }
    shutil.rmtree(folder, ignore_errors=True)
    with whole_file(path) as file:
        file.write(json_text(record, indent=None))
    return record


# The result


def seconds_until(record: Record, target: float) -> float | None:
    """Seconds of training until the first evaluation that has the target; None if there is none."""
    return next((point["seconds"] for point in record["curve"] if point["f1"] >= target), None)


def compare_f1(split: str, mine: list[Record], theirs: list[Record], against: str = STOCK) -> dict[str, Any]:
    """Return the line of a split: mean F1 over seeds, the paired difference with its interval and p-value."""
    first, second = (
        sum_seeds([SentenceCounts("ner", np.array(record["counts"][split])) for record in records])
        for records in (mine, theirs)
    )
    means = [fmean(record["f1"][split] for record in records) for records in (mine, theirs)]
    low, high = bootstrap_interval(first, second)
    return {
        "what": f"NER, {split} F1, {len(mine)} seed{'s' * (len(mine) != 1)}",
        "against": against,
        "unit": "",
        "show": "difference",
        "ours": means[0],
        "peer": means[1],
        "ratio": {"median": means[0] - means[1], "low": low, "high": high},
        "p_value": approximate_randomization(first, second),
    }


def compare(records: dict[str, list[Record]], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the lines of the result."""
    mine, theirs = records[OURS], records[STOCK]
    whole = [[record["seconds"] for record in side] for side in (mine, theirs)]
    return [
        *(compare_f1(split, mine, theirs) for split in SPLITS),
        *compare_time(mine, theirs, args.target),
        row("training to the end", STOCK, *whole, unit="s", less_is_better=True),
    ]


def compare_time(mine: list[Record], theirs: list[Record], target: float | None) -> list[dict[str, Any]]:
    """Return lines of the time to a validation F1: against the peer's first evaluation with it, and its whole training.

    The peer's final F1 takes the peer its whole training; that it is as good for a moment on the way, only somebody
    knows who evaluates as often as this curve does.
    """
    targets = [target or record["curve"][-1]["f1"] for record in theirs]
    ours_, stock_ = (list(map(seconds_until, side, targets)) for side in (mine, theirs))
    what = f"training until {f'validation F1 {target}' if target else 'the final validation F1 of the peer'}"
    lines = []
    for against, seconds in {
        f"{STOCK}, first evaluation with it": stock_,
        f"{STOCK}, whole training": [record["seconds"] for record in theirs],
    }.items():
        failed = [side for side, times in ((OURS, ours_), (STOCK, seconds)) if None in times]
        if failed:
            lines.append(missing(what, against, f"not reached by {' and '.join(failed)} in every seed"))
        else:
            lines.append(row(what, against, ours_, seconds, unit="s", less_is_better=True))
    return lines


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    corpus = load_corpus(args)
    kept = {name: s.select(range(min(args.sentences or len(s), len(s)))) for name, s in corpus.dataset.items()}
    corpus = Corpus(corpus.name, DatasetDict(kept), corpus.schema)
    data = describe_data(corpus, corpus.dataset["train"])
    asked = {"model": args.model, "evaluations": str(args.evaluations)}
    asked |= {"data": data["fingerprint"], "device": device_of(args)}
    asked_of = {
        OURS: asked | {"config": args.config.read_text(encoding="utf-8")},
        STOCK: asked | {"epochs": str(_stock_epochs(args))},
    }
    if args.epochs is not None:
        asked_of[OURS]["epochs"] = str(args.epochs)
    records: dict[str, list[Record]] = {OURS: [], STOCK: []}
    for number, seed in enumerate(args.seeds):
        for side in list(records)[:: -1 if number % 2 else 1]:
            records[side].append(train(side, seed, corpus, args, asked_of[side]))
    kept_figures = ("seconds", "curve", "f1", "finished", "git_revision")  # trainings may be of several days
    figures = {side: [{k: r.get(k) for k in kept_figures} for r in found] for side, found in records.items()}
    write_result("quality", args, compare(records, args), figures, data=data)


if __name__ == "__main__":
    with plain_errors(interrupted=f"{INTERRUPTED} Finished trainings are kept: the same command goes on."):
        main()
