"""mutual_edges: neighbors → mutual_edges.

An edge where each sample is among the other's nearest (Brito et al. 1997).
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib import tables
from avlib.spark.progress import watched
from avlib.spark.store import TableStore


def run(store: TableStore, step: int) -> None:
    """Write the mutual edges of one step."""
    with watched(store.spark, f"mutual edges, step {step}"):
        edges = mutual_edges(store.read(tables.NEIGHBORS, step=step))
        store.write_step(tables.MUTUAL_EDGES, edges, step=step)


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
