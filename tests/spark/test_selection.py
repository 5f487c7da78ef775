"""What a step keeps and what is told of it: component_stats and step_stats against plain computations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import deltalake
import networkx as nx
import numpy as np
import pytest
from filled_store import fill, two_steps
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from raw_samples import RawSamples
from session_state import cached_data, session_settings

from avlib import tables
from avlib.config import Settings, StepSettings, load_settings
from avlib.filtering import StepResult, filter_in_memory, kept, medoids
from avlib.neighbors import NeighborRule
from avlib.spark import components, filter, knn, mutual_edges, rounds
from avlib.spark.selection import component_rows, with_parents
from avlib.spark.store import TableStore
from avlib.storage import write_whole

pytestmark = pytest.mark.spark


@dataclass(frozen=True)
class Ran:
    """A warehouse on which all steps were run, and what they give in memory."""

    store: TableStore
    settings: Settings
    raw: RawSamples
    results: list[StepResult]

    def rows(self, table: tables.Table) -> list[dict[str, object]]:
        found = [row.asDict() for row in self.store.read(table).collect()]
        return sorted(found, key=lambda row: tuple(row[column] for column in table.key))  # type: ignore[misc]


def run_steps(store: TableStore, settings: Settings) -> None:
    for step in range(len(settings.filter.steps)):
        knn.run(store, settings, step)
        mutual_edges.run(store, step)
        components.run(store, settings, step)


@contextmanager
def nothing_left(store: TableStore) -> Iterator[None]:
    """Fails where Spark keeps data or a setting that was not there before, or the warehouse files that are no table."""
    before, conf = cached_data(store.spark), session_settings(store.spark)
    yield
    assert cached_data(store.spark) <= before  # Spark's cleaner may drop another test's meanwhile
    assert session_settings(store.spark) == conf
    filters = Path(store.warehouse, "filters", store.name)
    assert {path.name for path in filters.iterdir()} <= {table.name for table in (*tables.BY_STEP, tables.COLLECTION)}
    assert not any(Path(store.warehouse, "_scratch").glob("*"))


@pytest.fixture(scope="module")
def ran(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    store, raw = TableStore(spark, str(tmp_path_factory.mktemp("selection"))), RawSamples()
    settings = two_steps()
    fill(store, raw)
    with nothing_left(store):
        run_steps(store, settings)
    results = filter_in_memory(raw.normalised(), steps=settings.filter.steps, rule=NeighborRule())
    return Ran(store, settings, raw, results)


def expected_component_stats(ran: Ran) -> list[dict[str, object]]:
    """From the edges and the descriptors of the in-memory filter, by networkx and plain counting."""
    samples, rows = ran.raw.normalised(), []
    parent_of: dict[int, int | None] = dict.fromkeys(ran.raw.ids.tolist())
    for step, (rule, result) in enumerate(zip(ran.settings.filter.steps, ran.results, strict=True)):
        graph = nx.Graph(list(zip(result.edges.src.tolist(), result.edges.dst.tolist(), strict=True)))
        if rule.min_size == 1:
            graph.add_nodes_from(parent_of)
        found = {min(members): sorted(members) for members in nx.connected_components(graph)}
        ids = np.array(sorted(graph), np.int64)
        component = {sample: first for first, members in found.items() for sample in members}
        where = np.searchsorted(samples.ids, ids)
        of_samples = np.array([component[sample] for sample in ids.tolist()])
        descriptors = {"visual": samples.visual[where], "audio": samples.audio[where]}
        nearest = medoids(ids, of_samples, **descriptors, weights=(rule.w_V, rule.w_A))
        medoid = dict(zip(nearest[0].tolist(), nearest[1].tolist(), strict=True))
        stay = set(result.component_ids.tolist())
        for first in sorted(found):
            members, parent = found[first], parent_of[first]
            shares = Counter(sample >> 24 for sample in members)
            rows.append(
                {
                    "step": step,
                    "component_id": first,
                    "parent_id": parent,
                    "size": len(members),
                    "parent_size": sum(other == parent for other in parent_of.values()),
                    "videos": len(shares),
                    "video_shares": {video: n / len(members) for video, n in shares.items()},
                    "medoid_id": medoid[first],
                    "kept": first in stay,
                }
            )
        parent_of = dict(zip(result.sample_ids.tolist(), result.component_ids.tolist(), strict=True))
    return rows


def test_component_stats(ran: Ran) -> None:
    rows, expected = ran.rows(tables.COMPONENT_STATS), expected_component_stats(ran)
    assert rows == expected
    assert rows and all(sum(row["video_shares"].values()) == pytest.approx(1) for row in rows)  # type: ignore[attr-defined]
    for step in (0, 1):  # else the test shows little
        assert {row["kept"] for row in expected if row["step"] == step} == {True, False}
    assert any(row["size"] == 1 for row in expected) and len({row["parent_id"] for row in expected}) > 2


def test_analysts_read_it_without_spark(ran: Ran) -> None:
    rows = deltalake.DeltaTable(ran.store.path(tables.COMPONENT_STATS)).to_pyarrow_table().to_pylist()
    assert len(rows) == len(ran.rows(tables.COMPONENT_STATS))
    assert all(row["video_shares"] == sorted(row["video_shares"]) for row in rows)  # (video_id, share), ascending


def test_components_are_those_kept_in_memory(ran: Ran) -> None:
    for step, result in enumerate(ran.results):
        rows = ran.store.read(tables.COMPONENTS, step=step).collect()
        found = {row["sample_id"]: row["component_id"] for row in rows}
        assert len(found) == len(rows)
        assert found == dict(zip(result.sample_ids.tolist(), result.component_ids.tolist(), strict=True))


def test_step_stats(ran: Ran) -> None:
    expected = []
    for step, result in enumerate(ran.results):
        graph = nx.Graph(list(zip(result.edges.src.tolist(), result.edges.dst.tolist(), strict=True)))
        graph.add_nodes_from(result.lists.ids.tolist())
        degrees = {0: 0} | dict(Counter(degree for _, degree in graph.degree))
        listed = int((result.lists.neighbor_ids >= 0).sum())
        numbers = {"lists": len(result.lists), "listed": listed, "edges": len(result.edges)}
        expected.append({"step": step} | numbers | {"degrees": degrees})
    assert ran.rows(tables.STEP_STATS) == expected
    assert expected[1]["degrees"][0] > 0  # type: ignore[index]


def test_the_same_rows_again_however_the_work_is_cut(ran: Ran) -> None:
    """In blocks of 20 the large components are cut, and their means pieced together."""
    before = {table.name: ran.rows(table) for table in tables.BY_STEP}
    assert sum(row["size"] > 20 for row in before["component_stats"]) > 1  # type: ignore[operator]
    with nothing_left(ran.store):
        run_steps(ran.store, two_steps("knn.block_rows=20", "components.one_task_edges=0"))
    assert {table.name: ran.rows(table) for table in tables.BY_STEP} == before


class Killed(BaseException):
    """Stands for the end of the driver: nothing catches it."""


@contextmanager
def killed_in(number: int) -> Iterator[None]:
    """The driver ends in this round of step 1: its files are written, but it is not in the journal."""

    def write(uri: str, content: bytes) -> None:
        if "/step-1/" in uri and json.loads(content)["rounds"][-1]["number"] == number:
            raise Killed
        write_whole(uri, content)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(rounds, "write_whole", write)
        yield


def test_a_stage_that_is_killed_in_every_round_gives_the_same_rows(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ran.rows(tables.COMPONENTS), ran.rows(tables.COMPONENT_STATS)
    settings = two_steps("components.one_task_edges=0")
    ran.store.drop_steps(tables.COMPONENTS, first=1)
    for number in range(2):  # none has fewer
        with killed_in(number):
            components.run(ran.store, settings, 1)
    with nothing_left(ran.store):
        components.run(ran.store, settings, 1)
    assert "going on after round 0" in capsys.readouterr().err
    assert (ran.rows(tables.COMPONENTS), ran.rows(tables.COMPONENT_STATS)) == before


@pytest.mark.long
def test_a_filter_that_is_killed_goes_on_with_its_rounds(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    """And a shorter strategy leaves no steps behind."""
    store = TableStore(ran.store.spark, ran.store.warehouse, name="shorter")
    settings = two_steps("components.one_task_edges=0")
    with killed_in(1):
        filter.run(store, settings)
    assert not store.exists(tables.COLLECTION)
    with nothing_left(store):
        filter.run(store, settings)
    assert "going on after round 0" in capsys.readouterr().err
    again = Ran(store, settings, ran.raw, ran.results)
    assert all(again.rows(table) == ran.rows(table) for table in tables.BY_STEP)
    filter.run(store, load_settings(assignments=["filter.strategy=joint", "components.min_size=200"]))
    left = {table.name: {row["step"] for row in store.read(table).collect()} for table in tables.BY_STEP}
    assert left.pop("components") == set()  # nothing is so large
    assert set(left) == {"neighbors", "mutual_edges", "step_stats", "component_stats"}
    assert all(steps == {0} for steps in left.values())
    assert {row["kept"] for row in store.read(tables.COMPONENT_STATS).collect()} == {False}


@pytest.mark.parametrize(
    ("table", "columns", "check"),
    [
        (tables.STEP_STATS, "5L AS lists, 9L AS listed, 5L AS edges, map(0, 5L) AS degrees", "listed_from_both_ends"),
        (
            tables.COMPONENT_STATS,
            "7L AS component_id, 7L AS parent_id, 2L AS size, 2L AS parent_size, 1L AS videos, "
            "map(0L, 1D) AS video_shares, 8L AS medoid_id, true AS kept",
            "parent_but_in_step_0",
        ),
    ],
)
def test_constraints_hold(ran: Ran, table: tables.Table, columns: str, check: str) -> None:
    before = ran.rows(table)
    with pytest.raises((PySparkException, Py4JJavaError), match=check):
        ran.store.write_step(table, ran.store.spark.sql(f"SELECT {columns}"), step=0)
    assert ran.rows(table) == before


@pytest.mark.parametrize(
    ("min_size", "min_videos", "min_share"), [(1, 1, 0.0), (3, 1, 0.1), (1, 3, 0.0), (2, 2, 0.2), (1, 1, 1 / 3)]
)
def test_twins(spark: SparkSession, min_size: int, min_videos: int, min_share: float) -> None:
    """Components and parents at random, also of one sample, also of a whole parent."""
    random = np.random.default_rng(min_size)
    ids = np.arange(60) + (random.integers(0, 4, 60) << 24)
    parents = random.integers(0, 4, 60)
    labels = 100 * parents + random.integers(0, 9, 60) // (1 + parents)
    component = dict(zip(labels.tolist(), ids.tolist(), strict=True))  # some member stands for the component
    found = np.array([component[label] for label in labels.tolist()])
    sizes = Counter(found.tolist())
    step = StepSettings(w_V=1, w_A=0, k=1, min_size=min_size, min_videos=min_videos, min_share=min_share)
    with_edges = [(s, c) for s, c in zip(ids.tolist(), found.tolist(), strict=True) if sizes[c] > 1]
    frame = spark.createDataFrame(with_edges, "sample_id bigint, component_id bigint")
    scope = spark.createDataFrame(
        list(zip(ids.tolist(), parents.tolist(), strict=True)), "sample_id bigint, parent_id bigint"
    )
    rows = component_rows(with_parents(frame, scope), step).collect()
    expected = set(found[kept(ids, found, parents=parents, step=step)].tolist())
    assert {row["component_id"] for row in rows if row["kept"]} == expected
    assert len(rows) == sum(n >= min(min_size, 2) for n in sizes.values())


def test_nothing_found(spark: SparkSession) -> None:
    found = spark.createDataFrame([], "sample_id bigint, component_id bigint")
    scope = spark.createDataFrame([(5, None)], "sample_id bigint, parent_id bigint")
    step = StepSettings(w_V=1, w_A=0, k=1, min_size=2)
    assert component_rows(with_parents(found, scope), step).isEmpty()
    neighbors = spark.createDataFrame([], "sample_id bigint, neighbor_ids array<bigint>, distances array<float>")
    stats = mutual_edges.step_stats(neighbors, mutual_edges.mutual_edges(neighbors)).collect()
    assert [row.asDict() for row in stats] == [{"lists": 0, "listed": 0, "edges": 0, "degrees": {0: 0}}]
