"""Mutual edges against networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from avlib.graph import mutual_edges
from avlib.neighbors import NeighborLists


def make_lists(rows: list[tuple[int, list[tuple[int, float]]]], k: int) -> NeighborLists:
    ids = np.array([node for node, _ in rows], np.int64)
    neighbor_ids = np.full((len(rows), k), -1, np.int64)
    distances = np.full((len(rows), k), np.inf, np.float32)
    for i, (_, row) in enumerate(rows):
        for j, (neighbor, distance) in enumerate(row):
            neighbor_ids[i, j], distances[i, j] = neighbor, distance
    return NeighborLists(ids, neighbor_ids, distances)


@settings(deadline=None)
@given(nodes=st.integers(0, 25), k=st.integers(1, 8), top=st.booleans(), seed=st.integers(0, 2**16))
def test_equals_networkx(nodes: int, k: int, top: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    names = (2**63 - 1 - random.permutation(100)[:nodes]) if top else random.permutation(100)[:nodes]
    digraph = nx.DiGraph()
    digraph.add_nodes_from(names.tolist())
    rows = []
    for node in names.tolist():
        others = [other for other in random.permutation(names).tolist() if other != node]
        others = others[: random.integers(0, k + 1)]
        digraph.add_edges_from((node, other) for other in others)
        rows.append((node, [(other, float(abs(node - other))) for other in others]))

    edges = mutual_edges(make_lists(rows, k))
    expected = sorted(tuple(sorted(edge)) for edge in digraph.to_undirected(reciprocal=True).edges)
    assert list(zip(edges.src.tolist(), edges.dst.tolist(), strict=True)) == expected
    assert edges.distance.tolist() == [np.float32(dst - src) for src, dst in expected]
    assert edges.src.dtype == edges.dst.dtype == np.int64


def test_one_direction_self_loops_and_repeats_are_no_edges() -> None:
    lists = make_lists([(1, [(2, 0.5), (2, 0.5)]), (2, [(3, 0.1)]), (3, [(3, 0.0), (2, 0.2)])], 2)
    edges = mutual_edges(lists)
    assert (edges.src.tolist(), edges.dst.tolist()) == ([2], [3])
    assert edges.distance.tolist() == [np.float32(0.1)]


def test_an_edge_listed_twice_in_each_direction_is_one_edge() -> None:
    edges = mutual_edges(make_lists([(1, [(2, 0.5), (2, 0.5)]), (2, [(1, 0.5), (1, 0.5)])], 2))
    assert (edges.src.tolist(), edges.dst.tolist(), len(edges)) == ([1], [2], 1)
