"""descriptor_stats: mean and deviation of the sound descriptor over all samples, versioned.

Sums are exact integers, so the same samples give the same bits whatever their order or partitioning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import Row
from pyspark.sql import functions as F

from avlib import tables
from avlib.columns import descriptor_rows
from avlib.descriptors import DescriptorStats, ExactSums
from avlib.spark.progress import watched
from avlib.spark.runs import Recorder, Work, is_done
from avlib.spark.samples import live_samples
from avlib.spark.store import TableStore, spark_schema

_DESCRIPTOR = "audio_mfcc65"


def update_stats(store: TableStore) -> None:
    """Add a version to `descriptor_stats` if the samples have changed since the newest one."""
    work = Work("descriptor_stats", [tables.DESCRIPTIONS, tables.SAMPLES], [tables.DESCRIPTOR_STATS], [])
    if is_done(store, work):
        return
    recorder = Recorder(store, work)
    with watched(store.spark, "descriptor statistics"):
        parts = live_samples(store).select(_DESCRIPTOR).mapInArrow(_sum_partition, "sums array<string>").collect()
    if not parts:  # no samples at all
        return
    total, *others = (ExactSums.from_strings(part["sums"]) for part in parts)
    for sums in others:
        total.merge(sums)
    stats = total.stats()
    version = latest_stats_version(store) + 1 if store.exists(tables.DESCRIPTOR_STATS) else 1
    row = (version, _DESCRIPTOR, stats.count, stats.mean.tolist(), stats.deviation.tolist())
    rows = store.spark.createDataFrame([row], schema=spark_schema(tables.DESCRIPTOR_STATS))
    store.append(tables.DESCRIPTOR_STATS, rows)
    recorder.finish(f"version {version} over {stats.count} samples")


def latest_stats_version(store: TableStore) -> int:
    """The newest version. Raises WarehouseError where there is none yet."""
    return int(_latest(store)["version"])


def latest_stats(store: TableStore) -> DescriptorStats:
    """The newest statistics of the sound descriptor. Raises WarehouseError where there are none yet."""
    row = _latest(store)
    return DescriptorStats(np.array(row["mean"]), np.array(row["deviation"]), row["samples"])


def _latest(store: TableStore) -> Row:
    row = store.read(tables.DESCRIPTOR_STATS).orderBy(F.desc("version")).first()
    assert row is not None  # the table is created with its first row
    return row


def _sum_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    sums: ExactSums | None = None
    for batch in batches:
        rows = descriptor_rows(batch[_DESCRIPTOR])
        if len(rows):
            sums = sums or ExactSums.empty(rows.shape[1])
            sums.update(rows)
    if sums is not None:
        yield pa.RecordBatch.from_pydict({"sums": pa.array([sums.to_strings()])})
