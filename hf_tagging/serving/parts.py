"""Parts of a request, each a text or a sentence of words, and their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool

from hf_tagging.data.schema import TagSchema
from hf_tagging.inference.cutting import CutText, TextCutter
from hf_tagging.inference.piping import cut_words
from hf_tagging.inference.results import SCORE_DIGITS, WordLabels, tagged_cut
from hf_tagging.serving.bodies import EntityFound, Tagged, TagRequest, Word
from hf_tagging.serving.limits import Limits
from hf_tagging.serving.refusals import Refused

_QUICK = 10_000  # characters that are cut into words without leaving the event loop


@dataclass(frozen=True)
class Part:
    """A text, or a sentence of words.

    Args:
        cut: The text with the places of its words; of a sentence, its words joined by blanks.
        sentences: Words of its sentences. (sentences, words)
        is_text: Whether the client has the text, and so a use for places in it.
    """

    cut: CutText
    sentences: list[list[str]]
    is_text: bool


async def parts_of(body: TagRequest, cutter: TextCutter, limits: Limits) -> list[Part]:
    """Cut what a request holds into sentences of words.

    Raises:
        Refused: There are more sentences or words than are allowed.
    """
    if body.words is not None:
        parts = [Part(cut_words(words), [words], is_text=False) for words in body.all_words]
    else:
        texts = body.all_texts
        # Before the texts are cut, which takes longer: they have at least so many sentences and words.
        _check(len(texts), "sentences", limits.max_sentences)
        _check(sum(len(text.split()) for text in texts), "words", limits.max_words)
        if sum(map(len, texts)) <= _QUICK:
            parts = _of_texts(texts, cutter)
        else:
            parts = await run_in_threadpool(_of_texts, texts, cutter)
    _check(sum(len(part.sentences) for part in parts), "sentences", limits.max_sentences)
    _check(sum(len(part.cut.spans) for part in parts), "words", limits.max_words)
    return parts


def result_of(part: Part, labels: Sequence[WordLabels], schema: TagSchema) -> Tagged:
    """Return the words and entities of a part.

    Args:
        part: The part.
        labels: Labels of its sentences. (sentences,)
        schema: The model's tags.
    """
    found = tagged_cut(part.cut, labels, schema)
    result = Tagged.model_validate(found.to_dict(score_digits=SCORE_DIGITS))
    if not part.is_text:
        items: list[Word | EntityFound] = [*result.words, *result.entities]
        for item in items:
            for edge in ("start", "end"):
                setattr(item, edge, None)
    return result


def _of_texts(texts: Sequence[str], cutter: TextCutter) -> list[Part]:
    cuts = map(cutter, texts)
    return [Part(cut, cut.sentences, is_text=True) for cut in cuts]


def _check(given: int, what: str, limit: int) -> None:
    if given > limit:
        message = f"{given:,} {what} were given; {limit:,} are allowed. Send them in several requests."
        raise Refused(413, f"too_many_{what}", message, given=given, limit=limit)
