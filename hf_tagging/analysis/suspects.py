"""Likely annotation errors: words where the model is confident and the gold tag differs.

The quality of a tag is the probability that the model gives it, cleanlab's "self-confidence" (Northcutt, Jiang and
Chuang, 2021, Confident Learning; Wang and Mueller, 2022, Detecting Label Errors in Token Classification Data). It ranks
errors that were put into a corpus better than the normalised margin does (`benchmarks/suspects.py`). Check them by
hand: a confident model may be wrong.
"""

from __future__ import annotations

import numpy as np

from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.rereading import Rereading
from hf_tagging.analysis.shape import SuspectRow, Suspects
from hf_tagging.evaluation.metrics import Array

MOST = 50
MISSING = "This needs cleanlab. Type: pip install 'hf-tagging[report]'"
METHOD = "Quality is the probability that the model gives the gold tag (cleanlab's self-confidence)."
_AROUND = 6  # words of context on each side
_LONGEST = 60  # characters of a word


def find_suspects(answers: Answers, reading: Rereading) -> Suspects:
    """Rank words by how confidently the model contradicts their gold tag.

    Args:
        answers: Words with gold and predicted tags.
        reading: Tags and probabilities of a second reading.

    Returns:
        At most 50 rows, the worst first; or the reason why there are none.
    """
    if not len(reading.doubted):
        return {"rows": [], "method": METHOD}
    try:
        words, scores = rank_doubts(reading)
    except ImportError:
        return {"missing": MISSING}
    ranked = zip(words[:MOST].tolist(), scores[:MOST].tolist(), strict=True)
    return {"rows": [_row(answers, reading, word, score) for word, score in ranked], "method": METHOD}


def rank_doubts(reading: Rereading) -> tuple[Array, Array]:
    """Return the doubted words, the worst first, and the quality of their gold tags. (doubted,) each

    Raises:
        ImportError: If cleanlab is not installed.
    """
    from cleanlab.rank import get_label_quality_scores

    scores = get_label_quality_scores(reading.gold, reading.probabilities, method="self_confidence")
    worst = np.lexsort((reading.doubted, scores))
    return reading.doubted[worst], scores[worst]


def _row(answers: Answers, reading: Rereading, number: int, score: float) -> SuspectRow:
    sentence = int(answers.sentence[number])
    word = number - int(answers.bounds[sentence])
    words = answers.words[sentence]
    first = max(0, word - _AROUND)
    return {
        "number": sentence + 1,
        "word": word,
        "text": _short(words[word]),
        "gold": answers.gold[sentence][word],
        "predicted": reading.tags[int(reading.labels[number])],
        "score": score,
        "context": [_short(text) for text in words[first : word + _AROUND + 1]],
        "at": word - first,
    }


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
