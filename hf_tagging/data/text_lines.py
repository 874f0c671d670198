"""Lines of text files in any encoding, with hints for files that are something else."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from hf_tagging.data.encodings import Utf8Damage, damage, readings
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

BOM = b"\xef\xbb\xbf"
# Files that are not UTF-8, by their first bytes; the longer mark first.
_MARKED_ENCODINGS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_OTHER_KINDS = {
    **{
        mark: f"the file is {name.upper()}: convert it with `iconv -f {name.upper()} -t UTF-8`"
        for mark, name in _MARKED_ENCODINGS.items()
    },
    b"\x1f\x8b": "the file is compressed by gzip: unpack it first",
    b"PK\x03\x04": "the file is a zip archive: unpack it first",
}
_CHUNK = 1 << 20
_MOST_DIGITS = 18
_SHOWN = {"gb18030": "GB18030", "big5": "Big5", "cp932": "Shift JIS (cp932)", "utf-16": "UTF-16", "utf-32": "UTF-32"}


@dataclass(frozen=True)
class TextForm:
    """Encoding and line ends of a file.

    Args:
        encoding: Python's name of the encoding.
        line_end: What ends a line: a line feed, or a carriage return in a file without a line feed.
        remark: What there is to say about the encoding; None for UTF-8 and for one that was asked for.
    """

    encoding: str = "utf-8"
    line_end: str = "\n"
    remark: str | None = None

    @property
    def shown(self) -> str:
        """Name of the encoding for people."""
        return _SHOWN.get(self.encoding, "UTF-8" if self.encoding in ("utf-8", "utf-8-sig") else self.encoding)


def text_form(stream: BinaryIO, *, file: str, encoding: str | None = None) -> TextForm:
    """Find the encoding of a file and how its lines end.

    Args:
        stream: The file, opened for bytes; read to its end, and left at its beginning.
        file: Its name for messages.
        encoding: The encoding that is asked for. Default: UTF-8, else a mark at the beginning of the file, else the
            one that the letters of the file make certain.

    Raises:
        DataError: There is no such encoding, or nothing is certain; with the first line that is not UTF-8.
    """
    start = stream.read(4)
    stream.seek(0)
    if encoding is not None:
        name = known_encoding(encoding)
        if name in ("utf-16", "utf-32") and not any(start.startswith(mark) for mark in _MARKED_ENCODINGS):
            either = " or ".join(argument("encoding", f"{name}-{order}") for order in ("le", "be"))
            raise DataError(f"{file}, line 1: no byte order mark, which {name.upper()} begins with; give {either}")
        return TextForm(name, _line_end(stream, name))
    marked = next((name for mark, name in _MARKED_ENCODINGS.items() if start.startswith(mark)), None)
    if marked:
        text = f"not UTF-8: read as {_SHOWN[marked]}, which its byte order mark says"
        return TextForm(marked, _line_end(stream, marked), text)
    if unmarked := _unmarked(stream):
        raise DataError(
            f"{file}, line 1: not UTF-8 but by its bytes {unmarked}; give {argument('encoding', unmarked)}, or convert "
            f"it with `iconv -f {unmarked.upper()} -t UTF-8`"
        )
    is_utf8, line_feeds, returns = _scan(stream)
    line_end = "\r" if returns > 1 and not line_feeds else "\n"
    if is_utf8:
        return TextForm("utf-8", line_end)
    found = damage(stream)
    stream.seek(0)
    if found is None or found.is_utf8 or (found.line == 1 and other_kind(start)):
        raise DataError(_damaged(found or Utf8Damage(1, 0, start, 1, 0), file))
    certain, names = readings(stream)
    stream.seek(0)
    if not certain or not _decodes(stream, names[0][0]):
        raise DataError(f"{file}, line {found.line}: {_no_utf8(found.content, found.start)}; {_advice(names)}")
    name, word = names[0]
    form = TextForm(name, line_end)
    return TextForm(name, line_end, f"not UTF-8: read as {form.shown}, which its letters say ({word!r}, for example)")


def known_encoding(name: str) -> str:
    """Return Python's name of an encoding of text.

    Raises:
        DataError: There is none of this name.
    """
    try:
        found = codecs.lookup(name.strip()).name
        "a".encode(found)
    except (LookupError, ValueError):
        raise DataError(
            f"{argument('encoding', name)}: there is no such encoding; expected for example utf-8, latin-1, cp1252 or "
            "gb18030"
        ) from None
    # A mark at the beginning is no word; and what is called Latin-1 was mostly written on Windows.
    return {"utf-8": "utf-8-sig"}.get(found, found)


def as_number(text: str) -> int | None:
    """Return the whole number that digits write; None for anything else, and for more digits than any number has."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None


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
            hint = (other_kind(line) if number == 1 else None) or _MEND
            raise DataError(f"{file}, line {number}: {_no_utf8(line, error.start)}; {hint}") from None


