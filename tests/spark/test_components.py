"""Connected components on Spark against networkx, with the one-task finish and without."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JNetworkError
from pyspark.sql import DataFrame, SparkSession

from avlib import tables
from avlib.config import load_settings
from avlib.errors import WarehouseError
from avlib.spark import components as stage
from avlib.spark import rounds
from avlib.spark.components import components, verify
from avlib.spark.rounds import Round, Rounds
from avlib.spark.selection import Selection
from avlib.spark.store import TableStore
from avlib.storage import write_whole

pytestmark = pytest.mark.spark

Edges = list[tuple[int, int]]
EDGES = "src bigint, dst bigint"


def chain(length: int, *, shuffled: bool) -> Edges:
    ids = np.arange(length)
    if shuffled:
        np.random.default_rng(1).shuffle(ids)
    return list(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))


GRAPHS: dict[str, Edges] = {
    "single edge": [(0, 1)],
    "single sample": [(0, 0)],
    "chain": chain(60, shuffled=False),
    "chain in random order": chain(300, shuffled=True),
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


def sorted_rows(found: DataFrame) -> list[tuple[int, int]]:
    return sorted((row["sample_id"], row["component_id"]) for row in found.collect())


@pytest.mark.parametrize(("one_task_edges", "partitions"), [(0, 1), (0, 16), (10**9, 4)])
def test_against_networkx(spark: SparkSession, tmp_path: Path, one_task_edges: int, partitions: int) -> None:
    graph = all_graphs()
    edges = spark.createDataFrame(graph, EDGES).repartition(partitions)
    found = components(edges, folder=str(tmp_path), one_task_edges=one_task_edges)
    assert sorted_rows(found) == sorted(expected(graph).items())


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
    monkeypatch.setattr(stage, "_CHUNK_EDGES", 7)
    nodes, roots = np.array(all_graphs()).T
    batches = pa.table({"node": nodes, "root": roots}).to_batches(max_chunksize=3)
    stars = [
        edge for batch in stage._contract_in_chunks(batches) for edge in zip(*batch.to_pydict().values(), strict=True)
    ]
    assert len(stars) < len(nodes)
    assert expected(stars) == expected(all_graphs())


def test_no_edges(spark: SparkSession, tmp_path: Path) -> None:
    edges = spark.createDataFrame([], EDGES)
    for limit in (0, 10):
        assert components(edges, folder=str(tmp_path), one_task_edges=limit).isEmpty()


class Killed(BaseException):
    """Stands for the end of the driver: nothing catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int, *, entered: bool) -> None:
    """End the driver in a round: with its files written, before or after it is entered in the journal."""

    def write(uri: str, content: bytes) -> None:
        if json.loads(content)["rounds"][-1]["number"] == number:
            if entered:
                write_whole(uri, content)
            raise Killed
        write_whole(uri, content)

    monkeypatch.setattr(rounds, "write_whole", write)


def interrupted(edges: DataFrame, folder: Path, number: int, *, entered: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, number, entered=entered)
        with pytest.raises(Killed):
            components(edges, folder=str(folder), one_task_edges=0, source="a")


