"""describe: videos → samples, descriptions, descriptor_stats.

Videos are described in batches. Of each batch the samples are committed first and the descriptions last: only
samples that a description vouches for count, so an interrupted batch leaves nothing behind that matters. Where files
cannot be locked, Delta's transaction versions keep an older run out (see `fence`).
"""

from __future__ import annotations

import heapq
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.resource import ResourceProfile
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import IntegerType, StructField, StructType

from avlib import tables
from avlib.config import Settings
from avlib.description import expected_work_s
from avlib.errors import WarehouseError
from avlib.identity import VIDEO_ID_SHIFT
from avlib.inputs import DURATION_COLUMN
from avlib.models import LEARNED_MODEL, StoredModel, described_with, store_model, write_model
from avlib.spark import learned
from avlib.spark.describing import PENDING, ROWS, SLICES, Worker, finished_row
from avlib.spark.duplicates import found_duplicates
from avlib.spark.progress import Pace, of_this_thread, say, warn, watched
from avlib.spark.resources import gpu_profile
from avlib.spark.runs import Work, is_recorded, recorded
from avlib.spark.samples import committed_attempts, latest_descriptions, with_video_id
from avlib.spark.stats import update_stats
from avlib.spark.store import TableStore
from avlib.storage import for_spark, remove_partial
from avlib.table_log import Note

ANY_FAILURE = "any"
"""Retry whatever failed, of whichever class, and what was cut short by something else than damage."""


def run(store: TableStore, settings: Settings, *, retry: str | None = None) -> None:
    """Describe every video that has no description of its present file, settings and model, or failed in passing.

    retry: an error class of descriptions to try again, or ANY_FAILURE.
    """
    work = Work("describe", [tables.VIDEOS], [tables.DESCRIPTIONS, tables.SAMPLES], [settings.describe])
    with store.claim("describe"), recorded(store, work) as record:
        remove_partial(f"{store.warehouse}/models", but=LEARNED_MODEL)
        model = store_model(settings.describe, warehouse=store.warehouse)
        made_with = described_with(settings.describe, model)
        write_model(model, warehouse=store.warehouse, described_with=made_with)
        few = settings.describe.batch_videos  # which the driver holds anyway when it describes them
        with ExitStack() as held:
            if not store.claims_hold and not _pending(store, made_with, _totals(store), retry).isEmpty():
                held.enter_context(store.fenced("describe", (tables.SAMPLES, tables.DESCRIPTIONS)))
            totals = _totals(store)
            pending = held.enter_context(store.frozen(_pending(store, made_with, totals, retry), "pending", few=few))
            if retry not in (None, ANY_FAILURE):
                _check_class(store, retry)
            total, described_again = _counted(pending)
            # After a kill there may be nothing left to describe, and yet something to clear away and to record.
            anything_to_do = total > 0 or not is_recorded(store, work, same_work=False)
            if anything_to_do:
                _delete_orphans(store, totals)
            if total:
                _describe(store, pending, total, settings, model)
            if described_again:
                _delete_orphans(store, _totals(store))
            learned.run(store, settings)
            with ThreadPoolExecutor(1) as beside:  # of few samples both do little but wait for Delta
                statistics = beside.submit(of_this_thread(store.spark, partial(update_stats, store)))
                summary = check_invariant(store, given=pending)
                statistics.result()
        if anything_to_do:
            record.summary = summary
    say(f"describe: {total} described, {summary}")


def is_done(store: TableStore, settings: Settings) -> bool:
    """Whether a run would find nothing to describe."""
    model = store_model(settings.describe, warehouse=store.warehouse)
    made_with = described_with(settings.describe, model)
    return _pending(store, made_with, _totals(store)).isEmpty() and learned.is_done(store)


@dataclass(frozen=True)
class _Totals:
    """What the descriptions that count say, together: samples, and duplicates among the videos."""

    samples: int
    duplicates: int


def _totals(store: TableStore) -> _Totals:
    if not store.exists(tables.DESCRIPTIONS):
        return _Totals(0, 0)
    duplicates = F.count_if(F.col("status") == "duplicate")
    row = latest_descriptions(store).agg(F.coalesce(F.sum("samples"), F.lit(0)), duplicates).first()
    assert row is not None
    return _Totals(*row)


def _counted(pending: DataFrame) -> tuple[int, bool]:
    """How many videos, and whether any has been described before."""
    row = pending.agg(F.count("*"), F.max("attempt")).first()
    return (row[0], row[1] > 1) if row and row[0] else (0, False)


