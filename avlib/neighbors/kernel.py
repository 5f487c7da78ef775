"""The compiled inner loop of the exact search: fold one tile of sample pairs into the neighbor lists.

The tile comes as two float32 matrix products. They give every pair a *lower bound* of its distance, cheap to
test against the list's last entry. The few pairs that pass get their distance from the difference of the
descriptors, in float64 and in a fixed order of additions. So lists depend on the descriptors alone: not on
tile sizes, the order of blocks, or the BLAS; near-duplicates lose no digits; and d(i, j) = d(j, i) to the
last bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from avlib.arrays import Float32Array, Float64Array, Int64Array
from avlib.identity import VIDEO_ID_SHIFT

GRID = 1e-6
"""Distances are rounded to whole numbers of this, so that ties are ties and go by id."""

NONE, SAME_VIDEO, WINDOW = 0, 1, 2

_TIME_SLACK_S = 1e-6
_TWO = np.float32(2)
_ZERO = np.float32(0)


class Side(NamedTuple):
    """One side of a tile. squares: (n,) |x|² less the largest error a float32 product can make of it."""

    ids: Int64Array
    times_s: Float64Array
    visual: Float32Array
    audio: Float32Array
    visual_squares: Float32Array
    audio_squares: Float32Array


class Search(NamedTuple):
    """What is looked for: k neighbors by w_visual · d_visual + w_audio · d_audio, under a rule."""

    k: int
    w_visual: float
    w_audio: float
    exclude: int
    exclude_s: float
    per_video: int


class Lists(NamedTuple):
    """Lists being filled, (n, ≥ k), sorted by (distance, id); id -1 and distance infinity where empty."""

    ids: Int64Array
    distances: Float32Array


_compiled = numba.njit(cache=True, nogil=True)


@_compiled
def fold(queries: Side, block: Side, products: tuple[Float32Array, Float32Array], search: Search, lists: Lists) -> None:
    """Fold all pairs (query, block sample) into the lists of the queries.

    products: visual and audio inner products, each (queries, block), C order; (0, 0) where the weight is 0.
    """
    bounds = np.empty(len(block.ids), np.float32)
    passing = np.empty(len(block.ids) + 1, np.int64)
    terms = np.empty(max(queries.visual.shape[1], queries.audio.shape[1]), np.float64)
    for i in range(len(queries.ids)):
        _bound_row(queries, block, products, search, i, bounds)
        ids, distances = lists.ids[i], lists.distances[i]
        query, video = queries.ids[i], queries.ids[i] >> VIDEO_ID_SHIFT
        limit = _limit(distances[search.k - 1])
        for j in passing[: _pass(bounds, limit, passing)]:
            if bounds[j] > limit:  # the limit falls as better samples come
                continue
            sample = block.ids[j]
            same_video = sample >> VIDEO_ID_SHIFT == video
            if sample == query or (same_video and _excluded(queries.times_s[i], block.times_s[j], search)):
                continue
            last = search.k - 1
            if search.per_video > 0 and not same_video:
                last = _entry_to_replace(ids, sample, search)
            # The second test spares a flood of exact duplicates: at distance 0 only a smaller id gets in.
            if bounds[j] > _limit(distances[last]) or (distances[last] == 0 and sample >= ids[last]):
                continue
            _insert(ids, distances, last, sample, _distance(queries, block, i, j, search, terms))
            limit = _limit(distances[search.k - 1])


@_compiled
def _bound_row(queries, block, products, search, i, bounds):  # type: ignore[no-untyped-def]
    bounds[:] = _ZERO
    if search.w_visual > 0:
        _add_bounds(products[0][i], queries.visual_squares[i], block.visual_squares, search.w_visual, bounds)
    if search.w_audio > 0:
        _add_bounds(products[1][i], queries.audio_squares[i], block.audio_squares, search.w_audio, bounds)


@_compiled
def _add_bounds(products, query_square, squares, weight, bounds):  # type: ignore[no-untyped-def]
    weight = np.float32(weight)
    for j in range(len(bounds)):
        square = query_square + squares[j] - _TWO * products[j]
        bounds[j] += weight * np.sqrt(square if square > _ZERO else _ZERO)


@_compiled
def _pass(bounds, limit, passing):  # type: ignore[no-untyped-def]
    # Without a branch: three times as fast as `if`, though hardly any pair passes.
    count = 0
    for j in range(len(bounds)):
        passing[count] = j
        count += bounds[j] <= limit
    return count


@_compiled
def _limit(distance):  # type: ignore[no-untyped-def]
    # No pair with a bound above this comes before `distance`: one grid unit for rounding to the grid, and
    # 2^-20 for the few float32 operations (2^-24 each) that made the bound and the distance.
    return np.float32(distance * (1 + 2.0**-20) + GRID)


@_compiled
def _excluded(time_s, other_s, search):  # type: ignore[no-untyped-def]
    if search.exclude == WINDOW:
        return abs(time_s - other_s) <= search.exclude_s + _TIME_SLACK_S
    return search.exclude == SAME_VIDEO


@_compiled
def _entry_to_replace(ids, sample, search):  # type: ignore[no-untyped-def]
    # A new sample drives out the list's last entry, or, where its video has its full number, that video's
    # last. Folding piece by piece stays exact: an entry leaves only when `per_video` better ones of its video
    # or k better ones in all are listed, and what comes later can replace those only by still better ones.
    listed, last = 0, search.k - 1
    for entry in range(search.k):
        if ids[entry] < 0:
            break
        if ids[entry] >> VIDEO_ID_SHIFT == sample >> VIDEO_ID_SHIFT:
            listed, last = listed + 1, entry
    return last if listed >= search.per_video else search.k - 1


@_compiled
def _distance(queries, block, i, j, search, terms):  # type: ignore[no-untyped-def]
    distance = 0.0
    if search.w_visual > 0:
        distance += search.w_visual * math.sqrt(_square_distance(queries.visual[i], block.visual[j], terms))
    if search.w_audio > 0:
        distance += search.w_audio * math.sqrt(_square_distance(queries.audio[i], block.audio[j], terms))
    return np.float32(np.rint(distance / GRID) * GRID)


@_compiled
def _square_distance(x, y, terms):  # type: ignore[no-untyped-def]
    # Vector instructions for the terms, then eight sums in a fixed order: the same bits on every machine.
    for c in range(len(x)):
        difference = np.float64(x[c]) - np.float64(y[c])
        terms[c] = difference * difference
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    eights = len(x) // 8 * 8
    for c in range(0, eights, 8):
        s0 += terms[c]
        s1 += terms[c + 1]
        s2 += terms[c + 2]
        s3 += terms[c + 3]
        s4 += terms[c + 4]
        s5 += terms[c + 5]
        s6 += terms[c + 6]
        s7 += terms[c + 7]
    for c in range(eights, len(x)):
        s0 += terms[c]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@_compiled
def _insert(ids, distances, last, sample, distance):  # type: ignore[no-untyped-def]
    # The entry at `last` goes. Already listed: nothing changes, so a block folded twice does no harm.
    place = last + 1
    while place > 0 and (
        distance < distances[place - 1] or (distance == distances[place - 1] and sample < ids[place - 1])
    ):
        place -= 1
    if place > last or (place > 0 and ids[place - 1] == sample):
        return
    for entry in range(last, place, -1):
        ids[entry], distances[entry] = ids[entry - 1], distances[entry - 1]
    ids[place], distances[place] = sample, distance
