"""Runs on disk: their arguments, their predictions, and which of them are seeds of one run."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

from hf_tagging.atomic import json_text, read_json, whole_file
from hf_tagging.data.files import nearest_path
from hf_tagging.data.prefixes import UNSCORED
from hf_tagging.data.splitting import CUTS
from hf_tagging.errors import ConfigError, DataError, OutputError, Problem
from hf_tagging.evaluation.annotated import entity_sides
from hf_tagging.evaluation.metrics import get_entities
from hf_tagging.evaluation.predictions import read_predictions, spelled
from hf_tagging.evaluation.statistics import SentenceCounts, count_sentences, counts_array
from hf_tagging.hub import first_line
from hf_tagging.problems import argument
from hf_tagging.tasks import Task, get_task
from hf_tagging.training.folder import RunFolder
from hf_tagging.training.record import RECORD, ArgumentsRecord, RunRecord, wrong_value
from hf_tagging.training.resuming import FREE_ARGUMENTS

_CACHE_VERSION = 1
# Folder names of recipes/compare.py, and default ones.
ONE_OF_MANY = re.compile(r"(?:(?P<run>.+)-)?seed-\d+(-fold-\d+)?")


@dataclass(frozen=True)
class Run:
    """One run with the counts of its predictions.

    Args:
        folder: Folder of the run.
        record: Content of `run.json`; empty where there is none.
        counts: Counts of the split's sentences; None if the run is not finished.
        data: Fingerprint of the split's words and gold tags.
        problem: Reason why there are no counts.
        is_damaged: There is a `run.json` that cannot be used.
    """

    folder: Path
    record: RunRecord
    counts: SentenceCounts | None = None
    data: str = ""
    problem: str = ""
    is_damaged: bool = False

    @property
    def arguments(self) -> ArgumentsRecord:
        """Arguments of the run, defaults included."""
        return self.record.get("arguments", {})

    @property
    def seed(self) -> int | None:
        """Seed of the weights."""
        return self.arguments.get("seed")

    @property
    def fold(self) -> int | None:
        """Number of the fold that is the test set; None without folds."""
        return self.arguments.get("fold")


def find_runs(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """Find runs in folders, and group those that differ only in seed or fold.

    Args:
        folders: Folders of runs, or folders of such folders.

    Returns:
        Folders of each run by name: the name of its folder (without the seed of a default name), or of the folder
        above its seeds.

    Raises:
        ConfigError: For a folder that does not exist, or without a run.
    """
    by_arguments: dict[str, list[Path]] = defaultdict(list)
    for folder in dict.fromkeys(path for given in folders for path in _runs_below(given)):
        arguments = (RunFolder(folder).record() or {}).get("arguments", {"damaged": str(folder)})
        asked = {k: v for k, v in arguments.items() if k not in FREE_ARGUMENTS | {"seed", "fold"}}
        by_arguments[json.dumps(asked, sort_keys=True)].append(folder)
    groups = list(by_arguments.values())
    kinds = Counter(parent for runs in groups for parent in {run.parent for run in runs})
    names = [_short_name(runs, alone=kinds[runs[0].parent] == 1) for runs in groups]
    shared = {name for name, count in Counter(names).items() if count > 1}
    return {str(runs[0]) if name in shared else name: runs for name, runs in zip(names, groups, strict=True)}


def _short_name(runs: Sequence[Path], *, alone: bool) -> str:
    """Return the name of the seeds of one run; `alone`: the folder above the first holds no other run."""
    first = runs[0].resolve()
    seed = ONE_OF_MANY.fullmatch(first.name)
    of_many = alone and len({run.parent for run in runs}) == 1 and (len(runs) > 1 or seed)
    return (seed and seed["run"]) or (first.parent.name if of_many else first.name)


def name_of(folder: Path, runs: Mapping[str, Sequence[Path]]) -> str:
    """Return the name of the run in a folder.

    Args:
        folder: Folder of a run, or of its seeds.
        runs: Folders of each run by name, as `find_runs` returns them.

    Raises:
        ConfigError: If there is no run in the folder, or several.
    """
    wanted = folder.resolve()
    found = [name for name, dirs in runs.items() if any(wanted in (d.resolve(), d.resolve().parent) for d in dirs)]
    if len(found) == 1:
        return found[0]
    reason = f"holds several runs ({', '.join(found)})" if found else f"is not one of the runs: {', '.join(runs)}"
    raise ConfigError([Problem("reference", folder, f"{str(folder)!r} {reason}", "give the folder of one of them")])


def _runs_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        near = nearest_path(folder)
        raise ConfigError(f"{folder}: is not a folder" + (f"; did you mean {near}?" if near else "."))
    for pattern in (RECORD, f"*/{RECORD}", f"*/*/{RECORD}"):
        if found := sorted(folder.glob(pattern), key=_by_number):
            return [path.parent for path in found]
    raise ConfigError(f"{folder}: holds no run (no {RECORD}, nor in folders below it). Give the folders of runs.")


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts seed-10 after seed-2."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def read_run(folder: Path, split: str, problem: str | None = None) -> Run:
    """Read a run and count its predictions; the counts are cached beside them.

    Args:
        folder: Folder of the run.
        split: "test" or "validation".
        problem: Reason why the run failed, if known.
    """
    record = RunFolder(folder).record()
    if record is None:
        damage = RunFolder(folder).damage()
        why = problem or (f"{RECORD} {damage}" if damage else "not started")
        return Run(folder, {}, problem=why, is_damaged=bool(damage))
    if record["status"] != "finished":
        return Run(folder, record, problem=problem or "not finished")
    wrong = wrong_value(record) or ("" if "seed" in record["arguments"] else "is damaged: it has no seed")
    if wrong:
        return Run(folder, record, problem=f"{RECORD} {wrong}")
    if not (path := _predictions(folder, split)).is_file():
        return Run(folder, record, problem=f"has no predictions/{path.name}")
    try:
        return Run(folder, record, *_count(path, get_task(record["task"])))
    except (DataError, OSError) as error:
        return Run(folder, record, problem=first_line(error))


def _predictions(folder: Path, split: str) -> Path:
    return folder / "predictions" / f"{split}.conll"


def _count(path: Path, task: Task) -> tuple[SentenceCounts, str]:
    """Count predictions, or read the counts from the cache if they are of the same file."""
    mark = {"version": _CACHE_VERSION, "task": task.name, "sha256": sha256(path.read_bytes()).hexdigest()}
    cache = path.with_name(f".{path.stem}.counts.json")
    with suppress(ValueError, KeyError, TypeError, OverflowError):  # no cache, or a damaged one
        kept = read_json(cache)
        if isinstance(kept, dict) and {name: kept[name] for name in mark} == mark:
            values = counts_array(task, kept["counts"])
            return SentenceCounts(task, values), str(kept["data"])
    words, gold, predicted = read_predictions(path)
    counts = count_sentences(task, gold, predicted)
    data = sha256(repr([_question(task, *pair) for pair in zip(words, gold, strict=True)]).encode()).hexdigest()
    if cache.is_symlink():  # it may lead anywhere
        return counts, data
    # In a read-only folder there is no cache.
    with suppress(OSError, OutputError), whole_file(cache) as file:
        file.write(json_text(mark | {"data": data, "counts": counts.values.tolist()}, indent=None))
    return counts, data


def _question(task: Task, words: list[str], gold: list[str]) -> tuple[list[str], Sequence[object]]:
    """Return the words of a sentence, and its tags or entities, independent of their scheme.

    Words that are not annotated are part of it: they are not scored. Words and tags are in the spelling of earlier
    releases, whose runs had the same data.
    """
    words, gold = [*map(spelled, words)], [*map(spelled, gold)]
    if not task.has_entities:
        return words, gold
    unannotated = [("not annotated", place, place) for place, tag in enumerate(gold) if tag == UNSCORED]
    return words, sorted({*get_entities(entity_sides(gold, gold)[1]), *unannotated})


def check_same_data(runs: Sequence[Run], split: str) -> None:
    """Refuse runs that were scored on different words or gold tags.

    Args:
        runs: Finished runs.
        split: "test" or "validation".

    Raises:
        DataError: With the first two that differ, and where.
    """
    first: dict[int | None, Run] = {}
    for run in runs:
        other = first.setdefault(run.fold, run)
        start = next(iter(first.values()))
        if run.record["task"] != start.record["task"]:
            difference = f"the first is a run of {start.record['task']}, the second of {run.record['task']}"
            raise DataError(f"{start.folder} and {run.folder} cannot be compared: {difference}.")
        if run.arguments.get("folds") != start.arguments.get("folds"):
            difference = "folds is {}, and {}".format(*(r.arguments.get("folds") or "not set" for r in (start, run)))
            raise DataError(f"{start.folder} and {run.folder} cannot be compared: {difference}.")
        if run.data != other.data:
            drawn = any(r.arguments.get(name) for r in (run, other) for name in CUTS)
            advice = f" Draw splits with the same {argument('split_seed')} in all runs." if drawn else ""
            raise DataError(
                f"{other.folder} and {run.folder} cannot be compared: {_difference(other, run, split)}. "
                f"Runs are compared over the same words and gold tags.{advice}"
            )


def _difference(one: Run, other: Run, split: str) -> str:
    """Return the first difference between the data of two runs."""
    task = get_task(one.record["task"])
    sides = [read_predictions(_predictions(run.folder, split)) for run in (one, other)]
    questions = ([_question(task, *pair) for pair in zip(words, gold, strict=True)] for words, gold, _ in sides)
    for number, (ours, theirs) in enumerate(zip_longest(*questions), 1):
        if ours is None or theirs is None:
            return f"{split} has {len(sides[0][0]):,} sentences in the first, {len(sides[1][0]):,} in the second"
        for what, left, right in zip(("words", "entities" if task.has_entities else "tags"), ours, theirs, strict=True):
            if left != right:
                shown = next((a, b) for a, b in zip_longest(left, right, fillvalue="nothing") if a != b)
                place = f"the {what} of sentence {number:,} of {split} differ"
                return f"{place} ({shown[0]!r} in the first, {shown[1]!r} in the second)"
    return f"{split} differs"
