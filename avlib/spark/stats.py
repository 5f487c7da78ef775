"""descriptor_stats: mean and deviation of each sound descriptor over all samples that have it, versioned.

Sums are exact integers, so the same samples give the same bits whatever their order or partitioning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from avlib import tables
from avlib.columns import descriptor_rows
from avlib.descriptors import DescriptorStats, ExactSums
from avlib.spark.progress import watched
from avlib.spark.runs import Work, is_done, recorded
from avlib.spark.samples import audio_samples, live_samples, missing_descriptor
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
        with watched(store.spark, "descriptor statistics"):
            known = _stats(live_samples(store), _STORED)
            if store.exists(tables.AUDIO_LEARNED):
                known |= _stats(audio_samples(store, tables.AUDIO_LEARNED.name), [tables.AUDIO_LEARNED.name])
        if not known:  # no samples at all
            return
        version = (store.version(tables.DESCRIPTOR_STATS) or 0) + 1  # above all before: each was at most its commit's
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


def _stats(samples: DataFrame, descriptors: Sequence[str]) -> dict[str, DescriptorStats]:
    """Of the samples, in one pass, by descriptor; nothing where there are no samples."""
    summed = samples.select(*descriptors).mapInArrow(_sum_partition, "descriptor string, sums array<string>")
    totals: dict[str, ExactSums] = {}
    for row in summed.collect():
        sums = ExactSums.from_strings(row["sums"])
        if row["descriptor"] in totals:
            totals[row["descriptor"]].merge(sums)
        else:
            totals[row["descriptor"]] = sums
    return {descriptor: totals[descriptor].stats() for descriptor in descriptors if descriptor in totals}


def _sum_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    totals: dict[str, ExactSums] = {}
    for batch in batches:
        for descriptor in batch.schema.names if batch.num_rows else ():
            rows = descriptor_rows(batch[descriptor])
            totals.setdefault(descriptor, ExactSums.empty(rows.shape[1])).update(rows)
    sums = pa.array([one.to_strings() for one in totals.values()], pa.list_(pa.string()))
    yield pa.RecordBatch.from_arrays([pa.array(list(totals), pa.string()), sums], ["descriptor", "sums"])