def _describe(store: TableStore, pending: DataFrame, left: int, settings: Settings, model: StoredModel) -> None:
    """Describe what is pending, batch by batch; those of equal content once, whose duplicates are entered last."""
    with found_duplicates(store, pending, settings) as duplicates:
        if duplicates is not None:
            pending = duplicates.without(pending)
            left = pending.count()
        done, last, pace = 0, -1, Pace()
        while done < left:
            batch = pending.where(F.col("video_id") > last).orderBy("video_id").limit(settings.describe.batch_videos)
            videos = batch.collect()
            with watched(store.spark, f"describe {done + 1}-{done + len(videos)} of {left} videos"):
                _describe_batch(store, videos, settings, model)
            done, last = done + len(videos), videos[-1]["video_id"]
            if done < left:
                say(f"  describe: {pace.said(done, left, 'videos')}")
        if duplicates is not None:
            duplicates.enter(store)


def check_invariant(store: TableStore, *, given: DataFrame | None = None) -> str:
    """Every video has exactly one status, and there are as many samples as descriptions say; returns counts in words.

    given: the videos, by video_id, that were to be described: another run may have entered more since, for the next
    to describe. None: all. Raises WarehouseError otherwise.
    """
    videos = store.read(tables.VIDEOS).select("video_id", F.lit(True).alias("entered"))
    told = store.read(tables.DESCRIPTIONS).select("video_id", "attempt", "status", "samples")
    of_video = videos.unionByName(told, allowMissingColumns=True).groupBy("video_id")
    newest = F.max_by(F.struct("status", "samples"), "attempt").alias("newest")
    outcome = of_video.agg(F.max("entered").alias("entered"), newest).select("entered", "newest.*")
    by_status = outcome.groupBy("entered", "status")
    rows = by_status.agg(F.count("*").alias("videos"), F.sum("samples").alias("samples")).collect()
    # Video by video only where the sums differ, of which Delta knows one unread: as after a worker that failed midway.
    if sum(row["samples"] or 0 for row in rows) != store.read(tables.SAMPLES).count():
        _check_samples(store)
    outcomes = {row["status"]: row for row in rows if row["entered"]}
    if (new := outcomes.pop(None, None)) and (lost := _lost(store, given)):
        raise WarehouseError(
            f"{lost} of {new['videos'] + sum(row['videos'] for row in outcomes.values())} videos in {store.warehouse} "
            "have no description: describe lost them. Run `avlib describe` again, and please report this"
        )
    counts = {status: row["videos"] for status, row in outcomes.items()}
    listed = ", ".join(f"{counts[status]} {status}" for status in tables.STATUSES if status in counts)
    samples = sum(row["samples"] for row in outcomes.values())
    return f"{sum(counts.values())} videos = {listed or 'none'}; {samples} samples"


def _lost(store: TableStore, given: DataFrame | None) -> int:
    """How many videos have no description, of those that were to get one."""
    videos = store.read(tables.VIDEOS) if given is None else given.join(store.read(tables.VIDEOS), "video_id", "semi")
    if store.exists(tables.DESCRIPTIONS):
        videos = videos.join(store.read(tables.DESCRIPTIONS), "video_id", "anti")
    return videos.count()


def _check_samples(store: TableStore) -> None:
    """Raise WarehouseError where a description vouches for more or fewer samples than there are."""
    found = with_video_id(store.read(tables.SAMPLES)).groupBy("video_id", "attempt").agg(F.count("*").alias("found"))
    vouched = latest_descriptions(store).where("samples > 0").join(found, ["video_id", "attempt"], "left")
    if differing := vouched.where(F.col("samples") != F.coalesce("found", F.lit(0))).count():
        raise WarehouseError(
            f"{differing} videos in {store.warehouse} have another number of samples than their description says: did "
            "two describe jobs run at once? Restore the table `samples` to an earlier version, or use a new warehouse"
        )


