"""mutual_edges: neighbors → mutual_edges, step_stats.

An edge where each sample is among the other's nearest (Brito et al. 1997).
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib import tables
from avlib.spark.progress import watched
from avlib.spark.runs import Step, Work, is_done, recorded
from avlib.spark.steps import drop_later, require_edges, require_neighbors
from avlib.spark.store import TableStore

_FROM_SRC, _FROM_DST = 1, 2  # which end of a pair lists the other


def run(store: TableStore, step: int) -> None:
    """Write the mutual edges of one step, and its statistics."""
    require_neighbors(store, step)
    outputs = [tables.MUTUAL_EDGES, tables.STEP_STATS]
    work = Work("mutual_edges", [Step(tables.NEIGHBORS, step)], outputs, [], store.name, step)
    if is_done(store, work):
        return
    with store.claim_filter(), recorded(store, work) as record:
        drop_later(store, step)
        for made_from_edges in (tables.COMPONENTS, tables.COMPONENT_STATS):
            store.drop_steps(made_from_edges, first=step)
        note = work.note(store)
        with watched(store.spark, f"mutual edges, step {step}"):
            neighbors = store.read(tables.NEIGHBORS, step=step)
            store.write_step(tables.MUTUAL_EDGES, mutual_edges(neighbors), step=step, note=note)
            stats = step_stats(neighbors, store.read(tables.MUTUAL_EDGES, step=step))
            store.write_step(tables.STEP_STATS, stats, step=step, note=note)
        record.summary = f"{require_edges(store, step)} edges"


def mutual_edges(neighbors: DataFrame) -> DataFrame:
    """src, dst, distance of every pair that is in both lists (Solèr et al. 2016, Eq. 2). One shuffle.

    neighbors: sample_id, neighbor_ids, distances; of distances that differ from end to end the smaller counts.
    """
    listed = neighbors.select("sample_id", F.explode(F.arrays_zip("neighbor_ids", "distances")).alias("other"))
    pairs = listed.select(
        F.least("sample_id", "other.neighbor_ids").alias("src"),
        F.greatest("sample_id", "other.neighbor_ids").alias("dst"),
        F.when(F.col("sample_id") < F.col("other.neighbor_ids"), _FROM_SRC).otherwise(_FROM_DST).alias("end"),
        F.col("other.distances").alias("distance"),
    )
    seen = pairs.groupBy("src", "dst").agg(F.bit_or("end").alias("ends"), F.min("distance").alias("distance"))
    both = seen.where((F.col("ends") == _FROM_SRC | _FROM_DST) & (F.col("src") < F.col("dst")))
    return both.select("src", "dst", "distance")


def step_stats(neighbors: DataFrame, edges: DataFrame) -> DataFrame:
    """One row: lists, listed, edges, degrees.

    neighbors: sample_id, neighbor_ids.  edges: src, dst.
    """
    lists = neighbors.select("sample_id", F.size("neighbor_ids").alias("listed"), F.lit(0).alias("edges"))
    ends = edges.select(F.explode(F.array("src", "dst")).alias("sample_id"), F.lit(0).alias("listed"), F.lit(1))
    samples = (
        lists.union(ends).groupBy("sample_id").agg(F.sum("listed").alias("listed"), F.sum("edges").alias("degree"))
    )
    histogram = samples.groupBy("degree").agg(F.count("*").alias("samples"), F.sum("listed").alias("listed"))
    entry = F.struct(F.col("degree").cast("int").alias("degree"), "samples")
    one_row = histogram.agg(
        F.coalesce(F.sum("samples"), F.lit(0)).cast("bigint").alias("lists"),
        F.coalesce(F.sum("listed"), F.lit(0)).cast("bigint").alias("listed"),
        F.coalesce(F.sum(F.col("degree") * F.col("samples")) / 2, F.lit(0)).cast("bigint").alias("edges"),
        F.count_if(F.col("degree") == 0).alias("zeros"),
        F.sort_array(F.collect_list(entry)).alias("degrees"),
    )
    none_alone = F.array(F.struct(F.lit(0).alias("degree"), F.lit(0).cast("bigint").alias("samples")))
    degrees = F.when(F.col("zeros") > 0, F.col("degrees")).otherwise(F.concat(none_alone, "degrees"))
    return one_row.select("lists", "listed", "edges", F.map_from_entries(degrees).alias("degrees"))
