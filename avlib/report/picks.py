"""Which samples a report shows: few, spread over as many videos as there are, always the same ones."""

from __future__ import annotations

import numpy as np

from avlib.arrays import Int64Array
from avlib.errors import ParameterError
from avlib.evaluation import StrArray


def largest_components(component_ids: Int64Array, *, count: int) -> list[Int64Array]:
    """Rows of the largest components, largest first, ties by id.  component_ids: shape (n,), -1 for none.

    Returns at most `count` arrays of ascending rows.
    """
    _check(count)
    found, sizes = np.unique(component_ids[component_ids >= 0], return_counts=True)
    order = np.lexsort((found, -sizes))[:count]
    return [np.flatnonzero(component_ids == component).astype(np.int64) for component in found[order]]


def spread_over_videos(rows: Int64Array, videos: StrArray, *, count: int) -> Int64Array:
    """At most `count` of the rows, over as many videos as can be, and evenly over the time within each.

    rows: shape (n,), in order of time within each video.  videos: the video of each, shape (n,).
    Videos with more rows come first, and get the places that are left over. Returns ascending rows.
    """
    _check(count)
    names, where, sizes = np.unique(videos, return_inverse=True, return_counts=True)
    by_size = np.lexsort((names, -sizes))
    shares = np.zeros(len(names), np.int64)
    for _ in range(count):  # deal the places out one by one
        for video in by_size:
            if shares.sum() < min(count, len(rows)) and shares[video] < sizes[video]:
                shares[video] += 1
    picked = [evenly(rows[where == video], int(share)) for video, share in enumerate(shares) if share]
    return np.sort(np.concatenate(picked)) if picked else np.empty(0, np.int64)


def evenly(rows: Int64Array, count: int) -> Int64Array:
    """`count` of the rows, no more than there are: the middle one of each of as many equal parts."""
    return rows[((np.arange(count) + 0.5) * len(rows) / count).astype(np.int64)]


def _check(count: int) -> None:
    if count < 1:
        raise ParameterError("count", count, "1 or more")