def _pending(store: TableStore, made_with: str, totals: _Totals, retry: str | None = None) -> DataFrame:
    """What is to be described (see PENDING)."""
    modified_us = F.unix_micros("modified").cast("string")  # a time's text would depend on the session's time zone
    identity = F.concat_ws("|", "uri", F.col("bytes").cast("string"), modified_us, F.lit(made_with))
    videos = store.read(tables.VIDEOS).select(
        "video_id",
        "uri",
        "bytes",
        F.try_element_at("metadata", F.lit(DURATION_COLUMN)).try_cast("double").alias("duration_s"),
        F.sha2(identity, 256).alias("input_hash"),
        F.lit(made_with).alias("described_with"),
    )
    if not store.exists(tables.DESCRIPTIONS):
        new = videos.withColumn("attempt", F.lit(1)).withColumn("samples_before", F.lit(0).cast("bigint"))
        return new.select(*PENDING.names)
    again = F.col("transient")
    if retry is not None:
        again = again | (_failure() if retry == ANY_FAILURE else F.col("error_class") == retry)
    described = latest_descriptions(store).select(
        "video_id",
        "attempt",
        "status",
        "content_hash",
        "samples",
        F.col("duration_s").alias("described_s"),
        F.col("input_hash").alias("described_hash"),
        F.coalesce(again, F.lit(False)).alias("again"),
    )
    same = F.col("described_hash").eqNullSafe(F.col("input_hash"))
    joined = videos.join(described, "video_id", "left").withColumns(
        {
            "changed": ~same | F.col("again"),
            "duration_s": F.coalesce("described_s", "duration_s"),
            "attempt": F.coalesce("attempt", F.lit(0)) + 1,
            "samples_before": F.when(same, F.coalesce("samples", F.lit(0))).otherwise(0).cast("bigint"),
        }
    )
    changed = joined.where("changed").select(*PENDING.names)
    if not totals.duplicates:
        return changed
    # A duplicate counts on another video of its content, which may have changed, or be about to be tried again.
    settled = joined.where("NOT changed AND status != 'duplicate'").select("content_hash").distinct()
    alone = joined.where("NOT changed AND status = 'duplicate'").join(settled, "content_hash", "left_anti")
    return changed.unionByName(alone.select(*PENDING.names))


def _failure() -> Column:
    """Whether a video is to be tried again with the failed: partial ones, too, but for damage, which stays."""
    cut_short = (F.col("status") == "partial") & (F.col("error_class") != "damaged")
    return (F.col("status") == "failed") | cut_short


def _check_class(store: TableStore, retry: str) -> None:
    """Say where no description has an error class: it may be a slip of the pen."""
    if not store.exists(tables.DESCRIPTIONS):
        return
    rows = latest_descriptions(store).select("error_class").distinct().collect()
    found = sorted(row["error_class"] for row in rows if row["error_class"])
    if retry not in found:
        warn(f"nothing to retry: no video has the error class {retry}; there are: {', '.join(found) or 'none'}")


def _describe_batch(store: TableStore, videos: list[Row], settings: Settings, model: StoredModel) -> None:
    profile = gpu_profile(store.spark, settings.describe.device)
    with store.scratch("describe") as scratch:
        folder = f"{scratch}/rows"
        worker = Worker(settings, model, store.warehouse, f"{scratch}/samples")
        _write_rows(_described(_spread(store, videos, settings.describe.slice_s), worker, profile), folder)
        told = _told(store, folder)
        if long := told["long"]:
            long_videos = [video for video in videos if video["video_id"] in long]
            _describe_slices(store, folder, worker, long_videos, profile)
            told = _told(store, folder)
        descriptions = _read_rows(store, folder).where("kind = 'description'")
        described = sum(map(len, told["description"].values()))
        if long:
            outcomes = told["sliced"]
            finished = [
                finished_row(video.asDict(), long[video["video_id"]][0], outcomes[video["video_id"]])
                for video in videos
                if video["video_id"] in long
            ]
            descriptions = descriptions.unionByName(store.spark.createDataFrame(pa.Table.from_batches(finished)))
            described += len(finished)
        if described != len(videos):
            raise WarehouseError(f"describe: {len(videos)} videos went in and {described} came out")
        _enter(store, descriptions, videos, told["samples"].get(None, []))


def _enter(store: TableStore, descriptions: DataFrame, videos: list[Row], files: list[str]) -> None:
    """Append files of samples, then descriptions of videos, but for those that are worse than the ones before.

    Failures alone change nothing for the stages after this, and their commit says so: else a server that is down would
    have all of them run again, each time its videos are tried.
    """
    if worse := _worse_than_before(descriptions, videos):
        descriptions = descriptions.where(~F.col("video_id").isin(worse))
        if descriptions.where("samples > 0").isEmpty():
            files = []  # nobody would vouch for them
    store.append_files(tables.SAMPLES, files)
    if files:
        store.append(tables.DESCRIPTIONS, descriptions)
    elif ids := [row["video_id"] for row in descriptions.select("video_id").collect()]:
        had_samples = store.exists(tables.DESCRIPTIONS) and not (
            committed_attempts(store).where(F.col("video_id").isin(ids)).isEmpty()
        )
        store.append(tables.DESCRIPTIONS, descriptions, note=Note(of_no_samples=not had_samples))


