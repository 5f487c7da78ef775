"""What is near in a collection, and how many cells have to be searched: found by samples that ask other videos.

A query is a picture (or a sound) of a video that is not in the collection. Random samples of all that were described,
kept by the filter or not, stand in for it, each asking those of the collection that are of other videos. How far the
nearest of these is tells what "near" means here; where the 20 nearest lie tells how many cells a search must look
into. Samples of the collection alone would not do: the filter kept them because they have their like in other videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avlib.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from avlib.identity import video_ids
from avlib.retrieval.index import CellProbing

ASKING = 1000
"""Samples that ask for what is nearest."""

ASKING_FOR_CELLS = 256
"""The first so many of them also ask for the 20 nearest."""

NEAREST = 20

_ROWS = 8192  # of a shard, compared at a time


@dataclass(frozen=True)
class ShardAnswers:
    """What the samples that ask find in one shard.

    nearest: shape (asking,), distance of the nearest sample of another video, inf where there is none.
    distances: shape (asking for cells, 20), of the nearest of other videos, ascending; inf where there are fewer.
    ranks: same shape: 0 where that sample lies in the cell nearest to who asks, 1 in the second …
    """

    nearest: Float32Array
    distances: Float32Array
    ranks: Int32Array


def ask(
    asking: Int64Array,
    queries: Float32Array,
    *,
    ids: Int64Array,
    descriptors: Float32Array,
    centroids: Float32Array | None,
) -> ShardAnswers:
    """Ask one shard.  asking: shape (a,), sample ids of queries, shape (a, d).  ids: shape (n,) of descriptors (n, d).

    centroids: shape (c, d), of cells; None: there are none, and all ranks are 0.
    """
    few = min(len(asking), ASKING_FOR_CELLS)
    nearest = np.full(len(asking), np.inf, np.float32)
    squares, positions = np.full((few, NEAREST), np.inf, np.float32), np.zeros((few, NEAREST), np.int64)
    for start in range(0, len(ids), _ROWS):
        rows = slice(start, start + _ROWS)
        found = _squares(queries, descriptors[rows])
        found[video_ids(asking)[:, None] == video_ids(ids[rows])[None]] = np.inf
        nearest = np.minimum(nearest, found.min(axis=1))
        of_rows = np.broadcast_to(np.arange(start, start + found.shape[1]), found[:few].shape)
        both = np.concatenate([squares, found[:few]], axis=1), np.concatenate([positions, of_rows], axis=1)
        kept = np.argsort(both[0], axis=1, kind="stable")[:, :NEAREST]
        squares, positions = (np.take_along_axis(values, kept, axis=1) for values in both)
    ranks = np.zeros((few, NEAREST), np.int32)
    if centroids is not None:
        cells = _squares(descriptors[positions.ravel()], centroids).argmin(axis=1).reshape(positions.shape)
        order = _squares(queries[:few], centroids).argsort(axis=1, kind="stable")
        ranks = np.take_along_axis(order.argsort(axis=1, kind="stable"), cells, axis=1).astype(np.int32)
    return ShardAnswers(np.sqrt(nearest), np.sqrt(squares), ranks)


def nearest_of(answers: Sequence[ShardAnswers]) -> tuple[float, ...]:
    """Distances of the nearest, over all shards, ascending; without those who found no other video."""
    if not answers:
        return ()
    nearest = np.min([one.nearest for one in answers], axis=0)
    return tuple(np.sort(nearest[np.isfinite(nearest)]).tolist())


def choose_probes(answers: Sequence[ShardAnswers], *, cells: int, recall: float) -> CellProbing:
    """The least number of cells to search that finds this share of the true nearest."""
    distances = np.concatenate([one.distances for one in answers], axis=1)
    ranks = np.concatenate([one.ranks for one in answers], axis=1)
    first = np.argsort(distances, axis=1, kind="stable")[:, :NEAREST]
    true = np.take_along_axis(ranks, first, axis=1)[np.isfinite(np.take_along_axis(distances, first, axis=1))]
    if not true.size:  # one video only: nobody to ask
        return CellProbing(cells, cells, 1.0)
    needed = np.sort(true)
    probes = int(needed[min(int(np.ceil(recall * needed.size)), needed.size) - 1]) + 1
    return CellProbing(cells, probes, float(np.mean(true < probes)))


def confidence(distance: float, nearest: Float64Array) -> float | None:
    """How sure one may be that the collection holds the like of a query, in (0, 1].

    distance: of the query's nearest sample.  nearest: shape (n,), as `nearest_of` gives it. It is the share of the
    samples that asked, the query counted among them, whose nearest is as far or farther: a p-value. Were the query a
    frame of a video like theirs, it would be at most p in p of the cases. None where there is but one video.
    """
    if not nearest.size:
        return None
    farther = nearest.size - int(np.searchsorted(nearest, distance, side="left"))
    return (1 + farther) / (1 + nearest.size)


def _squares(a: Float32Array, b: Float32Array) -> Float32Array:
    """Squared distances of all pairs. Shape (len(a), len(b))."""
    lengths = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None]
    squares: Float32Array = np.maximum(lengths - 2 * (a @ b.T), 0).astype(np.float32)
    return squares
