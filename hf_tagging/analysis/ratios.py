"""Ratios of sums over texts, such as words per sentence, and how far sampling alone moves them.

The words of a text are dependent, so a text is the unit that is sampled. The variance of a ratio is that of its
linearization (Cochran 1977, Sampling Techniques, 2.11), which needs sums alone: texts of any number go by in constant
memory, where the bootstrap of `hf_tagging.evaluation.statistics` keeps them all. A share that has not occurred yet has
no variance of its own: it gets that of independent draws, with one more that has it and one more that has not (after
Agresti and Coull 1998, Approximate Is Better than "Exact" for Interval Estimation of Binomial Proportions).
"""

from __future__ import annotations

import numpy as np

from hf_tagging.evaluation.metrics import Array


class Ratios:
    """Sums over units from which several ratios and their variances are computed.

    Args:
        count: Number of ratios.
        shares: True for ratios that are shares of what their denominators count. (ratios,) bool
    """

    def __init__(self, count: int, shares: Array | None = None):
        self.units = 0
        self._shares = np.zeros(count, bool) if shares is None else shares
        self._above, self._below = np.zeros(count), np.zeros(count)
        self._above2, self._both, self._below2 = np.zeros(count), np.zeros(count), np.zeros(count)

    def add(self, above: Array, below: Array) -> None:
        """Add a unit.

        Args:
            above: What it adds to the numerators. (ratios,)
            below: And to the denominators. (ratios,)
        """
        self.units += 1
        self._above += above
        self._below += below
        self._above2 += above * above
        self._both += above * below
        self._below2 += below * below

    @property
    def values(self) -> Array:
        """Return the ratios; nan where the denominator is 0. (ratios,)"""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._above / self._below

    @property
    def variances(self) -> Array:
        """Return the sampling variance of each ratio; nan of fewer than two units. (ratios,)"""
        if self.units < 2:
            return np.full(len(self._above), np.nan)
        ratio = self.values
        squares = self._above2 - 2 * ratio * self._both + ratio * ratio * self._below2
        draws = self._below + 2
        share = (self._above + 1) / draws
        least = np.where(self._shares, share * (1 - share) / draws, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.maximum(np.maximum(squares, 0) * self.units / (self.units - 1) / self._below**2, least)
