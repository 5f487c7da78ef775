"""Mutual edges: an edge where each sample is among the other's nearest (Brito et al. 1997)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avlib.arrays import Float32Array, Int64Array

if TYPE_CHECKING:  # else every worker that contracts edges would load numba
    from avlib.neighbors import NeighborLists


@dataclass(frozen=True, eq=False)
class MutualEdges:
    """Undirected edges, each once with src < dst, in ascending order of (src, dst).

    src, dst: shape (m,), int64 sample ids.  distance: shape (m,), float32.
    """

    src: Int64Array
    dst: Int64Array
    distance: Float32Array

    def __len__(self) -> int:
        return len(self.src)


def mutual_edges(lists: NeighborLists) -> MutualEdges:
    """The edges of the mutual k-nearest-neighbor graph (Solèr et al. 2016, Eq. 2).

    Where the two lists give different distances (an approximate search), the smaller one counts.

    Here 1 and 2 name each other; 3 names 1, which does not name it:

    >>> from avlib.neighbors import NeighborLists
    >>> ids, neighbors = np.array([1, 2, 3]), np.array([[2], [1], [1]])
    >>> edges = mutual_edges(NeighborLists(ids, neighbors, np.array([[0.5], [0.5], [0.9]], np.float32)))
    >>> list(zip(edges.src.tolist(), edges.dst.tolist()))
    [(1, 2)]
    """
    listed = lists.neighbor_ids >= 0
    source = np.broadcast_to(lists.ids[:, None], listed.shape)[listed]
    target = lists.neighbor_ids[listed]
    distance = lists.distances[listed]

    order = np.lexsort((source > target, np.maximum(source, target), np.minimum(source, target)))
    source, target, distance = source[order], target[order], distance[order]
    # Now the two directions of a pair stand side by side, the ascending one first.
    reciprocal = (source[:-1] == target[1:]) & (target[:-1] == source[1:])
    first = np.flatnonzero(reciprocal & (source[:-1] < target[:-1]))
    return MutualEdges(source[first], target[first], np.minimum(distance[first], distance[first + 1]))
