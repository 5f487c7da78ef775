"""The compiled inner loop of the exact search: fold one tile of sample pairs into the neighbor lists of both sides.

The tile comes as two float32 matrix products. They give every pair a *lower bound* of its distance, cheap to
test against the last entries of the two samples' lists, or, of lists that are not full, against what k pairs of the
tile keep to. The few pairs that pass get their distance from the difference of the descriptors, in float64 and in a
fixed order of additions. So lists depend on the descriptors alone: not on tile sizes, the order of blocks, or the
BLAS; near-duplicates lose no digits; and d(i, j) = d(j, i) to the last bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from avlib.arrays import Float32Array, Float64Array, Int64Array
from avlib.identity import VIDEO_ID_SHIFT

Scalar = TypeVar("Scalar", bound=np.generic)

GRID = 1e-6
"""Distances are rounded to whole numbers of this, so that ties are ties and go by id."""

NONE, SAME_VIDEO, WINDOW = 0, 1, 2

TIME_SLACK_S = 1e-6
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


def empty_lists(rows: int, k: int) -> Lists:
    """Lists with nothing in them yet."""
    return Lists(np.full((rows, k), -1, np.int64), np.full((rows, k), np.inf, np.float32))


def read_only(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """The same, contiguous. Memory-mapped and Arrow arrays are read-only: all being so, one compilation serves all."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


_compiled = numba.njit(cache=True, nogil=True)


@_compiled
def product_error(dimension: int) -> float:
    """How far 2xᵀy, a float32 product, may be off, as a share of |x|² + |y|².

    xᵀy is off by at most d · 2^-24 · |x||y|, and 2|x||y| ≤ |x|² + |y|²; 8 for the additions that make a bound of it.
    """
    return (dimension + 8) * 2.0**-24


@_compiled
def fold_both(
    left: Side,
    right: Side,
    products: tuple[Float32Array, Float32Array],
    search: Search,
    left_lists: Lists,
    right_lists: Lists,
) -> None:
    """Fold all pairs (left sample, right sample) into the lists of both.

    products: visual and audio inner products, each (left, right), C order; (0, 0) where the weight is 0.
    right_lists: without rows where nobody asks for them. The sides may share samples; lists that begin in the
        same memory are of the same samples, and then each of their pairs is folded once.
    """
    last = search.k - 1
    bounds = np.empty(len(right.ids), np.float32)
    left_limits = _limits_of_rows(left, right, products, search, left_lists, bounds)
    passing = np.empty(len(right.ids) + 1, np.int64)
    terms = np.empty(max(left.visual.shape[1], left.audio.shape[1]), np.float64)
    mirrored = len(right_lists.ids) > 0 and left_lists.ids.ctypes.data == right_lists.ids.ctypes.data
    right_limits = np.full(len(right.ids), -np.inf, np.float32)
    known = min(len(left.ids), len(right.ids)) if mirrored else 0
    right_limits[:known] = left_limits[:known]
    if len(right_lists.ids) > known:
        _limit_columns(left, right, products, search, right_lists, bounds, known, right_limits)
    for i in range(len(left.ids)):
        first, limit = 0, left_limits[i]
        if mirrored and i < len(right.ids):
            first, limit = i + 1, right_limits[i]  # which the rows before have lowered
        _bound_row(left, right, products, search, i, first, bounds[first:])
        for column in passing[: _pass(bounds[first:], limit, right_limits[first:], passing)]:
            j = first + column
            if not _allowed(left, right, i, j, search):
                continue
            # Limits fall as better samples come, so this is decided anew.
            left_entry = right_entry = -1
            if bounds[j] <= limit:
                left_entry = _entry_to_replace(left_lists, i, left.ids[i], right.ids[j], bounds[j], search)
            if bounds[j] <= right_limits[j]:
                right_entry = _entry_to_replace(right_lists, j, right.ids[j], left.ids[i], bounds[j], search)
            if left_entry < 0 and right_entry < 0:
                continue
            distance = _distance(left, right, i, j, search, terms)
            if left_entry >= 0:
                _insert(left_lists, i, left_entry, right.ids[j], distance)
                limit = min(limit, _limit(left_lists.distances[i, last]))
            if right_entry >= 0:
                _insert(right_lists, j, right_entry, left.ids[i], distance)
                right_limits[j] = min(right_limits[j], _limit(right_lists.distances[j, last]))