def text_lines(stream: BinaryIO, file: str, form: TextForm) -> Iterator[tuple[int, str]]:
    """Yield numbers from 1 and lines without their ends, as `numbered_lines` does, in any encoding.

    Args:
        stream: The file, opened for bytes, at its beginning.
        file: Its name for messages.
        form: From `text_form`.

    Raises:
        DataError: A line cannot be decoded.
    """
    if form.encoding in ("utf-8", "utf-8-sig") and form.line_end == "\n":
        yield from numbered_lines(stream, file)
        return
    decoder = codecs.getincrementaldecoder(form.encoding)()
    number, rest = 0, ""
    while True:
        chunk = stream.read(_CHUNK)
        try:
            text = rest + decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            before = rest + error.object[: error.start].decode(form.encoding, "ignore")
            bad = number + before.count(form.line_end) + 1
            raise DataError(
                f"{file}, line {bad}: byte 0x{error.object[error.start]:02x} behind "
                f"{shortened(before.rsplit(form.line_end, 1)[-1][-20:])} is not {form.shown}; give another "
                f"{argument('encoding')}, or mend the line"
            ) from None
        *lines, rest = text.split(form.line_end)
        if not chunk and rest:
            lines.append(rest)
        for line in lines:
            number += 1
            if number == 1:
                line = line.removeprefix("\ufeff")
            yield number, line.removesuffix("\r")
        if not chunk:
            return


def other_kind(line: bytes) -> str | None:
    """Return what a file is and what to do about it, for a first line that is no text in UTF-8; None for any other."""
    return next((hint for mark, hint in _OTHER_KINDS.items() if line.startswith(mark)), None)


_MEND = "mend this line, or get the file again"


def _scan(stream: BinaryIO) -> tuple[bool, int, int]:
    """Return whether a stream is UTF-8 to its end, and how many line feeds and carriage returns it has."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_utf8, line_feeds, returns = True, 0, 0
    while chunk := stream.read(_CHUNK):
        line_feeds += chunk.count(b"\n")
        returns += chunk.count(b"\r") if not line_feeds else 0
        if is_utf8:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                is_utf8 = False
    if is_utf8:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            is_utf8 = False
    stream.seek(0)
    return is_utf8, line_feeds, returns


def _unmarked(stream: BinaryIO) -> str | None:
    """Return the encoding of a file whose bytes are ASCII all the same; None for any other."""
    head = stream.read(1 << 16)
    stream.seek(0)
    if b"\x1b$" in head:  # an escape to two bytes a character
        return "iso-2022-jp"
    pairs = len(head) // 2
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
        if pairs > 2 and zeros.count(0) * 2 > pairs:
            return encoding
    return None


def _line_end(stream: BinaryIO, encoding: str) -> str:
    """Return what ends the lines of a file in an encoding that need not be one of bytes."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    line_feeds = returns = 0
    while not line_feeds and (chunk := stream.read(_CHUNK)):
        text = decoder.decode(chunk)
        line_feeds += text.count("\n")
        returns += text.count("\r")
    stream.seek(0)
    return "\r" if returns > 1 and not line_feeds else "\n"


def _decodes(stream: BinaryIO, encoding: str) -> bool:
    """Return whether a whole stream can be read in an encoding; it is left at its beginning."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while chunk := stream.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        stream.seek(0)
    return True


def _damaged(found: Utf8Damage, file: str) -> str:
    hint = other_kind(found.content) if found.line == 1 else None
    if hint is None:
        others = f"{found.good:,} other line{'s' * (found.good != 1)} beyond ASCII"
        hint = f"{others} {'are' if found.good != 1 else 'is'} UTF-8, so the file is damaged: {_MEND}"
    return f"{file}, line {found.line}: {_no_utf8(found.content, found.start)}; {hint}"


def _no_utf8(line: bytes, start: int) -> str:
    around = shortened(line[max(0, start - 20) : start + 20].decode("utf-8", "backslashreplace"))
    return f"byte 0x{line[start]:02x} in {around} is not UTF-8"


def _advice(names: list[tuple[str, str]]) -> str:
    if not names:
        return f"in which encoding was it saved? Give {argument('encoding')}, or save it as UTF-8"
    shown = ", or ".join(f"{argument('encoding', name)} reads it as {word!r}" for name, word in names[:3])
    return f"nothing says for certain what it is: {shown}; otherwise {_MEND}"
