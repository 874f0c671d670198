"""Small files as people have them, read through the front door: what came out, what was said, or why it was refused."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_tagging.data import TagSchema, load_tagging_dataset
from hf_tagging.data.reading import ReadingReport, reading_report

Sentence = list[tuple[str, str | None]]


@dataclass
class Reading:
    """What came of reading.

    Args:
        splits: Split to its sentences of words and tags; entities in IOB2, None for a word that is not scored.
        log: Lines that the package logged.
        report: The report that is kept with the dataset.
    """

    splits: dict[str, list[Sentence]]
    log: list[str]
    report: ReadingReport

    @property
    def first(self) -> Sentence:
        """First sentence of the first split."""
        return next(iter(self.splits.values()))[0]

    @property
    def words(self) -> list[str]:
        """Words of the first sentence."""
        return [word for word, _ in self.first]

    @property
    def tags(self) -> list[str | None]:
        """Tags of the first sentence."""
        return [tag for _, tag in self.first]

    @property
    def types(self) -> list[str]:
        """Entity types, sorted."""
        return sorted(
            {tag[2:] for part in self.splits.values() for row in part for _, tag in row if (tag or "O") != "O"}
        )

    def sizes(self) -> dict[str, tuple[int, int, int]]:
        """Sentences, words and entities of each split."""
        return {
            split: (len(rows), sum(map(len, rows)), sum((tag or "").startswith("B-") for row in rows for _, tag in row))
            for split, rows in self.splits.items()
        }

    def remarks(self) -> Counter[str]:
        """Number of each kind of remark: its count, or 1."""
        found: Counter[str] = Counter()
        for _, remark in self.report:
            found[remark.kind] += 1 if remark.count is None else remark.count
        return found

    def said(self, text: str) -> bool:
        """Return whether a line of the log has this in it."""
        return any(text in line for line in self.log)


def written(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files into a folder; return the only one, or the folder where there are several."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / next(iter(files)) if len(files) == 1 else folder


def read(
    folder: Path, files: Mapping[str, str | bytes] | str | bytes, *, task: str = "ner", **arguments: object
) -> Reading:
    """Write files and load them as a user does.

    Args:
        folder: Of the test, empty.
        files: Name to content; a single one is `train.txt`.
        task: Of the tags.
        **arguments: Of `load_tagging_dataset`.

    Raises:
        DataError: What the package raises.
    """
    path = written(folder / "corpus", files if isinstance(files, Mapping) else {"train.txt": files})
    lines: list[str] = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: lines.extend(record.getMessage().splitlines())  # type: ignore[method-assign]
    logger = logging.getLogger("hf_tagging")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        dataset = load_tagging_dataset(path, task=task, cache_dir=folder / "cache", **arguments)
        report = reading_report(dataset)
        assert report is not None
        schema = TagSchema.detect(dataset, task=task)
        if task == "ner":
            dataset, schema, _ = schema.convert(dataset, to="IOB2")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    splits = {
        split: [_tagged(row["tokens"], row["tags"], schema.tags) for row in rows] for split, rows in dataset.items()
    }
    return Reading(splits, lines, report)


def _tagged(words: list[str], ids: list[int | None], names: tuple[str, ...]) -> Sentence:
    return [(word, None if i is None or i < 0 else names[i]) for word, i in zip(words, ids, strict=True)]