@_compiled
def fold_pairs(
    left: Side,
    right: Side,
    pairs: tuple[Int64Array, Int64Array],
    distances: Float32Array,
    search: Search,
    left_lists: Lists,
    right_lists: Lists,
) -> None:
    """Fold some pairs, allowed ones of known distances, into the lists of both.

    pairs: their rows on the left and on the right.  distances: as `_distance` gives them.
    right_lists: without rows where nobody asks for them.
    """
    for p in range(len(distances)):
        i, j, distance = pairs[0][p], pairs[1][p], distances[p]
        entry = _entry_to_replace(left_lists, i, left.ids[i], right.ids[j], distance, search)
        if entry >= 0:
            _insert(left_lists, i, entry, right.ids[j], distance)
        if len(right_lists.ids) > 0:
            entry = _entry_to_replace(right_lists, j, right.ids[j], left.ids[i], distance, search)
            if entry >= 0:
                _insert(right_lists, j, entry, left.ids[i], distance)


@_compiled
def fold_lists(ids: Int64Array, rows: Int64Array, given: Lists, search: Search, lists: Lists) -> None:
    """Fold lists that were found before, of the samples `ids`, into those at `rows`. Of the search: k and per_video."""
    for i in range(len(ids)):
        for sample, distance in zip(given.ids[i], given.distances[i]):  # noqa: B905, numba has no strict
            if sample < 0:
                break
            entry = _entry_to_replace(lists, rows[i], ids[i], sample, distance, search)
            if entry >= 0:
                _insert(lists, rows[i], entry, sample, distance)


@_compiled
def _limits_of_rows(left, right, products, search, lists, bounds):  # type: ignore[no-untyped-def]
    # Above these no pair counts: the list's last distance; of a list that is not full, what k pairs of this tile keep
    # to. Otherwise all pairs would count until it is: of cells, most of the time went there.
    limits = np.empty(len(left.ids), np.float32)
    smallest = np.empty(search.k, np.float32)
    worthwhile = _worthwhile(len(right.ids), search)
    most = _largest_squares(right, worthwhile)
    for i in range(len(left.ids)):
        last = lists.distances[i, search.k - 1]
        if last == np.inf and worthwhile:
            _bound_row(left, right, products, search, i, 0, bounds)
            smallest[:] = np.inf
            for j in range(len(bounds)):
                if bounds[j] < smallest[-1] and _allowed(left, right, i, j, search):
                    keep_smallest(smallest, bounds[j])
            last = _at_most(smallest[-1], left, i, most, search)
        limits[i] = _limit(last)
    return limits


@_compiled
def _limit_columns(left, right, products, search, lists, bounds, first, limits):  # type: ignore[no-untyped-def]
    # The same of the right samples from `first` on, whose pairs lie in all rows.
    filling = False
    for j in range(first, len(right.ids)):
        limits[j] = _limit(lists.distances[j, search.k - 1])
        filling = filling or limits[j] == np.inf
    if not (filling and _worthwhile(len(left.ids), search)):
        return
    columns = len(right.ids) - first
    smallest = np.full((columns, search.k), np.inf, np.float32)
    lasts = np.full(columns, np.inf, np.float32)
    passing = np.empty(columns + 1, np.int64)
    for i in range(len(left.ids)):
        _bound_row(left, right, products, search, i, first, bounds[first:])
        for column in passing[: _pass(bounds[first:], -np.inf, lasts, passing)]:
            bound = bounds[first + column]
            if bound < lasts[column] and _allowed(left, right, i, first + column, search):
                keep_smallest(smallest[column], bound)
                lasts[column] = smallest[column, -1]
    most = _largest_squares(left, True)
    for j in range(first, len(right.ids)):
        if limits[j] == np.inf:
            limits[j] = _limit(_at_most(lasts[j - first], right, j, most, search))


@_compiled
def _worthwhile(pairs, search):  # type: ignore[no-untyped-def]
    # Of few pairs most are among the nearest; with a cap the k may be too many of one video.
    return pairs > 2 * search.k and search.per_video == 0


@_compiled
def _largest_squares(side, wanted):  # type: ignore[no-untyped-def]
    return side.visual_squares.max() if wanted else _ZERO, side.audio_squares.max() if wanted else _ZERO


@_compiled
def _at_most(bound, side, row, other_squares, search):  # type: ignore[no-untyped-def]
    # The distance of a pair of this bound is no larger.
    if bound < np.inf and search.w_visual > 0:
        bound += search.w_visual * _slack(side.visual_squares[row], other_squares[0], side.visual.shape[1])
    if bound < np.inf and search.w_audio > 0:
        bound += search.w_audio * _slack(side.audio_squares[row], other_squares[1], side.audio.shape[1])
    return bound


