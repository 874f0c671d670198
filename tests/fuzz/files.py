"""Random and damaged files of every format that is read: each is loaded, or ends in a message that names it."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import torch
from tiny_models import tiny_bert

from fuzz.damage import damaged
from fuzz.forked import run_forked
from hf_tagging.data import load_tagging_dataset
from hf_tagging.data.plain_text import load_text, read_table
from hf_tagging.data.text import split_words
from hf_tagging.inference.evaluating import evaluate_predictions
from hf_tagging.inference.file_formats import FORMATS
from hf_tagging.inference.files import tag_file
from hf_tagging.inference.parity import read_examples
from hf_tagging.inference.tagger import Tagger
from hf_tagging.models.word_vectors import read_vectors

Attempt = Callable[[], object]
_ROWS = [{"tokens": ["Jordan", "books", f"table{i}"], "tags": ["B-PER", "O", "O"]} for i in range(20)]
_SEEDS = {
    "train.conll": "".join("".join(f"{w} {t}\n" for w, t in zip(*row.values(), strict=True)) + "\n" for row in _ROWS),
    "train.txt": "-DOCSTART- -X- O O\n\n" + "Lisbon NNP I-NP I-LOC\nis VBZ I-VP O\n\n" * 12,
    "train.conllu": "# sent_id = 1\n"
    + "".join(f"{i}\tw{i}\tw\tNOUN\tNN\t_\t0\troot\t_\t_\n" for i in range(1, 9))
    + "\n",
    "train.jsonl": "".join(json.dumps(row) + "\n" for row in _ROWS),
    "train.json": json.dumps(_ROWS, indent=1),
    "train": "".join(json.dumps(row) + "\n" for row in _ROWS),
    "predictions.conll": "Lisbon B-LOC B-LOC\nis O O\n\n" * 12,
    "input.text": "Jordan will book a table in May.\n" * 12,
    "vectors.txt": "3 2\nhouse 0.1 0.2\nchef 0.5 0.25\nLisbon 1 -1\n",
}


def run(count: int, seed: int, work: Path) -> Iterator[str]:
    """Read so many damaged files, and yield what goes wrong, a line each; the file of `case N` is in `work`.

    Args:
        count: How many.
        seed: Of the damage.
        work: Folder for the files.
    """
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # before any process is forked: its threads would not be there
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    seeds = _seeds(work)
    tagger = Tagger.from_pretrained(str(tiny_bert(work / "tiny")), device="cpu")

    def prepare(case: int) -> tuple[str, Attempt]:
        draw = random.Random(case)
        folder = work / f"case-{case}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if draw.random() < 0.05:
            return _of_a_folder(work, folder, draw)
        name = draw.choice(sorted(seeds))
        path = folder / name
        path.write_bytes(damaged(seeds[name], draw))
        return name, draw.choice(_readers(path, tagger, draw))

    for line in run_forked(range(seed * 1_000_003, seed * 1_000_003 + count), prepare):
        yield line
        number = line.split(":")[0].removeprefix("case ")
        (work / f"case-{number}" / "KEEP").touch()
    for folder in work.glob("case-*"):
        if not (folder / "KEEP").exists():
            shutil.rmtree(folder)


def _readers(path: Path, tagger: Tagger, draw: random.Random) -> list[Attempt]:
    """What a person might have read a file with."""
    task, cache = draw.choice(["pos", "ner"]), path.parent / "cache"
    load: Attempt = lambda: load_tagging_dataset(train_file=path, task=task, cache_dir=cache)  # noqa: E731
    if path.name.startswith("predictions"):
        return [lambda: evaluate_predictions(path)]
    if path.name.startswith("vectors"):
        return [lambda: read_vectors(path)]
    if path.suffix == ".parquet":
        return [load, load, lambda: read_table([path])]
    output, format = path.parent / "tagged", draw.choice([*FORMATS, None])
    tag: Attempt = lambda: tag_file(tagger, path, output, format=format)  # noqa: E731
    others: list[Attempt] = [lambda: read_examples(path, tagger.schema, of_run=False)]
    if path.suffix in (".json", ".jsonl"):
        others = [lambda: read_table([path])]
    if path.suffix == ".text":
        os.environ["HF_DATASETS_CACHE"] = str(cache)
        others = [lambda: load_text([path], split_words)]
    return [load, load, load, tag, tag, *others]


def _of_a_folder(work: Path, folder: Path, draw: random.Random) -> tuple[str, Attempt]:
    """Damages one file of a model, or of a saved dataset."""
    source = draw.choice(["tiny/bert", "saved"])
    target = folder / "damaged"
    shutil.copytree(work / source, target)
    file = draw.choice(sorted(path for path in target.rglob("*") if path.is_file()))
    file.write_bytes(damaged(file.read_bytes(), draw))
    if source == "saved":
        return target.name, lambda: load_tagging_dataset(target, task="ner", cache_dir=folder / "cache")
    return target.name, lambda: Tagger.from_pretrained(str(target), device="cpu").tag(["Jordan", "will"])


def _seeds(work: Path) -> dict[str, bytes]:
    rows = datasets.Dataset.from_list(_ROWS)
    rows.save_to_disk(work / "saved")
    parquet = io.BytesIO()
    rows.to_parquet(parquet)
    binary = b"2 3\nhouse " + bytes(12) + b"\nchef " + bytes(12) + b"\n"
    content = {name: text.encode() for name, text in _SEEDS.items()}
    return content | {"train.parquet": parquet.getvalue(), "train-1.parquet": parquet.getvalue(), "vectors.bin": binary}
