"""Connected components on Spark against networkx, with the one-task finish and without."""

from __future__ import annotations

import itertools
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from edge_lists import EDGES, Edges, chain, sorted_rows
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JNetworkError
from pyspark.sql import DataFrame, SparkSession

from avlib import tables
from avlib.config import load_settings
from avlib.errors import WarehouseError
from avlib.spark import components as stage
from avlib.spark import contraction, mutual_edges
from avlib.spark.components import components, verify
from avlib.spark.selection import Selection
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark


GRAPHS: dict[str, Edges] = {
    "single edge": [(0, 1)],
    "single sample": [(0, 0)],
    "chain": chain(60, shuffled=False),
    "chain in random order": chain(100, shuffled=True),
    "star around the smallest": [(0, i) for i in range(1, 50)],
    "star around the largest": [(99, i) for i in range(50)],
    "clique": [(i, j) for i in range(10) for j in range(i)],
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


@pytest.mark.parametrize("partitions", [1, 4, 16])
@pytest.mark.parametrize("one_task_edges", [0, 10**9])
def test_against_networkx(spark: SparkSession, tmp_path: Path, one_task_edges: int, partitions: int) -> None:
    graph = all_graphs()
    edges = spark.createDataFrame(graph, EDGES).repartition(partitions)
    found = components(edges, folder=str(tmp_path), one_task_edges=one_task_edges)
    assert sorted_rows(found) == sorted(expected(graph).items())
    verify(edges, found)


def partition(of: dict[int, int]) -> set[frozenset[int]]:
    """Which nodes are together, whatever their components are called."""
    return {frozenset(node for node in of if of[node] == component) for component in set(of.values())}


NODES = 12
VARIANTS = ("as drawn", "reordered", "reversed", "repeated", "relabelled")


def varied(edges: Edges, labels: list[int], variant: str) -> Edges:
    match variant:
        case "reordered":
            return [edges[place] for place in np.random.default_rng(0).permutation(len(edges))]
        case "reversed":
            return [(dst, src) for src, dst in edges]
        case "repeated":
            return edges + edges[::-1]
        case "relabelled":
            return [(labels[src], labels[dst]) for src, dst in edges]
    return edges


node = st.integers(0, NODES - 1)
graphs = st.tuples(st.lists(st.tuples(node, node), max_size=20), st.permutations(range(NODES)))


@settings(max_examples=2, deadline=None, database=None, phases=[Phase.generate])
@given(drawn=st.lists(graphs, min_size=30, max_size=30))
def test_the_same_partition_however_a_graph_is_written(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[Edges, list[int]]]
) -> None:
    """All graphs and variants side by side in one run, each in its own range of ids."""
    written = {
        NODES * place: (edges, labels, variant)
        for place, ((edges, labels), variant) in enumerate(itertools.product(drawn, VARIANTS))
    }
    rows = [
        (src + first, dst + first)
        for first, (edges, labels, variant) in written.items()
        for src, dst in varied(edges, labels, variant)
    ]
    frame = spark.createDataFrame(rows, EDGES).repartition(4)
    component = dict(sorted_rows(components(frame, folder=str(tmp_path_factory.mktemp("rounds")), one_task_edges=0)))
    for first, (edges, labels, variant) in written.items():
        here = {node - first: of - first for node, of in component.items() if first <= node < first + NODES}
        assert all(of == min(other for other in here if here[other] == of) for of in here.values())
        back = {labels.index(node) if variant == "relabelled" else node: of for node, of in here.items()}
        assert partition(back) == partition(expected(edges))


def test_contraction_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contraction, "_CHUNK_EDGES", 7)
    nodes, roots = np.array(all_graphs()).T
    batches = pa.table({"node": nodes, "root": roots}).to_batches(max_chunksize=3)
    stars = [
        edge
        for batch in contraction.contract_in_chunks(batches)
        for edge in zip(*batch.to_pydict().values(), strict=True)
    ]
    assert len(stars) < len(nodes)
    assert expected(stars) == expected(all_graphs())


def test_no_edges(spark: SparkSession, tmp_path: Path) -> None:
    edges = spark.createDataFrame([], EDGES)
    for limit in (0, 10):
        assert components(edges, folder=str(tmp_path), one_task_edges=limit).isEmpty()


def filled(store: TableStore) -> TableStore:
    """With mutual edges of step 0 and, inside a component of it, of step 1."""
    schema = "sample_id bigint, neighbor_ids array<bigint>, distances array<float>"
    first = [(1, [2]), (2, [1, 3]), (3, [2]), (7, [8]), (8, [7])]
    for step, lists in enumerate((first, [(1, [3]), (3, [1])])):
        rows = [(sample, others, [0.5] * len(others)) for sample, others in lists]
        store.write_step(tables.NEIGHBORS, store.spark.createDataFrame(rows, schema), step=step)
        mutual_edges.run(store, step)
    return store


@pytest.mark.parametrize(
    ("error", "kept"), [(WarehouseError("crossing"), False), (OSError("disk full"), True), (Py4JNetworkError(), True)]
)
def test_rounds_go_after_a_failure(
    store: TableStore, monkeypatch: pytest.MonkeyPatch, error: Exception, kept: bool
) -> None:
    """Where avlib found something wrong with them; not where the system failed. And others' rounds stay."""
    rounds_folder = Path(filled(store).warehouse, "filters", store.name, "_rounds")
    others = rounds_folder / "step-0"
    others.mkdir(parents=True)
    (others / "journal.json").touch()

    def fail(edges: DataFrame, found: DataFrame) -> None:
        assert (rounds_folder / "step-1").exists()
        raise error

    monkeypatch.setattr(stage, "verify", fail)
    with pytest.raises(type(error)):
        stage.run(store, load_settings(assignments=["filter.strategy=V+A"]), 1)
    assert (rounds_folder / "step-1").exists() == kept
    assert others.exists()


def test_the_last_rounds_folder_goes_too(store: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # Which components stay is selection's own affair, and needs samples.
    monkeypatch.setattr(stage.selection, "select", lambda store, found, *_, **__: Selection(found, 0, 0))
    folder = Path(filled(store).warehouse, "filters", store.name)
    stage.run(store, load_settings(), 0)
    assert sorted_rows(store.read(tables.COMPONENTS, step=0)) == [(1, 1), (2, 1), (3, 1), (7, 7), (8, 7)]
    assert not (folder / "_rounds").exists()


def test_an_edge_across_components_is_noticed(spark: SparkSession) -> None:
    edges = spark.createDataFrame([(1, 2), (2, 3)], EDGES)
    split = spark.createDataFrame([(1, 1), (2, 1), (3, 3)], "sample_id bigint, component_id bigint")
    with pytest.raises(WarehouseError, match="1 edges cross"):
        verify(edges, split)
    lost = spark.createDataFrame([(1, 1), (2, 1)], "sample_id bigint, component_id bigint")
    with pytest.raises(WarehouseError, match="1 edges cross"):
        verify(edges, lost)
