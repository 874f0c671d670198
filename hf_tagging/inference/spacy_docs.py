"""Tagged texts as documents of spaCy (https://spacy.io/api/doc), and back (``pip install 'hf-tagging[spacy]'``)."""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hf_tagging.data.sentences import sentence_starts
from hf_tagging.errors import TaggingError
from hf_tagging.inference.results import NO_TAG
from hf_tagging.inference.spans import Entity, TaggedWord
from hf_tagging.inference.tagged_text import TaggedText

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Token

logger = logging.getLogger(__name__)

SPANS = "hf_tagging"
"""Key of the entities and their scores in `doc.spans`."""
UNKNOWN = float("nan")
_EXAMPLES = 3


@dataclass
class _Misfits:
    """Entities and tokens that have no place in a doc."""

    entities: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def tell(self) -> None:
        for found, what in (
            (self.entities, "entities begin or end inside a token, and are left out"),
            (self.tokens, "tokens are several words or none, and have the tag of the first word, or none"),
        ):
            if found:
                logger.warning(
                    "to_spacy: %d %s, such as %s. With the component hf_tagging the words are the tokens of the doc.",
                    len(found),
                    what,
                    ", ".join(map(repr, found[:_EXAMPLES])),
                )


def to_spacy(tagged: TaggedText, doc: Doc | Language) -> Doc:
    """Put tags and entities into a document of spaCy.

        doc = to_spacy(tagger.tag_text(text), nlp.make_doc(text))
        doc = to_spacy(tagger.tag_text(text), nlp)  # with the words of the tagger as tokens

    Entities become `doc.ents`, and with their scores, `doc.spans["hf_tagging"]`, whose `attrs["scores"]` they are.
    Without entities, each token has the tag of the word that it begins in as `token.tag_`, and as `token.pos_` if all
    tags of the tagger are universal ones. A warning counts what does not fit the tokens.

    Args:
        tagged: The tagged text.
        doc: Of the same text, which is changed and returned; or a pipeline with whose vocabulary a new one is made of
            the words and sentences of the text.

    Raises:
        TaggingError: The doc has another text, or one of the two is something else.
    """
    from spacy.language import Language
    from spacy.tokens import Doc

    if not isinstance(tagged, TaggedText) or not isinstance(doc, Doc | Language):
        raise TaggingError(
            "to_spacy takes a tagged text, as Tagger.tag_text returns it, and a Doc or a pipeline of spaCy; it was "
            f"given a {type(tagged).__name__} and a {type(doc).__name__}."
        )
    if not isinstance(doc, Doc):
        doc = _new_doc(tagged, doc)
    if doc.text != tagged.text:
        raise TaggingError(
            f"to_spacy: the doc has the text {doc.text!r:.60}, and what was tagged is {tagged.text!r:.60}. Make the "
            "doc of the same text, as nlp.make_doc(tagged.text) does."
        )
    misfits = _Misfits()
    if tagged.has_entities:
        _set_entities(doc, tagged.entities, misfits)
    else:
        _set_tags(doc, tagged, misfits)
    misfits.tell()
    return doc


def from_spacy(doc: Doc, tags: Literal["entities", "tag", "pos"] = "entities") -> TaggedText:
    """Return a document of spaCy as a tagged text, with its tokens as words.

    Args:
        doc: Document; tokens of white space are no words.
        tags: ``entities``: entities of `doc.ents`, and IOB2 tags. ``tag`` or ``pos``: `token.tag_` or `token.pos_`.

    Returns:
        Words and entities with the offsets of the doc. Scores are not a number, except of entities that `to_spacy` has
        put there.

    Raises:
        TaggingError: It is no document of spaCy.
    """
    from spacy.tokens import Doc

    if not isinstance(doc, Doc):
        raise TaggingError(f"from_spacy takes a Doc, as nlp(text) returns it; it was given a {type(doc).__name__}.")
    tokens = words_of(doc)
    has_entities = tags == "entities"
    tag_of = _iob2 if has_entities else lambda token: getattr(token, f"{tags}_") or NO_TAG
    words = [TaggedWord(token.text, token.idx, token.idx + len(token), tag_of(token), UNKNOWN) for token in tokens]
    scores = _scores(doc)
    entities = []
    for span in doc.ents if has_entities else ():
        first, end = (bisect_left(tokens, place, key=lambda token: token.i) for place in (span.start, span.end))
        score = scores.get((span.start, span.end, span.label_), UNKNOWN)
        entities.append(Entity(span.label_, span.text, span.start_char, span.end_char, score, first, end))
    return TaggedText(doc.text, words, entities, starts_of(doc, tokens), has_entities=has_entities)


def words_of(doc: Doc) -> list[Token]:
    """Return the tokens of a doc that are words."""
    return [token for token in doc if not token.is_space]


def starts_of(doc: Doc, words: list[Token]) -> tuple[int, ...]:
    """Return the index of the first word of each sentence, as the doc has them, or else found in the text."""
    if not doc.has_annotation("SENT_START"):
        return tuple(sentence_starts(doc.text, [(word.idx, word.idx + len(word)) for word in words]))
    numbers = [word.sent.start for word in words]
    return tuple(place for place, number in enumerate(numbers) if place == 0 or number != numbers[place - 1])


def _new_doc(tagged: TaggedText, nlp: Language) -> Doc:
    from spacy.tokens import Doc
    from spacy.util import get_words_and_spaces

    pieces, behind = [], 0
    for word in tagged.words:
        pieces += [*tagged.text[behind : word.start].split(), word.text]  # what a splitter has left out is a token too
        behind = word.end
    words, spaces = get_words_and_spaces([*pieces, *tagged.text[behind:].split()], tagged.text)
    doc = Doc(nlp.vocab, words=words, spaces=spaces)
    starts = {tagged.words[place].start for place in tagged.sentence_starts[1:]}
    for token in doc:
        token.is_sent_start = token.i == 0 or token.idx in starts
    return doc


def _set_entities(doc: Doc, entities: list[Entity], misfits: _Misfits) -> None:
    from spacy.tokens import SpanGroup

    spans = [doc.char_span(entity.start, entity.end, label=entity.type) for entity in entities]
    misfits.entities += [entity.text for entity, span in zip(entities, spans, strict=True) if span is None]
    scores = [entity.score for entity, span in zip(entities, spans, strict=True) if span is not None]
    found = [span for span in spans if span is not None]
    doc.set_ents(found)
    doc.spans[SPANS] = SpanGroup(doc, name=SPANS, attrs={"scores": scores}, spans=found)


def _set_tags(doc: Doc, tagged: TaggedText, misfits: _Misfits) -> None:
    from spacy.parts_of_speech import IDS

    words = tagged.words
    known = tagged.known_tags or [word.tag for word in words]
    universal = all(tag in IDS or tag == NO_TAG for tag in known)
    starts = [word.start for word in words]
    for token in words_of(doc):
        place = bisect_right(starts, token.idx) - 1
        if place < 0 or words[place].end < token.idx + len(token):
            misfits.tokens.append(token.text)
        if place < 0 or words[place].end <= token.idx or words[place].tag == NO_TAG:
            continue
        token.tag_ = words[place].tag
        if universal:
            token.pos_ = words[place].tag


def _iob2(token: Token) -> str:
    return f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O"


def _scores(doc: Doc) -> dict[tuple[int, int, str], float]:
    group = doc.spans.get(SPANS, [])
    scores = group.attrs.get("scores", []) if group else []
    return {(span.start, span.end, span.label_): score for span, score in zip(group, scores, strict=False)}
