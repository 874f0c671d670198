"""spaCy's binary DocBin, the ``.spacy`` files of `spacy convert` and `spacy train` (https://spacy.io/api/docbin).

Read by spaCy itself (``pip install 'hf-tagging[spacy]'``). `layer` names a group of `doc.spans`; default: `doc.ents`. A
file is unpacked here first, piece by piece, and refused where it grows out of all proportion.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_tagging.data.formats.base import Document, Format, Head, Record, Span, TaggedSentence
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

if TYPE_CHECKING:
    from spacy.tokens import Doc

_PIECE = 1 << 20
_ALWAYS = 16 << 20  # bytes that a file may unpack to, however small it is; of each, Python makes up to 70
_TIMES = 64  # a corpus unpacks to 13 times its size
_INSTEAD = "save it as JSON Lines of text and entities with spaCy"


def _recognizes(head: Head) -> bool:
    if head.path.suffix == ".spacy":
        return True
    try:
        start = zlib.decompressobj().decompress(head.start, 256)
    except zlib.error:
        return False
    return b"version" in start and b"attrs" in start


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Record]:
    _check(path, file)
    try:
        import spacy
        from spacy.tokens import DocBin
    except ImportError:
        raise DataError(
            f"{file}: a binary file of spaCy (DocBin) needs spaCy: pip install 'hf-tagging[spacy]'; or {_INSTEAD}"
        ) from None
    try:
        packed, vocab = DocBin().from_bytes(path.read_bytes()), spacy.blank("xx").vocab
        if request.layer is not None:
            _check_layer(packed.get_docs(vocab), request.layer, file)
        for number, doc in enumerate(packed.get_docs(vocab), start=1):
            yield from _records(doc, f"document {number}", request, notes)
    except (MemoryError, DataError):
        raise
    except Exception as error:  # whatever msgpack, NumPy and spaCy stumble over
        raise _damaged(file, f"{type(error).__name__}: {error}") from error


def _check(path: Path, file: str) -> None:
    """Refuse a file that is damaged or unpacks to far more than a corpus does.

    Raises:
        DataError: It is.
    """
    limit = max(_ALWAYS, _TIMES * path.stat().st_size)
    unpacker, total = zlib.decompressobj(), 0
    try:
        with open(path, "rb") as stream:
            while not unpacker.eof and (piece := unpacker.unconsumed_tail or stream.read(_PIECE)):
                total += len(unpacker.decompress(piece, _PIECE))
                if total > limit:
                    raise DataError(
                        f"{file}: unpacks to more than {limit >> 20:,} MiB, far more than a corpus of spaCy of "
                        f"{path.stat().st_size:,} bytes; not read. Is it one, {_INSTEAD}"
                    )
    except zlib.error as error:
        raise _damaged(file, str(error)) from error
    if not unpacker.eof:
        raise _damaged(file, "it ends too early")


def _damaged(file: str, reason: str) -> DataError:
    return DataError(f"{file}: a damaged binary file of spaCy (DocBin): {reason}; write it again, or {_INSTEAD}")


def _check_layer(docs: Iterable[Doc], layer: str, file: str) -> None:
    """Refuse a group of spans that no document has; where one has it, it is empty in those without."""
    there: dict[str, None] = {}
    for doc in docs:
        there |= dict.fromkeys(doc.spans)
    if layer not in there:
        raise DataError(
            f"{file}: {argument('layer', layer)}: no such group of spans; found {', '.join(there) or 'none'}"
        )


def _records(doc: Doc, place: str, request: ReadRequest, notes: FileNotes) -> Iterator[Record]:
    if not request.task.has_entities:
        yield from _tagged(doc, place)
        return
    groups = list(doc.spans)
    left = [name for name in groups if name != request.layer]
    notes.left_out += [name for name in left if name not in notes.left_out]
    words = [token for token in doc if token.text.strip()]
    unknown = [token for token in words if token.ent_iob == 0] if request.layer is None else []
    spans: Any = doc.ents if request.layer is None else doc.spans[request.layer] if request.layer in groups else []
    yield Document(
        text=doc.text,
        spans=[Span(span.start_char, span.end_char, span.label_) for span in spans if span.label_],
        words=[(token.idx, token.idx + len(token)) for token in words],
        sentences=_sentences(doc),
        unknown=tuple((token.idx, token.idx + len(token)) for token in unknown),
        unused="without an annotation" if words and len(unknown) == len(words) else "",
        place=place,
    )


def _sentences(doc: Doc) -> list[tuple[int, int]] | None:
    if not doc.has_annotation("SENT_START"):
        return None
    return [(sentence.start_char, sentence.end_char) for sentence in doc.sents]


def _tagged(doc: Doc, place: str) -> Iterator[TaggedSentence]:
    """Yield the sentences with their fine-grained tags, or the coarse ones where a document has no others."""
    fine = any(token.tag_ for token in doc)
    for sentence in doc.sents if doc.has_annotation("SENT_START") else [doc]:
        words = [token for token in sentence if token.text.strip()]
        tags = [(token.tag_ if fine else token.pos_) or None for token in words]
        yield TaggedSentence(words=[token.text for token in words], tags=tags, place=place)


SPACY_DOCBIN = Format(
    name="spacy-docbin",
    title="spaCy DocBin",
    recognizes=_recognizes,
    read=_read,
    suffix=".spacy",
    takes=frozenset({"layer"}),
)
