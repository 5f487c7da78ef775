"""A store as ingest and describe leave it, and a strategy of two steps."""

from __future__ import annotations

from collections import Counter

from raw_samples import RawSamples

from avlib import tables
from avlib.config import Settings, load_settings
from avlib.spark.store import TableStore, spark_schema

# Edges of the first step join most samples; the second leaves some without any.
STEPS = "[{w_V = 0.5, w_A = 0.5, k = 6, min_size = 4, min_share = 0.04}, {w_V = 0.0, w_A = 1.0, k = 2, min_videos = 2}]"


def two_steps(*more: str) -> Settings:
    chosen = [f"filter.strategies.mine={STEPS}", "filter.strategy=mine", "components.min_size=1"]
    return load_settings(assignments=[*chosen, *more])


def fill(store: TableStore, raw: RawSamples) -> None:
    """Write what ingest and describe would have written."""
    spark, videos = store.spark, Counter((raw.ids >> 24).tolist())

    def rows(table: tables.Table, *given: dict[str, object]) -> None:
        columns = spark_schema(table).fieldNames()
        values = [tuple(row.get(column) for column in columns) for row in given]
        store.append(table, spark.createDataFrame(values, spark_schema(table)))

    described = {
        "attempt": 1,
        "input_hash": "",
        "described_with": "w",
        "status": "ok",
        "audio_status": "ok",
        "visual_status": "ok",
    }
    rows(tables.VIDEOS, *({"video_id": video, "uri": f"{video}.mp4", "metadata": {}} for video in videos))
    rows(tables.DESCRIPTIONS, *(described | {"video_id": video, "samples": n} for video, n in videos.items()))
    samples = raw.frame(spark).selectExpr("*", "audio AS audio_mfcc65", "1 AS attempt", "cast(1 AS float) AS rms")
    store.append(tables.SAMPLES, samples)
    rows(
        tables.DESCRIPTOR_STATS,
        *(
            {"version": 1, "descriptor": name, "samples": stats.count}
            | {"mean": stats.mean.tolist(), "deviation": stats.deviation.tolist()}
            for name, stats in (("audio_mfcc65", raw.stats), ("audio_context", raw.context_stats))
        ),
    )
