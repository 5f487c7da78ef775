"""The nearest centroids of vectors, in an order that depends on the two alone.

Float32 matrix products differ in their last bits with the size of the batch and with the BLAS. So they only say
which centroids may be among the nearest and which of them are clearly apart; the others are put in order by float64
distances, summed in a fixed order.
"""

from __future__ import annotations

import numba
import numpy as np

from avlib.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from avlib.neighbors.kernel import keep_smallest, product_error

_TILE_ROWS = 512

_compiled = numba.njit(cache=True, nogil=True)


def rank_cells(vectors: Float32Array, centroids: Float32Array, n: int, *, reach: float = np.inf) -> Int32Array:
    """The n nearest centroids of every vector, in ascending order of (distance, number).

    vectors: shape (rows, d).  centroids: shape (c, d).  n: 1 to c.
    reach: more than so many times as far as the nearest they are not wanted; only some that are farther may come too.
    Returns shape (rows, n), -1 after the last.
    """
    ranked = np.full((len(vectors), n), -1, np.int32)
    squares = np.einsum("ij,ij->i", centroids, centroids, dtype=np.float64)
    error = product_error(vectors.shape[1])
    vectors, centroids = np.ascontiguousarray(vectors), np.ascontiguousarray(centroids)
    for start in range(0, len(vectors), _TILE_ROWS):
        rows = vectors[start : start + _TILE_ROWS]
        lengths = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        errors = (error * (lengths + squares.max())).astype(np.float32)
        scores = rows @ centroids.T
        scores *= np.float32(-2)
        scores += squares.astype(np.float32)
        limits = np.full(len(rows), np.inf, np.float32)
        if reach < np.inf:  # |x - c|² ≤ reach² · |x - own|², of scores that lack |x|² and are off by their errors
            own = scores.min(axis=1) + errors + lengths
            limits = (reach**2 * own - lengths + errors).astype(np.float32)
            limits += np.abs(limits) * np.float32(2.0**-22)
        _rank_rows(rows, centroids, scores, errors, limits, ranked[start : start + _TILE_ROWS])
    return ranked


def reaches(vectors: Float32Array, centroids: Float32Array, ranked: Int32Array) -> Float64Array:
    """How many times as far as the first of a vector's ranked centroids each of them is: 1 or more, ascending.

    ranked: shape (rows, n), as from `rank_cells` without a reach.
    Returns shape (rows, n), inf beyond a first one at distance 0.
    """
    found = np.empty(ranked.shape, np.float64)
    _reaches(vectors, centroids, ranked, found)
    return found


def count_within(vectors: Float32Array, centroids: Float32Array, ranked: Int32Array, reach: float) -> Int64Array:
    """How many of each vector's ranked centroids have `reaches` of at most `reach`: 1 to n. Shape (rows,)."""
    counts = np.empty(len(ranked), np.int64)
    _count_within(vectors, centroids, ranked, reach, counts)
    return counts


@_compiled
def _rank_rows(vectors, centroids, scores, errors, limits, ranked):  # type: ignore[no-untyped-def]
    # scores: |c|² - 2xᵀc, each off by at most the error of its row; those above the row's limit are not wanted.
    n = ranked.shape[1]
    smallest = np.empty(n, np.float32)
    passing = np.empty(scores.shape[1] + 1, np.int64)
    exact = np.empty(scores.shape[1], np.float64)
    for i in range(len(vectors)):
        apart = 2 * errors[i]
        count = _pass(scores[i], limits[i], passing)
        if count > n:
            count = _pass(scores[i], min(_nth(scores[i], smallest) + apart, limits[i]), passing)
        order = passing[:count][np.argsort(scores[i][passing[:count]])]
        start = 0
        for stop in range(1, count + 1):
            # Where a score is `apart` from the one before, all before are truly nearer than all from here on.
            if stop < count and scores[i, order[stop]] - scores[i, order[stop - 1]] <= apart:
                continue
            if stop - start > 1:
                _sort_exactly(vectors[i], centroids, order[start:stop], exact)
            start = stop
            if start >= n:
                break
        ranked[i, : min(count, n)] = order[:n]


@_compiled
def _nth(scores, smallest):  # type: ignore[no-untyped-def]
    smallest[:] = np.inf
    last = len(smallest) - 1
    for score in scores:
        if score < smallest[last]:
            keep_smallest(smallest, score)
    return smallest[last]


@_compiled
def _pass(scores, limit, passing):  # type: ignore[no-untyped-def]
    count = 0
    for j in range(len(scores)):
        passing[count] = j
        count += scores[j] <= limit
    return count


@_compiled
def _sort_exactly(vector, centroids, order, exact):  # type: ignore[no-untyped-def]
    # Insertion sort by (distance, number): runs are short.
    for place in range(len(order)):
        cell = order[place]
        distance = _square(vector, centroids[cell])
        while place > 0 and (distance < exact[place - 1] or (distance == exact[place - 1] and cell < order[place - 1])):
            order[place], exact[place] = order[place - 1], exact[place - 1]
            place -= 1
        order[place], exact[place] = cell, distance


@_compiled
def _square(vector, centroid):  # type: ignore[no-untyped-def]
    total = 0.0
    for c in range(len(vector)):
        difference = np.float64(vector[c]) - np.float64(centroid[c])
        total += difference * difference
    return total


@_compiled
def _reach(own, other):  # type: ignore[no-untyped-def]
    # Of squared distances.
    if other == own:
        return 1.0
    return np.sqrt(other / own) if own > 0 else np.inf


@_compiled
def _reaches(vectors, centroids, ranked, found):  # type: ignore[no-untyped-def]
    for i in range(len(ranked)):
        own = _square(vectors[i], centroids[ranked[i, 0]])
        for place in range(ranked.shape[1]):
            found[i, place] = _reach(own, _square(vectors[i], centroids[ranked[i, place]]))


@_compiled
def _count_within(vectors, centroids, ranked, reach, counts):  # type: ignore[no-untyped-def]
    # By halving: reaches ascend.
    for i in range(len(ranked)):
        own = _square(vectors[i], centroids[ranked[i, 0]])
        inside, outside = 0, (ranked[i] >= 0).sum()
        while outside - inside > 1:
            place = (inside + outside) // 2
            if _reach(own, _square(vectors[i], centroids[ranked[i, place]])) <= reach:
                inside = place
            else:
                outside = place
        counts[i] = outside