@_compiled
def keep_smallest(smallest: Float32Array, value: np.float32) -> None:
    """Put a value, smaller than the last of some ascending ones, where it belongs; the last goes."""
    place = len(smallest) - 1
    while place > 0 and value < smallest[place - 1]:
        smallest[place] = smallest[place - 1]
        place -= 1
    smallest[place] = value


@_compiled
def _slack(left_square, right_square, dimension):  # type: ignore[no-untyped-def]
    # What a distance exceeds its bound by at most: |x|² and |y|² are in it less the error, which the product may
    # have once more; and √(a + b) ≤ √a + √b.
    error = product_error(dimension)
    return math.sqrt(2 * error / (1 - error) * (left_square + right_square))


@_compiled
def _bound_row(left, right, products, search, i, first, bounds):  # type: ignore[no-untyped-def]
    bounds[:] = _ZERO
    if search.w_visual > 0:
        squares = right.visual_squares[first:]
        _add_bounds(products[0][i, first:], left.visual_squares[i], squares, search.w_visual, bounds)
    if search.w_audio > 0:
        squares = right.audio_squares[first:]
        _add_bounds(products[1][i, first:], left.audio_squares[i], squares, search.w_audio, bounds)


# The loops of the next two begin at 0, known to the compiler as not negative: only then it makes vector code.


@_compiled
def _add_bounds(products, left_square, squares, weight, bounds):  # type: ignore[no-untyped-def]
    weight = np.float32(weight)
    for j in range(len(bounds)):
        square = left_square + squares[j] - _TWO * products[j]
        bounds[j] += weight * np.sqrt(square if square > _ZERO else _ZERO)


@_compiled
def _pass(bounds, limit, right_limits, passing):  # type: ignore[no-untyped-def]
    # Without a branch: three times as fast as `if`, though hardly any pair passes.
    count = 0
    for j in range(len(bounds)):
        passing[count] = j
        count += bounds[j] <= max(limit, right_limits[j])
    return count


@_compiled
def _limit(distance):  # type: ignore[no-untyped-def]
    # No pair with a bound above this comes before `distance`: one grid unit for rounding to the grid, and
    # 2^-20 for the few float32 operations (2^-24 each) that made the bound and the distance.
    return np.float32(distance * (1 + 2.0**-20) + GRID)


@_compiled
def _allowed(left, right, i, j, search):  # type: ignore[no-untyped-def]
    if left.ids[i] == right.ids[j]:
        return False
    if search.exclude == NONE or left.ids[i] >> VIDEO_ID_SHIFT != right.ids[j] >> VIDEO_ID_SHIFT:
        return True
    apart_s = abs(left.times_s[i] - right.times_s[j])
    return search.exclude == WINDOW and apart_s > search.exclude_s + TIME_SLACK_S


@_compiled
def _entry_to_replace(lists, row, owner, sample, bound, search):  # type: ignore[no-untyped-def]
    # A new sample drives out the list's last entry, or, where its video has its full number, that video's
    # last. Folding piece by piece stays exact: an entry leaves only when `per_video` better ones of its video
    # or k better ones in all are listed, and what comes later can replace those only by still better ones.
    ids, last, video = lists.ids[row], search.k - 1, sample >> VIDEO_ID_SHIFT
    if search.per_video > 0 and video != owner >> VIDEO_ID_SHIFT:
        listed, last_of_video = 0, last
        for entry in range(search.k):
            if ids[entry] < 0:
                break
            if ids[entry] >> VIDEO_ID_SHIFT == video:
                listed, last_of_video = listed + 1, entry
        if listed >= search.per_video:
            last = last_of_video
    distance = lists.distances[row, last]
    # The second test spares a flood of exact duplicates: at distance 0 only a smaller id gets in.
    if bound > _limit(distance) or (distance == 0 and sample >= ids[last]):
        return -1
    return last


@_compiled
def _distance(left, right, i, j, search, terms):  # type: ignore[no-untyped-def]
    distance = 0.0
    if search.w_visual > 0:
        distance += search.w_visual * math.sqrt(_square_distance(left.visual[i], right.visual[j], terms))
    if search.w_audio > 0:
        distance += search.w_audio * math.sqrt(_square_distance(left.audio[i], right.audio[j], terms))
    return np.float32(np.rint(distance / GRID) * GRID)


@_compiled
def _square_distance(x, y, terms):  # type: ignore[no-untyped-def]
    # Vector instructions for the terms, then eight sums in a fixed order: the same bits on every machine, and on GPUs
    # (torch_tiles).
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
def _insert(lists, row, last, sample, distance):  # type: ignore[no-untyped-def]
    # The entry at `last` goes. Already listed: nothing changes, so a pair folded twice does no harm.
    ids, distances = lists.ids[row], lists.distances[row]
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
