"""From raw descriptors to those that distances are taken between.

Raw descriptors are stored; sound is standardised and both modalities are L2-normalised when they are used
(Solèr et al. 2016, Eq. 1 asks for normalised descriptors; without standardising, c0, the loudness, would
decide alone). The statistics for that are exact sums of integers, so they come out the same to the bit for
any order of the samples and any partitioning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from avlib.arrays import Float32Array, Float64Array
from avlib.errors import ParameterError

_FRACTION_BITS = 20
"""Values are summed as integers in units of 2^-20, about a millionth."""

MAX_VALUE = 1 << 20
"""Descriptor values lie below this, so that an integer has 40 bits and its halves' products add up in 63."""

_HALF_BITS = 20
_ROWS = 1 << 14
_CACHED_ROWS = 128  # of descriptors, whose float64 numbers a core's cache holds


@dataclass(frozen=True)
class DescriptorStats:
    """Mean and population standard deviation of every descriptor value over `count` samples. Shapes (d,)."""

    mean: Float64Array
    deviation: Float64Array
    count: int


@dataclass
class ExactSums:
    """Running sums behind DescriptorStats: count, Σv and Σv² with v = value · 2^20 rounded to an integer.

    Python's integers have no limit, so nothing is lost and `merge` commutes and associates exactly.
    """

    count: int
    sums: list[int]
    squares: list[int]

    @classmethod
    def empty(cls, dimension: int) -> ExactSums:
        """No samples yet, of `dimension` values each."""
        return cls(0, [0] * dimension, [0] * dimension)

    def update(self, batch: Float32Array) -> None:
        """Add samples. batch: shape (n, d).

        Raises ParameterError for another d, or a value that is NaN or not below 2^20 in size.
        """
        if batch.ndim != 2 or batch.shape[1] != len(self.sums):
            raise ParameterError("batch", f"an array of shape {batch.shape}", f"shape (n, {len(self.sums)})")
        for start in range(0, len(batch), _ROWS):
            self._add(batch[start : start + _ROWS].astype(np.float64))

    def _add(self, rows: Float64Array) -> None:
        if not np.all(np.abs(rows) < MAX_VALUE):  # NaN compares as False
            raise ParameterError("batch", "a value that is NaN or too large", f"finite values below {MAX_VALUE}")
        fixed = np.rint(rows * (1 << _FRACTION_BITS)).astype(np.int64)
        # |fixed| ≤ 2^40 = high · 2^20 + low with |high| ≤ 2^20 and low < 2^20, so every product is at most
        # 2^40 and a sum of 2^14 of them at most 2^54: int64 holds all three.
        high, low = fixed >> _HALF_BITS, fixed & ((1 << _HALF_BITS) - 1)
        totals = zip(fixed.sum(0), (high * high).sum(0), (high * low).sum(0), (low * low).sum(0), strict=True)
        for i, (total, high_high, high_low, low_low) in enumerate(totals):
            self.sums[i] += int(total)
            self.squares[i] += (int(high_high) << 2 * _HALF_BITS) + (int(high_low) << (_HALF_BITS + 1)) + int(low_low)
        self.count += len(rows)

    def merge(self, other: ExactSums) -> None:
        """Add another's samples. Raises ParameterError if its descriptors have another length."""
        if len(other.sums) != len(self.sums):
            raise ParameterError("other", f"sums of {len(other.sums)} values", f"sums of {len(self.sums)}")
        self.count += other.count
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.squares = [a + b for a, b in zip(self.squares, other.squares, strict=True)]

    def to_strings(self) -> list[str]:
        """As 1 + 2d decimal numbers: count, sums, sums of squares; for a table or a message."""
        return [str(value) for value in (self.count, *self.sums, *self.squares)]

    @classmethod
    def from_strings(cls, values: Sequence[str]) -> ExactSums:
        """The inverse of `to_strings`. Raises ParameterError for an even number of values."""
        if len(values) % 2 == 0:
            raise ParameterError("values", f"{len(values)} numbers", "1 + 2d of them")
        count, *rest = (int(value) for value in values)
        return cls(count, rest[: len(rest) // 2], rest[len(rest) // 2 :])

    def stats(self) -> DescriptorStats:
        """Mean and deviation, correctly rounded from the exact sums; zeros when there are no samples."""
        n = max(self.count, 1)
        mean = [float(Fraction(s, n << _FRACTION_BITS)) for s in self.sums]
        variance = [
            float(Fraction(n * q - s * s, n * n << 2 * _FRACTION_BITS))
            for s, q in zip(self.sums, self.squares, strict=True)
        ]
        return DescriptorStats(np.array(mean), np.array([math.sqrt(v) for v in variance]), self.count)


def standardise(x: Float32Array, *, mean: Float64Array, deviation: Float64Array) -> Float32Array:
    """(x - mean) / deviation per column; a column that never varies (deviation 0) is only centred.

    x: shape (n, d).  mean, deviation: shape (d,), deviation ≥ 0. Returns shape (n, d).
    Raises ParameterError if the shapes do not fit.
    """
    if x.ndim != 2 or mean.shape != (x.shape[1],) or deviation.shape != mean.shape:
        raise ParameterError("x", f"an array of shape {x.shape}", f"shape (n, {mean.size}), as the statistics have")
    return ((x - mean) / np.where(deviation == 0, 1.0, deviation)).astype(np.float32)


def l2_normalise(x: Float32Array) -> Float32Array:
    """Each row divided by its Euclidean length; rows of zeros (a black picture) stay zeros.

    x: shape (n, d), finite. Returns shape (n, d). Lengths are taken in float64, so no finite row over- or
    underflows.
    """
    unit = np.empty(x.shape, np.float32)
    for start in range(0, len(x), _CACHED_ROWS):
        wide = x[start : start + _CACHED_ROWS].astype(np.float64)
        length = np.linalg.norm(wide, axis=1, keepdims=True)
        np.divide(wide, np.where(length == 0, 1.0, length), out=unit[start : start + _CACHED_ROWS], casting="same_kind")
    return unit


def normalise_visual(x: Float32Array) -> Float32Array:
    """Raw picture descriptors, shape (n, d), ready for distances: L2-normalised."""
    return l2_normalise(x)


def normalise_audio(x: Float32Array, stats: DescriptorStats) -> Float32Array:
    """Raw sound descriptors, shape (n, d), ready for distances: standardised, then L2-normalised."""
    return l2_normalise(standardise(x, mean=stats.mean, deviation=stats.deviation))
