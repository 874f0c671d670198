"""Notes of reading: how each file was read, and every remark about it.

Readers write notes while they read; a builder keeps them beside its cached rows, so that a load from the cache says as
much as the first one. `hf_tagging.data.reading` collects the notes of all splits into the report of a dataset.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["wrong", "suspicious", "note"]
"""Weight of a remark: it stops a run, is said before training and in the card's limits, or is worth knowing."""

_SHOWN, _KEPT = 3, 20  # examples of a remark: in its line, and in the report


_NOUNS = {
    "annotations": "annotation", "answers": "answer", "attributes": "attribute", "documents": "document",
    "entities": "entity", "equivalences": "equivalence", "events": "event", "files": "file", "lines": "line",
    "marks": "mark", "names": "name", "normalizations": "normalization", "notes": "note", "relations": "relation",
    "results": "result", "rows": "row", "scores": "score", "sentences": "sentence", "spans": "span", "tags": "tag",
    "texts": "text", "types": "type", "values": "value", "words": "word",
}  # fmt: skip
_VERBS = {
    "are": "is", "were": "was", "have": "has", "do": "does", "look": "looks", "repeat": "repeats", "occur": "occurs",
    "end": "ends", "begin": "begins", "hold": "holds",
}  # fmt: skip
_PRONOUNS = {"they are": "it is", "their": "its", "them": "it"}
_NOUN = re.compile(rf"(?!of )(?:[^\W\d_][\w-]* ){{0,3}}?({'|'.join(_NOUNS)})\b")
_VERB = re.compile(rf"\b({'|'.join(_VERBS)})\b")
_OTHER_SUBJECT = re.compile(rf"\bwhose\b|\b({'|'.join(_NOUNS)}) that $")


@dataclass
class Remark:
    """One thing to know about how data was read.

    Args:
        kind: Short stable name, such as "misfit", which tools and tests look for; those of
            `hf_tagging.data.findings.FINDINGS` are also what `accept` takes.
        text: What was found and what was done, a clause in plain English. With a count it follows the number:
            "annotated spans with a border inside a word: widened to the word".
        severity: "wrong" stops a run, "suspicious" is a warning, "note" is information.
        count: How often; None for what is not counted.
        examples: Places or values, the first twenty.
    """

    kind: str
    text: str
    severity: Severity = "note"
    count: int | None = None
    examples: list[str] = field(default_factory=list)

    @property
    def further(self) -> list[str]:
        """Examples that are not in its line."""
        return self.examples[_SHOWN:]

    def __str__(self) -> str:
        number = "" if self.count is None else f"{self.count:,} "
        text = _of_one(self.text) if self.count == 1 else self.text
        examples = f" ({', '.join(self.examples[:_SHOWN])})" if self.examples else ""
        return f"{number}{text}{examples}"


def _of_one(text: str) -> str:
    """Return a text about several things as one about a single thing: its noun, and the verbs that belong to it."""
    noun = _NOUN.match(text)
    if noun is None:
        return text
    clause, colon, rest = text[noun.end() :].partition(":")
    verb = _VERB.search(clause)
    if verb and not _OTHER_SUBJECT.search(clause[: verb.start()]):
        tail = re.sub(rf"\b(or|and) ({'|'.join(_VERBS)})\b", lambda m: f"{m[1]} {_VERBS[m[2]]}", clause[verb.end() :])
        clause = f"{clause[: verb.start()]}{_VERBS[verb[1]]}{tail}"
    clause = re.sub(rf"\b({'|'.join(_PRONOUNS)})\b", lambda m: _PRONOUNS[m[1]], clause)
    rest = re.sub(r"^ they are\b", " it is", rest)
    return f"{text[: noun.start(1)]}{_NOUNS[noun[1]]}{clause}{colon}{rest}"


@dataclass
class ColumnNote:
    """A column that was read.

    Args:
        role: "words", "tags", "document", "sentence" or the name of a word feature.
        name: Its name, or its position from 0 in a file without names.
        examples: Three values.
    """

    role: str
    name: str
    examples: list[str] = field(default_factory=list)


@dataclass
class FileNotes:
    """Notes on the reading of one file.

    Args:
        file: The file as messages name it.
        format: The format in words, such as "column file" or "doccano JSON Lines".
        encoding: Encoding of a text file.
        columns: The columns that were read.
        left_out: Names of columns, keys or layers that were not read.
        remarks: Everything else, in the order in which it was found.
    """

    file: str
    format: str = ""
    encoding: str | None = None
    columns: list[ColumnNote] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def __post_init__(self) -> None:
        # No fields, so that they are not kept: the remarks by kind and text, and the list that this is an index of.
        self._known: dict[tuple[str, str], Remark] = {}
        self._indexed: tuple[int, int] = (0, 0)

    def _find(self, kind: str, text: str) -> Remark | None:
        """Return a remark that was made before."""
        if self._indexed != (id(self.remarks), len(self.remarks)):  # others may add to the list, or give another
            self._known = {(remark.kind, remark.text): remark for remark in reversed(self.remarks)}
            self._indexed = (id(self.remarks), len(self.remarks))
        return self._known.get((kind, text))

    def _add(self, remark: Remark) -> Remark:
        self.remarks.append(remark)
        self._known[(remark.kind, remark.text)] = remark
        self._indexed = (id(self.remarks), len(self.remarks))
        return remark

    def remark(self, kind: str, text: str, *, severity: Severity = "note") -> None:
        """Add a remark that is not counted; the same one is kept once."""
        if self._find(kind, text) is None:
            self._add(Remark(kind, text, severity))

    def count(self, kind: str, text: str, *, severity: Severity = "note", example: str = "", by: int = 1) -> None:
        """Count an occurrence, with an example while there are few.

        Args:
            kind: See `Remark`.
            text: See `Remark`; the same for every occurrence.
            severity: See `Remark`.
            example: A place or value, such as "line 3: 'Rome'".
            by: How many occurrences.
        """
        found = self._find(kind, text) or self._add(Remark(kind, text, severity, 0))
        found.count = (found.count or 0) + by
        if example and len(found.examples) < _KEPT and example not in found.examples:
            found.examples.append(example)

    def as_dict(self) -> dict[str, Any]:
        """Return the notes as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> FileNotes:
        """Return notes that `as_dict` wrote."""
        columns = [ColumnNote(**column) for column in kept["columns"]]
        return cls(**kept | {"columns": columns, "remarks": [Remark(**remark) for remark in kept["remarks"]]})


def is_well_formed(notes: FileNotes) -> bool:
    """Return whether notes that were read from a record hold what they should; a stranger may have written it."""
    texts = [notes.file, notes.format, notes.encoding or "", *notes.left_out]
    texts += [text for column in notes.columns for text in (column.role, column.name, *column.examples)]
    texts += [text for remark in notes.remarks for text in (remark.kind, remark.text, *remark.examples)]
    return all(isinstance(text, str) for text in texts) and all(
        remark.severity in ("wrong", "suspicious", "note") and type(remark.count) in (int, type(None))
        for remark in notes.remarks
    )
