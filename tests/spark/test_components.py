"""Connected components on Spark against networkx, with the one-task finish and without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from avlib import tables
from avlib.config import load_settings
from avlib.errors import WarehouseError
from avlib.spark import components as stage
from avlib.spark import rounds
from avlib.spark.components import components, verify
from avlib.spark.rounds import Round, Rounds
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


def persisted_rdds(spark: SparkSession) -> set[int]:
    return set(spark.sparkContext._jsc.getPersistentRDDs())


def sorted_rows(found: DataFrame) -> list[tuple[int, int]]:
    return sorted((row["sample_id"], row["component_id"]) for row in found.collect())


@pytest.mark.parametrize(("one_task_edges", "partitions"), [(0, 1), (0, 4), (0, 16), (10**9, 4)])
def test_against_networkx(spark: SparkSession, tmp_path: Path, one_task_edges: int, partitions: int) -> None:
    graph = all_graphs()
    edges = spark.createDataFrame(graph, EDGES).repartition(partitions)
    persisted = persisted_rdds(spark)
    settings = dict(spark.conf.getAll)
    found = components(edges, folder=str(tmp_path), one_task_edges=one_task_edges)
    assert sorted_rows(found) == sorted(expected(graph).items())
    assert dict(spark.conf.getAll) == settings
    assert persisted_rdds(spark) <= persisted  # Spark's cleaner may drop another test's meanwhile


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


def small_graph(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(chain(300, shuffled=True), EDGES).repartition(4)


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


@pytest.mark.parametrize("harm", ["deleted", "file deleted", "truncated", "other rows"])
def test_a_damaged_round_is_noticed(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    edges = small_graph(spark)
    folder = tmp_path / "rounds"
    interrupted(edges, folder, 2, entered=True)
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
    assert dict(resumed(edges, folder)) == {node: 0 for node in range(300)}
    said = capsys.readouterr().err
    assert "round 2 is missing or damaged: going back to round 1" in said
    assert "after round 1" in said


def test_all_rounds_damaged(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edges = small_graph(spark)
    interrupted(edges, tmp_path, 1, entered=True)
    for place in places(tmp_path):
        shutil.rmtree(tmp_path / place)
    assert dict(resumed(edges, tmp_path)) == {node: 0 for node in range(300)}
    assert "going back to the beginning" in capsys.readouterr().err


def test_rounds_of_another_input_are_not_used(spark: SparkSession, tmp_path: Path) -> None:
    interrupted(small_graph(spark), tmp_path, 2, entered=True)
    other = spark.createDataFrame([(5, 7)], EDGES)
    assert resumed(other, tmp_path, "b") == [(5, 5), (7, 5)]
    assert places(tmp_path) == ["0000", "0001"]


def test_rows_lost_while_writing_are_noticed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Rounds.read
    monkeypatch.setattr(Rounds, "read", lambda self, one: read(self, one).limit(2))
    with pytest.raises(WarehouseError, match="other rows than the"):
        resumed(small_graph(spark), tmp_path)


def filled(store: TableStore) -> TableStore:
    """With two pairs of samples as mutual edges of step 0 and, inside the component they are in, of step 1."""
    schema = "src bigint, dst bigint, distance float"
    first, second = ([(1, 2, 0.5), (2, 3, 0.5), (7, 8, 0.1)], [(1, 3, 0.5)])
    for step, edges in enumerate((first, second)):
        store.write_step(tables.MUTUAL_EDGES, store.spark.createDataFrame(edges, schema), step=step)
    return store


def test_a_stage_leaves_no_rounds(store: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # Which components stay is selection's own affair, and needs samples.
    monkeypatch.setattr(stage.selection, "select", lambda store, found, *_, **__: found)
    settings = load_settings(assignments=["components.min_size=2"])
    folder = Path(filled(store).warehouse, "filters", store.name)
    stage.run(store, settings, 0)
    stage.run(store, settings, 1)
    assert sorted_rows(store.read(tables.COMPONENTS, step=0)) == [(1, 1), (2, 1), (3, 1), (7, 7), (8, 7)]
    assert sorted_rows(store.read(tables.COMPONENTS, step=1)) == [(1, 1), (3, 1)]
    assert not (folder / "_rounds").exists()

    def crossing(edges: DataFrame, found: DataFrame) -> None:
        assert (folder / "_rounds").exists()
        raise WarehouseError("crossing")

    monkeypatch.setattr(stage, "verify", crossing)
    with pytest.raises(WarehouseError, match="crossing"):
        stage.run(store, settings, 0)
    assert not (folder / "_rounds").exists()


def test_an_edge_across_components_is_noticed(spark: SparkSession) -> None:
    edges = spark.createDataFrame([(1, 2), (2, 3)], EDGES)
    split = spark.createDataFrame([(1, 1), (2, 1), (3, 3)], "sample_id bigint, component_id bigint")
    with pytest.raises(WarehouseError, match="1 edges cross"):
        verify(edges, split)
    lost = spark.createDataFrame([(1, 1), (2, 1)], "sample_id bigint, component_id bigint")
    with pytest.raises(WarehouseError, match="1 edges cross"):
        verify(edges, lost)
