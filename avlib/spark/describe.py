"""describe: videos → samples, descriptions, descriptor_stats.

Videos are described in batches. Of each batch the samples are committed first and the descriptions last: only
samples that a description vouches for count, so an interrupted batch leaves nothing behind that matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import lru_cache

import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.config import DescribeSettings, Settings
from avlib.description import Description, SampleBatch, describe_video
from avlib.descriptors.visual import VisualDescriptor
from avlib.errors import InputError, MediaError, WarehouseError
from avlib.identity import sample_ids
from avlib.inputs import local_path
from avlib.models import StoredModel, described_with, store_model, write_model
from avlib.spark.columns import descriptor_column
from avlib.spark.progress import say, watched
from avlib.spark.runs import Recorder, Work
from avlib.spark.samples import committed_attempts, latest_descriptions, live_samples, with_video_id
from avlib.spark.stats import update_stats
from avlib.spark.store import TableStore

_TASKS_PER_SLOT = 16
_PENDING = "video_id bigint, uri string, input_hash string, described_with string, attempt int"

# One stream of rows out of the workers: a video's samples, then its description. `kind` says which.
_SAMPLE_FIELDS = list(tables.SAMPLES.schema)
_DESCRIPTION_FIELDS = [field for field in tables.DESCRIPTIONS.schema if field.name != "attempt"]
_ROWS = pa.schema(
    [pa.field("kind", pa.string(), nullable=False)]
    + [field.with_nullable(True) for field in _SAMPLE_FIELDS]
    + [field.with_nullable(True) for field in _DESCRIPTION_FIELDS]
)


def run(store: TableStore, settings: Settings) -> None:
    """Describe every video that has no description of its present file, settings and model, or failed in passing."""
    work = Work("describe", [tables.VIDEOS], [tables.DESCRIPTIONS, tables.SAMPLES], [settings.describe])
    recorder = Recorder(store, work)
    model = store_model(settings.describe, warehouse=store.warehouse)
    made_with = described_with(settings.describe, model)
    write_model(model, warehouse=store.warehouse, described_with=made_with)
    pending = _pending(store, made_with).localCheckpoint()
    done, last, total = 0, -1, pending.count()
    if total:
        _delete_orphans(store)
    while done < total:
        batch = pending.where(F.col("video_id") > last).orderBy("video_id").limit(settings.describe.batch_videos)
        videos = batch.collect()
        with watched(store.spark, f"describe {done + 1}-{done + len(videos)} of {total} videos"):
            _describe_batch(store, videos, settings.describe, model)
        done, last = done + len(videos), videos[-1]["video_id"]
    if done:
        _delete_orphans(store)
    summary = check_invariant(store)
    update_stats(store)
    if done:
        recorder.finish(summary)
    say(f"describe: {done} new, {summary}")


def check_invariant(store: TableStore) -> str:
    """Every video has exactly one status, and as many samples as its description says; returns counts in words.

    Raises WarehouseError otherwise.
    """
    outcome = store.read(tables.VIDEOS).join(latest_descriptions(store), "video_id", "left")
    rows = outcome.groupBy("status").agg(F.count("*").alias("videos"), F.sum("samples").alias("samples")).collect()
    counts = {row["status"]: row["videos"] for row in rows}
    if None in counts:
        raise WarehouseError(
            f"{counts[None]} of {sum(counts.values())} videos in {store.warehouse} have no description: "
            "describe lost them. Run `avlib describe` again, and please report this"
        )
    _check_sample_counts(store)
    listed = ", ".join(f"{counts[status]} {status}" for status in tables.STATUSES if status in counts)
    samples = sum(row["samples"] for row in rows)
    return f"{sum(counts.values())} videos = {listed or 'none'}; {samples} samples"


def _check_sample_counts(store: TableStore) -> None:
    counted = live_samples(store).groupBy("video_id").agg(F.count("*").alias("found"))
    said = latest_descriptions(store).where("samples > 0").select("video_id", "samples")
    off = said.join(counted, "video_id", "full").where("NOT samples <=> found").count()
    if off:
        raise WarehouseError(
            f"{off} videos in {store.warehouse} have another number of samples than their description says: did two "
            "describe jobs run at once? Restore the table `samples` to an earlier version, or use a new warehouse"
        )


def _pending(store: TableStore, made_with: str) -> DataFrame:
    """video_id, uri, attempt, input_hash, described_with of what is to be described."""
    modified_us = F.unix_micros("modified").cast("string")  # a time's text would depend on the session's time zone
    identity = F.concat_ws("|", "uri", F.col("bytes").cast("string"), modified_us, F.lit(made_with))
    videos = store.read(tables.VIDEOS).select(
        "video_id", "uri", F.sha2(identity, 256).alias("input_hash"), F.lit(made_with).alias("described_with")
    )
    if not store.exists(tables.DESCRIPTIONS):
        return videos.withColumn("attempt", F.lit(1))
    described = latest_descriptions(store).select(
        "video_id", "attempt", F.col("input_hash").alias("described_hash"), "transient"
    )
    joined = videos.join(described, "video_id", "left")
    changed = joined.where("described_hash IS NULL OR described_hash != input_hash OR transient")
    return changed.withColumn("attempt", F.coalesce("attempt", F.lit(0)) + 1).drop("described_hash", "transient")


def _describe_batch(store: TableStore, videos: list[Row], settings: DescribeSettings, model: StoredModel) -> None:
    slots = store.spark.sparkContext.defaultParallelism
    batch = store.spark.sparkContext.parallelize(videos, min(len(videos), _TASKS_PER_SLOT * slots))
    spread = store.spark.createDataFrame(batch, _PENDING)
    with store.scratch("describe") as folder:
        described = spread.mapInArrow(_Worker(settings, model, store.warehouse), from_arrow_schema(_ROWS))
        described.write.partitionBy("kind").parquet(folder)
        rows = store.spark.read.schema(from_arrow_schema(_ROWS)).parquet(folder)
        store.append(tables.SAMPLES, rows.where("kind = 'sample'"))
        descriptions = rows.where("kind = 'description'")
        if descriptions.count() != len(videos):
            raise WarehouseError(f"describe: {len(videos)} videos went in and {descriptions.count()} came out")
        store.append(tables.DESCRIPTIONS, descriptions)


def _delete_orphans(store: TableStore) -> None:
    """Delete the samples that no description vouches for: of an interrupted batch, or of an older attempt."""
    if not store.exists(tables.SAMPLES):
        return
    attempts = with_video_id(store.read(tables.SAMPLES)).select("video_id", "attempt").distinct()
    if not store.exists(tables.DESCRIPTIONS):
        orphans = attempts
    else:
        orphans = attempts.join(committed_attempts(store), ["video_id", "attempt"], "left_anti")
    if not orphans.isEmpty():
        store.delete_matching(
            tables.SAMPLES,
            orphans,
            "shiftright(stored.sample_id, 24) = given.video_id AND stored.attempt = given.attempt",
        )


class _Worker:
    """Describes the videos of a partition. A video that fails costs its own row, never the task."""

    def __init__(self, settings: DescribeSettings, model: StoredModel, warehouse: str) -> None:
        self._settings, self._model, self._warehouse = settings, model, warehouse

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        visual = _load_once(self._model, self._warehouse)
        for batch in batches:
            for video in batch.to_pylist():
                yield from self._describe(video, visual)

    def _describe(self, video: dict[str, object], visual: VisualDescriptor) -> Iterator[pa.RecordBatch]:
        video_id, attempt, uri = int(str(video["video_id"])), video["attempt"], str(video["uri"])
        try:
            batches = describe_video(local_path(uri), settings=self._settings, visual=visual)
            while True:
                try:
                    yield _sample_rows(video_id, attempt, next(batches))
                except StopIteration as end:
                    description = end.value
                    break
        except InputError as error:
            description = Description().failed(MediaError(uri, str(error), error_class="scheme"))
        except Exception as error:  # a bug or a lack of memory: name it, and go on with the next video
            reason = f"avlib failed on it: {type(error).__name__}: {error}"
            description = Description().failed(MediaError(uri, reason, error_class="internal"))
        yield _description_row(video | asdict(description))


@lru_cache(maxsize=1)
def _load_once(model: StoredModel, warehouse: str) -> VisualDescriptor:
    """The model, loaded once per Python worker."""
    return model.load(warehouse)


def _sample_rows(video_id: int, attempt: object, batch: SampleBatch) -> pa.RecordBatch:
    rows = len(batch.frame_indexes)
    columns = {
        "kind": pa.array(["sample"] * rows),
        "sample_id": pa.array(sample_ids(video_id, batch.frame_indexes)),
        "attempt": pa.array([attempt] * rows, pa.int32()),
        "time_s": pa.array(batch.times_s),
        "rms": pa.array(batch.rms),
        "visual": descriptor_column(batch.visual),
        "audio_mfcc65": descriptor_column(batch.audio),
    }
    return _padded(columns, rows)


def _description_row(values: dict[str, object]) -> pa.RecordBatch:
    fields = [*_DESCRIPTION_FIELDS, tables.SAMPLES.schema.field("attempt")]
    columns = {field.name: pa.array([values[field.name]], field.type) for field in fields}
    return _padded({"kind": pa.array(["description"])} | columns, 1)


def _padded(columns: dict[str, pa.Array], rows: int) -> pa.RecordBatch:
    """A batch of the common schema; columns of the other kind are null."""
    arrays = [columns[f.name] if f.name in columns else pa.nulls(rows, f.type) for f in _ROWS]
    return pa.RecordBatch.from_arrays(
        [array.cast(f.type) for array, f in zip(arrays, _ROWS, strict=True)], schema=_ROWS
    )
