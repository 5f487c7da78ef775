"""descriptor_stats: mean and deviation of each sound descriptor over all samples that have it, versioned.

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
from avlib.spark.runs import Work, is_done, recorded
from avlib.spark.samples import audio_samples, missing_descriptor
from avlib.spark.store import TableStore, spark_schema

_STORED = ("audio_mfcc65", "audio_context")
"""Sound descriptors that every sample has."""


def update_stats(store: TableStore) -> None:
    """Add a version of all descriptors to `descriptor_stats` if what they are taken over has changed since."""
    inputs = [tables.DESCRIPTIONS, tables.SAMPLES, tables.AUDIO_LEARNED]
    work = Work("descriptor_stats", inputs, [tables.DESCRIPTOR_STATS], [])
    if is_done(store, work):
        return
    with recorded(store, work) as record:
        note = work.note(store)
        descriptors = [*_STORED, *([tables.AUDIO_LEARNED.name] if store.exists(tables.AUDIO_LEARNED) else [])]
        with watched(store.spark, "descriptor statistics"):
            found = {descriptor: _stats(store, descriptor) for descriptor in descriptors}
        known = {descriptor: stats for descriptor, stats in found.items() if stats is not None}
        if not known:  # no samples at all
            return
        version = _newest_version(store) + 1
        rows = [
            (version, descriptor, stats.count, stats.mean.tolist(), stats.deviation.tolist())
            for descriptor, stats in known.items()
        ]
        frame = store.spark.createDataFrame(rows, schema=spark_schema(tables.DESCRIPTOR_STATS))
        store.append(tables.DESCRIPTOR_STATS, frame, note=note)
        record.summary = f"version {version} over {max(stats.count for stats in known.values())} samples"


def latest_stats_version(store: TableStore, descriptor: str) -> int:
    """The newest version of a sound descriptor's statistics. Raises WarehouseError where there is none yet."""
    return int(_latest(store, descriptor)["version"])


def latest_stats(store: TableStore, descriptor: str) -> DescriptorStats:
    """The newest statistics of a sound descriptor. Raises WarehouseError where there are none yet."""
    row = _latest(store, descriptor)
    return DescriptorStats(np.array(row["mean"]), np.array(row["deviation"]), row["samples"])


def _latest(store: TableStore, descriptor: str) -> Row:
    rows = store.read(tables.DESCRIPTOR_STATS).where(F.col("descriptor") == descriptor)
    row = rows.orderBy(F.desc("version")).first()
    if row is None:
        raise missing_descriptor(store.warehouse, descriptor)
    return row


def _newest_version(store: TableStore) -> int:
    if not store.exists(tables.DESCRIPTOR_STATS):
        return 0
    newest = store.read(tables.DESCRIPTOR_STATS).agg(F.max("version")).first()
    return int(newest[0]) if newest else 0


def _stats(store: TableStore, descriptor: str) -> DescriptorStats | None:
    """Of all samples that have the descriptor; None where none has."""
    samples = audio_samples(store, descriptor).select("audio")
    parts = samples.mapInArrow(_sum_partition, "sums array<string>").collect()
    if not parts:
        return None
    total, *others = (ExactSums.from_strings(part["sums"]) for part in parts)
    for sums in others:
        total.merge(sums)
    return total.stats()


def _sum_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    sums: ExactSums | None = None
    for batch in batches:
        rows = descriptor_rows(batch["audio"])
        if len(rows):
            sums = sums or ExactSums.empty(rows.shape[1])
            sums.update(rows)
    if sums is not None:
        yield pa.RecordBatch.from_pydict({"sums": pa.array([sums.to_strings()])})
