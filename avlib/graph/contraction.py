"""Replacing edges by stars: what a worker does with its share of a graph."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array, csgraph

from avlib.arrays import Int64Array


def contract(src: Int64Array, dst: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The same connectivity with the fewest edges: from every node to the smallest one it is connected to.

    src, dst: shape (m,), sample ids, in any direction; self loops and repeats are allowed.
    Returns (nodes, roots), shape (n,) each, ascending by node, roots < nodes: the smallest node of a component is
    nobody's node. The union of contracted parts of a graph has the same components as the graph.
    """
    # By hashing: several times faster than np.unique.
    encoded = pa.array(np.concatenate([src, dst])).dictionary_encode()
    ends, ids = encoded.indices.to_numpy(), encoded.dictionary.to_numpy()
    graph = coo_array((np.ones(len(src), np.int8), tuple(np.split(ends, 2))), shape=(len(ids), len(ids)))
    count, labels = csgraph.connected_components(graph, directed=False)
    smallest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(smallest, labels, ids)
    roots = smallest[labels]
    below = np.flatnonzero(roots < ids)
    order = below[np.argsort(ids[below])]
    return ids[order], roots[order]
