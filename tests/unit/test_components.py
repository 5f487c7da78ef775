"""Connected components against networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avlib.errors import ParameterError
from avlib.graph import MutualEdges, connected_components


def make_edges(pairs: list[tuple[int, int]]) -> MutualEdges:
    src, dst = np.array(pairs, np.int64).reshape(-1, 2).T
    return MutualEdges(src, dst, np.zeros(len(src), np.float32))


def expected_components(nodes: list[int], pairs: list[tuple[int, int]]) -> list[int]:
    graph = nx.Graph(pairs)
    graph.add_nodes_from(nodes)
    smallest = {node: min(component) for component in nx.connected_components(graph) for node in component}
    return [smallest[node] for node in nodes]


@settings(deadline=None)
@given(data=st.data())
def test_equals_networkx(data: st.DataObject) -> None:
    nodes = data.draw(st.lists(st.integers(0, 2**63 - 1), max_size=40))
    node = st.sampled_from(nodes or [0])
    # Self loops, repeats and both directions are among them.
    pairs = data.draw(st.lists(st.tuples(node, node), max_size=60 if nodes else 0))
    found = connected_components(np.array(nodes, np.int64), make_edges(pairs))
    assert found.tolist() == expected_components(nodes, pairs)
    assert found.dtype == np.int64


GRAPHS = {
    "chain": nx.path_graph(500),
    "star": nx.star_graph(50),
    "clique": nx.complete_graph(12),
    "two cliques and a bridge": nx.barbell_graph(10, 3),
    "grid": nx.convert_node_labels_to_integers(nx.grid_2d_graph(12, 9)),
    "two rings": nx.disjoint_union(nx.cycle_graph(9), nx.cycle_graph(30)),
    "single": nx.empty_graph(1),
    "empty": nx.empty_graph(0),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_known_shapes_in_random_order(name: str) -> None:
    graph = GRAPHS[name]
    names = np.random.default_rng(1).permutation(np.arange(len(graph)) * 2**40)
    pairs = [(int(names[a]), int(names[b])) for a, b in graph.edges]
    found = connected_components(names, make_edges(pairs)).tolist()
    assert found == expected_components(names.tolist(), pairs)


def test_refuses_edges_to_nowhere() -> None:
    for stranger in (4, 99):
        with pytest.raises(ParameterError, match=f"edges = {stranger}: expected ends"):
            connected_components(np.array([1, 7], np.int64), make_edges([(1, 7), (1, stranger)]))
