"""Common parts of the benchmarks: flags and data, rounds of sides that alternate, the machine's own rate, the results.

A benchmark runs sides (ours, and the peers by name) in one process tree, one after the other in every round and in
the opposite order in every other round, so that what the machine does besides falls on all of them alike. A ratio is
taken within each round; what is told of it is the median over rounds, with the least and the greatest.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict, disable_progress_bars
from torch import nn

from hf_tagging.atomic import json_text, whole_file
from hf_tagging.data import TagSchema, load_tagging_dataset
from hf_tagging.errors import ConfigError
from hf_tagging.training.environment import describe_split, git_revision, hardware, versions

RESULTS = Path(__file__).parent / "results"
DATA = Path(__file__).parents[2] / "shared" / "data" / "conll2003"  # beside the project
INTERRUPTED = "No result was written."
NOT_MEASURED, NOT_INSTALLED = "not measured", "not installed"
# (rows, inner, columns): the shapes of a small encoder, of bert-base, and squares that no cache holds.
_SHAPES = ((1024, 384, 1536), (1024, 768, 3072), (1024, 1024, 1024), (2048, 2048, 2048))
_ACCELERATOR_SHAPES = (*_SHAPES, (8192, 1024, 4096), (8192, 8192, 8192))
_PROBE = 0.3  # seconds for each shape
# How a ratio is written, and what stands behind it.
_SHOWN: dict[str, tuple[Callable[[float], str], str]] = {
    "times": (lambda ratio: f"{ratio:.2f}", " x"),
    "share": (lambda ratio: f"{100 * ratio:.0f}", " %"),
    "agreement": (lambda ratio: f"{100 * ratio:.2f}", " %"),
    "growth": (lambda ratio: f"{100 * (ratio - 1):+.1f}", " %"),
    "difference": (lambda difference: f"{difference:+.4f}", ""),
}


def make_parser(description: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """Return the flags that benchmarks share.

    Args:
        description: Of the script.
        defaults: In the place of those that stand here; `argparse.SUPPRESS`: it has no such flag.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    values = {"model": "minilm", "sentences": 1000, "rounds": 3, "seed": 42, "device": None} | defaults
    kinds: dict[str, dict[str, Any]] = {
        "model": {"help": "an encoder: name, folder, or minilm"},
        "sentences": {"type": positive, "help": "per side and round"},
        "rounds": {"type": positive, "help": "in which all sides run, in turns"},
        "seed": {"type": int, "help": "of what is drawn: sentences, weights, order"},
        "device": {"choices": ("cpu", "cuda"), "help": "default: cuda where there is one"},
    }
    parser.add_argument("--data", help="as a recipe's --dataset; default: CoNLL-2003 beside the project, or the sample")
    for name, kind in kinds.items():
        if values[name] != argparse.SUPPRESS:
            shown = "" if values[name] is None else f" ({values[name]})"
            parser.add_argument(f"--{name}", default=values[name], **{**kind, "help": kind["help"] + shown})
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (benchmarks/results)")
    return parser


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def device_of(args: argparse.Namespace) -> str:
    """Where a benchmark runs: ``"cpu"`` or ``"cuda"``.

    Raises:
        ConfigError: If there is no such device.
    """
    found = "cuda" if torch.cuda.is_available() else "cpu"
    if args.device == "cuda" != found:
        raise ConfigError("--device cuda: PyTorch finds no GPU here. Leave it out, or give cpu.")
    return args.device or found


@dataclass(frozen=True)
class Corpus:
    """Words with entity tags in IOB2, and what they are called."""

    name: str
    dataset: DatasetDict
    schema: TagSchema

    def draw(self, split: str, count: int, seed: int) -> Dataset:
        """Sentences of a split in an order drawn with a seed, in memory; again from the start where they run out.

        Args:
            split: Its name.
            count: How many.
            seed: Of the draw.

        Raises:
            ConfigError: If there is no such split, or it has no words.
        """
        if split not in self.dataset:
            raise ConfigError(f"--data {self.name}: has no {split} split; it has {', '.join(self.dataset)}.")
        source = self.dataset[split]
        filled = np.flatnonzero([len(words) > 0 for words in source["tokens"]])
        rows = np.resize(np.random.default_rng(seed).permutation(filled), count)
        return Dataset.from_dict(source[rows.tolist()], features=source.features)


