"""Report of reading: for each split, how its files were read and what is in them.

`load_tagging_dataset` keeps the report with the dataset, and logs it. `run.json`, the model card and
`hf-tagging inspect` show it.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from datasets import Dataset, DatasetDict

from hf_tagging.data.inventory import Inventory, SplitInventory
from hf_tagging.data.notes import FileNotes, Remark, Severity, is_well_formed
from hf_tagging.data.origin import origin_of
from hf_tagging.data.prefixes import PLAIN

logger = logging.getLogger(__name__)

_LEVELS: dict[Severity, int] = {"wrong": logging.WARNING, "suspicious": logging.WARNING, "note": logging.INFO}
_MOST_FILES, _MOST_TYPES = 4, 10


@dataclass
class ReadingReport:
    """Report of how a dataset was read.

    Args:
        splits: Split to the notes of its files, in order.
        remarks: What concerns the whole dataset, such as the outside tag that was detected.
        contents: What is in the splits: sentences, words, entities, types, and the scheme with its evidence.
    """

    splits: dict[str, list[FileNotes]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    contents: Inventory | None = None

    def __iter__(self) -> Iterator[tuple[str, Remark]]:
        """Yield every remark with the file that it is about; empty for the whole dataset."""
        for notes in self.splits.values():
            for file in notes:
                yield from ((file.file, remark) for remark in file.remarks)
        yield from (("", remark) for remark in self.remarks)

    def log(self) -> None:
        """Log how the files were read, what is in them, and all remarks: suspicious ones as warnings."""
        for line in self.lines():
            logger.info("%s", line)
        for place, remark in self:
            logger.log(_LEVELS[remark.severity], "%s", _said(place, remark))

    def lines(self) -> list[str]:
        """Return a line for the files of each split that were read alike, and one for what is in it."""
        found = []
        for split in dict.fromkeys((*self.splits, *(self.contents.splits if self.contents else ()))):
            found += [f"{split}: {line}" for line in self.file_lines(split)]
            if self.contents and split in self.contents.splits:
                found.append(f"{split}: {contained(self.contents.splits[split])}")
        return [*found, *self.scheme_lines()]

    def file_lines(self, split: str) -> list[str]:
        """Return a line for the files of a split that were read alike."""
        return [f"{_names(files)}: {described(files[0])}" for files in _alike(self.splits.get(split, []))]

    def scheme_lines(self) -> list[str]:
        """Return the scheme of the entities with its evidence; nothing for a task without entities."""
        if self.contents is None or self.contents.scheme == PLAIN:
            return []
        return [f"entities are in {self.contents.scheme}: {self.contents.evidence}"]

    def __str__(self) -> str:
        """Return the lines and the remarks as text."""
        return "\n".join([*self.lines(), *(f"{remark.severity}: {_said(place, remark)}" for place, remark in self)])

    def _repr_html_(self) -> str:
        """Return the lines and the remarks as a list in HTML."""
        told = [html.escape(line) for line in self.lines()]
        told += [f"<b>{remark.severity}</b> {html.escape(_said(place, remark))}" for place, remark in self]
        return "<ul>" + "".join(f"<li>{line}</li>" for line in told) + "</ul>"

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it, as `run.json` keeps it."""
        return {
            "splits": {split: [file.as_dict() for file in notes] for split, notes in self.splits.items()},
            "remarks": [vars(remark) for remark in self.remarks],
            "contents": self.contents.as_dict() if self.contents else None,
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> ReadingReport:
        """Return a report that `as_dict` wrote."""
        splits = {split: [FileNotes.from_dict(file) for file in notes] for split, notes in kept["splits"].items()}
        contents = kept.get("contents")
        return cls(
            splits,
            [Remark(**remark) for remark in kept["remarks"]],
            Inventory.from_dict(contents) if contents else None,
        )


def from_record(kept: object) -> ReadingReport | None:
    """Return the report that a record holds; None where it holds none, or something else.

    Args:
        kept: What `ReadingReport.as_dict` has written, or anything: a record may come from a stranger.
    """
    try:
        report = ReadingReport.from_dict(kept) if isinstance(kept, Mapping) else None
        if report is None or not all(map(is_well_formed, _notes(report))):
            return None
        return report if report.contents is None or report.contents.is_well_formed() else None
    except (KeyError, TypeError, AttributeError):
        return None


def _notes(report: ReadingReport) -> Iterator[FileNotes]:
    """Yield all notes, and the remarks on the whole dataset as notes of no file."""
    yield from chain.from_iterable(report.splits.values())
    yield FileNotes("", remarks=report.remarks)


def described(file: FileNotes) -> str:
    """Return how a file was read, in a line: its format, its encoding and its columns with examples."""
    parts = [file.format or "read", *([file.encoding] if file.encoding else [])]
    for column in file.columns:
        examples = f" ({', '.join(column.examples)})" if column.examples else ""
        parts.append(f"{column.role} from column {column.name}{examples}")
    if file.left_out:
        parts.append(f"columns left out: {', '.join(file.left_out)}")
    return "; ".join(parts)


def contained(split: SplitInventory) -> str:
    """Return what is in a split, in a line: sentences, words, entities and types."""
    parts = [f"{split.sentences:,} sentences", f"{split.words:,} words"]
    parts += [f"{split.entities:,} entities"] if split.entities is not None else []
    types = [f"{name} {count:,}" for name, count in islice(split.types.items(), _MOST_TYPES)]
    types += [f"{len(split.types) - _MOST_TYPES:,} more"] if len(split.types) > _MOST_TYPES else []
    return ", ".join(parts) + (f": {', '.join(types)}" if types else "")


def _alike(notes: list[FileNotes]) -> list[list[FileNotes]]:
    """Return files in groups that were read in the same way; examples may differ."""
    groups: dict[tuple[object, ...], list[FileNotes]] = {}
    for file in notes:
        columns = tuple((column.role, column.name) for column in file.columns)
        groups.setdefault((file.format, file.encoding, columns, tuple(file.left_out)), []).append(file)
    return list(groups.values())


def _names(files: list[FileNotes]) -> str:
    shown = ", ".join(file.file for file in files[:_MOST_FILES])
    return shown + (f" and {len(files) - _MOST_FILES:,} more files" if len(files) > _MOST_FILES else "")


def _said(place: str, remark: Remark) -> str:
    return f"{place}: {remark}" if place else str(remark)


def reading_report(dataset: DatasetDict | Dataset) -> ReadingReport | None:
    """Return the report of a dataset, or of a split of it; None where `load_tagging_dataset` did not load it."""
    split = next(iter(dataset.values())) if isinstance(dataset, DatasetDict) else dataset
    origin = origin_of(split)
    return ReadingReport.from_dict(origin.reading) if origin and origin.reading else None
