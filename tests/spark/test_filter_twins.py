"""The Spark filter gives what the pure, in-memory filter gives: every table of every step, for any cut into blocks."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from raw_samples import RawSamples

from avlib.config import KnnSettings, StepSettings, load_settings
from avlib.errors import ParameterError
from avlib.filtering import StepResult, filter_in_memory
from avlib.neighbors import NeighborRule
from avlib.spark.components import components
from avlib.spark.knn import BlockSearch, find
from avlib.spark.mutual_edges import mutual_edges
from avlib.spark.packing import Components
from avlib.spark.selection import component_rows, with_parents

pytestmark = pytest.mark.spark

# w_V, w_A, k, k_share, min_videos, min_share
STRATEGIES = {
    "joint": [(0.5, 0.5, 6, 1.0, 1, 0.05)],
    "V+A": [(1.0, 0.0, 10, 1.0, 2, 0.05), (0.0, 1.0, 8, 0.4, 1, 0.0)],
    "three": [(0.0, 1.0, 12, 1.0, 1, 0.0), (1.0, 0.0, 5, 0.5, 3, 0.1), (0.3, 0.7, 3, 0.5, 2, 0.2)],
}


def knn_settings(**values: object) -> KnnSettings:
    return KnnSettings.model_validate(load_settings().knn.model_dump() | values)


def lists_of(samples: DataFrame, search: BlockSearch, *, scope: DataFrame | None, folder: Path) -> DataFrame:
    inside = None if scope is None else Components.of(scope, block_rows=search.knn.block_rows)
    return find(samples, search, inside=inside, folder=str(folder)).lists


def run_on_spark(
    spark: SparkSession, raw: RawSamples, steps: list[StepSettings], knn: KnnSettings, folder: Path
) -> list[tuple[set[tuple[int, int]], dict[int, int]]]:
    """Edges and kept components of every step."""
    samples, scope, results = raw.frame(spark), None, []
    for number, step in enumerate(steps):
        search = BlockSearch(step, knn, raw.stats, "cpu")
        lists = lists_of(samples, search, scope=scope, folder=folder / f"blocks-{number}")
        edges = mutual_edges(lists).localCheckpoint()
        found = components(edges, folder=str(folder / f"rounds-{number}"), one_task_edges=10**6)
        began_with = samples.selectExpr("sample_id", "cast(null AS bigint) AS parent_id")
        if scope is not None:
            began_with = scope.withColumnRenamed("component_id", "parent_id")
        large = component_rows(with_parents(found, began_with), step).where("kept").select("component_id")
        scope = found.join(large, "component_id").localCheckpoint()
        results.append(
            (
                {(row["src"], row["dst"]) for row in edges.collect()},
                {row["sample_id"]: row["component_id"] for row in scope.collect()},
            )
        )
    return results


def as_sets(result: StepResult) -> tuple[set[tuple[int, int]], dict[int, int]]:
    edges = set(zip(result.edges.src.tolist(), result.edges.dst.tolist(), strict=True))
    return edges, dict(zip(result.sample_ids.tolist(), result.component_ids.tolist(), strict=True))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("block_rows", "rule"),
    [
        (16, {}),
        (1000, {"exclude": "same_video"}),
        (40, {"exclude": "window", "exclude_s": 0.5, "per_video": 2}),
    ],
)
def test_the_same_edges_and_components(
    spark: SparkSession,
    raw_samples: RawSamples,
    tmp_path: Path,
    strategy: str,
    block_rows: int,
    rule: dict[str, object],
) -> None:
    steps = [
        StepSettings(w_V=w_V, w_A=w_A, k=k, k_share=k_share, min_size=4, min_videos=min_videos, min_share=min_share)
        for w_V, w_A, k, k_share, min_videos, min_share in STRATEGIES[strategy]
    ]
    knn = knn_settings(block_rows=block_rows, **rule)
    expected = filter_in_memory(
        raw_samples.normalised(), steps=steps, rule=NeighborRule(knn.exclude, knn.exclude_s, knn.per_video)
    )
    got = run_on_spark(spark, raw_samples, steps, knn, tmp_path)
    assert got == [as_sets(result) for result in expected]
    assert len(expected[-1].sample_ids) > 0  # else the test compares nothing with nothing


@pytest.mark.parametrize("partitions", [1, 4, 16])
def test_lists_do_not_depend_on_partitions_or_order(
    spark: SparkSession, raw_samples: RawSamples, tmp_path: Path, partitions: int
) -> None:
    step = StepSettings(w_V=0.5, w_A=0.5, k=7, min_size=1)
    search = BlockSearch(step, knn_settings(block_rows=40), raw_samples.stats, "cpu")
    straight = lists_of(raw_samples.frame(spark), search, scope=None, folder=tmp_path / "a").collect()
    shuffled = raw_samples.frame(spark).orderBy("audio").repartition(partitions)
    again = lists_of(shuffled, search, scope=None, folder=tmp_path / "b").collect()
    assert sorted(straight) == sorted(again)
    assert {len(row["neighbor_ids"]) for row in straight} == {7}


def test_more_neighbors_than_samples_is_an_error(spark: SparkSession, raw_samples: RawSamples, tmp_path: Path) -> None:
    search = BlockSearch(StepSettings(w_V=1, w_A=0, k=150, min_size=1), knn_settings(), raw_samples.stats, "cpu")
    with pytest.raises(ParameterError, match="number of samples, 150"):
        lists_of(raw_samples.frame(spark), search, scope=None, folder=tmp_path)


def test_one_video_only_is_an_error_where_others_are_asked_for(spark: SparkSession, tmp_path: Path) -> None:
    raw = RawSamples(videos=1)
    search = BlockSearch(
        StepSettings(w_V=1, w_A=0, k=3, min_size=1), knn_settings(exclude="same_video"), raw.stats, "cpu"
    )
    with pytest.raises(ParameterError, match="more than one video"):
        lists_of(raw.frame(spark), search, scope=None, folder=tmp_path)
