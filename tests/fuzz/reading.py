"""Corpora in every format that is read, whole or with a fault, and noise: read right and said, or refused with a name.

A third of the cases is noise, a third a corpus as its tool writes it, and a third a corpus with a fault. A whole corpus
that is loaded has to give its own words and tags; it may be refused, and the share of that is told. Of one with a
fault, no word of its files may be missing unless a remark counts some.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import shutil
import sys
import tempfile
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import datasets

from fuzz.column_shapes import COLUMN_SHAPES
from fuzz.corpora import corpus
from fuzz.forked import run_in_batches
from fuzz.mutations import mutated
from fuzz.noise import noise
from fuzz.row_shapes import ROW_SHAPES
from fuzz.shapes import Case, Files, Shape, Unreadable, visible
from fuzz.span_shapes import SPAN_SHAPES
from hf_tagging.data import TagSchema, load_tagging_dataset
from hf_tagging.data.formats import FORMATS
from hf_tagging.data.reading import reading_report
from hf_tagging.errors import TaggingError

_MEMORY = 400_000  # KiB that a case may add
SHAPES: dict[str, Shape] = {
    **COLUMN_SHAPES,
    **ROW_SHAPES,
    **{
        name: shape
        for name, (shape, form) in SPAN_SHAPES.items()
        if form in FORMATS and (name != "docbin" or find_spec("spacy"))
    },
}
"""All shapes that can be read here: without spaCy, not its binary files."""
KINDS = ("noise", "whole", "fault")


def run(count: int, seed: int, work: Path, kinds: tuple[str, ...] = KINDS) -> Iterator[str]:
    """Read so many files, and yield what goes wrong, a line each; what `case N` reads is kept in `work`.

    Args:
        count: How many.
        seed: Of what is drawn.
        work: Folder for what is kept.
        kinds: Of cases.
    """
    work.mkdir(parents=True, exist_ok=True)
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    fast = Path("/dev/shm")
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-reading-", dir=fast if fast.is_dir() else None))
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    try:
        for number, told in run_in_batches(
            range(seed * 1_000_003, seed * 1_000_003 + count), lambda number: _told(number, kinds, scratch)
        ):
            kind, _, outcome = told.partition("\t")
            if outcome not in ("loaded", "refused"):
                shutil.rmtree(work / f"case-{number}", ignore_errors=True)
                write(draw_case(number, kinds)[2].files, work / f"case-{number}")
                yield f"case {number}: {told}"
                outcome = "finding"
            outcomes[kind][outcome] += 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    (work / "outcomes.json").write_text(json.dumps({kind: dict(found) for kind, found in sorted(outcomes.items())}))


def draw_case(number: int, kinds: tuple[str, ...] = KINDS) -> tuple[str, str, Case]:
    """Return the kind, the name and the files of a case."""
    draw = random.Random(number)
    kind = kinds[number % len(kinds)]
    if kind == "noise":
        return kind, "noise", Case(noise(draw))
    name = draw.choice(sorted(SHAPES))
    case = SHAPES[name](corpus(draw), draw)
    if kind == "fault":
        files = mutated(case.files, draw)
        case = Case(files, None, None if case.texts is None else [], case.task, case.arguments, case.main, case.count)
    return kind, name, case


def write(files: Files, folder: Path) -> Path:
    """Write files into an empty folder; return the only one, or the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / next(iter(files)) if len(files) == 1 else folder


def _told(number: int, kinds: tuple[str, ...], scratch: Path) -> str:
    """Read a case; tell its kind, a tab, and what came of it."""
    kind, name, case = draw_case(number, kinds)
    logging.getLogger("hf_tagging").setLevel(logging.CRITICAL)
    folder = scratch / f"{os.getpid()}-{number}"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        told = _outcome(write(case.files, folder / "corpus"), folder / "cache", case)
    except Exception:
        told = traceback.format_exc()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if grown > _MEMORY:
        told = f"{grown:,} KiB of memory for {sum(map(len, case.files.values())):,} bytes; {told}"
    return f"{kind}, {name}\t{told}"


