"""Documents of formats that annotate words: sentences of words, and entities by the positions of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hf_tagging.data.formats.base import Document, Span
from hf_tagging.data.formats.json_values import checked_text, whole_number, wrong
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

Entity = tuple[int, int, str]
"""First word, last word and type; words are numbered over all sentences of a document."""


def document_of_words(
    sentences: Sequence[Sequence[str]],
    entities: Sequence[Entity],
    *,
    unknown: Sequence[int] = (),
    id: str | None = None,
    place: str = "",
    source: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Document:
    """Return a document whose text is its words, joined by blanks, each sentence on a line.

    Args:
        sentences: Its words.
        entities: Its entities, over the words of all sentences.
        unknown: Words that are not annotated.
        id: See `Document`.
        place: See `Document`.
        source: See `Document`.
        extra: See `Document`.
    """
    words: list[tuple[int, int]] = []
    end = -1
    for sentence in sentences:
        for word in sentence:
            words.append((end + 1, end + 1 + len(word)))
            end += 1 + len(word)
    return Document(
        text="\n".join(" ".join(sentence) for sentence in sentences if sentence),
        spans=[Span(words[first][0], words[last][1], kind) for first, last, kind in entities],
        words=words,
        has_text=False,
        unknown=tuple(words[index] for index in unknown),
        id=id,
        place=place,
        source=source or {},
        extra=extra or {},
    )


def entities_of(tags: Sequence[str | None]) -> list[Entity]:
    """Return the entities that tags of one sentence write, in IOB2, BIOES or BILUO.

    One begins at a prefix that begins one, at another type, and behind a prefix that ends one: the rule of `conlleval`.
    As in `TagSchema.entity_edges`, it goes on behind words that are not annotated: `B-PER`, None, `I-PER` is one.
    """
    found: list[Entity] = []
    first, last, before, open_ = 0, 0, "", False
    for index, tag in enumerate([*tags, "O"]):
        if tag is None:
            continue
        prefix, _, kind = tag.partition("-")
        begins = not open_ or prefix in ("B", "S", "U") or kind != before
        if open_ and (not kind or begins):
            found.append((first, last, before))
        if kind and begins:
            first = index
        last, open_, before = index, bool(kind), kind
        if kind and prefix in ("E", "L", "S", "U"):
            found.append((first, index, kind))
            open_ = False
    return found


def positions(value: object, *, inclusive: bool, words: int, file: str, place: str) -> Entity:
    """Return an entity that is written as first and last word and type.

    Args:
        value: A list of three.
        inclusive: Whether the last position is that of the last word, and not the one behind it.
        words: How many words there are.
        file: For messages.
        place: For messages.

    Raises:
        DataError: It is something else, or outside of the words.
    """
    if not isinstance(value, list) or len(value) < 3 or not isinstance(value[2], str) or not value[2].strip():
        raise wrong(file, place, value, "expected an entity as [first word, last word, type]")
    first, last = whole_number(value[0]), whole_number(value[1])
    if last is not None and not inclusive:
        last -= 1
    if first is None or last is None or not 0 <= first <= last < words:
        raise wrong(file, place, value, f"expected first and last word as positions among the {words} words")
    return first, last, checked_text(value[2].strip(), file, place)


def indexed(index: Sequence[int], kind: str, *, request: ReadRequest, notes: FileNotes, place: str) -> list[Entity]:
    """Return an entity that lists its words; a discontinuous one is widened to all between, or dropped."""
    first, last = min(index), max(index)
    if last - first + 1 != len(set(index)):
        what = "read from the first to the last word" if request.misfit == "widen" else "dropped"
        notes.count("discontinuous", f"discontinuous annotated entities: {what}", severity="suspicious", example=place)
        if request.misfit == "drop":
            return []
    return [(first, last, kind)]
