"""Replacing edges by stars: what a worker does with its share of a graph."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csgraph

from avlib.arrays import Int64Array


def contract(src: Int64Array, dst: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The same connectivity with the fewest edges: from every node to the smallest one it is connected to.

    src, dst: shape (m,), sample ids, in any direction; self loops and repeats are allowed.
    Returns (nodes, roots), shape (n,) each, ascending by node, roots < nodes: the smallest node of a component is
    nobody's node. The union of contracted parts of a graph has the same components as the graph.
    """
    ids, positions = np.unique(np.concatenate([src, dst]), return_inverse=True)
    ends = np.split(positions, 2)
    graph = coo_array((np.ones(len(src), np.int8), tuple(ends)), shape=(len(ids), len(ids)))
    labels = csgraph.connected_components(graph, directed=False)[1]
    first = np.unique(labels, return_index=True)[1]  # ids ascend: a label's first node is its smallest
    roots = ids[first[labels]]
    below = roots < ids
    return ids[below], roots[below]
