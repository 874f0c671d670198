"""Reading of a model card: how the files of the data were read, and what is to be known about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hf_tagging.data.notes import Remark
from hf_tagging.data.reading import ReadingReport, contained, from_record
from hf_tagging.publishing import provenance
from hf_tagging.publishing.hub.bundle import without_paths
from hf_tagging.training.record import RemarkRecord, RunRecord

_MOST_FILES = 20


@dataclass(frozen=True)
class FileView:
    """How a file was read: its name without folders, its format with the encoding, its columns."""

    split: str
    name: str
    format: str
    columns: list[str]
    left_out: list[str]


@dataclass(frozen=True)
class ReadingView:
    """How the files of a run were read.

    Args:
        files: Those that something is known of.
        more: Number of further ones.
        contents: What is in each split, and the scheme with its evidence.
        remarks: What was done, worth knowing.
    """

    files: list[FileView]
    more: int
    contents: list[str]
    remarks: list[str]


def reading_view(record: RunRecord) -> ReadingView | None:
    """Return how the files of a run were read; None where the record does not tell.

    Args:
        record: Record of the run; what is in it may be of any type.
    """
    report = from_record((record.get("dataset") or {}).get("reading"))
    if report is None:
        return None
    files = [
        FileView(
            split,
            provenance.last_part(file.file),
            ", ".join(filter(None, (file.format, file.encoding))),
            [f"{column.role} from {column.name}" for column in file.columns],
            file.left_out,
        )
        for split, notes in report.splits.items()
        for file in notes
    ]
    remarks = list(dict.fromkeys(_said(place, remark) for place, remark in report if remark.severity == "note"))
    splits = report.contents.splits if report.contents else {}
    contents = [f"{name}: {contained(split)}" for name, split in splits.items()] + report.scheme_lines()
    return ReadingView(files[:_MOST_FILES], max(len(files) - _MOST_FILES, 0), contents, remarks)


def suspicious(record: RunRecord) -> list[str]:
    """Return what was suspicious about the data, while it was read and before training, each once.

    Args:
        record: Record of the run; what is in it may be of any type.
    """
    data = record.get("dataset") or {}
    report = from_record(data.get("reading")) or ReadingReport()
    told = [_said(place, remark) for place, remark in report if remark.severity != "note"]
    return list(dict.fromkeys([*told, *(_said("", remark) for remark in _findings(data.get("findings")))]))


def _said(place: str, remark: Remark) -> str:
    text = without_paths(str(remark))
    return f"{provenance.last_part(place)}: {text}" if place else text


def _findings(kept: Iterable[RemarkRecord] | None) -> list[Remark]:
    report = from_record({"splits": {}, "remarks": list(kept or ())})
    return report.remarks if report else []
