"""Random and damaged YAML files, of runs, comparisons and accelerate: each is read, or ends in a message."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from run_configs import run_config

from fuzz.damage import damaged
from fuzz.forked import run_forked
from hf_tagging.cli.recipes import _check_accelerate
from hf_tagging.comparison.plan import read_plan
from hf_tagging.training.config.pretraining import PretrainingConfig

_ROOT = Path(__file__).parents[2]
_VALUES = ("1", "-3", "1e-5", "true", "no", "null", "~", "[a, b]", "{a: 1}", '"a\\0b"', "''", "2020-01-01", "0x1f",
           "&x 3", "*x", "!!binary aGk=", "|\n  text", "9" * 30, ".inf", "[[[[1]]]]", "{[1]: 2}", "? a")  # fmt: skip


def run(count: int, seed: int, work: Path) -> Iterator[str]:
    """Read so many damaged YAML files, and yield what goes wrong, a line each; the file of `case N` is in `work`.

    Args:
        count: How many.
        seed: Of the damage.
        work: Folder for the files.
    """
    work.mkdir(parents=True, exist_ok=True)
    runs = sorted((_ROOT / "recipes/configs").glob("*/*.yaml"))
    accelerate = sorted((_ROOT / "accelerate_configs").glob("*.yaml"))
    run_config("ner", ["--dataset", "sample"])  # what is imported late is there before processes are forked

    def prepare(case: int) -> tuple[str, Callable[[], object]]:
        draw = random.Random(case)
        source = draw.choice(runs if draw.random() < 0.8 else accelerate)
        path = work / f"case-{case}.yaml"
        content = source.read_text()
        if draw.random() < 0.5:
            content = _other_values(content, draw)
        path.write_bytes(damaged(content.encode(), draw) if draw.random() < 0.7 else content.encode())
        reading: Callable[[], object] = {
            "compare": lambda: read_plan(path),
            "pretrain": lambda: PretrainingConfig.from_command_line(["--config", str(path)]),
            "accelerate_configs": lambda: _check_accelerate(path),
        }.get(source.parent.name, lambda: run_config("ner", ["--config", str(path)], kind="scratch"))
        return "", reading  # a contradiction of two arguments is told without the file that they stand in

    failed = set()
    for line in run_forked(range(seed * 1_000_003, seed * 1_000_003 + count), prepare):
        failed.add(line.split(":")[0].removeprefix("case "))
        yield line
    for path in work.glob("case-*.yaml"):
        if path.stem.removeprefix("case-") not in failed:
            path.unlink()


def _other_values(content: str, draw: random.Random) -> str:
    lines = content.split("\n")
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(lines))
        name, colon, _ = lines[place].partition(":")
        lines[place] = f"{name}: {draw.choice(_VALUES)}" if colon else lines[place] + draw.choice(_VALUES)
    return "\n".join(lines)
