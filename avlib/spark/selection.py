"""Which components a step keeps, and what there is to know of each: component_stats.

The twin of `avlib.filtering.kept`. The driver sees a few totals, never a component.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib import tables
from avlib.config import Settings, StepSettings
from avlib.identity import VIDEO_ID_SHIFT
from avlib.spark.medoids import MedoidSearch, medoids
from avlib.spark.samples import audio_samples
from avlib.spark.stats import latest_stats
from avlib.spark.store import TableStore
from avlib.spark.written import written_anew
from avlib.table_log import Note


@dataclass(frozen=True)
class Selection:
    """What stays after a step.  members: sample_id, component_id.  samples, components: how many."""

    members: DataFrame
    samples: int
    components: int


@dataclass(frozen=True)
class Target:
    """step: whose component_stats are written.  folder: for intermediate files.  note: goes with the commit."""

    step: int
    folder: str
    note: Note


def select(store: TableStore, found: DataFrame, settings: Settings, target: Target) -> Selection:
    """Write the component_stats of one step, and find what stays.

    found: sample_id, component_id of all samples that have an edge. The caller removes the target's folder once the
    returned members are written.
    Components of one sample are listed only where min_size is 1: elsewhere they are many, and tell nothing.
    """
    step, folder = target.step, target.folder
    rule = settings.filter.steps[step]
    members = written_anew(with_parents(found, step_scope(store, step)), f"{folder}/members")
    rows = written_anew(component_rows(members, rule), f"{folder}/selection")
    search = MedoidSearch((rule.w_V, rule.w_A), latest_stats(store, settings.filter.audio), settings.knn.block_rows)
    size, kept = F.col("size"), F.col("kept")
    totals = rows.agg(
        F.sum(F.when(size <= search.block_rows, size)), F.max(size), F.sum(F.when(kept, size)), F.count_if(kept)
    )
    in_small, largest, samples, components = totals.na.fill(0).collect()[0]
    members = members.select("sample_id", "component_id")
    samples_of = audio_samples(store, settings.filter.audio)
    sized = samples_of.join(members.join(rows.select("component_id", size), "component_id"), "sample_id")
    found_medoids = medoids(sized, search, in_small=in_small, largest=largest)
    store.write_step(tables.COMPONENT_STATS, rows.join(found_medoids, "component_id"), step=step, note=target.note)
    stay = rows.where(kept).select("component_id")
    return Selection(members.join(stay, "component_id"), samples, components)


def step_scope(store: TableStore, step: int) -> DataFrame:
    """sample_id, parent_id of the samples a step begins with; parent_id is null in step 0."""
    if step == 0:
        began_with = store.read(tables.NEIGHBORS, step=0)  # every sample has a list
        return began_with.select("sample_id", F.lit(None).cast("bigint").alias("parent_id"))
    return store.read(tables.COMPONENTS, step=step - 1).withColumnRenamed("component_id", "parent_id")


def with_parents(found: DataFrame, scope: DataFrame) -> DataFrame:
    """sample_id, component_id, parent_id. Samples of the scope without an edge are components by themselves.

    found: sample_id, component_id of those with an edge.  scope: sample_id, parent_id.
    """
    joined = scope.join(found, "sample_id", "left")
    return joined.select("sample_id", F.coalesce("component_id", "sample_id").alias("component_id"), "parent_id")


def component_rows(members: DataFrame, rule: StepSettings) -> DataFrame:
    """component_id, parent_id, size, parent_size, videos, video_shares, kept of every component.

    members: as `with_parents` gives them. Components of one sample are left out unless min_size is 1.
    """
    video = F.shiftright("sample_id", VIDEO_ID_SHIFT).alias("video_id")
    by_video = members.groupBy("component_id", "parent_id", video).agg(F.count("*").alias("samples"))
    components = by_video.groupBy("component_id", "parent_id").agg(
        F.sum("samples").alias("size"),
        F.count("*").alias("videos"),
        F.sort_array(F.collect_list(F.struct("video_id", "samples"))).alias("by_video"),
    )
    parents = members.groupBy(F.col("parent_id").alias("of_parent")).agg(F.count("*").alias("parent_size"))
    size, parent_size = F.col("size"), F.col("parent_size")
    shares = F.transform("by_video", lambda video: F.struct(video["video_id"], video["samples"] / size))
    large = (size >= rule.min_size) & (F.col("videos") >= rule.min_videos) & (size / parent_size >= rule.min_share)
    listed = components.where(size >= min(rule.min_size, 2))
    return listed.join(parents, F.col("parent_id").eqNullSafe(F.col("of_parent"))).select(
        "component_id",
        "parent_id",
        "size",
        "parent_size",
        "videos",
        F.map_from_entries(shares).alias("video_shares"),
        large.alias("kept"),
    )