def _worse_than_before(descriptions: DataFrame, videos: list[Row]) -> list[int]:
    """Unchanged videos that failed, or that damage or a limit left fewer samples: their older descriptions stay."""
    before = {video["video_id"]: video["samples_before"] for video in videos if video["samples_before"]}
    if not before:
        return []
    of_those = descriptions.where(F.col("video_id").isin(list(before)))
    found = of_those.where("status != 'ok'").select("video_id", F.coalesce("samples", F.lit(0)).alias("samples"))
    return [row["video_id"] for row in found.collect() if row["samples"] < before[row["video_id"]]]


def _describe_slices(
    store: TableStore, folder: str, worker: Worker, videos: list[Row], profile: ResourceProfile | None
) -> None:
    """Describe the slices of long videos, spread over all tasks whichever video they belong to."""
    slices = _read_rows(store, folder).where("kind = 'slice'").select("video_id", "text")
    count = slices.count()
    tasks = slices.join(
        F.broadcast(store.spark.createDataFrame(videos, from_arrow_schema(PENDING))), "video_id"
    ).select(*SLICES.names)
    spread = tasks.repartition(min(count, store.most_tasks()))
    _write_rows(_described(spread, worker, profile), folder)
    found = _read_rows(store, folder).where("kind = 'sliced'").count()
    if found != count:
        raise WarehouseError(f"describe: {count} slices went in and {found} came out")


def _spread(store: TableStore, videos: list[Row], slice_s: float) -> DataFrame:
    """The videos in tasks of about the same work; those that are most begin first."""
    sizes, durations_s = ([video[name] for video in videos] for name in ("bytes", "duration_s"))
    work_s = expected_work_s(sizes, durations_s, slice_s=slice_s)
    tasks = [(0.0, number) for number in range(min(len(videos), store.most_tasks()))]
    placed: list[tuple[Any, ...]] = []
    for expected_s, video in sorted(zip(work_s, videos, strict=True), key=lambda one: (-one[0], one[1]["video_id"])):
        load_s, number = heapq.heappop(tasks)
        heapq.heappush(tasks, (load_s + expected_s, number))
        placed.append((number, *video))
    schema = StructType([StructField("task", IntegerType()), *from_arrow_schema(PENDING)])
    return store.spark.createDataFrame(placed, schema).repartitionById(len(tasks), "task").select(*PENDING.names)


def _described(tasks: DataFrame, worker: Worker, profile: ResourceProfile | None) -> DataFrame:
    return tasks.mapInArrow(worker, from_arrow_schema(ROWS), profile=profile)


def _write_rows(rows: DataFrame, folder: str) -> None:
    rows.write.mode("append").partitionBy("kind").parquet(for_spark(folder))


def _read_rows(store: TableStore, folder: str) -> DataFrame:
    return store.spark.read.schema(from_arrow_schema(ROWS)).parquet(for_spark(folder))


def _told(store: TableStore, folder: str) -> dict[str, dict[int | None, list[str]]]:
    """The texts of rows by kind and by video: of files (of no video), descriptions (none), long videos and slices."""
    found: dict[str, dict[int | None, list[str]]] = {"samples": {}, "description": {}, "long": {}, "sliced": {}}
    rows = _read_rows(store, folder).where(F.col("kind").isin(list(found))).select("kind", "video_id", "text")
    for row in rows.collect():
        found[row["kind"]].setdefault(row["video_id"], []).append(row["text"])
    return found


def _delete_orphans(store: TableStore, totals: _Totals) -> None:
    """Delete the samples that no description vouches for: of an interrupted batch, or of an older attempt.

    They are looked for only where there are more samples than descriptions say, of which Delta knows one unread.
    """
    if not store.exists(tables.SAMPLES):
        return
    attempts = with_video_id(store.read(tables.SAMPLES)).select("video_id", "attempt").distinct()
    if not store.exists(tables.DESCRIPTIONS):
        orphans = attempts
    else:
        if store.read(tables.SAMPLES).count() == totals.samples:
            return
        orphans = attempts.join(committed_attempts(store), ["video_id", "attempt"], "left_anti")
    if not orphans.isEmpty():
        store.delete_matching(
            tables.SAMPLES,
            orphans,
            f"shiftright(stored.sample_id, {VIDEO_ID_SHIFT}) = given.video_id AND stored.attempt = given.attempt",
        )
