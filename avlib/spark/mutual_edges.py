"""mutual_edges: neighbors → mutual_edges, step_stats.

An edge where each sample is among the other's nearest (Brito et al. 1997).
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib import tables
from avlib.spark.progress import watched
from avlib.spark.store import TableStore


def run(store: TableStore, step: int) -> None:
    """Write the mutual edges of one step, and its statistics."""
    with watched(store.spark, f"mutual edges, step {step}"):
        neighbors = store.read(tables.NEIGHBORS, step=step)
        store.write_step(tables.MUTUAL_EDGES, mutual_edges(neighbors), step=step)
        stats = step_stats(neighbors, store.read(tables.MUTUAL_EDGES, step=step))
        store.write_step(tables.STEP_STATS, stats, step=step)


def mutual_edges(neighbors: DataFrame) -> DataFrame:
    """src, dst, distance of every pair that is in both lists (Solèr et al. 2016, Eq. 2). One shuffle.

    neighbors: sample_id, neighbor_ids, distances; no list names a sample twice, or its own.
    """
    listed = neighbors.select("sample_id", F.explode(F.arrays_zip("neighbor_ids", "distances")).alias("other"))
    pairs = listed.select(
        F.least("sample_id", "other.neighbor_ids").alias("src"),
        F.greatest("sample_id", "other.neighbor_ids").alias("dst"),
        F.col("other.distances").alias("distance"),
    )
    # src < dst, and a pair that is there twice was listed from both ends
    both = pairs.groupBy("src", "dst").agg(F.count("*").alias("seen"), F.min("distance").alias("distance"))
    return both.where("seen = 2").select("src", "dst", "distance")


def step_stats(neighbors: DataFrame, edges: DataFrame) -> DataFrame:
    """One row: lists, listed, edges, degrees. The neighbor lists are counted where they lie, only edges are shuffled.

    neighbors: sample_id, neighbor_ids.  edges: src, dst.
    """
    lists = neighbors.agg(
        F.count("*").alias("lists"), F.coalesce(F.sum(F.size("neighbor_ids")), F.lit(0)).alias("listed")
    )
    ends = edges.select(F.explode(F.array("src", "dst")).alias("sample_id"))
    linked = ends.groupBy("sample_id").agg(F.count("*").alias("degree"))
    histogram = linked.groupBy(F.col("degree").cast("int").alias("degree")).agg(F.count("*").alias("samples"))
    one_row = histogram.agg(
        F.sum(F.col("degree") * F.col("samples")).alias("ends"),
        F.sum("samples").alias("linked"),
        F.sort_array(F.collect_list(F.struct("degree", "samples"))).alias("degrees"),
    )
    alone = F.struct(F.lit(0).alias("degree"), (F.col("lists") - F.coalesce("linked", F.lit(0))).alias("samples"))
    return lists.crossJoin(one_row).select(
        "lists",
        F.col("listed").cast("bigint").alias("listed"),
        (F.coalesce("ends", F.lit(0)) / 2).cast("bigint").alias("edges"),
        F.map_from_entries(F.concat(F.array(alone), "degrees")).alias("degrees"),
    )
