"""Report of reading: for each split, how its files were read and what is in them.

`load_tagging_dataset` keeps the report with the dataset, and logs it. `run.json`, the model card and
`hf-tagging inspect` show it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from datasets import Dataset, DatasetDict

from hf_tagging.data.notes import FileNotes, Remark, Severity, is_well_formed
from hf_tagging.data.origin import origin_of

logger = logging.getLogger(__name__)

_LEVELS: dict[Severity, int] = {"wrong": logging.WARNING, "suspicious": logging.WARNING, "note": logging.INFO}


@dataclass
class ReadingReport:
    """How a dataset was read.

    Args:
        splits: Split to the notes of its files, in order.
        remarks: What concerns the whole dataset, such as the outside tag that was detected.
    """

    splits: dict[str, list[FileNotes]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[str, Remark]]:
        """Yield every remark with the file that it is about; empty for the whole dataset."""
        for notes in self.splits.values():
            for file in notes:
                yield from ((file.file, remark) for remark in file.remarks)
        yield from (("", remark) for remark in self.remarks)

    def log(self) -> None:
        """Log how each file was read, and all remarks: suspicious ones as warnings."""
        for split, notes in self.splits.items():
            for file in notes:
                logger.info("%s: %s", split, described(file))
        for place, remark in self:
            logger.log(_LEVELS[remark.severity], "%s%s", f"{place}: " if place else "", remark)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it, as `run.json` keeps it."""
        return {
            "splits": {split: [file.as_dict() for file in notes] for split, notes in self.splits.items()},
            "remarks": [vars(remark) for remark in self.remarks],
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> ReadingReport:
        """Return a report that `as_dict` wrote."""
        splits = {split: [FileNotes.from_dict(file) for file in notes] for split, notes in kept["splits"].items()}
        return cls(splits, [Remark(**remark) for remark in kept["remarks"]])


def from_record(kept: object) -> ReadingReport | None:
    """Return the report that a record holds; None where it holds none, or something else.

    Args:
        kept: What `ReadingReport.as_dict` has written, or anything: a record may come from a stranger.
    """
    try:
        report = ReadingReport.from_dict(kept) if isinstance(kept, Mapping) else None
        return report if report and all(map(is_well_formed, _notes(report))) else None
    except (KeyError, TypeError, AttributeError):
        return None


def _notes(report: ReadingReport) -> Iterator[FileNotes]:
    """Yield all notes, and the remarks on the whole dataset as notes of no file."""
    yield from chain.from_iterable(report.splits.values())
    yield FileNotes("", remarks=report.remarks)


def described(file: FileNotes) -> str:
    """Return how a file was read, in a line: its format, its encoding and its columns with examples."""
    parts = [file.format or "read", *([file.encoding] if file.encoding else [])]
    parts += [f"{column.role} from column {column.name} ({', '.join(column.examples)})" for column in file.columns]
    if file.left_out:
        parts.append(f"columns left out: {', '.join(file.left_out)}")
    return f"{file.file}: {'; '.join(parts)}"


def reading_report(dataset: DatasetDict | Dataset) -> ReadingReport | None:
    """Return the report of a dataset, or of a split of it; None where `load_tagging_dataset` did not load it."""
    split = next(iter(dataset.values())) if isinstance(dataset, DatasetDict) else dataset
    origin = origin_of(split)
    return ReadingReport.from_dict(origin.reading) if origin and origin.reading else None