def load_corpus(args: argparse.Namespace) -> Corpus:
    """Return the data of a benchmark: as given, else CoNLL-2003 where it is expected, else the embedded sample."""
    name = str(args.data or (DATA if DATA.exists() else "sample"))
    disable_progress_bars()
    found = load_tagging_dataset(name, task="ner")
    dataset, schema, _ = TagSchema.detect(found, task="ner").convert(found, to="IOB2")
    return Corpus(Path(name).name, dataset, schema)


# Rounds


def alternate(sides: Mapping[str, Callable[[], dict[str, float]]], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Runs every side once per round, in the opposite order in every other round.

    Args:
        sides: By name, what runs a side and returns its figures.
        rounds: How many.

    Returns:
        Per side its figures of each round.
    """
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            gc.collect()
            figures[name].append(sides[name]())
            shown = ", ".join(f"{key.replace('_', ' ')} {value:,.4g}" for key, value in figures[name][-1].items())
            print(f"round {number + 1} of {rounds}, {name}: {shown}", flush=True)
    return figures


def column(rounds: Sequence[Mapping[str, float]], figure: str) -> list[float]:
    """One figure of a side, round by round."""
    return [figures[figure] for figures in rounds]


@contextmanager
def stopwatch(device: str = "cpu") -> Iterator[Callable[[], float]]:
    """Gives a function that tells the seconds since the block began; of a GPU, of work that is done."""
    synchronize(device)
    began = time.perf_counter()

    def seconds() -> float:
        synchronize(device)
        return time.perf_counter() - began

    yield seconds


def synchronize(device: str) -> None:
    """Waits until a GPU has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


# The machine


def matmul_rate(device: str, dtype: torch.dtype = torch.float32) -> float:
    """Floating-point operations per second of PyTorch's matrix multiplication, with all its threads.

    The best of several shapes and repetitions: what the machine can do, as far as PyTorch gets it out of it.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        dtype: Of the matrices.
    """
    best = 0.0
    for rows, inner, columns in _SHAPES if device == "cpu" else _ACCELERATOR_SHAPES:
        left = torch.rand(rows, inner, device=device).to(dtype)
        right = torch.rand(inner, columns, device=device).to(dtype)
        left @ right
        with stopwatch(device) as elapsed:
            while elapsed() < _PROBE:
                with stopwatch(device) as seconds:
                    left @ right
                    best = max(best, 2 * rows * inner * columns / seconds())
    return best


def probe(device: str) -> dict[str, float]:
    """Return the machine's matrix-multiply rates, as figures of a side of its own."""
    types = (torch.float32, torch.bfloat16) if device == "cpu" else (torch.float32, torch.bfloat16, torch.float16)
    return {str(dtype).removeprefix("torch."): matmul_rate(device, dtype) for dtype in types}


def parameters_of_matrices(model: nn.Module) -> int:
    """Parameters without those of embeddings, which are looked up and not multiplied."""
    looked_up = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    return sum(p.numel() for p in model.parameters() if id(p) not in looked_up)


def processor_name() -> str | None:
    """Return the name that Linux has for the processor; None elsewhere."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


# Results


def row(
    what: str,
    against: str,
    ours: Sequence[float],
    peer: Sequence[float],
    *,
    unit: str = "sentences/s",
    show: str = "times",
    less_is_better: bool = False,
    note: str = "",
) -> dict[str, Any]:
    """One line of a result: a ratio per round, its median and spread.

    Args:
        what: Is measured.
        against: The peer.
        ours: Per round. (rounds,)
        peer: Per round. (rounds,)
        unit: Of both.
        show: How the ratio is written: ``"times"``, ``"share"`` (percent), ``"agreement"`` (the same to two places) or
            ``"growth"`` (percent above 1).
        less_is_better: Take peer / ours.
        note: What stands in brackets behind the peer's figure.
    """
    pairs = zip(peer, ours, strict=True) if less_is_better else zip(ours, peer, strict=True)
    ratios = [upper / lower for upper, lower in pairs]
    return {
        "what": what,
        "against": against,
        "unit": unit,
        "show": show,
        "note": note,
        "ours": median(ours),
        "peer": median(peer),
        "ratio": {"median": median(ratios), "low": min(ratios), "high": max(ratios)},
    }


def difference(what: str, against: str, ours: float, peer: float) -> dict[str, Any]:
    """A line of a result that compares two scores by what one is above the other."""
    above = dict.fromkeys(("median", "low", "high"), ours - peer)
    same = {"unit": "", "show": "difference", "note": ""}
    return {"what": what, "against": against, "ours": ours, "peer": peer, "ratio": above} | same


def missing(what: str, against: str, why: str = NOT_MEASURED) -> dict[str, Any]:
    """A line of a result that there is none for, and why."""
    return {"what": what, "against": against, "missing": why}


def share_of_rate(
    what: str,
    operations: Sequence[float],
    rates: Sequence[Mapping[str, float]],
    dtype: str = "float32",
) -> dict[str, Any]:
    """Compare operations per second with the machine's own matrix-multiply rate in the same round, in a line.

    Args:
        what: Is measured.
        operations: Per second, per round. (rounds,)
        rates: From `probe`, per round.
        dtype: That the side computes in.
    """
    against = f"the machine's {dtype} matrix-multiply rate"
    ours, machine = [x / 1e9 for x in operations], [x / 1e9 for x in column(rates, dtype)]
    return row(what, against, ours, machine, unit="GFLOP/s", show="share")


def cells(line: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """A line of a result as text: what, against, ours, the peer's, the ratio with its spread."""
    head = (line["what"], line["against"])
    if "missing" in line:
        return (*head, "", "", line["missing"])
    ours, peer = (f"{_number(line[side])} {line['unit']}".strip() for side in ("ours", "peer"))
    number, unit = _SHOWN[line["show"]]
    middle, low, high = (number(line["ratio"][key]) for key in ("median", "low", "high"))
    spread = f"{middle}{unit}" + ("" if low == high else f" ({low} to {high})")
    spread += f", p {line['p_value']:.4f}" if "p_value" in line else ""
    return (*head, ours, f"{peer} ({line['note']})" if line.get("note") else peer, spread)


def _number(value: float) -> str:
    return f"{value:,.4f}" if value < 1 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def print_lines(lines: Sequence[Mapping[str, Any]]) -> None:
    """Prints lines of a result as a table."""
    table = [("", "against", "ours", "the peer's", "ratio"), *map(cells, lines)]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    print()
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def write_result(
    name: str,
    args: argparse.Namespace,
    lines: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Any],
    *,
    data: Mapping[str, Any],
) -> Path:
    """Prints a result and writes it to ``NAME-DEVICE.json`` with the machine, the versions and every round.

    Args:
        name: Of the benchmark.
        args: Its flags.
        lines: From `row` and its like.
        figures: Per side the figures of each round.
        data: What it was measured on, see `describe_data`.
    """
    device = device_of(args)
    path = args.output / f"{name}-{device}.json"
    cpu = {"processor": processor_name()} if processor_name() else {}
    load = {"load": [round(x, 2) for x in os.getloadavg()]} if hasattr(os, "getloadavg") else {}
    result = {
        "benchmark": name,
        "device": device,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": hardware(1) | cpu | {"threads": torch.get_num_threads()} | load,
        "versions": versions(),
        "git_revision": git_revision(),
        "arguments": {key: _plain(value) for key, value in vars(args).items()},
        "data": data,
        "lines": list(lines),
        "figures": figures,
    }
    with whole_file(path) as file:
        file.write(json_text(result, indent=1) + "\n")
    print_lines(lines)
    print(f"\nWritten to {path}", flush=True)
    return path


def describe_data(corpus: Corpus, split: Dataset) -> dict[str, Any]:
    """Name, size and fingerprint of the sentences that a benchmark ran on."""
    return {"name": corpus.name} | describe_split(split)


def _plain(value: Any) -> Any:
    """An argument as JSON holds it; of a path its last part, as the rest is the machine's."""
    is_path = isinstance(value, Path) or (isinstance(value, str) and Path(value).exists())
    return Path(value).name if is_path else value
