"""Explanations of the tags of some wrong sentences, for the report's browser."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.shape import Analysis, Heat, WrongSentence
from hf_tagging.hub import first_line

if TYPE_CHECKING:
    from hf_tagging.inference.tagger import Tagger

logger = logging.getLogger(__name__)

MOST_EXPLAINED = 20  # sentences: each is tagged once for each of its words
LONGEST_EXPLAINED = 40  # words


def explain_examples(analysis: Analysis, answers: Answers, tagger: Tagger) -> None:
    """Explain the first predicted error of the first wrong sentences, in place; long sentences are passed over.

    Args:
        analysis: Analysis of the split.
        answers: The split.
        tagger: The model that tagged it.
    """
    import torch

    short = [x for x in analysis["examples"]["sentences"] if len(x["words"]) <= LONGEST_EXPLAINED]
    try:
        for sentence in short[:MOST_EXPLAINED]:
            if heat := _heat(sentence, answers.predicted[sentence["number"] - 1], tagger):
                sentence["heat"] = heat
    except torch.OutOfMemoryError as error:
        logger.warning("The report explains no more errors: %s", first_line(error))


def _heat(sentence: WrongSentence, tags: list[str], tagger: Tagger) -> Heat | None:
    """Return what the words say of the first error that predicts something; None where the tagger says otherwise.

    A sentence that was read in its document may have another tag alone.
    """
    position = next((error["predicted"][0] for error in sentence["errors"] if error["predicted"]), None)
    if position is None:
        return None
    why = tagger.explain(sentence["words"], position)
    if why.tag != tags[position]:
        return None
    return {"word": position, "tag": why.tag, "values": [round(value, 3) for value in why.contributions.tolist()]}