def _outcome(path: Path, cache: Path, case: Case) -> str:
    try:
        loaded = load_tagging_dataset(path, task=case.task, cache_dir=cache, **case.arguments)
    except TaggingError as error:
        said = str(error)
        named = str(path) in said or any(Path(name).name in said for name in case.files)
        return "refused" if named and "\n" not in said else f"a message without a name, or of lines: {said}"
    report = reading_report(loaded)
    said = sum(remark.count or 0 for _, remark in report) if report else 0
    sentences = [(row["tokens"], row["tags"]) for split in loaded.values() for row in split]
    if odd := _odd(sentences, lists=any(name.endswith((".json", ".jsonl")) for name in case.files)):
        return odd
    try:
        schema = TagSchema.detect(loaded, task=case.task)
        if case.task == "ner":
            loaded, schema, _ = schema.convert(loaded, to="IOB2")
    except TaggingError:  # which is told of tags, and knows no file
        return "refused"
    names = schema.tags
    found = [
        (row["tokens"], [None if tag < 0 else names[tag] for tag in row["tags"]])
        for split in loaded.values()
        for row in split
    ]
    if case.tagged is not None:
        is_doubted = report is not None and any(remark.kind == "doubtful_types" for _, remark in report)
        if is_doubted:  # types of a few words that may be tags with a prefix, which is said
            return _same(*([(words, []) for words, _ in sentences] for sentences in (found, case.tagged)))
        return _same(found, case.tagged)
    if case.texts:
        return _same_texts(found, case.texts)
    return _counted(found, said, case)


def _odd(sentences: list[tuple[list[str], list[int]]], *, lists: bool) -> str:
    """Tell what no sentence is; where a file has lists of words, these may be empty, and the words too."""
    for words, tags in sentences:
        if len(words) != len(tags) or not (words or lists):
            return f"{len(words)} words and {len(tags)} tags"
        if any(not isinstance(word, str) or not (word or lists) for word in words):
            return f"a word that is none: {words!r}"
    return ""


def _same(found: list[tuple[list[str], list[str | None]]], right: list[tuple[list[str], list[str]]]) -> str:
    if len(found) != len(right):
        return f"{len(found)} sentences and not {len(right)}; first {found[0]}"
    for number, (a, b) in enumerate(zip(found, right, strict=True)):
        if list(a[0]) != list(b[0]) or list(a[1]) != list(b[1]):
            return f"sentence {number} is\n{list(zip(*a, strict=True))} and not\n{list(zip(*b, strict=True))}"
    return "loaded"


def _same_texts(found: list[tuple[list[str], list[str | None]]], right: list[tuple[str, list[tuple[str, str]]]]) -> str:
    """Compare what no splitter changes: the characters that are not blank, and the surfaces of entities."""
    there = "".join("".join(words) for words, _ in found)
    wanted = "".join("".join(text.split()) for text, _ in right)
    if "".join(there.split()) != wanted:
        return f"the words are {there[:200]!r} and not {wanted[:200]!r}"
    entities: list[tuple[str, str]] = []
    for words, tags in found:
        for word, tag in zip(words, tags, strict=True):
            if tag and tag.startswith("B-"):
                entities.append((word, tag[2:]))
            elif tag and tag.startswith("I-"):
                entities[-1] = (entities[-1][0] + word, entities[-1][1])
    surfaces = [("".join(surface.split()), kind) for _, some in right for surface, kind in some]
    if entities != surfaces:
        return f"the entities are\n{entities} and not\n{surfaces}"
    return "loaded"


def _counted(found: list[tuple[list[str], list[str | None]]], said: int, case: Case) -> str:
    try:
        wanted = case.count(case.files)
    except Unreadable as error:
        return f"loaded, but it is damaged: {error}"
    words = sum(len(words) for words, _ in found)
    if case.texts is not None:
        words = sum(visible(word) for sentence, _ in found for word in sentence)
    if wanted is not None and words < wanted and not said:
        return f"{words} words (or characters) of {wanted}, and nothing is said"
    return "loaded"


def main(arguments: list[str]) -> None:
    """Show what is read of cases, by their numbers."""
    for number in map(int, arguments):
        kind, name, case = draw_case(number)
        folder = Path(tempfile.mkdtemp())
        path = write(case.files, folder / "corpus")
        print(number, kind, name, path, case.arguments, case.task)
        try:
            load_tagging_dataset(path, task=case.task, cache_dir=folder / "cache", **case.arguments)
        except TaggingError as error:
            print("  refused:", error)
        print("  ", _outcome(path, folder / "cache", case))


if __name__ == "__main__":
    main(sys.argv[1:])
