"""Files of data that are not read: what they are, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from hf_tagging.errors import DataError

_TABLE_ADVICE = "save the sheet as CSV or as tab-separated text (UTF-8)"
_BY_SUFFIX = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls"), ("an Excel workbook", _TABLE_ADVICE)),
    ".ods": ("a spreadsheet of LibreOffice", _TABLE_ADVICE),
    **dict.fromkeys(
        (".pkl", ".pickle", ".p", ".joblib"),
        (
            "a pickle, which may run code when it is loaded",
            "load it where you trust it, and save it as JSON Lines or Parquet (DataFrame.to_parquet)",
        ),
    ),
    **dict.fromkeys(
        (".arrow", ".feather"),
        ("an Arrow file", "give the folder that save_to_disk wrote, or save it as Parquet"),
    ),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), ("an SQLite database", "export its table as CSV")),
    **dict.fromkeys((".docx", ".doc", ".odt", ".pdf"), ("a document", "save words and tags as text")),
}
_BY_START = {
    b"\xd0\xcf\x11\xe0": _BY_SUFFIX[".xls"],
    b"ARROW1": _BY_SUFFIX[".arrow"],
    b"FEA1": _BY_SUFFIX[".feather"],
    b"SQLite format 3": _BY_SUFFIX[".db"],
    b"%PDF-": _BY_SUFFIX[".pdf"],
    **{b"\x80" + bytes([protocol]): _BY_SUFFIX[".pkl"] for protocol in range(2, 6)},
}
_ZIP = b"PK\x03\x04"
_IN_ZIP = {b"xl/": _BY_SUFFIX[".xlsx"], b"opendocument.spreadsheet": _BY_SUFFIX[".ods"]}
_PROBED = 1 << 13


def other_data(path: Path) -> tuple[str, str] | None:
    """Return what a file is that is not read, by its name, and what to do about it; None for any other."""
    return _BY_SUFFIX.get(path.suffix.lower())


def refuse_other_data(path: Path) -> None:
    """Refuse workbooks, pickles and the like, by name or by how they begin.

    Raises:
        DataError: The file is one.
    """
    found = other_data(path)
    if found is None and path.is_file():
        try:
            with open(path, "rb") as stream:
                start = stream.read(_PROBED)
        except OSError:
            return  # who reads the file says why it cannot be read
        known = _IN_ZIP if start.startswith(_ZIP) else {}
        found = next((what for mark, what in known.items() if mark in start), None)
        found = found or next((what for mark, what in _BY_START.items() if start.startswith(mark)), None)
    if found is not None:
        what, advice = found
        raise DataError(f"{path}: this is {what}, which is not read; {advice}")
