"""Tagging texts of an annotation tool: documents in, the same documents with predicted spans out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from hf_tagging.data.formats.base import Document, Span
from hf_tagging.data.formats.spans import ends_row
from hf_tagging.inference.cutting import Splitter, TextCutter
from hf_tagging.inference.results import NO_TAG, SCORE_DIGITS, WordLabels, tagged_text

if TYPE_CHECKING:
    from hf_tagging.inference.word_tagger import WordTagger

Rows = list[list[tuple[int, int]]]


def tag_documents(
    tagger: WordTagger,
    documents: Iterable[Document],
    *,
    splitter: str | Splitter | None = None,
    split_sentences: bool = True,
    model: str | None = None,
) -> Iterator[Document]:
    """Tag a stream of documents in constant memory.

        documents = [Document(text="Jordan moved to Porto.", spans=[])]
        print(next(tag_documents(tagger, documents)).spans)

    Args:
        tagger: The tagger.
        documents: Texts; read ahead of what is yielded. Words that a document brings with it are tagged as they are.
        splitter: How a text is cut into words, see `Tagger.tag_text`.
        split_sentences: Whether a text is tagged sentence by sentence, see `Tagger.tag_text`.
        model: Name of the model, as annotation tools show it. Default: the last part of the model's name or folder.

    Yields:
        The documents in the order given, with the predicted entities as their only spans, each with its score. A tagger
        without entities marks every word with its tag.

    Raises:
        TaggingError: `splitter` returns spans that are not in the text.
    """
    cutter = tagger.cutter(splitter, split_sentences=split_sentences)
    yield from tag_rows(tagger, ((document, word_rows(document, cutter)) for document in documents), model=model)


def tag_rows(
    tagger: WordTagger, documents: Iterable[tuple[Document, Rows]], *, model: str | None = None
) -> Iterator[Document]:
    """Tag documents that are cut into rows of words; see `tag_documents`.

    Args:
        tagger: The tagger.
        documents: Each with what `word_rows` gives for it.
        model: Name of the model. Default: the last part of the model's name or folder.
    """
    model = model or tagger.name
    items = (((document, rows), [words_of(document, row) for row in rows]) for document, rows in documents)
    for (document, rows), labels in tagger.label_each(items):
        tagged = zip(rows, labels, strict=True)
        spans = [span for row, found in tagged for span in predicted_spans(tagger, document.text, row, found)]
        yield replace(document, spans=spans, model=model)


def predicted_spans(tagger: WordTagger, text: str, row: list[tuple[int, int]], labels: WordLabels) -> list[Span]:
    """Return the entities of a row of words as spans of the text; of a tagger without entities, its tagged words.

    Args:
        tagger: The tagger.
        text: Text that the words are in.
        row: Start and end of each word. (words, 2)
        labels: What the tagger says of them.
    """
    tagged = tagged_text(text, row, labels, tagger.schema)
    if tagger.schema.entity_types:
        return [Span(e.start, e.end, e.type, round(e.score, SCORE_DIGITS)) for e in tagged.entities]
    marked = (word for word in tagged.words if word.tag not in ("O", NO_TAG))
    return [Span(word.start, word.end, word.tag, round(word.score, SCORE_DIGITS)) for word in marked]


def word_rows(document: Document, cutter: TextCutter) -> Rows:
    """Return the words of a document, divided into rows that are tagged one by one.

    Args:
        document: Its own words are used where it has any, with a row for each of its sentences or lines.
        cutter: Cuts a text that has none into sentences of words.

    Returns:
        Start and end of each word in the text, row by row; a row has at least one word.
    """
    if document.words is None:
        cut = cutter(document.text)
        return [cut.spans[first:end] for first, end in pairwise(cut.bounds)]
    rows: Rows = []
    behind = 0
    for start, end in document.words:
        if not rows or ends_row(document, behind, start):
            rows.append([])
        rows[-1].append((start, end))
        behind = end
    return rows


def words_of(document: Document, row: list[tuple[int, int]]) -> list[str]:
    """Return the words of a row."""
    return [document.text[start:end] for start, end in row]
