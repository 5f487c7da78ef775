"""From which score on samples are kept: so that no more than a given share of them would agree by accident.

What accident looks like is seen where every video gets the sounds of another one. Some of these go with its pictures
all the same (one in six, with six kinds of things), so only the lower half is believed, and mirrored at the median.
The share of samples below that median, doubled, is how many of all are accidental (Storey 2002, "A direct approach to
false discovery rates", with λ = ½): too many rather than too few, as some that are true score low.
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

    def share_from(self, values: Float64Array) -> Float64Array:
        """The share of the samples that score so much or more. Any shape."""
        above = np.append(np.cumsum(self.counts[::-1])[::-1], 0)
        return np.asarray(above[np.searchsorted(self.values, values)] / above[0], np.float64)


@dataclass(frozen=True)
class Threshold:
    """Keep samples of this score and above: infinite where no score will do.

    accidental: the share of all samples that is reckoned accidental.  false_share: that of the kept ones; NaN where
    none are kept.
    """

    score: float
    accidental: float
    false_share: float


def threshold_for(scores: Histogram, accidental: Float64Array, *, false_share: float) -> Threshold:
    """The lowest score above which at most `false_share` of the samples are reckoned accidental.

    scores: of at least one sample.  accidental: shape (m,), m ≥ 1, with other videos' sounds.
    """
    share, by_accident = _accident(scores, accidental)
    above = scores.share_from(scores.values)
    false = share * (1 - np.searchsorted(by_accident, scores.values) / len(by_accident)) / above
    fitting = np.flatnonzero(false <= false_share)
    if not fitting.size:
        return Threshold(float("inf"), share, float("nan"))
    return Threshold(float(scores.values[fitting[0]]), share, float(false[fitting[0]]))


def threshold_keeping(scores: Histogram, accidental: Float64Array, *, keep: float) -> Threshold:
    """The score of the best ⌈keep · n⌉ samples; those that equal the last of them are kept too.  keep: in (0, 1]."""
    if not 0 < keep <= 1:
        raise ParameterError("keep", keep, "a share above 0, 1 at most")
    above = scores.share_from(scores.values)
    row = int(np.flatnonzero(above >= keep - 1e-12)[-1])
    share, by_accident = _accident(scores, accidental)
    false = share * float((by_accident >= scores.values[row]).mean()) / above[row]
    return Threshold(float(scores.values[row]), share, min(1.0, float(false)))


def _accident(scores: Histogram, accidental: Float64Array) -> tuple[float, Float64Array]:
    """The share of samples that agree by accident, and the scores these have, ascending."""
    middle = float(np.median(accidental))
    lower = np.sort(accidental[accidental <= middle])
    below = 1 - float(scores.share_from(np.array([np.nextafter(middle, np.inf)]))[0])
    return min(1.0, 2 * below), np.concatenate([lower, (2 * middle - lower)[::-1]])
