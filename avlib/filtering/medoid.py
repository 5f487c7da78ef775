"""The medoid of a component: the sample nearest to the mean of its descriptors, the one to look at first.

The mean is taken of each modality's normalised descriptors, and the distance to it is the step's weighted sum
d = w_V · ‖v - mean v‖ + w_A · ‖a - mean a‖, rounded to 1e-6; of equally near samples the one with the smallest id.
Means are exact sums of integers, so they come out the same to the bit for any order and any partitioning.
"""

from __future__ import annotations

import numpy as np

from avlib.arrays import Float32Array, Float64Array, Int64Array

_FRACTION_BITS = 30
"""Values of normalised descriptors, at most 1 in size, are summed as int64 in units of 2^-30: 2^32 of them fit."""

_DISTANCE_UNIT = 1e-6


def medoids(
    ids: Int64Array,
    components: Int64Array,
    *,
    visual: Float32Array,
    audio: Float32Array,
    weights: tuple[float, float],
) -> tuple[Int64Array, Int64Array]:
    """The medoid of every component.

    ids, components: shape (n,).  visual, audio: shapes (n, d_V) and (n, d_A), normalised; a modality of weight 0
    is not looked at.  weights: (w_V, w_A).
    Returns (components, medoids), one entry for each component, ascending; a medoid is a sample id.
    """
    found, where, counts = np.unique(components, return_inverse=True, return_counts=True)
    starts = np.cumsum(counts) - counts  # of each component, once the samples are sorted by it
    order = np.argsort(where, kind="stable")

    def mean_of_its_component(rows: Float32Array) -> Float64Array:
        return mean_of(np.add.reduceat(_fixed(rows[order]), starts), counts[:, None])[where]

    means = mean_of_its_component(visual), mean_of_its_component(audio)
    steps_away = distance_steps((visual, audio), means, weights=weights)
    best = np.lexsort((ids, steps_away, components))[starts]
    return found, ids[best]


def descriptor_sum(rows: Float32Array) -> Int64Array:
    """The exact sum of normalised descriptors, in the integer units of `mean_of`. Shape (n, d) → (d,)."""
    total: Int64Array = _fixed(rows).sum(axis=0)
    return total


def mean_of(sums: Int64Array, counts: Int64Array | int) -> Float64Array:
    """Means from sums by `descriptor_sum`, which may have been added up, over so many samples. Shape as sums'."""
    means: Float64Array = sums / (counts * float(1 << _FRACTION_BITS))
    return means


def distance_steps(
    rows: tuple[Float32Array, Float32Array],
    means: tuple[Float64Array, Float64Array],
    *,
    weights: tuple[float, float],
) -> Int64Array:
    """The weighted distance of samples to a mean, in whole steps of 1e-6. Returns shape (n,).

    rows: (visual, audio), shapes (n, d_V) and (n, d_A).  means: the same, or shapes (d_V,) and (d_A,) for one mean.
    """
    total = np.zeros(len(rows[0]))
    for weight, modality, mean in zip(weights, rows, means, strict=True):
        if weight:
            total += weight * np.sqrt(((modality - mean) ** 2).sum(axis=1))
    steps: Int64Array = np.rint(total / _DISTANCE_UNIT).astype(np.int64)
    return steps


def _fixed(rows: Float32Array) -> Int64Array:
    fixed: Int64Array = np.rint(rows * float(1 << _FRACTION_BITS)).astype(np.int64)
    return fixed
