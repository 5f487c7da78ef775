"""From which score on samples are kept.

What scores look like by accident is seen where pictures get the sounds of other videos (`mixed`). Scores of the
collection are a mixture of these and of others, higher ones. How many are accidental is judged from below, where hardly
anything else is: the collection has so many of the lower half of accidental scores (Storey 2002). How likely it is that
a sample of some score came about by accident (its local false discovery rate, Efron et al. 2001) follows from how often
the score occurs in the collection and how often by accident. A higher score is never less likely to be right.

Some of the sounds of other videos go with the pictures all the same: one in six, with six kinds of things. So accident
is found somewhat more likely than it is, the more so the fewer kinds of things a collection has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from avlib.arrays import Float64Array, Int64Array
from avlib.errors import ParameterError


@dataclass(frozen=True, eq=False)
class Histogram:
    """Scores of many samples.  values: shape (v,), each once, ascending.  counts: shape (v,), samples of each."""

    values: Float64Array
    counts: Int64Array

    @classmethod
    def of(cls, scores: Float64Array) -> Histogram:
        """These scores. Shape (n,)."""
        return cls(*np.unique(scores, return_counts=True))

    def shares_at(self, values: Float64Array) -> Float64Array:
        """The share of the samples that have each value. values: shape (w,), all of this and others, ascending."""
        shares = np.zeros(len(values))
        shares[np.searchsorted(values, self.values)] = self.counts / self.counts.sum()
        return shares


def threshold_doubting(scores: Histogram, accidental: Float64Array, *, doubt: float) -> float:
    """The lowest score whose samples are accidental with a probability of `doubt` at most; infinite if there is none.

    scores: of the collection.  accidental: shape (m,), of samples with other videos' sounds; without any, nothing is
    known, and nothing is believed.  doubt: in (0, 1).
    """
    if not 0 < doubt < 1:
        raise ParameterError("doubt", doubt, "a probability above 0 and below 1")
    if not len(accidental):
        return float("inf")
    by_accident = Histogram.of(accidental)
    values = np.union1d(scores.values, by_accident.values)
    found, expected = (one.shares_at(values) for one in (scores, by_accident))
    lower = values <= np.quantile(accidental, 0.5, method="inverted_cdf")
    accidents = min(1.0, found[lower].sum() / expected[lower].sum())
    # Of a sample drawn from either with equal chance: whether it is of the collection.
    genuine = isotonic_regression(found / (found + expected), weights=found + expected).x
    kept = np.flatnonzero(accidents * (1 - genuine) <= doubt * genuine)
    return float(values[kept[0]]) if len(kept) else float("inf")


def threshold_keeping(scores: Histogram, *, keep: float) -> float:
    """The score of the best ⌈keep · n⌉ samples; those that equal the last of them are kept too.  keep: in (0, 1]."""
    if not 0 < keep <= 1:
        raise ParameterError("keep", keep, "a share above 0, 1 at most")
    above = np.cumsum(scores.counts[::-1])[::-1]
    return float(scores.values[int(np.flatnonzero(above >= keep * above[0] - 1e-9)[-1])])
