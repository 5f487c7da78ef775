"""components: mutual_edges → components. Connected components; those below min_size are dropped.

Large-star / small-star rounds (Kiveris et al. 2014, "Connected Components in MapReduce and Beyond") with local
contraction in every partition. Once few edges are left, one executor task finishes. The driver never sees an edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib import tables
from avlib.config import Settings
from avlib.errors import WarehouseError
from avlib.graph import contract
from avlib.spark.progress import say, watched
from avlib.spark.samples import live_samples
from avlib.spark.store import TableStore

_EDGES = "node bigint, root bigint"


def run(store: TableStore, settings: Settings, step: int) -> None:
    """Write the components of one step that are large enough."""
    with watched(store.spark, f"components, step {step}"), store.scratch("components") as folder:
        edges = store.read(tables.MUTUAL_EDGES, step=step)
        found = components(edges, folder=folder, one_task_edges=settings.components.one_task_edges)
        verify(edges, found)
        kept = _large_enough(store, found, step=step, min_size=settings.filter.steps[step].min_size)
        store.write_step(tables.COMPONENTS, kept, step=step)
        counts = store.read(tables.COMPONENTS, step=step).agg(
            F.count("*").alias("samples"), F.count_distinct("component_id").alias("components")
        )
        row = counts.first()
    assert row is not None
    say(f"  step {step}: {row['samples']} samples in {row['components']} components")


def components(edges: DataFrame, *, folder: str, one_task_edges: int) -> DataFrame:
    """sample_id, component_id of every sample that has an edge. The component's id is its smallest sample id.

    edges: src, dst; in any order, repeated or not.  folder: where each round's edges are written, so that no round
    depends on the lineage of those before; the caller removes it.  one_task_edges: with at most so many edges left,
    one task finishes.
    """
    spark = edges.sparkSession
    rounds = 0

    def materialised(rows: DataFrame) -> DataFrame:
        nonlocal rounds
        place, rounds = f"{folder}/{rounds}", rounds + 1
        rows.write.parquet(place)
        return spark.read.schema(_EDGES).parquet(place)

    left = materialised(_contracted(edges.selectExpr("src AS node", "dst AS root")))
    while left.count() > one_task_edges and not _all_stars(left):
        left = materialised(_contracted(_large_star(left)))
        left = materialised(_contracted(_small_star(left)))
    if not _all_stars(left):
        left = materialised(_contracted(left.coalesce(1)))
    roots = left.select("root").distinct().selectExpr("root AS node", "root")
    # distinct: two partitions may have found the same star
    return left.unionByName(roots).distinct().selectExpr("node AS sample_id", "root AS component_id")


def verify(edges: DataFrame, components: DataFrame) -> None:
    """Raise WarehouseError if an edge joins two components."""
    source = components.selectExpr("sample_id AS src", "component_id AS src_component")
    target = components.selectExpr("sample_id AS dst", "component_id AS dst_component")
    ends = edges.join(source, "src", "left").join(target, "dst", "left")
    crossing = ends.where("NOT src_component <=> dst_component OR src_component IS NULL").count()
    if crossing:
        raise WarehouseError(f"components: {crossing} edges cross components; run the step again and report this")


def _large_enough(store: TableStore, found: DataFrame, *, step: int, min_size: int) -> DataFrame:
    if min_size == 1:  # samples without an edge are components by themselves
        scope = store.read(tables.COMPONENTS, step=step - 1) if step else live_samples(store)
        alone = scope.select("sample_id").join(found, "sample_id", "left_anti")
        return found.unionByName(alone.withColumn("component_id", F.col("sample_id")))
    sizes = found.groupBy("component_id").agg(F.count("*").alias("size")).where(F.col("size") >= min_size)
    return found.join(sizes.select("component_id"), "component_id")


# Below, an edge (node, root) always has root < node.


def _contracted(edges: DataFrame) -> DataFrame:
    """Replace the edges of each partition by stars: from every node to the smallest one it is connected to there."""
    return edges.mapInArrow(_contract_partition, _EDGES)


def _contract_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    pairs = [(batch["node"].to_numpy(), batch["root"].to_numpy()) for batch in batches]
    if pairs:
        nodes, roots = contract(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
        yield pa.RecordBatch.from_arrays([pa.array(nodes), pa.array(roots)], names=["node", "root"])


def _all_stars(edges: DataFrame) -> bool:
    """Whether every node has one root, which is nobody's node: then the edges are the components."""
    roots = edges.select(F.col("root").alias("node")).distinct()
    if not edges.join(roots, "node", "left_semi").isEmpty():
        return False
    return edges.groupBy("node").agg(F.min("root").alias("a"), F.max("root").alias("b")).where("a != b").isEmpty()


def _large_star(edges: DataFrame) -> DataFrame:
    """Link every larger neighbor of a node to the smallest of its neighborhood."""
    both = edges.selectExpr("node AS a", "root AS b").unionAll(edges.selectExpr("root AS a", "node AS b"))
    smallest = both.groupBy("a").agg(F.least(F.min("b"), F.col("a")).alias("root"))
    return both.join(smallest, "a").where("b > a").selectExpr("b AS node", "root").distinct()


def _small_star(edges: DataFrame) -> DataFrame:
    """Link every smaller neighbor of a node, and the node itself, to the smallest of them."""
    smallest = edges.groupBy("node").agg(F.min("root").alias("smallest"))
    lower = edges.join(smallest, "node").where("root != smallest").selectExpr("root AS node", "smallest AS root")
    return lower.unionAll(smallest.selectExpr("node", "smallest AS root")).distinct()
