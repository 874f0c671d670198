"""Headers of column files: a first line that names the columns and holds no word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hf_tagging.data.column_names import (
    WORD_NAMES,
    column_position,
    is_position,
    names_sentences,
    normalized,
    tag_names,
)
from hf_tagging.data.columns.kinds import Column
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.pos_tags import is_pos_tag
from hf_tagging.data.prefixes import is_outside
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import shortened

OTHER_NAMES = frozenset(
    {"lemma", "lemmas", "id", "idx", "index", "number", "no", "num", "offset", "start", "end", "begin", "feats", "head"}
    | {"deprel", "deps", "misc", "document", "document_id", "doc", "doc_id", "annotator", "predicted"}
)
_FEWEST_ROWS = 5
_ENOUGH_WORDS = 20  # from which a type of one word alone is odd
_TAG = re.compile(r"[BIESLUMW][-_:/.].|.+[-_:/.][BIESLUMW]$", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d][\w .:#/()-]*")


def is_header(fields: Sequence[str], below: Sequence[Column], rows: int, request: ReadRequest) -> bool:
    """Return whether the first line names the columns.

    Args:
        fields: Its fields.
        below: Kinds of the columns below it.
        rows: Lines that these were found from.
        request: What is asked for.
    """
    names = [normalized(field) for field in fields]
    asked = _asked_names(request)
    if asked and all(column_position(name, fields) is not None for name in asked):
        return True
    if _are_known(names, request):
        return True
    return rows >= _FEWEST_ROWS and (_is_of_another_kind(fields, below) or _names_the_words(fields, below))


def note_first_line(
    notes: FileNotes, first: Sequence[str], columns: Sequence[Column], *, words: int, tags: int, line: int
) -> None:
    """Say that a first line may be names of columns: no other has its word, nor its type, where types have no prefix.

    Args:
        notes: Of the file.
        first: Fields of the first line, which is read as a word.
        columns: Kinds of the columns, the first line among them.
        words: Position of the words.
        tags: Position of the tags.
        line: Number of the first line.
    """
    counts, types = columns[words].counts, columns[tags]
    if types.kind != "entities" or types.fit > 0.5 or counts.total() < _ENOUGH_WORDS:
        return
    word, tag = first[words].strip(" "), first[tags].strip(" ")
    if counts[word] == types.counts[tag] == 1 and not is_outside(tag):
        notes.remark(
            "first_line",
            f"line {line} alone has the tag {shortened(tag)}, of the word {shortened(word)}; if these are "
            "the names of the columns, remove the line",
            severity="suspicious",
        )


def _asked_names(request: ReadRequest) -> list[str]:
    asked = (request.tokens_column, request.tags_column, request.layer)
    return [name for name in asked if isinstance(name, str) and not is_position(name)]


def _are_known(names: Sequence[str], request: ReadRequest) -> bool:
    of_tags, features = tag_names(request.task), {name.lower() for name in request.word_features}
    known = WORD_NAMES | of_tags | OTHER_NAMES | features
    are_known = all(name in known or names_sentences(name) for name in names)
    return are_known and not WORD_NAMES.isdisjoint(names) and not of_tags.isdisjoint(names)


def _is_of_another_kind(fields: Sequence[str], below: Sequence[Column]) -> bool:
    """Return whether names stand over columns of something else: numbers, entity tags, or parts of speech."""
    if len(set(fields)) < len(fields) or not all(_NAME.fullmatch(field.strip()) for field in fields if field):
        return False
    if any(
        column.kind in ("words", "tags") and field in column.counts
        for field, column in zip(fields, below, strict=False)
    ):
        return False
    found = False
    for field, column in zip(fields, below, strict=False):
        value = field.strip()
        if column.kind in ("entities", "chunks", "pos"):
            if value in column.counts or (column.kind == "pos" and is_pos_tag(value)) or _is_type(value, column):
                return False
            found = found or column.fit > 0.5 or (column.kind == "entities" and _is_no_type(value, column))
        elif column.kind in ("word numbers", "sentence numbers", "numbers"):
            found = True
    return found


def _names_the_words(fields: Sequence[str], below: Sequence[Column]) -> bool:
    """Return whether one field is a name for words, and no other one stands below it or could be a tag."""
    if len(fields) < 3 or len(set(fields)) < len(fields):
        return False
    names = [normalized(field) for field in fields]
    others = [(field.strip(), column) for field, column in zip(fields, below, strict=False) if not _is_word_name(field)]
    return sum(map(_is_word_name, names)) == 1 and all(
        value not in column.counts
        and bool(_NAME.fullmatch(value))
        and (normalized(value) in OTHER_NAMES or not (is_pos_tag(value) or _is_tag(value)))
        for value, column in others
    )


def _is_word_name(field: str) -> bool:
    return normalized(field) in WORD_NAMES


def _is_tag(value: str) -> bool:
    return is_outside(value) or bool(_TAG.match(value))


def _is_no_type(value: str, column: Column) -> bool:
    """Return whether a value is no type of a column without prefixes: it is in small letters, and none of them is."""
    return value.islower() and not any(tag.islower() for tag in column.counts if not is_outside(tag))


def _is_type(value: str, column: Column) -> bool:
    """Return whether a value is an entity tag, or one of the entity types of a column without its prefix."""
    if column.kind == "pos":
        return False
    return _is_tag(value) or any(re.search(rf"\b{re.escape(value)}\b", tag) for tag in column.counts)
