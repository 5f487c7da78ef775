"""Contraction of a worker's share of a graph, against scipy and networkx."""

from __future__ import annotations

from random import Random

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array, csgraph

from avlib.graph import contract

Edges = list[tuple[int, int]]

ids = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=25, unique=True)


@st.composite
def graphs(draw: st.DrawFn) -> Edges:
    """Few nodes with any ids; self loops, repeats and both directions are among the edges."""
    node = st.sampled_from(draw(ids))
    return draw(st.lists(st.tuples(node, node), max_size=40))


def contracted(edges: Edges) -> Edges:
    src, dst = np.array(edges, np.int64).reshape(-1, 2).T
    nodes, roots = contract(src, dst)
    assert nodes.dtype == roots.dtype == np.int64
    return list(zip(nodes.tolist(), roots.tolist(), strict=True))


def by_networkx(edges: Edges) -> Edges:
    found = [sorted(members) for members in nx.connected_components(nx.Graph(edges))]
    return sorted((node, members[0]) for members in found for node in members[1:])


def by_scipy(edges: Edges) -> Edges:
    nodes, ends = np.unique(np.array(edges, np.int64), return_inverse=True)
    src, dst = ends.reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges)), (src, dst)), shape=(len(nodes), len(nodes)))
    labels = csgraph.connected_components(graph, directed=False)[1]
    smallest = {label: int(nodes[labels == label].min()) for label in set(labels.tolist())}
    roots = ((int(node), smallest[label]) for node, label in zip(nodes, labels.tolist(), strict=True))
    return sorted((node, root) for node, root in roots if node != root)


@settings(deadline=None)
@given(edges=graphs())
def test_stars_of_the_components(edges: Edges) -> None:
    """Ascending by node, from every node but the smallest of a component, to that one."""
    assert contracted(edges) == by_networkx(edges) == (by_scipy(edges) if edges else [])


@settings(deadline=None)
@given(edges=graphs(), random=st.randoms(use_true_random=False))
def test_neither_order_nor_direction_nor_repeats_matter(edges: Edges, random: Random) -> None:
    again = edges + edges[: len(edges) // 2]
    random.shuffle(again)
    turned = [edge[::-1] if place % 2 else edge for place, edge in enumerate(again)]
    assert contracted(turned) == contracted(edges)


@settings(deadline=None)
@given(edges=graphs(), data=st.data())
def test_other_labels_give_the_same_partition(edges: Edges, data: st.DataObject) -> None:
    nodes = sorted({node for edge in edges for node in edge})
    size = len(nodes)
    labels = data.draw(st.lists(st.integers(0, 2**63 - 1), min_size=size, max_size=size, unique=True))
    label = dict(zip(nodes, labels, strict=True))
    relabelled = contracted([(label[src], label[dst]) for src, dst in edges])
    together = {frozenset(members) for members in nx.connected_components(nx.Graph(relabelled))}
    linked = {(label[src], label[dst]) for src, dst in contracted(edges)}
    assert together == {frozenset(members) for members in nx.connected_components(nx.Graph(list(linked)))}


@settings(deadline=None)
@given(edges=graphs(), cut=st.integers(0, 40))
def test_parts_can_be_contracted_apart(edges: Edges, cut: int) -> None:
    assert contracted(contracted(edges[:cut]) + contracted(edges[cut:])) == contracted(edges)
