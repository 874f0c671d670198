"""Calibration: of the words tagged with probability 0.9, nine in ten should be correct."""

from __future__ import annotations

import numpy as np

from hf_tagging.analysis.shape import Bin, Calibration
from hf_tagging.evaluation.metrics import Array

BINS = 10
UNDEFINED = "The model's probabilities are undefined: its training diverged."


def calibration(confidence: Array, right: Array, *, bins: int = BINS) -> Calibration:
    """Return the reliability diagram and the expected calibration error over words (Guo et al., 2017).

    Words are put into bins of equal width by the probability of their tag, a bin's upper edge included. The error is
    the distance between mean probability and accuracy of a bin, averaged over the words.

    Args:
        confidence: Probability of the predicted tag. (words,)
        right: True where that is the gold tag. (words,) bool
        bins: Number of bins.

    Returns:
        The bins that hold words, and the error; or ``missing`` where a probability is not a number.
    """
    if not np.isfinite(confidence).all():
        return {"missing": UNDEFINED}
    number = np.clip(np.ceil(np.asarray(confidence, np.float64) * bins).astype(int) - 1, 0, bins - 1)  # (words,)
    words = np.bincount(number, minlength=bins)
    held = np.flatnonzero(words)
    means = [np.bincount(number, weights=x, minlength=bins)[held] / words[held] for x in (confidence, right)]
    rows: list[Bin] = [
        {"low": i / bins, "high": (i + 1) / bins, "confidence": sure, "accuracy": share, "words": count}
        for i, sure, share, count in zip(*(x.tolist() for x in (held, *means, words[held])), strict=True)
    ]
    error = float(np.abs(means[0] - means[1]) @ words[held]) / max(len(number), 1)
    return {"bins": rows, "ece": error, "words": len(number)}