def places(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def resumed(edges: DataFrame, folder: Path, source: str = "a") -> list[tuple[int, int]]:
    return sorted_rows(components(edges, folder=str(folder), one_task_edges=0, source=source))


CHAIN = 100


def small_graph(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(chain(CHAIN, shuffled=True), EDGES).repartition(4)


def test_killed_in_every_round(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edges = small_graph(spark)
    whole = resumed(edges, tmp_path / "whole")
    last = int(places(tmp_path / "whole")[-1])
    assert last >= 3
    written: list[int] = []
    write = Rounds.write

    def counted(self: Rounds, rows: DataFrame, *, settled: bool = False) -> Round:
        written.append(0)
        return write(self, rows, settled=settled)

    monkeypatch.setattr(Rounds, "write", counted)
    for number in range(last + 1):
        # killed once in each round, and in the next run again right after it
        interrupted(edges, tmp_path / "killed", number, entered=False)
        interrupted(edges, tmp_path / "killed", number, entered=True)
    written.clear()
    assert resumed(edges, tmp_path / "killed") == whole
    assert not written  # the last round was there already
    assert f"after round {last}" in capsys.readouterr().err


@pytest.fixture(scope="module")
def stopped(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a driver leaves that was killed after round 2."""
    folder = tmp_path_factory.mktemp("stopped") / "rounds"
    interrupted(small_graph(spark), folder, 2, entered=True)
    return folder


@pytest.mark.parametrize("harm", ["none", "deleted", "file deleted", "truncated", "other rows"])
def test_a_damaged_round_is_noticed(
    spark: SparkSession, tmp_path: Path, stopped: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    folder = shutil.copytree(stopped, tmp_path / "rounds")
    newest = folder / "0002"
    files = sorted(newest.glob("*.parquet"))
    match harm:
        case "deleted":
            shutil.rmtree(newest)
        case "file deleted":
            files[0].unlink()
        case "truncated":
            files[0].write_bytes(files[0].read_bytes()[:-20])
            (newest / f".{files[0].name}.crc").unlink()
        case "other rows":
            table = pq.read_table(files[0])
            pq.write_table(table.set_column(1, "root", pa.array([0] * len(table))), files[0])
            (newest / f".{files[0].name}.crc").unlink()
    left = Rounds(spark, str(folder), source="a", schema=stage._EDGES).last_whole()
    assert left is not None and left.number == (2 if harm == "none" else 1)
    said = capsys.readouterr().err
    assert ("round 2 is missing or damaged: going back to round 1" in said) == (harm != "none")
    assert f"after round {left.number}" in said


@pytest.mark.parametrize(("lost", "back_to"), [(1, "round 1"), (3, "the beginning")])
def test_the_same_rows_after_rounds_are_lost(
    spark: SparkSession, tmp_path: Path, stopped: Path, capsys: pytest.CaptureFixture[str], lost: int, back_to: str
) -> None:
    folder = shutil.copytree(stopped, tmp_path / "rounds")
    for place in places(folder)[-lost:]:
        shutil.rmtree(folder / place)
    assert dict(resumed(small_graph(spark), folder)) == {node: 0 for node in range(CHAIN)}
    assert f"going back to {back_to}" in capsys.readouterr().err


def test_rounds_of_another_input_are_not_used(spark: SparkSession, tmp_path: Path, stopped: Path) -> None:
    folder = shutil.copytree(stopped, tmp_path / "rounds")
    other = spark.createDataFrame([(5, 7)], EDGES)
    assert resumed(other, folder, "b") == [(5, 5), (7, 5)]
    assert places(folder) == ["0000", "0001"]


def test_rows_lost_while_writing_are_noticed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Rounds.read
    monkeypatch.setattr(Rounds, "read", lambda self, one: read(self, one).limit(2))
    with pytest.raises(WarehouseError, match="other rows than the"):
        resumed(small_graph(spark), tmp_path)


def filled(store: TableStore) -> TableStore:
    """With mutual edges of step 0 and, inside a component of it, of step 1."""
    schema = "src bigint, dst bigint, distance float"
    first, second = ([(1, 2, 0.5), (2, 3, 0.5), (7, 8, 0.1)], [(1, 3, 0.5)])
    for step, edges in enumerate((first, second)):
        store.write_step(tables.MUTUAL_EDGES, store.spark.createDataFrame(edges, schema), step=step)
    return store


@pytest.mark.parametrize(
    ("error", "kept"), [(WarehouseError("crossing"), False), (ValueError("bug"), False), (Py4JNetworkError(), True)]
)
def test_rounds_go_after_a_failure(
    store: TableStore, monkeypatch: pytest.MonkeyPatch, error: Exception, kept: bool
) -> None:
    """Only a driver that has lost its JVM leaves them, as a killed one does; and others' rounds stay."""
    rounds_folder = Path(filled(store).warehouse, "filters", store.name, "_rounds")
    others = rounds_folder / "step-0"
    others.mkdir(parents=True)
    (others / "journal.json").touch()

    def fail(edges: DataFrame, found: DataFrame) -> None:
        assert (rounds_folder / "step-1").exists()
        raise error

    monkeypatch.setattr(stage, "verify", fail)
    with pytest.raises(type(error)):
        stage.run(store, load_settings(), 1)
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
