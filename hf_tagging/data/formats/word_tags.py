"""Words with tags, as every task has them: column files and rows of JSON. They are only written here.

`conll` has two columns, as CoNLL-2003 (https://www.clips.uantwerpen.be/conll2003/ner/). `conllup` is CoNLL-U Plus
(https://universaldependencies.org/ext-format.html): with the number of each word before it, no word reads as a mark of
a document or as a comment. `jsonl` is a sentence per line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import IO

from hf_tagging.atomic import json_text
from hf_tagging.data.formats.base import Format, TaggedSentence
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.prefixes import UNSCORED
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_BREAKS = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_LIKE_A_MARK = re.compile(r"[ \t]*-DOCSTART-(?!\w)|#|\s*\Z")


def _documents(sentences: Iterable[TaggedSentence]) -> Iterator[tuple[bool, TaggedSentence]]:
    """Yield each sentence, and whether it is the first of a document that has a name."""
    before: str | None = None
    for sentence in sentences:
        yield sentence.id is not None and sentence.id != before, sentence
        before = sentence.id


def _written(text: str, notes: FileNotes) -> str:
    """Return a word or tag without what ends a column or a line."""
    if not _BREAKS.search(text):
        return text
    notes.count("breaks", "words with a tab or a line break in them: written with a blank", severity="suspicious",
                example=repr(text))  # fmt: skip
    return _BREAKS.sub(" ", text)


def _write_columns(sentences: Iterable[TaggedSentence], stream: IO[str], notes: FileNotes) -> None:
    for starts, sentence in _documents(sentences):
        if starts:
            stream.write("-DOCSTART-\tO\n\n")
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            if _LIKE_A_MARK.match(word):
                raise DataError(
                    f"{notes.file}: the word {word!r} at the beginning of a line is a comment or the mark of a "
                    f"document in column files; write another format, such as {argument('to', 'conllup')}"
                )
            stream.write(f"{_written(word, notes)}\t{_written(tag or UNSCORED, notes)}\n")
        stream.write("\n")


def _write_columns_plus(sentences: Iterable[TaggedSentence], stream: IO[str], notes: FileNotes) -> None:
    stream.write("# global.columns = ID FORM TAG\n")
    for starts, sentence in _documents(sentences):
        if starts:
            stream.write(f"# newdoc id = {_written(sentence.id or '', notes)}\n")
        for number, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True), start=1):
            stream.write(f"{number}\t{_written(word, notes)}\t{_written(tag or UNSCORED, notes)}\n")
        stream.write("\n")


def _write_rows(sentences: Iterable[TaggedSentence], stream: IO[str], notes: FileNotes) -> None:
    for sentence in sentences:
        row = {"tokens": sentence.words, "tags": sentence.tags}
        name = {} if sentence.id is None else {"document_id": sentence.id}
        stream.write(json_text(row | name, indent=None) + "\n")


COLUMNS = Format(
    name="conll",
    title="column file",
    write_sentences=_write_columns,
    suffix=".conll",
    holds=frozenset({"words", "unknown"}),
)
COLUMNS_PLUS = Format(
    name="conllup", title="CoNLL-U Plus", write_sentences=_write_columns_plus, suffix=".conllup",
    holds=frozenset({"words", "ids", "unknown"}),
)  # fmt: skip
ROWS = Format(
    name="jsonl", title="JSON Lines of words and tags", write_sentences=_write_rows, suffix=".jsonl",
    holds=frozenset({"words", "ids", "unknown"}),
)  # fmt: skip
