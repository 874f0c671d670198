"""Lines of text files in UTF-8, with hints for files that are something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hf_tagging.errors import DataError

BOM = b"\xef\xbb\xbf"
# What a file that is not UTF-8 may be, by its first bytes.
_OTHER_KINDS = {
    b"\xff\xfe": "the file is UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`",
    b"\xfe\xff": "the file is UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`",
    b"\x1f\x8b": "the file is compressed by gzip: unpack it first",
    b"PK\x03\x04": "the file is a zip archive: unpack it first",
}


def shortened(text: str, limit: int = 60) -> str:
    """Return the repr of text from a file, short enough for one line of a message."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def numbered_lines(stream: Iterable[bytes], file: str) -> Iterator[tuple[int, str]]:
    """Yield numbers from 1 and decoded lines. Only a line feed ends a line: U+2028, U+0085 and a lone CR are data.

    Raises:
        DataError: A line is not UTF-8.
    """
    for number, line in enumerate(stream, start=1):
        if number == 1:
            line = line.removeprefix(BOM)
        try:
            yield number, line.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise DataError(_undecodable(line, error.start, file=file, number=number)) from None


def other_kind(line: bytes) -> str | None:
    """Return what a file is and what to do about it, for a first line that is no text in UTF-8; None for any other."""
    return next((hint for mark, hint in _OTHER_KINDS.items() if line.startswith(mark)), None)


def _undecodable(line: bytes, start: int, *, file: str, number: int) -> str:
    hint = other_kind(line) if number == 1 else None
    hint = hint or "save the file as UTF-8, for example with `iconv -f LATIN1 -t UTF-8`"
    around = shortened(line[max(0, start - 20) : start + 20].decode("utf-8", "backslashreplace"))
    return f"{file}, line {number}: byte 0x{line[start]:02x} in {around} is not UTF-8; {hint}"
