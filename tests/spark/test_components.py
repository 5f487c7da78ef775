"""Connected components on Spark against networkx, with the one-task finish and without."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from pyspark.sql import SparkSession

from avlib.errors import WarehouseError
from avlib.spark.components import components, verify

pytestmark = pytest.mark.spark

Edges = list[tuple[int, int]]


def chain(length: int, *, shuffled: bool) -> Edges:
    ids = np.arange(length)
    if shuffled:
        np.random.default_rng(1).shuffle(ids)
    return list(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))


GRAPHS: dict[str, Edges] = {
    "chain": chain(60, shuffled=False),
    "chain in random order": chain(60, shuffled=True),
    "star around the largest": [(99, i) for i in range(50)],
    "two cliques": [(i + o, j + o) for o in (0, 100) for i in range(8) for j in range(i)],
    "two cliques and a bridge": [(i + o, j + o) for o in (0, 100) for i in range(8) for j in range(i)] + [(3, 104)],
    "grid": list(nx.convert_node_labels_to_integers(nx.grid_2d_graph(9, 9)).edges),
    "random": list(nx.gnm_random_graph(150, 120, seed=3).edges),
    "huge ids": [(2**62, 2**63 - 1), (2**63 - 1, 5), (2**61, 7), (2**61 + 1, 2**61)],
    "repeated, reversed, self loops": [(1, 2), (2, 1), (1, 2), (3, 3), (3, 4), (4, 4)],
}


def expected(edges: Edges) -> dict[int, int]:
    graph = nx.Graph(edges)
    found = (sorted(members) for members in nx.connected_components(graph))
    return {node: members[0] for members in found if len(members) > 1 for node in members}


def all_graphs() -> Edges:
    """All of them side by side, each in its own range of ids; huge ids stay as they are."""
    edges = []
    for number, (name, graph) in enumerate(GRAPHS.items()):
        offset = 0 if name == "huge ids" else 1000 * (number + 1)
        edges += [(src + offset, dst + offset) for src, dst in graph]
    return edges


@pytest.mark.parametrize(("one_task_edges", "partitions"), [(0, 1), (0, 4), (0, 16), (10**9, 4)])
def test_against_networkx(spark: SparkSession, tmp_path: Path, one_task_edges: int, partitions: int) -> None:
    graph = all_graphs()
    edges = spark.createDataFrame(graph, "src bigint, dst bigint").repartition(partitions)
    found = components(edges, folder=str(tmp_path), one_task_edges=one_task_edges)
    rows = [(row["sample_id"], row["component_id"]) for row in found.collect()]
    assert len(rows) == len(set(rows))
    assert dict(rows) == expected(graph)


def test_no_edges(spark: SparkSession, tmp_path: Path) -> None:
    edges = spark.createDataFrame([], "src bigint, dst bigint")
    assert components(edges, folder=str(tmp_path), one_task_edges=10).isEmpty()


def test_an_edge_across_components_is_noticed(spark: SparkSession) -> None:
    edges = spark.createDataFrame([(1, 2), (2, 3)], "src bigint, dst bigint")
    split = spark.createDataFrame([(1, 1), (2, 1), (3, 3)], "sample_id bigint, component_id bigint")
    with pytest.raises(WarehouseError, match="1 edges cross"):
        verify(edges, split)
    lost = spark.createDataFrame([(1, 1), (2, 1)], "sample_id bigint, component_id bigint")
    with pytest.raises(WarehouseError, match="1 edges cross"):
        verify(edges, lost)


def test_nothing_stays_cached(spark: SparkSession, tmp_path: Path) -> None:
    before = spark.sparkContext._jsc.getPersistentRDDs().size()
    edges = spark.createDataFrame(GRAPHS["grid"], "src bigint, dst bigint")
    components(edges, folder=str(tmp_path), one_task_edges=0).count()
    assert spark.sparkContext._jsc.getPersistentRDDs().size() == before
