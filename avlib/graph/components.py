"""Connected components in memory."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csgraph

from avlib.arrays import Int64Array
from avlib.errors import ParameterError
from avlib.graph.mutual import MutualEdges


def connected_components(nodes: Int64Array, edges: MutualEdges) -> Int64Array:
    """The component of every node: the smallest sample id in it.

    nodes: shape (n,), sample ids in any order. A node without edges is a component by itself.
    Returns shape (n,), in the order of the nodes.
    Raises ParameterError for an edge with an end that is no node.

    >>> edges = MutualEdges(np.array([3, 7]), np.array([7, 9]), np.array([0.1, 0.1], np.float32))
    >>> connected_components(np.array([9, 7, 5, 3]), edges).tolist()
    [3, 3, 5, 3]
    """
    ids, where = np.unique(nodes, return_inverse=True)
    ends = np.concatenate([edges.src, edges.dst])
    positions = np.searchsorted(ids, ends)
    unknown = positions == len(ids)
    unknown[~unknown] = ids[positions[~unknown]] != ends[~unknown]
    if unknown.any():
        raise ParameterError("edges", int(ends[unknown][0]), "ends that are among the nodes")

    src, dst = np.split(positions, 2)
    graph = coo_array((np.ones(len(src), np.int8), (src, dst)), shape=(len(ids), len(ids)))
    labels = csgraph.connected_components(graph, directed=False)[1]
    first = np.unique(labels, return_index=True)[1]  # ids ascend, so a label's first node has its smallest id
    smallest: Int64Array = ids[first[labels]]
    return smallest[where]
