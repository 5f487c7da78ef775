"""Samples that follow each other with the same sound share what is known of them.

A voice over a picture lasts seconds, and so does the sea. But where sound changes from frame to frame, as in the
paper's own experiment, neighbors in time say nothing of a frame; so only samples of like sound count. One that stands
alone with its sound has little to support it and is drawn towards chance.
"""

from __future__ import annotations

import numpy as np

from avlib.arrays import Float32Array, Float64Array

DECIMALS = 4
"""Of a score: so few that a histogram of very many is short."""

_PRIOR = 1.0  # so many samples that agree as chance does are in every stretch


def stretch_scores(
    values: Float64Array, *, times_s: Float64Array, audio: Float32Array, radius: Float64Array, span_s: float
) -> Float64Array:
    """The mean value of the samples of one video around each that have its sound, drawn a little towards 0.

    values, times_s: shape (n,), in order of time.  audio: shape (n, d).  radius: shape (n,): two samples sound alike
    where they are not farther apart than the radius of either.  span_s: how far in time they may be apart, and a
    microsecond, so that the rounding of times decides nothing. Returns shape (n,).
    """
    total, count = values.copy(), np.full(len(values), 1 + _PRIOR)
    for lag in range(1, len(values)):
        close = times_s[lag:] - times_s[:-lag] <= span_s + 1e-6
        if not close.any():
            break
        apart = np.linalg.norm(audio[lag:] - audio[:-lag], axis=1)
        alike = close & (apart <= np.minimum(radius[lag:], radius[:-lag]))
        total[lag:] += np.where(alike, values[:-lag], 0.0)
        total[:-lag] += np.where(alike, values[lag:], 0.0)
        count[lag:] += alike
        count[:-lag] += alike
    return np.asarray(np.round(total / count, DECIMALS), np.float64)
