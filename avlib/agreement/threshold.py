"""From which score on samples are kept.

What accident looks like is seen where pictures get the sounds of other videos (`mixed`). Some of these go with their
pictures all the same: one in six, with six kinds of things. So a score that few of them reach is reached by fewer yet
that go together by accident alone, the more so the fewer kinds of things a collection has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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


def threshold_above(accidental: Float64Array, *, accidental_share: float) -> float:
    """The lowest of the scores that at most this share of accidental samples exceed; infinite where there are none.

    accidental: shape (m,), the scores of samples with other videos' sounds.
    """
    if not len(accidental):
        return float("inf")
    ordered = np.sort(accidental)
    passing = int(np.floor(accidental_share * len(ordered) + 1e-9))
    return float(np.nextafter(ordered[len(ordered) - passing - 1], np.inf))


def threshold_keeping(scores: Histogram, *, keep: float) -> float:
    """The score of the best ⌈keep · n⌉ samples; those that equal the last of them are kept too.  keep: in (0, 1]."""
    if not 0 < keep <= 1:
        raise ParameterError("keep", keep, "a share above 0, 1 at most")
    above = np.cumsum(scores.counts[::-1])[::-1]
    return float(scores.values[int(np.flatnonzero(above >= keep * above[0] - 1e-9)[-1])])
